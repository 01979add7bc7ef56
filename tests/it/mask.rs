//! Masks: what leaves production is masked, and nothing else leaves.

use serde_json::{Value, json};

use crate::support::client::{n, s, strings};
use crate::support::engine::Engine;
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
    let mut command = project.command("dumpdb", ["--output=out", "--json", "--mask=rules.toml"].iter().chain(more));
    command.env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");
    run(command, Vec::new())
}

/// Looks for text in every file in and beside the dump.
fn holds(project: &Project, text: &str) -> Vec<String> {
    let mut files: Vec<String> = project.names("out").iter().map(|name| format!("out/{name}")).collect();
    files.extend(project.names(".").into_iter().filter(|name| name.starts_with("out.")));
    files.retain(|file| String::from_utf8_lossy(&project.bytes(file)).contains(text));
    files
}

#[test]
fn no_original_byte_leaves_and_the_metadata_says_so() {
    let (engine, table, project) = people(RULES);
    let summary = masked(&project, &[]).exits(0).report();
    for original in ["secret-person", "Verysecret", "4111-1111", "0123456789abcdef"] {
        assert_eq!(holds(&project, original), [""; 0], "{original}");
    }
    let metadata = project.json("out/table-metadata.json");
    assert_eq!((&metadata["transformed"], &metadata["complete"]), (&Value::Bool(true), &Value::Bool(true)));
    let sha256 = metadata["mask_rules_sha256"].as_str().expect("the digest of the rules");
    assert_eq!((sha256.len(), &summary["summary"]["transformed"]["mask_rules_sha256"]), (64, &Value::from(sha256)));
    assert!(project.text("out/dump-summary.txt").contains(sha256));
    let copy = engine.table("copy");
    let run = project.restoredb(["--source=out", "--yes", &format!("--table={copy}")]).exits(0);
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
fn a_rejected_item_is_named_by_its_key_alone() {
    let (engine, table, project) = people(RULES);
    let mut person = strings([("id", "leaky"), ("email", "secret-leak@example.org")]);
    person.insert("note".to_owned(), s("write to secret-leak@example.org"));
    engine.client().put(&table, [person]);
    masked(&project, &[]).exits(3).says("1 item rejected by the transform");
    assert_eq!(holds(&project, "secret-leak"), [""; 0]);
    let reject = project.json("out.rejects.jsonl");
    assert_eq!(reject["key"], json!({"id": {"S": "leaky"}}));
    assert!(reject["reason"].as_str().is_some_and(|reason| reason.contains(r#"attribute "note""#)), "{reject}");
    // Words of an earlier step may quote what is to be masked.
    masked(&project, &["--yes", "--transform", "if .note then error(.email.S) else . end"]).exits(3);
    assert_eq!(holds(&project, "secret-leak"), [""; 0]);
    let strict = masked(&project, &["--yes", "--strict", "--transform", "if .note then error(.email.S) else . end"]);
    strict.exits(3).never_says("secret-leak");
    let trial = masked(&project, &["--yes", "--dry-run", "--transform", "if .note then error(.email.S) else . end"]);
    let trial = trial.exits(0).never_says("secret-leak");
    assert!(!trial.output().contains("secret-leak"), "{}", trial.output());
    assert_eq!(trial.report()["plan"]["trial"]["rejected"], 1);
}

/// A condition that is asked of a part of the item is false, and the value would leave as it is.
#[test]
fn what_a_condition_asks_for_cannot_be_left_in_the_table() {
    let rules = "[[rule]]\npath = \"email\"\naction = \"redact\"\nwhen = \".name != null\"\n";
    let (_engine, _, project) = people(rules);
    masked(&project, &["--projection=id,email"]).exits(2).says("--projection").says("`when`").says("drop");
    masked(&project, &[]).exits(0);
}

#[test]
fn keys_that_a_mask_makes_equal_end_the_dump() {
    let (_engine, _, project) = people("[[rule]]\npath = \"id\"\naction = \"redact\"\n");
    masked(&project, &[])
        .exits(1)
        .says("the masks give 29 items a key that another item has")
        .says("mask keys with hash");
    assert!(!project.path("out").exists() && !project.path("out.checkpoint").exists());
    project.write("rules.toml", "[[rule]]\npath = \"id\"\naction = \"hash\"\n");
    masked(&project, &[]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 30);
}

#[test]
fn a_rule_that_matches_nothing_is_a_warning_and_one_that_takes_the_key_is_refused() {
    let (_engine, _, project) = people("[[rule]]\npath = \"e-mail\"\naction = \"redact\"\n");
    masked(&project, &[]).exits(0).says("the rule for `e-mail` matched no item");
    project.write("rules.toml", "[[rule]]\npath = \"id\"\naction = \"drop\"\n");
    masked(&project, &["--yes"]).exits(2).says("`id` is a key of the table and cannot be dropped");
}
