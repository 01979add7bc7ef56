//! Invalid filters, programs and results.

use super::events::events;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::Project;

#[test]
fn invalid_transforms_are_rejected_before_any_request() {
    let engine = Engine::embedded();
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.write(
        "rules.toml",
        "[[rule]]\npath = \"id\"\naction = \"vanish\"\n",
    );
    project.write("hash.toml", "[[rule]]\npath = \"id\"\naction = \"hash\"\n");

    for (arguments, code, words) in [
        (
            &["--transform", ".a |"][..],
            2,
            "--transform, line 1, column 5",
        ),
        (&["--where", "nope"], 2, "undefined filter `nope`"),
        (
            &["--transform", "no/file.jq"],
            2,
            "`no/file.jq` does not exist",
        ),
        (
            &["--transform-command", "no-such-program"],
            2,
            "program not found: `no-such-program`",
        ),
        (&["--mask", "rules.toml"], 2, "rules.toml"),
        (&["--mask", "hash.toml"], 10, "DYNADUMP_MASK_KEY"),
        (&["--sample", "5"], 2, "write it as a percentage"),
        (
            &["--schema-only", "--transform", "."],
            2,
            "--schema-only cannot be combined with a transform",
        ),
        (
            &["--show", "3", "--dry-run"],
            2,
            "--show needs an option that changes or filters items",
        ),
        (&["--show", "3", "--transform", "."], 2, "--dry-run"),
    ] {
        project.dumpdb(arguments).exits(code).says(words);
        project.restoredb(arguments).exits(code).says(words);
    }

    assert_eq!(proxy.calls().len(), 0);
}

#[test]
fn invalid_results_of_filters_and_programs_are_rejected() {
    let (_engine, _, project) = events(3);
    for (filter, words) in [
        (r#".x = {"Q":"1"}"#, "Q"),
        ("1", "it gives a number, not an item"),
        (r#".x = "plain""#, "x"),
        (r#".x = N("1e400")"#, "x"),
    ] {
        let run = project
            .dumpdb(["--output=out", "--json", "--yes", "--transform", filter])
            .exits(3);
        assert_eq!(
            run.report()["summary"]["transformed"]["items_rejected"],
            3,
            "{filter}"
        );

        let rejects = project.text("out.rejects.jsonl");
        assert!(rejects.contains(words), "{filter}: {rejects}");
    }

    for (line, words) in [
        ("head -n 1", "old-000"),
        ("sed s/.*/garbage/", "old-000"),
        ("false", "old-000"),
    ] {
        let run = project
            .dumpdb([
                "--output=bad",
                "--transform-command",
                line,
                "--transform-jobs=1",
            ])
            .exits(1);

        run.says(words);
        assert!(!project.path("bad").exists(), "{line}");
    }
}
