//! Parses arbitrary text as an env file: accepted files must mean the same to `dotenvy`, and no error may contain a value.
#![no_main]

use std::collections::BTreeMap;

use dynadump_fuzz::environment::{KEYS, parse};
use libfuzzer_sys::fuzz_target;

/// Part of every value; must not occur in an error.
const SECRET: &str = "hUsH9";

fuzz_target!(|text: &str| {
    if let Ok(found) = parse(text) {
        agrees_with_dotenvy(text, &found);
    }
    let with_secrets = text.replace('=', &format!("={SECRET}"));
    if let Err(error) = parse(&with_secrets) {
        let told = format!(
            "{error}\n{error:?}\n{:?}\n{:?}",
            error.hint(),
            error.causes().collect::<Vec<_>>()
        );
        assert!(!told.contains(SECRET), "an error tells a value: {told}");
        assert!(
            told.contains("envs/.env.x line "),
            "an error without its place: {told}"
        );
    }
});

/// `dotenvy` substitutes `$NAME`, and reads a `#` after two spaces as text; otherwise both parsers agree.
fn agrees_with_dotenvy(text: &str, found: &[(&'static str, Option<String>)]) {
    if text.contains(['$', '#', '\r', '\u{feff}']) {
        return;
    }

    let Ok(read) = dotenvy::from_read_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>() else {
        return;
    };

    let read: BTreeMap<_, _> = read.into_iter().collect();
    for (key, value) in found {
        let expected = read.get(*key).filter(|value| !value.is_empty());
        assert_eq!(value.as_ref(), expected, "{key}");
    }

    assert_eq!(found.len(), KEYS.len());
}
