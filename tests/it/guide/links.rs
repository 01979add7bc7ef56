//! Links lead somewhere, each page is in the table of contents, blocks have a language, and README.md is short.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::support::guide::{Page, pages};

#[test]
fn readme_has_at_most_700_words() {
    let pages = pages();
    let readme = page(&pages, Path::new("README.md")).expect("README.md");
    let words = readme
        .text
        .split_whitespace()
        .filter(|word| word.contains(char::is_alphanumeric));
    let count = words.count();
    assert!(count <= 700, "README.md has {count} words");
}

#[test]
fn readme_has_the_two_commands() {
    let pages = pages();
    let readme = page(&pages, Path::new("README.md")).expect("README.md");
    for command in ["cargo run -- --env=demo", "cargo test"] {
        assert!(
            readme.text.lines().any(|line| line.starts_with(command)),
            "{command}"
        );
    }
}

#[test]
fn links_between_pages_lead_to_a_file_and_a_heading() {
    let pages = pages();
    let mut count = 0;
    let mut dead = Vec::new();
    for page in &pages {
        for (line, link) in links(page) {
            count += 1;
            if !leads_somewhere(&pages, page, &link) {
                dead.push(format!("{}:{line}: {link}", page.path.display()));
            }
        }
    }

    assert!(count > 50, "only {count} links were found");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn each_page_is_in_the_table_of_contents_and_linked_from_readme() {
    let pages = pages();
    let targets = |name: &str| -> BTreeSet<PathBuf> {
        let from = page(&pages, Path::new(name)).expect(name);
        links(from)
            .into_iter()
            .map(|(_, link)| resolved(&from.path, link.split('#').next().expect("a path")))
            .collect()
    };

    let (contents, readme) = (targets("docs/SUMMARY.md"), targets("README.md"));
    for page in &pages {
        let is_content = !["README.md", "docs/SUMMARY.md"]
            .iter()
            .any(|name| page.path == Path::new(name));
        if is_content {
            let name = page.path.display();
            assert!(
                contents.contains(&page.path),
                "docs/SUMMARY.md lacks {name}"
            );
            assert!(readme.contains(&page.path), "README.md lacks {name}");
        }
    }
}

#[test]
fn each_block_of_code_has_a_language_and_a_text() {
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path.display(), block.line);
            assert!(
                !block.info.is_empty(),
                "{place}: no language, such as sh or text"
            );
            assert!(!block.text.trim().is_empty(), "{place}: an empty block");
        }
    }
}

#[test]
fn the_recording_is_small_and_names_no_folder_of_a_machine() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg");
    let recording = std::fs::read_to_string(path).expect("docs/demo.svg");
    assert!(recording.len() < 150_000, "{} bytes", recording.len());
    assert!(recording.contains("Restored 312 items to FilmCopy"));
    for folder in ["/tmp", "/home", "/root", "/work", "/Users"] {
        assert!(!recording.contains(folder), "{folder}");
    }
}

/// The page at a path.
fn page<'a>(pages: &'a [Page], path: &Path) -> Option<&'a Page> {
    pages.iter().find(|page| page.path == path)
}

/// The links of a page that do not leave the repository, with their lines.
fn links(page: &Page) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in page.prose() {
        for rest in line.split("](").skip(1) {
            let link = rest.split(')').next().expect("a first part");
            if !link.starts_with("https://") {
                links.push((number, link.to_owned()));
            }
        }
    }

    links
}

/// Whether the file exists and, if it is a page, has the heading.
fn leads_somewhere(pages: &[Page], from: &Page, link: &str) -> bool {
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        from.path.clone()
    } else {
        resolved(&from.path, path)
    };
    let exists = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target).exists();
    let has_heading = heading.is_empty()
        || page(pages, &target)
            .is_some_and(|page| page.anchors().iter().any(|anchor| anchor == heading));

    exists && has_heading
}

/// A relative link from a page, as a path in the repository.
fn resolved(from: &Path, link: &str) -> PathBuf {
    let mut resolved = from.parent().expect("a folder").to_owned();
    for component in Path::new(link).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }

    resolved
}
