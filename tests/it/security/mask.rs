//! Masks: masked values never leave the source environment.

use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::client::{Item, n, s, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls};
use crate::support::project::{Project, Run, run};

const RULES: &str = r#"
[[rule]]
path = "email"
action = "hash"

[[rule]]
path = "name"
action = "fake"
kind = "name"

[[rule]]
path = "card"
action = "keep-format"
"#;

/// A table of people, and a folder with rules.
fn people(rules: &str) -> (Engine, String, Project) {
    let engine = Engine::any();
    let table = engine.table("people");
    engine.client().create_simple(&table);
    engine.client().put(
        &table,
        (0..30).map(|number| {
            let mut person = strings([
                ("id", &format!("p{number}")),
                ("email", &format!("secret-person-{number}@example.org")),
                ("name", &format!("Verysecret Surname{number}")),
                ("card", "4111-1111-2222-3333"),
            ]);

            person.insert("visits".to_owned(), n(number));
            person
        }),
    );

    let project = Project::on(&engine, &table);
    project.write("rules.toml", rules);

    (engine, table, project)
}

fn masked(project: &Project, more: &[&str]) -> Run {
    let mut command = project.command(
        "dumpdb",
        ["--output=out", "--json", "--mask=rules.toml"]
            .iter()
            .chain(more),
    );

    command.env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");
    run(command, Vec::new())
}

/// Looks for text in every file in and beside the dump.
fn holds(project: &Project, text: &str) -> Vec<String> {
    let mut files: Vec<String> = project
        .names("out")
        .iter()
        .map(|name| format!("out/{name}"))
        .collect();

    files.extend(
        project
            .names(".")
            .into_iter()
            .filter(|name| name.starts_with("out.")),
    );

    files.retain(|file| String::from_utf8_lossy(&project.bytes(file)).contains(text));

    files
}

