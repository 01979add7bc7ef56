//! Checks that the library names no flags: its messages contain a `Field`, which the command line shows as a flag.

use std::fs;
use std::path::Path;

use super::layers::{lines_without_tests, module_path, sources};

/// Commands of other programs, which have flags of their own.
const OTHER_PROGRAMS: [&str; 6] = [
    "aws configure ",
    "aws dynamodb ",
    "aws sso ",
    "aws sts ",
    "docker run ",
    "jq --",
];

#[test]
fn the_library_names_no_flags() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for file in sources(&root) {
        let path = file.strip_prefix(&root).expect("it lies below the root");
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let lines = flags(path, &text);
        found.extend(lines.map(|line| format!("{}: {}", path.display(), line.trim())));
    }

    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_planted_flag_is_found() {
    for text in [
        "fn f() {\n    hint(\"pass --table\");\n}",
        "fn f() {\n    hint(\n        \"pass \\\n         --table or `table`\",\n    );\n}",
    ] {
        assert_eq!(flags(Path::new("ops/a.rs"), text).count(), 1, "{text}");
        for allowed in ["cli/a.rs", "ops/tests.rs", "ops/tests/a.rs"] {
            assert_eq!(flags(Path::new(allowed), text).count(), 0, "{text}");
        }
    }

    for text in [
        "fn f() {\n    // The same as --table.\n    g(\"`aws sso login --profile a`\", \"--\");\n}",
        "#[cfg(test)]\nmod tests {\n    fn f() {\n        g(\"--table\");\n    }\n}",
    ] {
        assert_eq!(flags(Path::new("ops/a.rs"), text).count(), 0, "{text}");
    }
}

/// Lines of code outside of `cli` that contain a flag. Nothing but text contains two hyphens before a letter.
fn flags<'a>(path: &Path, text: &'a str) -> impl Iterator<Item = &'a str> {
    let module = module_path(path);
    let is_exempt =
        module.first().is_some_and(|top| top == "cli") || module.iter().any(|part| part == "tests");

    lines_without_tests(text).filter(move |line| {
        let is_comment = line.trim_start().starts_with("//");
        let is_other = OTHER_PROGRAMS.iter().any(|program| line.contains(program));

        !is_exempt && !is_comment && !is_other && contains_flag(line)
    })
}

fn contains_flag(line: &str) -> bool {
    let mut parts = line.split("--");
    parts.next();

    parts.any(|part| part.starts_with(|first: char| first.is_ascii_lowercase()))
}
