//! Snapshots of printed text: `--help`, plans, summaries, errors.

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, with_text};
use crate::support::guide;
use crate::support::project::{Project, run};
use crate::support::snapshot::assert_output;

/// The sample's table and an empty place, on an engine of their own.
fn sample() -> (Engine, Project) {
    let engine = Engine::embedded();
    let project = Project::on(&engine, "FilmCatalogue");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");
    project.restoredb(["--source", sample, "--yes"]).exits(0);

    (engine, project)
}

#[test]
fn help() {
    for program in ["dumpdb", "restoredb", "copydb", "servedb", "verifydb"] {
        for flag in ["-h", "--help"] {
            let shown = run(Project::empty().command(program, [flag]), Vec::new()).exits(0);
            assert_output(&format!("{program}{flag}"), &shown);
        }
    }
}

#[test]
fn the_tables_in_examples_have_names_that_dynamodb_accepts() {
    let mut texts: Vec<_> = guide::pages().into_iter().map(|page| page.text).collect();
    for program in ["dumpdb", "restoredb", "copydb", "servedb", "verifydb"] {
        let help = run(Project::empty().command(program, ["--help"]), Vec::new());
        texts.push(String::from_utf8_lossy(&help.stdout).into_owned());
    }

    let words: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .collect();
    let names: Vec<&str> = words
        .windows(2)
        .filter(|pair| ["--table", "--against-table"].contains(&pair[0]))
        .map(|pair| pair[1].trim_matches(['`', '.']))
        .filter(|name| !name.starts_with(['<', '-']))
        .collect();

    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!((3..=255).contains(&name.len()), "{name:?} is no table name");
    }
}

#[test]
fn plans() {
    let (engine, project) = sample();
    assert_output(
        "plan-of-a-dump",
        &project.dumpdb(["--output=out", "--dry-run"]),
    );
    let project = project
        .environment("prod", engine.url(), "FilmCatalogue")
        .environment("dev", engine.url(), "films");
    assert_output(
        "plan-of-a-gentle-dump",
        &project.dumpdb([
            "--env=prod",
            "--output=out",
            "--dry-run",
            "--consistent-read",
            "--limit=50",
            "--compress=zstd",
        ]),
    );

    project
        .dumpdb(["--env=prod", "--output=out", "--max-rcu=1000"])
        .exits(0);
    assert_output(
        "plan-of-a-restore-that-creates",
        &project.restoredb(["--env=dev", "--source=out", "--dry-run"]),
    );
    engine.client().create_simple("other");
    assert_output(
        "plan-of-a-restore-that-adds",
        &project.restoredb(["--env=prod", "--source=out", "--dry-run"]),
    );
    assert_output(
        "plan-of-a-restore-that-replaces",
        &project.restoredb([
            "--env=dev",
            "--table=other",
            "--source=out",
            "--replace",
            "--dry-run",
        ]),
    );
}

#[test]
fn summaries() {
    let (engine, project) = sample();
    assert_output("summary-of-a-dump", &project.dumpdb(["--output=out"]));
    assert_output(
        "summary-of-a-dump-to-a-file",
        &project.dumpdb(["--output=films.jsonl.gz"]),
    );
    assert_output(
        "summary-of-a-restore",
        &project.restoredb(["--source=out", "--table=copy"]),
    );
    assert_output("summary-of-a-whole-dump", &project.verifydb(["out"]));
    assert_output(
        "summary-of-a-comparison",
        &project.verifydb(["--source=out", "--env=local", "--table=copy"]),
    );
    let refused = Fault::Refused(
        "ValidationException",
        "One or more parameter values were invalid",
    );
    let proxy = Proxy::with_rules(
        &engine,
        [with_text(
            "BatchWriteItem",
            "The Kite Who Was Three",
            refused,
        )],
    );

    let project = project.environment("dev", proxy.url(), "again");
    assert_output(
        "summary-of-a-restore-with-rejects",
        &project.restoredb(["--env=dev", "--source=out", "--yes"]),
    );
    let mut summary = project.text("out/dump-summary.txt");
    summary.push('\n');
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[port]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[time]");
    settings.add_filter(r"dynadump \d+\.\d+\.\d+", "dynadump [version]");
    settings.add_filter(
        r"table-schema\.json +[\d,]+ bytes",
        "table-schema.json [bytes]",
    );
    settings.bind(|| insta::assert_snapshot!("dump-summary.txt", summary));
}

