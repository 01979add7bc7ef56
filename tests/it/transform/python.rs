//! Python functions as transforms.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, ScalarAttributeType};

use super::events::{create_events, event, events, sorted, summary, with_new_sort_key};
use crate::support::arbitrary;
use crate::support::client::{Item, attribute, partition, sort};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::Project;

/// The standing example: another sort key.
const REKEY: &str = "def rekey(item):
    item['new_sk'] = f\"{item['type']}#{item['timestamp']}\"
    del item['old_sk']
    return item
";

/// Items of all types with extreme numbers, the same in each run.
fn arbitrary_items(count: usize) -> Vec<Item> {
    let mut runner = TestRunner::deterministic();
    let mut items: Vec<Item> = Vec::new();

    while items.len() < count {
        let tree = arbitrary::items(count).new_tree(&mut runner);
        items.extend(tree.expect("items can be generated").current());
    }

    items.truncate(count);
    for (number, item) in items.iter_mut().enumerate() {
        item.insert("at".to_owned(), AttributeValue::N(number.to_string()));
    }

    items
}

#[test]
fn a_thousand_items_of_every_type_are_the_same_after_a_function_that_changes_nothing() {
    let engine = Engine::embedded();
    let client = engine.client();
    for table in ["films", "copy"] {
        client.create(table, |create| {
            create
                .billing_mode(BillingMode::PayPerRequest)
                .attribute_definitions(attribute("id", ScalarAttributeType::S))
                .attribute_definitions(attribute("at", ScalarAttributeType::N))
                .key_schema(partition("id"))
                .key_schema(sort("at"))
        });
    }
    client.put("films", arbitrary_items(1000));
    let project = Project::on(&engine, "films");
    project.write("same.py", "def same(item):\n    return item\n");

    let dumped = project
        .dumpdb(["--output=out", "--json", "--transform-python=same.py:same"])
        .exits(0)
        .report();
    let counts = ["items_read", "items_changed", "items_rejected"];
    assert_eq!(
        summary(&dumped["summary"]["transformed"], &counts),
        [1000, 0, 0]
    );

    let restored = project
        .restoredb([
            "--source=out",
            "--table=copy",
            "--json",
            "--verify=full",
            "--transform-python=same.py:same",
        ])
        .exits(0)
        .report();
    let counts = ["items_read", "items_changed", "items_written"];
    assert_eq!(summary(&restored["summary"], &counts), [1000, 0, 1000]);
    assert_eq!(restored["summary"]["verified"]["equal"], 1000);
    assert_eq!(client.items("copy"), client.items("films"));
}

