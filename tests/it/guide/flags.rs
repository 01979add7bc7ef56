//! Each flag of `--help` is on a page.

use std::collections::BTreeSet;

use crate::support::guide::pages;
use crate::support::project::{Project, run};

#[test]
fn each_flag_is_on_a_page() {
    let texts: Vec<_> = pages().into_iter().map(|page| page.text).collect();
    let documented: BTreeSet<_> = texts.iter().flat_map(|text| flags(text)).collect();
    for program in ["dumpdb", "restoredb", "copydb", "verifydb", "servedb"] {
        let help = run(Project::empty().command(program, ["--help"]), Vec::new()).exits(0);
        let existing: BTreeSet<_> = flags(help.output()).collect();
        let missing: Vec<_> = existing
            .difference(&documented)
            .filter(|flag| !["--help", "--version"].contains(&flag.as_str()))
            .collect();

        assert!(existing.len() > 10, "{program}: {existing:?}");
        assert!(
            missing.is_empty(),
            "no page has the flags of {program}: {missing:?}"
        );
    }
}

/// The words that start with two hyphens.
fn flags(text: &str) -> impl Iterator<Item = String> {
    text.split("--").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        let name = &rest[..end.unwrap_or(rest.len())];
        name.starts_with(|first: char| first.is_ascii_lowercase())
            .then(|| format!("--{}", name.trim_end_matches('-')))
    })
}