#[test]
fn errors_before_the_table() {
    let project = Project::empty()
        .environment("local", "http://127.0.0.1:9", "films")
        .environment("dev", "http://127.0.0.1:9", "films,actors");
    project.write("envs/.env.prod.example", "DYNAMODB_TABLE=films\n");
    project.write(
        "envs/.env.half",
        "DYNAMODB_TABLE=films\nAWS_SECRET_ACCESS_KEY=your-aws-secret-access-key\n",
    );
    project.write(
        "envs/.env.typo",
        "DYNAMODB_TABLE=films\nDYNADUMP_PROTECTD=true\n",
    );
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");

    for (name, arguments) in [
        ("engine-not-running", &["--output=out"][..]),
        ("environment-file-missing", &["--env=staging"]),
        ("environment-file-missing-with-example", &["--env=prod"]),
        ("environment-with-placeholder", &["--env=half"]),
        ("environment-with-typo", &["--env=typo"]),
        ("several-tables", &["--env=dev", "--output=-"]),
        ("profile-for-local", &["--profile=ops"]),
        ("no-table", &["--no-env", "--region=eu-west-1"]),
        ("json-and-items-on-stdout", &["--output=-", "--json"]),
    ] {
        assert_output(&format!("error-{name}"), &project.dumpdb(arguments));
    }

    assert_output("error-no-dump", &project.restoredb(["--source=nowhere"]));
}

#[test]
fn errors_at_the_table() {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("film-catalogue");
    client.put("film-catalogue", numbered(30));
    let project =
        Project::on(&engine, "film-catalogue").environment("prod", engine.url(), "precious");
    project.dumpdb(["--output=out"]).exits(0);
    assert_output(
        "error-table-absent",
        &project.dumpdb(["--output=x", "--table=flim-catalogue"]),
    );
    assert_output(
        "error-part-over-whole",
        &project.dumpdb(["--output=out", "--limit=3"]),
    );
    project.write("thesis/chapter-1.txt", "ten years");
    assert_output(
        "error-folder-is-no-dump",
        &project.dumpdb(["--output=thesis"]),
    );
    assert_output(
        "error-not-confirmed",
        &project.restoredb(["--source=out", "--env=prod"]),
    );
    assert_output(
        "error-replace-not-confirmed",
        &project.restoredb(["--source=out", "--replace"]),
    );
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    assert_output(
        "error-no-schema",
        &project.restoredb(["--source=items.jsonl", "--table=absent"]),
    );
    let mut schema = project.text("out/table-schema.json");
    schema = schema.replace("\"id\"", "\"key\"");
    project.write("other-schema.json", schema);
    project
        .restoredb([
            "--source=out",
            "--schema=other-schema.json",
            "--schema-only",
            "--table=other",
        ])
        .exits(0);

    assert_output(
        "error-key-mismatch",
        &project.restoredb(["--source=out", "--table=other"]),
    );
    let data = project
        .text("out/table-data.json")
        .replacen("item 3 ", "item 4 ", 1);
    project.copy("out", "damaged");
    project.write("damaged/table-data.json", data);
    assert_output(
        "error-damaged",
        &project.restoredb(["--source=damaged", "--table=copy"]),
    );
}

#[test]
fn errors_of_the_service() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(30));
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let denied = Fault::Refused(
        "AccessDeniedException",
        "User: arn:aws:iam::000000000000:user/eve is not authorized",
    );
    let proxy = Proxy::with_rules(&engine, [always("Scan", denied)]);
    let project = project.environment("dev", proxy.url(), "films");
    assert_output(
        "error-access-denied",
        &project.dumpdb(["--env=dev", "--output=x"]),
    );
    let proxy = Proxy::with_rules(&engine, [always("BatchWriteItem", Fault::TableThrottled)]);
    let project = project.environment("dev", proxy.url(), "copy");
    assert_output(
        "error-throttled",
        &project.restoredb(["--env=dev", "--source=out", "--yes", "--give-up-after=1s"]),
    );
}