#[test]
fn a_function_changes_the_sort_key_in_a_dry_run_in_a_restore_and_in_its_verification() {
    let (engine, _, project) = events(60);
    project.write("scripts/events.py", REKEY);
    project.dumpdb(["--output=out"]).exits(0);
    let new = engine.table("events-new");
    let to = format!("--table={new}");
    let arguments = [
        "--source=out",
        "--yes",
        "--key-schema=pk:S,new_sk:S",
        "--verify=full",
        "--transform-python=scripts/events.py:rekey",
        "--transform-jobs=2",
        &to,
    ];

    // Engines scan in different orders, so all items are shown.
    let dry = [&arguments[..], &["--dry-run", "--show=60"]].concat();
    project
        .restoredb(&dry)
        .exits(0)
        .says("Changed 60 items")
        .says(r#"+ "new_sk": {"S":"click#1700000000"}"#);
    assert!(engine.client().describe(&new).is_none());

    let restored = [&arguments[..], &["--json"]].concat();
    let report = project.restoredb(&restored).exits(0).report();
    assert_eq!(report["summary"]["verified"]["equal"], 60);
    assert_eq!(
        sorted(engine.client().items(&new).into_values()),
        sorted((0..60).map(|number| with_new_sort_key(event(number))))
    );
}

#[test]
fn a_module_is_found_in_the_current_folder() {
    let (_engine, _, project) = events(6);
    project.write("tools/__init__.py", "");
    project.write(
        "tools/events.py",
        "class Keep:\n    @staticmethod\n    def clicks(item):\n        return item if item['type'] == 'click' else None\n",
    );
    let report = project
        .dumpdb([
            "--output=out",
            "--json",
            "--transform-python=tools.events:Keep.clicks",
        ])
        .exits(0)
        .report();
    let counts = ["items_read", "items_left_out"];
    assert_eq!(summary(&report["summary"]["transformed"], &counts), [6, 3]);
}

#[test]
fn exceptions_reject_items_and_verbose_shows_the_first_traceback() {
    let (_engine, _, project) = events(8);
    project.write(
        "t.py",
        "def f(item):\n    if item['type'] == 'view':\n        raise ValueError('no kind')\n    return item\n",
    );
    let arguments = ["--output=out", "--yes", "--transform-python=t.py:f"];
    project.dumpdb(arguments).exits(3).never_says("Traceback");

    let rejects = project.text("out.rejects.jsonl");
    let lines = rejects.lines();
    assert_eq!(
        lines
            .filter(|line| line.starts_with(r#"{"reason":"ValueError: no kind","item":{"#))
            .count(),
        4,
        "{rejects}"
    );

    let verbose = project.dumpdb(arguments.iter().chain(&["-v"])).exits(3);
    assert_eq!(verbose.stderr.matches("Traceback").count(), 1);
    verbose.says("t.py\", line 3, in f");
}

/// The message of an exception, its traceback and what a function prints may quote values that a mask hides.
#[test]
fn with_a_mask_nothing_that_a_function_says_is_shown() {
    let (_engine, _, project) = events(8);
    project.write(
        "t.py",
        "def f(item):\n    print(item['digits'])\n    raise ValueError(item['digits'])\n",
    );
    project.write(
        "rules.toml",
        "[[rule]]\npath = \"digits\"\naction = \"drop\"\n",
    );
    project
        .dumpdb([
            "--output=out",
            "--yes",
            "-v",
            "--transform-python=t.py:f",
            "--mask=rules.toml",
        ])
        .exits(3)
        .never_says("1234567890");
}

#[test]
fn floats_are_named_in_the_plan_of_a_dry_run_and_after_a_run() {
    let (_engine, _, project) = events(3);
    project.write(
        "t.py",
        "def f(item):\n    item['score'] = 0.1\n    return item\n",
    );
    let arguments = ["--output=out", "--transform-python=t.py:f"];
    for more in [&["--dry-run"][..], &[]] {
        project
            .dumpdb(arguments.iter().chain(more))
            .exits(0)
            .says("--transform-python: the function returned values of type float");
    }

    assert!(
        project
            .text("out/table-data.json")
            .contains(r#""score":{"N":"0.1"}"#)
    );
}

#[test]
fn a_function_that_cannot_be_used_is_refused_before_any_request() {
    let engine = Engine::embedded();
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.write("broken.py", "import no_such_module\n");

    for (arguments, words) in [
        (
            &["--transform-python=broken.py:f"][..],
            "broken.py:f` cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (&["--transform-python=json:f"], "`json` does not define `f`"),
        (
            &["--transform-python=json"],
            "`json` does not name a module and a function",
        ),
        (
            &["--transform-python=json:loads", "--python=no-such-python"],
            "--python: program not found: `no-such-python`",
        ),
        (&["--python=python3"], "--transform-python"),
    ] {
        project.dumpdb(arguments).exits(2).says(words);
        project.restoredb(arguments).exits(2).says(words);
    }

    assert_eq!(proxy.calls().len(), 0);
}

/// A session with the scripts that this option replaces: back up to JSON Lines, create a table with another key, try the function,
/// restore with it.
#[test]
fn a_table_moves_to_another_key_with_a_profile_a_region_and_a_function() {
    let engine = Engine::embedded();
    let client = engine.client();
    create_events(&client, "events");
    client.put("events", (0..60).map(event));
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty();
    project.write(
        ".aws/config",
        format!(
            "[profile migration]\nendpoint_url = {}\naws_access_key_id = test\naws_secret_access_key = test\n",
            proxy.url()
        ),
    );
    project.write(
        "migrate.py",
        "def rekey(item):
    if item['pk'] == 'p3':
        return None
    if item['timestamp'] == 1700000005:
        raise ValueError('no kind')
    item['new_sk'] = f\"{item['type']}#{item['timestamp']}\"
    del item['old_sk']
    return item
",
    );
    let account = [
        "--no-env",
        "--profile=migration",
        "--region=eu-central-1",
        "--yes",
    ];

    let dump = ["--table=events", "--output=events.jsonl"];
    project.dumpdb(account.iter().chain(&dump)).exits(0);
    assert_eq!(project.text("events.jsonl").lines().count(), 60);

    client.create("events-v2", |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("new_sk", ScalarAttributeType::S))
            .key_schema(partition("pk"))
            .key_schema(sort("new_sk"))
    });

    let restore = [
        "--table=events-v2",
        "--source=events.jsonl",
        "--transform-python=migrate.py:rekey",
        "--batch-size=25",
    ];
    let dry_run = ["--dry-run", "--show=2"];
    project
        .restoredb(account.iter().chain(&restore).chain(&dry_run))
        .exits(0)
        .says("Changed 50 items")
        .says("Filtered out 9 items")
        .says("ValueError: no kind");
    assert!(client.items("events-v2").is_empty());

    project
        .restoredb(account.iter().chain(&restore))
        .exits(3)
        .says("50 items");
    let expected = (0..60)
        .filter(|number| number % 7 != 3 && *number != 5)
        .map(|number| with_new_sort_key(event(number)));
    assert_eq!(
        sorted(client.items("events-v2").into_values()),
        sorted(expected)
    );
}
