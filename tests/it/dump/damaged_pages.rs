//! Scan responses with a valid checksum and wrong items: they must neither be dumped nor counted as verified.

use serde_json::{Value, json};

use crate::support::client::{s, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls, size_for};
use crate::support::project::Project;

/// Replaces a text wherever it occurs.
fn replace(body: &mut Vec<u8>, from: &str, to: &[u8]) {
    let mut changed = Vec::with_capacity(body.len());
    while let Some(at) = body
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        changed.extend(body.drain(..at));
        changed.extend_from_slice(to);
        body.drain(..from.len());
    }

    changed.append(body);
    *body = changed;
}

/// A change of a page with the item `a`, after the words that the error says of it.
type Damage = (&'static str, fn(&mut Vec<u8>));

fn damages() -> Vec<Damage> {
    const ITEM: &str = r#"{"id":{"S":"a"}}"#;

    vec![
        ("expected a colon", |body| {
            replace(body, ITEM, br#"{"id" {"S":"a"}}"#);
        }),
        ("not UTF-8", |body| {
            replace(body, ITEM, b"{\"id\":{\"S\":\"a\xff\"}}");
        }),
        ("control character", |body| {
            replace(body, ITEM, b"{\"id\":{\"S\":\"a\"},\"x\":{\"S\":\"\x01\"}}");
        }),
        (r#"key attribute "id" is missing"#, |body| {
            replace(body, ITEM, br#"{"no":{"S":"a"}}"#);
        }),
        (r#"key attribute "id" has type "N""#, |body| {
            replace(body, ITEM, br#"{"id":{"N":"1"}}"#);
        }),
        ("its key occurs twice in the page", |body| {
            replace(body, r#"{"S":"b"}"#, br#"{"S":"\u0061"}"#);
        }),
        ("twice in one map", |body| {
            replace(body, ITEM, br#"{"id":{"S":"a"},"i\u0064":{"S":"c"}}"#);
        }),
        ("twice in one map", |body| {
            replace(
                body,
                ITEM,
                br#"{"id":{"S":"a"},"m":{"M":{"x":{"S":""},"x":{"S":""}}}}"#,
            );
        }),
        ("not a value of type S", |body| {
            replace(body, ITEM, br#"{"id":{"S":"a"},"x":{"S":1}}"#);
        }),
        ("not an object with one type tag", |body| {
            replace(body, ITEM, br#"{"id":{"S":"a"},"x":{"S":"","N":"1"}}"#);
        }),
        ("not a decimal number", |body| {
            replace(body, ITEM, br#"{"id":{"S":"a"},"x":{"N":"1x"}}"#);
        }),
        ("not base64", |body| {
            replace(body, ITEM, br#"{"id":{"S":"a"},"x":{"B":"?"}}"#);
        }),
    ]
}

/// A table with the items `a`, `b` and `c`.
fn table() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine
        .client()
        .put("films", ["a", "b", "c"].map(|id| strings([("id", id)])));

    engine
}

#[test]
fn a_damaged_page_is_requested_again() {
    let engine = table();
    for (number, (what, change)) in damages().into_iter().enumerate() {
        let proxy = Proxy::with_rules(&engine, [calls("Scan", 1..=2, Fault::Unsigned(change))]);
        let project = Project::empty().environment("local", proxy.url(), "films");
        project.dumpdb(["--output=out", "--segments=1"]).exits(0);
        assert_eq!(
            (proxy.failures(), proxy.count("Scan")),
            (2, 3),
            "{number}, {what}"
        );

        project.verifydb(["out"]).exits(0).says("3 items");
    }
}

#[test]
fn a_page_that_stays_damaged_fails_the_dump_and_names_endpoint_segment_and_item() {
    let engine = table();
    for (what, change) in damages() {
        let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Unsigned(change))]);
        let project = Project::empty().environment("local", proxy.url(), "films");
        for output in ["out", "out.jsonl"] {
            let run = project
                .dumpdb(["--give-up-after=1s", "--segments=1", "--output", output])
                .exits(1);
            run.says(what)
                .says(proxy.url())
                .says("the page is damaged")
                .says("item ")
                .says("Scan films");

            assert!(!project.path(output).exists(), "{what}: it was published");
        }
    }

    // Both items must be of one page, which they are in one segment alone.
    for (what, change) in damages()
        .into_iter()
        .filter(|(what, _)| !what.contains("in the page"))
    {
        let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Unsigned(change))]);
        let project = Project::empty().environment("local", proxy.url(), "films");
        let run = project
            .dumpdb(["--give-up-after=1s", "--segments=3", "--output=out"])
            .exits(1);
        run.says(what).says("of 3 failed");
    }
}

/// Pages of one item each, of which the third is the second one again.
fn repeating(request: &Value) -> Value {
    let page = |id: &str, next: Option<&str>| {
        let mut page = json!({ "Items": [{ "id": { "S": id } }], "Count": 1, "ScannedCount": 1 });
        if let Some(next) = next {
            page["LastEvaluatedKey"] = json!({ "id": { "S": next } });
        }

        page
    };

    match request["ExclusiveStartKey"]["id"]["S"].as_str() {
        None => page("a", Some("1")),
        Some("1") => page("b", Some("2")),
        Some(_) => page("b", None),
    }
}

#[test]
fn an_item_of_the_page_before_is_not_dumped_again() {
    let engine = table();
    let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Answered(repeating))]);
    let project = Project::empty().environment("local", proxy.url(), "films");
    let run = project
        .dumpdb(["--give-up-after=1s", "--segments=1", "--output=out"])
        .exits(1);
    run.says("the page is damaged")
        .says("the previous page contains the same key")
        .says(proxy.url());
    assert!(!project.path("out").exists());
}

#[test]
fn a_verification_does_not_believe_a_damaged_page_either() {
    let engine = table();
    let mut project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    for (what, change) in damages() {
        // A damage may need both items on one page.
        let rules = [
            always("Scan", Fault::Unsigned(change)),
            always("DescribeTable", Fault::Changed(size_for(1))),
        ];
        let proxy = Proxy::with_rules(&engine, rules);
        project = project.environment("dev", proxy.url(), "films");
        let run = project
            .verifydb(["out", "--env=dev", "--give-up-after=1s"])
            .exits(1);
        run.says(what).says("the page is damaged").says(proxy.url());
    }
}

#[test]
fn names_that_are_equal_once_unescaped_are_damage_in_a_file_too() {
    let engine = table();
    let project = Project::on(&engine, "films");
    for line in [
        r#"{"id":{"S":"a"},"x":{"S":"1"},"\u0078":{"S":"2"}}"#,
        r#"{"id":{"S":"a"},"\u0069d":{"S":"b"}}"#,
        r#"{"id":{"S":"a"},"m":{"M":{"x":{"S":"1"},"y":{"S":"1"},"x":{"S":"1"}}}}"#,
    ] {
        project.write(
            "items.jsonl",
            format!("{{\"id\":{{\"S\":\"d\"}}}}\n{line}\n"),
        );
        project
            .verifydb(["items.jsonl"])
            .exits(12)
            .says("line 2: not an item")
            .says("twice in one map");

        project
            .restoredb(["--source=items.jsonl", "--yes"])
            .exits(12)
            .says("line 2: not an item");
        project
            .restoredb_from(&project.bytes("items.jsonl"), ["--source=-", "--yes"])
            .exits(12)
            .says("twice");
    }

    assert_eq!(engine.client().items("films")["S(\"a\")"]["id"], s("a"));
}