#[test]
fn no_original_value_is_dumped_and_the_metadata_records_the_mask() {
    let (engine, table, project) = people(RULES);
    let summary = masked(&project, &[]).exits(0).report();
    for original in [
        "secret-person",
        "Verysecret",
        "4111-1111",
        "0123456789abcdef",
    ] {
        assert_eq!(holds(&project, original), [""; 0], "{original}");
    }

    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (&metadata["transformed"], &metadata["complete"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    let sha256 = metadata["mask_rules_sha256"]
        .as_str()
        .expect("the digest of the rules");
    assert_eq!(
        (
            sha256.len(),
            &summary["summary"]["transformed"]["mask_rules_sha256"]
        ),
        (64, &Value::from(sha256))
    );

    assert!(project.text("out/dump-summary.txt").contains(sha256));
    let copy = engine.table("copy");
    let run = project
        .restoredb(["--source=out", "--yes", &format!("--table={copy}")])
        .exits(0);
    run.says("masked").says(sha256);
    let (before, after) = (engine.client().items(&table), engine.client().items(&copy));
    assert_eq!(before.len(), after.len());

    for (key, item) in &after {
        assert_eq!(item["visits"], before[key]["visits"]);
        assert_eq!(item["email"].as_s().expect("text").len(), 64);
        assert_ne!(item["name"], before[key]["name"]);
    }
}

#[test]
fn a_rejected_item_is_named_only_by_its_key() {
    let (engine, table, project) = people(RULES);
    let mut person = strings([("id", "leaky"), ("email", "secret-leak@example.org")]);
    person.insert("note".to_owned(), s("write to secret-leak@example.org"));
    engine.client().put(&table, [person]);
    masked(&project, &[])
        .exits(3)
        .says("1 item rejected by the transform");
    assert_eq!(holds(&project, "secret-leak"), [""; 0]);
    let reject = project.json("out.rejects.jsonl");
    assert_eq!(reject["key"], json!({"id": {"S": "leaky"}}));
    assert!(
        reject["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains(r#"attribute "note""#)),
        "{reject}"
    );

    // Words of an earlier step may quote what is to be masked.
    masked(
        &project,
        &[
            "--yes",
            "--transform",
            "if .note then error(.email.S) else . end",
        ],
    )
    .exits(3);

    assert_eq!(holds(&project, "secret-leak"), [""; 0]);
    let strict = masked(
        &project,
        &[
            "--yes",
            "--strict",
            "--transform",
            "if .note then error(.email.S) else . end",
        ],
    );

    strict.exits(3).never_says("secret-leak");
    let trial = masked(
        &project,
        &[
            "--yes",
            "--dry-run",
            "--transform",
            "if .note then error(.email.S) else . end",
        ],
    );

    let trial = trial.exits(0).never_says("secret-leak");
    assert!(
        !trial.output().contains("secret-leak"),
        "{}",
        trial.output()
    );

    assert_eq!(trial.report()["plan"]["trial"]["rejected"], 1);
}

/// A condition that is asked of a part of the item is false, and the value would leave as it is.
#[test]
fn what_a_condition_asks_for_cannot_be_left_in_the_table() {
    let rules = "[[rule]]\npath = \"email\"\naction = \"redact\"\nwhen = \".name != null\"\n";
    let (_engine, _, project) = people(rules);
    masked(&project, &["--projection-expression=id,email"])
        .exits(2)
        .says("--projection-expression")
        .says("`when`")
        .says("drop");

    masked(&project, &[]).exits(0);
}

#[test]
fn keys_that_a_mask_makes_equal_end_the_dump() {
    let (_engine, _, project) = people("[[rule]]\npath = \"id\"\naction = \"redact\"\n");
    masked(&project, &["--segments=1"])
        .exits(1)
        .says("the masks give 29 items a key that another item has")
        .says("mask keys with hash");
    assert!(!project.path("out").exists() && !project.path("out.journal").exists());
    project.write("rules.toml", "[[rule]]\npath = \"id\"\naction = \"hash\"\n");
    masked(&project, &[]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 30);
}

#[test]
fn keys_that_a_transform_makes_equal_are_not_blamed_on_the_masks() {
    let (_engine, _, project) = people("[[rule]]\npath = \"id\"\naction = \"hash\"\n");
    let before = project.names(".");
    let same = r#"--transform=.id = S("same") | if .visits | num > 20 then error("x") else . end"#;
    let run = masked(&project, &["--segments=1", same])
        .exits(1)
        .says("the transform gives 20 items a key");
    run.says("let the transform give each item a key of its own")
        .never_says("hash");
    assert_eq!(project.names("."), before, "nothing is left of it");
    project.write(
        "rules.toml",
        "[[rule]]\npath = \"id\"\naction = \"redact\"\n",
    );
    masked(
        &project,
        &["--segments=1", r#"--transform=.id = S("same")"#],
    )
    .exits(1)
    .says("the transform and the masks give 29 items a key");
}

/// Number of items on each page of [`scan_page`].
const PAGE_ITEMS: usize = 300;

/// A page of a table of `PAGES` pages, whose items have the keys `p0000000`, `p0000001`, …
fn scan_page<const PAGES: usize>(request: &Value) -> Value {
    let last_key = request["ExclusiveStartKey"]["id"]["S"].as_str();
    let first = last_key.map_or(0, |key| {
        key[1..].parse::<usize>().expect("a key of an earlier page") + 1
    });

    let keys =
        (first..first + PAGE_ITEMS).map(|number| json!({ "id": { "S": format!("p{number:07}") } }));
    let items: Vec<Value> = keys.collect();
    let mut page = json!({ "Items": items, "Count": PAGE_ITEMS, "ScannedCount": PAGE_ITEMS });
    if first + PAGE_ITEMS < PAGES * PAGE_ITEMS {
        page["LastEvaluatedKey"] = page["Items"][PAGE_ITEMS - 1].clone();
    }

    page
}

#[test]
fn keys_that_a_mask_makes_equal_end_the_scan_early() {
    // Far more pages than are in memory between the request and the check.
    const PAGES: usize = 1_000;

    let (engine, table, project) = people("[[rule]]\npath = \"id\"\naction = \"redact\"\n");
    let proxy = Proxy::with_rules(
        &engine,
        [always("Scan", Fault::Answered(scan_page::<PAGES>))],
    );
    let project = project.environment("dev", proxy.url(), &table);
    let before = project.names(".");
    for segments in ["--segments=1", "--segments=9"] {
        let scans_before = proxy.count("Scan");
        masked(&project, &["--env=dev", segments])
            .exits(1)
            .says("the masks give 255 items a key that another item has")
            .says("output items 1 and 2")
            .says("the dump stopped after 256 output items")
            .says("mask keys with hash");
        let scans = proxy.count("Scan") - scans_before;
        assert!(scans < PAGES / 2, "{scans} pages were read");
        assert_eq!(project.names("."), before, "nothing is left of the dump");
    }
}

#[test]
fn keys_that_a_transform_without_masks_makes_equal_do_not_end_the_scan() {
    const PAGES: usize = 4;

    let (engine, table, project) = people(RULES);
    let proxy = Proxy::with_rules(
        &engine,
        [always("Scan", Fault::Answered(scan_page::<PAGES>))],
    );
    let project = project.environment("dev", proxy.url(), &table);
    let constant = r#"--transform=.id = S("same")"#;
    for mask in [None, Some("--mask=rules.toml")] {
        let output = [
            "--env=dev",
            "--yes",
            "--json",
            "--output=out",
            "--segments=1",
            constant,
        ];
        let mut command = project.command("dumpdb", output.into_iter().chain(mask));
        command.env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");
        let report = run(command, Vec::new()).exits(3).report();
        let items = PAGES * PAGE_ITEMS;
        assert_eq!(report["summary"]["items"], items);
        assert_eq!(report["summary"]["transformed"]["collisions"], items - 1);
    }
}

#[test]
fn a_rule_that_matches_nothing_is_a_warning_and_one_that_takes_the_key_is_refused() {
    let (_engine, _, project) = people("[[rule]]\npath = \"e-mail\"\naction = \"redact\"\n");
    masked(&project, &[])
        .exits(0)
        .says("the rule for `e-mail` matched no item");
    project.write("rules.toml", "[[rule]]\npath = \"id\"\naction = \"drop\"\n");
    masked(&project, &["--yes"])
        .exits(2)
        .says("`id` is a key of the table and cannot be dropped");
}

/// Every file of the project that holds `text`, but for the mask rules and filters, which the user wrote.
fn leaks(project: &Project, text: &str) -> Vec<String> {
    let mut folders = vec![project.path(".")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if !entry.ends_with("rules.toml")
                && memmem(&fs::read(&entry).unwrap_or_default(), text.as_bytes())
            {
                found.push(entry.display().to_string());
            }
        }
    }

    found
}

fn memmem(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Neither the files of the project nor what a run printed hold an original.
#[track_caller]
fn hides(project: &Project, run: Run) -> Run {
    let mut run = run;
    for original in ["secret-person", "Verysecret", "4111-1111"] {
        assert_eq!(leaks(project, original), [""; 0], "{original}\n{run}");
        run = run.never_says(original);
    }

    run
}

/// The beginning of a text must not decide whether it may be shown.
#[test]
fn messages_of_filters_are_not_shown_however_they_begin() {
    let (_engine, _, project) = people(RULES);
    for filter in [
        r#"error("--mask: " + .email.S)"#,
        r#"error("after the transform: " + .email.S)"#,
        r#"{id, (.email.S): {N: "not a number"}}"#,
        "{id, (.email.S): 5}",
        "error(.name)",
    ] {
        let run = masked(&project, &["--yes", "--transform", filter]).exits(3);
        assert_eq!(
            hides(&project, run).report()["summary"]["transformed"]["items_rejected"],
            30,
            "{filter}"
        );

        let reject: Value = project
            .text("out.rejects.jsonl")
            .lines()
            .next()
            .map(serde_json::from_str)
            .expect("a line")
            .expect("JSON");

        assert!(
            reject["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("is not shown")),
            "{reject}"
        );

        assert!(reject["key"]["id"]["S"].is_string(), "{reject}");
        hides(
            &project,
            masked(&project, &["--yes", "--strict", "--transform", filter]).exits(3),
        );
        let run = masked(&project, &["--dry-run", "--show=3", "--transform", filter]).exits(0);
        hides(&project, run.says("is not shown"));
        hides(&project, masked(&project, &["--yes", "--where", filter]));
    }

    project.write(
        "rules.toml",
        RULES.replacen(
            "action",
            "when = 'error(\"--mask: \" + .email.S)'\naction",
            1,
        ),
    );

    hides(
        &project,
        masked(&project, &["--yes"])
            .exits(3)
            .says("30 items rejected"),
    );
}

#[test]
fn no_step_before_the_masks_moves_an_original_past_them() {
    let (_engine, _, project) = people(RULES);
    for filter in [
        r#".contact = .email | drop("email")"#,
        r#".[.email.S] = S("x") | drop("email")"#,
        r#".at = {M: {(.email.S): S("x")}} | drop("email")"#,
        r#".all = {SS: ["a", .email.S]} | drop("email")"#,
        r#".all = {B: (.email.S | @base64)} | drop("email")"#,
        r#".all = S(.email.S | @base64) | drop("email")"#,
        r#".all = S({mail: .email.S} | tojson) | drop("email")"#,
        r#".name = .email | .email = S("none")"#,
        r#"., (.id = S("copy-\(.id.S)") | .contact = .email | drop("email"))"#,
        r#".id = S("\(.email.S)#\(.id.S)")"#,
    ] {
        let run = masked(&project, &["--yes", "--transform", filter]);
        let code = if filter.starts_with(".name") { 0 } else { 3 };
        hides(&project, run.exits(code));
        assert_eq!(leaks(&project, "c2VjcmV0LXBlcnNvb"), [""; 0], "{filter}");
    }

    let command = r#"sed 's/"email"/"contact"/'"#;
    hides(
        &project,
        masked(&project, &["--yes", "--transform-command", command]).exits(3),
    );
}

#[test]
fn a_key_that_contains_a_masked_value_is_not_listed() {
    let (engine, table, project) = people(RULES);
    engine.client().put(
        &table,
        [strings([
            ("id", "USER#secret-person-x@example.org"),
            ("email", "secret-person-x@example.org"),
        ])],
    );

    hides(&project, masked(&project, &[]).exits(3));
    let reject = project.json("out.rejects.jsonl");
    assert_eq!(reject["key"], Value::Null, "{reject}");
    hides(
        &project,
        masked(&project, &["--yes", "--strict"])
            .exits(3)
            .says("key not shown"),
    );

    hides(
        &project,
        masked(&project, &["--dry-run", "--show=40"]).exits(0),
    );
}

#[test]
fn a_program_is_not_quoted_while_values_are_masked() {
    let (_engine, _, project) = people(RULES);
    for (line, code) in [
        ("tee /dev/stderr", 0),
        (
            r#"sed 's/.*"email": *{"S": *"\([^"]*\)".*/{"error":"\1"}/'"#,
            3,
        ),
        ("sed 's/^{/x{/'", 1),
        ("head -n 3; cat >&2; exit 3", 1),
        ("sed p", 1),
    ] {
        hides(
            &project,
            masked(&project, &["--yes", "--transform-command", line]).exits(code),
        );
    }
}

#[test]
fn a_dry_run_shows_originals_only_where_that_is_asked_for_and_allowed() {
    let (engine, table, project) = people(RULES);
    let project = project.environment_with(
        "prod",
        engine.url(),
        &format!("DYNAMODB_TABLE={table}\nDYNADUMP_PROTECTED=true\n"),
    );

    let run = masked(
        &project,
        &[
            "--dry-run",
            "--show=2",
            "--transform",
            r#".mail = S("new")"#,
        ],
    )
    .exits(0);

    hides(
        &project,
        run.says(r#"- "email": "[masked]""#)
            .says(r#"+ "mail": {"S":"new"}"#)
            .says("fewer than 4 characters"),
    );

    masked(&project, &["--dry-run", "--show=2", "--show-originals"])
        .exits(0)
        .says("secret-person");
    let run = masked(
        &project,
        &["--env=prod", "--dry-run", "--show=2", "--show-originals"],
    );
    hides(
        &project,
        run.exits(2)
            .says("--show-originals is not allowed: environment prod is protected"),
    );

    hides(
        &project,
        masked(&project, &["--env=prod", "--dry-run", "--show=2"]).exits(0),
    );
    masked(&project, &["--show-originals"]).exits(2);
}

/// What a restore lists names items by their key alone, too.
#[test]
fn a_restore_that_masks_lists_no_originals() {
    let (engine, _, project) = people(RULES);
    project.dumpdb(["--output=plain"]).exits(0);
    let source = project.path("plain");
    let copy = engine.table("masked");
    let elsewhere = Project::on(&engine, &copy);
    elsewhere.write("rules.toml", RULES);
    let restored = |more: &[&str]| {
        let source = format!("--source={}", source.display());
        let arguments = [source.as_str(), "--yes", "--json", "--mask=rules.toml"];
        let mut command = elsewhere.command("restoredb", arguments.iter().chain(more));
        command.env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");
        run(command, Vec::new())
    };

    hides(
        &elsewhere,
        restored(&[
            "--transform",
            r#"if .visits.N == "3" then .contact = .email | drop("email") else . end"#,
        ])
        .exits(3),
    );

    let rejects = |what: &str| -> String {
        let name = project
            .names(".")
            .into_iter()
            .find(|name| name.contains(what))
            .unwrap_or_else(|| panic!("no {what}"));

        project.text(name)
    };

    let reject: Value = serde_json::from_str(&rejects("rejects")).expect("one line");
    assert_eq!(reject["key"], json!({"id": {"S": "p3"}}), "{reject}");
    assert!(reject.get("item").is_none(), "{reject}");
    hides(
        &elsewhere,
        restored(&["--on-conflict=skip", "--transform", r#".x = S("new")"#]).exits(0),
    );
    let conflicts = rejects("conflicts");
    assert!(
        conflicts.lines().count() >= 29 && !conflicts.contains("secret-person"),
        "{conflicts}"
    );

    for filter in [r#"error("--mask: " + .email.S)"#, "error(.email.S)"] {
        hides(
            &elsewhere,
            restored(&["--dry-run", "--show=2", "--transform", filter]).exits(0),
        );
        hides(
            &elsewhere,
            restored(&["--strict", "--transform", filter]).exits(3),
        );
    }

    for item in engine.client().items(&copy).into_values() {
        assert!(!format!("{item:?}").contains("secret-person"), "{item:?}");
    }
}

/// A position in the table is a key, and a journal contains it.
#[test]
fn a_journal_holds_no_key_that_contains_a_masked_value() {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("people");
    let padding = "x".repeat(170_000);
    client.put(
        "people",
        (0..60).map(|number| {
            let mail = format!("secret-person-{number}@example.org");
            strings([
                ("id", &format!("USER#{mail}")),
                ("email", &mail),
                ("padding", &padding),
            ])
        }),
    );

    let expired = Fault::Refused(
        "ExpiredTokenException",
        "The security token included in the request is expired",
    );
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 5..=usize::MAX, expired)]);
    let project = Project::empty().environment("local", proxy.url(), "people");
    project.write("rules.toml", RULES);
    hides(
        &project,
        masked(&project, &["--segments=1", "--give-up-after=1s"]).exits(10),
    );
}

/// An item whose `secret` is masked, with a copy of the secret in one of many places.
fn with_copy(number: usize, secret: &str, place: usize) -> Item {
    let mut item = strings([("id", &format!("p{number}")), ("secret", secret)]);
    let within = format!("a {secret} b");
    let bytes = |text: &str| AttributeValue::B(text.as_bytes().to_vec().into());
    let encoded = base64::engine::general_purpose::STANDARD.encode(secret);
    let copy = match place {
        0 => return item,
        1 => s(within),
        2 => bytes(&within),
        3 => AttributeValue::M([(within, n(1))].into()),
        4 => AttributeValue::Ss(vec!["x".to_owned(), within]),
        5 => AttributeValue::Bs(vec![b"x".to_vec().into(), within.into_bytes().into()]),
        6 => AttributeValue::L(vec![AttributeValue::M(
            [("deep".to_owned(), s(secret))].into(),
        )]),
        7 => s(json!({ "nested": [secret] }).to_string()),
        8 => s(encoded),
        9 => bytes(&json!({ (secret): 1 }).to_string()),
        _ => {
            item.insert(within, n(1));
            return item;
        }
    };

    item.insert("copy".to_owned(), copy);

    item
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever a copy of a masked value is, and wherever a filter moves the value, no run writes or prints it.
    #[test]
    fn copies_of_masked_values_are_neither_written_nor_printed(
        secrets in prop::collection::vec(("[a-zé\"\\\\\n]{5,9}", 0..11_usize), 1..30),
        action in prop::sample::select(vec!["redact", "hash", "drop", "keep-format", "null"]),
        filter in prop::sample::select(vec![
            None,
            Some(r#".moved = .secret | drop("secret")"#),
            Some(r#".[.secret.S] = S("x")"#),
            Some(r#"error("--mask: " + .secret.S)"#),
            Some(r#".secret = S("other") | .moved = S({s: "secret"} | tojson)"#),
        ]),
    ) {
        let engine = Engine::embedded();
        engine.client().create_simple("people");
        let secrets: Vec<_> = secrets.iter().enumerate().map(|(at, (text, place))| (format!("Q{at}-{text}"), *place)).collect();
        engine.client().put("people", secrets.iter().enumerate().map(|(at, (secret, place))| with_copy(at, secret, *place)));
        let project = Project::on(&engine, "people");
        project.write("rules.toml", format!("[[rule]]\npath = \"secret\"\naction = \"{action}\"\n"));
        let mut arguments = vec!["--yes"];
        if let Some(filter) = filter {
            arguments.extend(["--transform", filter]);
        }
        let trial = masked(&project, &[&arguments[..], &["--dry-run", "--show=50"]].concat()).exits(0);
        let run = masked(&project, &arguments);
        for (secret, _) in &secrets {
            let escaped = Value::from(secret.as_str()).to_string();
            let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
            for text in [secret.as_str(), &escaped[1..escaped.len() - 1], &encoded] {
                prop_assert_eq!(leaks(&project, text), [""; 0], "{:?} in\n{}", text, run);
                let printed = [run.to_string(), trial.to_string()].concat();
                prop_assert!(!printed.contains(text), "{:?} in\n{}", text, printed);
            }
        }
        let without = secrets.iter().filter(|(_, place)| *place == 0).count();
        if filter.is_none() {
            prop_assert_eq!(project.json("out/table-metadata.json")["items"].as_u64(), Some(without as u64), "{}", run);
        }
    }
}
