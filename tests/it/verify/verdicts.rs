//! `verifydb`: intact and damaged dumps, equal and different tables.

use std::sync::Arc;

use aws_sdk_dynamodb::types::ProvisionedThroughput;
use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, ScalarAttributeType};
use serde_json::{Value, json};

use crate::support::bucket::Bucket;
use crate::support::client::{Item, attribute, n, numbered, partition, s, sort, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, size_for, sometimes};
use crate::support::project::{Project, Run, dump_of};

/// The dump in `out` with its items in place of others, as an older tool would have written it.
fn of_an_older_tool(project: &Project, name: &str, items: &[&str]) {
    project.write(
        format!("{name}/table-schema.json"),
        project.bytes("out/table-schema.json"),
    );
    let text = format!(
        "{{\"Items\": [{}],\n\"Count\": {}}}",
        items.join(",\n"),
        items.len()
    );

    project.write(format!("{name}/table-data.json"), text);
}

fn summary(run: &Run) -> Value {
    run.report()["summary"].clone()
}

#[test]
fn an_intact_dump() {
    let (_engine, project) = dump_of(40);
    project
        .verifydb(["out", "-v"])
        .exits(0)
        .says("out is intact")
        .says("40 items")
        .says("no two have the same");

    let run = project.verifydb(["--source=out", "--json"]).exits(0);
    let found = summary(&run);
    assert_eq!(
        (
            &found["items"],
            &found["duplicates"],
            &found["findings_total"]
        ),
        (&40.into(), &0.into(), &0.into())
    );

    project
        .verifydb(["out", "--quick"])
        .exits(0)
        .says("The checksums of");
    assert_eq!(project.verifydb(["out", "--quiet"]).exits(0).stderr, "");

    for compress in ["gzip", "zstd"] {
        project
            .dumpdb([
                "--output",
                compress,
                "--compress",
                compress,
                "--format=jsonl",
            ])
            .exits(0);

        project.verifydb([compress]).exits(0).says("40 items");
    }

    project
        .dumpdb(["--output=schema", "--schema-only"])
        .exits(0);
    project.verifydb(["schema"]).exits(0);
}

#[test]
fn the_default_place_is_where_dumpdb_writes() {
    let (_engine, project) = dump_of(3);
    project.verifydb([""; 0]).exits(11);
    project.dumpdb([""; 0]).exits(0);
    project
        .verifydb([""; 0])
        .exits(0)
        .says("backups/dynamodb/local is intact");
}

#[test]
fn nothing_there() {
    let (_engine, project) = dump_of(3);
    project.write("empty/notes.txt", "nothing");
    for place in ["absent", "empty"] {
        project.verifydb([place]).exits(11);
        project.verifydb([place, "--quick"]).exits(11);
    }

    project
        .verifydb(["out", "--table=absent"])
        .exits(11)
        .says("absent");
}

#[test]
fn a_flipped_byte_and_a_cut_file() {
    let (_engine, project) = dump_of(40);
    let data = project.bytes("out/table-data.json");
    for at in [0, 30, data.len() / 2, data.len() - 3] {
        let mut flipped = data.clone();
        flipped[at] ^= 0x04;
        project.copy("out", "flipped");
        project.write("flipped/table-data.json", flipped);

        for flag in ["--quiet", "--quick"] {
            project
                .verifydb(["flipped", flag])
                .exits(12)
                .says("table-data.json");
        }
    }

    for (name, length) in [
        ("table-data.json", 700),
        ("table-schema.json", 20),
        ("dump-summary.txt", 9),
    ] {
        project.copy("out", "cut");
        project.write(
            format!("cut/{name}"),
            &project.bytes(format!("out/{name}"))[..length],
        );
        for flag in ["--quiet", "--quick"] {
            project.verifydb(["cut", flag]).exits(12).says(name);
        }
    }
}

#[test]
fn a_missing_and_an_extra_file() {
    let (_engine, project) = dump_of(3);
    for name in [
        "table-data.json",
        "table-schema.json",
        "dump-summary.txt",
        "table-metadata.json",
    ] {
        project.copy("out", "part");
        std::fs::remove_file(project.path(format!("part/{name}"))).expect("the file is there");
        project.verifydb(["part"]).exits(12);
        project.verifydb(["part", "--quick"]).exits(12);
    }

    project.copy("out", "more");
    project.write("more/notes.txt", "mine");
    project.verifydb(["more"]).exits(0);
    project.write("more/table-data.jsonl", "{}\n");
    project
        .verifydb(["more"])
        .exits(12)
        .says("table-data.jsonl")
        .says("not part of this dump");
}

#[test]
fn every_finding_is_listed_and_the_list_is_bounded() {
    let (_engine, project) = dump_of(3);
    let id = |id: &str| format!(r#"{{"id":{{"S":"{id}"}}}}"#);
    let (one, two, three) = (
        id("one"),
        id("two"),
        r#"{"t":{"S":"x"},"id":{"S":"\u006fne"}}"#,
    );

    let wrong = r#"{"id":{"N":"1"}}"#;
    let none = r#"{"id":{"S":"three"},"n":{"N":"many"}}"#;
    of_an_older_tool(
        &project,
        "older",
        &[&one, &two, three, wrong, none, r#"{"t":{"S":"x"}}"#],
    );

    let run = project.verifydb(["older", "--json"]).exits(12);
    let found = summary(&run);
    assert_eq!(
        (
            &found["findings_total"],
            &found["duplicates"],
            &found["items"]
        ),
        (&4.into(), &1.into(), &6.into())
    );

    let findings = found["findings"].to_string();
    for part in [
        "line 4: not an item of this table",
        "line 5: not an item: ",
        "line 6: ",
        "the same key as in line 1",
    ] {
        assert!(findings.contains(part), "{part}\n{run}");
    }

    let same = vec![one.as_str(); 60];
    of_an_older_tool(&project, "same", &same);
    project
        .verifydb(["same"])
        .exits(12)
        .says("59 findings")
        .says("line 2: the same key")
        .says("and 39 more");

    of_an_older_tool(&project, "whole", &[&one, &two]);
    project
        .verifydb(["whole"])
        .exits(0)
        .says("made by another tool")
        .says("2 items");

    project
        .verifydb(["whole", "--quick"])
        .exits(2)
        .says("no checksums");
}

#[test]
fn files_of_items() {
    let (_engine, project) = dump_of(3);
    project.write(
        "items.jsonl",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"a\"}}\n",
    );
    project
        .verifydb(["items.jsonl"])
        .exits(0)
        .says("2 items")
        .says("no schema: the keys of the items are not checked");

    project.write(
        "broken.jsonl",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":5}}\n{\"id\":{\"S\":\"b\"}\n",
    );
    project
        .verifydb(["broken.jsonl"])
        .exits(12)
        .says("2 findings")
        .says("line 2");

    project.verifydb(["-"]).exits(2);
}

#[test]
fn a_table_that_holds_what_the_dump_holds() {
    let (engine, project) = dump_of(40);
    project
        .verifydb(["--source=out", "--env=local"])
        .exits(0)
        .says("equal 40 items");

    // Another order of attributes and sets, other spellings of the same numbers.
    let item =
        r#"{"set":{"NS":["2","1.0"]},"id":{"S":"x"},"n":{"N":"1.50"},"names":{"SS":["a","b"]}}"#;
    project.write("x.jsonl", item);
    engine.client().create_simple("numbers");
    let same = Item::from([
        ("id".to_owned(), s("x")),
        ("n".to_owned(), n("1.5")),
        (
            "set".to_owned(),
            AttributeValue::Ns(vec!["1".to_owned(), "2".to_owned()]),
        ),
        (
            "names".to_owned(),
            AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()]),
        ),
    ]);

    engine.client().put("numbers", [same]);
    project
        .verifydb(["x.jsonl", "--table=numbers", "--exact"])
        .exits(0);
}

#[test]
fn one_missing_one_different_one_extra() {
    let (engine, project) = dump_of(40);
    let client = engine.client();
    let table = |name: &str, items: Vec<Item>| {
        client.create_simple(name);
        client.put(name, items);
    };
    table("missing", numbered(39));
    let run = project
        .verifydb(["out", "--table=missing"])
        .exits(3)
        .says("1 item missing")
        .says("item-000039");

    run.never_says("item-000038");
    let mut changed = numbered(40);
    changed[7].insert("text".to_owned(), s("another text"));
    table("different", changed);
    let run = project
        .verifydb(["out", "--table=different"])
        .exits(3)
        .says("1 item different")
        .says("item-000007");

    run.says("text: {\"S\":")
        .says("in the dump, {\"S\":\"another text\"} in the table");
    project
        .verifydb(["out", "--table=different", "--keys-only"])
        .exits(0);
    table("extra", numbered(41));
    project
        .verifydb(["out", "--table=extra"])
        .exits(0)
        .says("extra 1 item")
        .says("item-000040");

    project
        .verifydb(["out", "--table=extra", "--exact"])
        .exits(3)
        .says("1 item extra")
        .says("item-000040");

    let run = project
        .verifydb(["out", "--table=extra", "--exact", "--json", "--quiet"])
        .exits(3);
    let found = summary(&run);
    assert_eq!(
        (
            &found["equal"],
            &found["missing"],
            &found["different"],
            &found["extra"]
        ),
        (&40.into(), &0.into(), &0.into(), &1.into())
    );

    assert_eq!(
        found["examples"],
        json!([{ "fault": "extra", "key": r#"{"id":{"S":"item-000040"}}"# }])
    );
}

#[test]
fn a_sample_is_the_same_on_both_sides_and_in_every_run() {
    let (engine, project) = dump_of(1000);
    let client = engine.client();
    client.create_simple("other");

    // Half of the items are different, a quarter is missing, and there are as many that only this table has.
    let mut items = numbered(1250);
    items
        .iter_mut()
        .take(500)
        .for_each(|item| drop(item.insert("text".to_owned(), s("another"))));
    items.drain(500..750);
    client.put("other", items);
    let counts = |run: &Run| {
        let found = summary(run);
        ["equal", "missing", "different", "extra"]
            .map(|name| found[name].as_u64().expect("a count"))
    };

    let sampled = |share: &str| {
        let share = format!("--sample={share}");
        let run = project
            .verifydb(["out", "--table=other", "--exact", "--json", &share])
            .exits(3);
        run.says("a sample is compared");
        let arguments = [
            "--table=films",
            "--against-table=other",
            "--json",
            "--quiet",
            &share,
        ];

        let run = project.verifydb(arguments).exits(3);
        (counts(&run), summary(&run)["sample"].clone(), summary(&run))
    };

    let (found, sample, whole) = sampled("20%");
    let [equal, missing, different, extra] = found;
    assert!(
        (20..=80).contains(&equal) && (20..=80).contains(&missing),
        "{found:?}"
    );
    assert!(
        (60..=140).contains(&different) && (20..=80).contains(&extra),
        "{found:?}"
    );
    assert_eq!(sample["percent"], 20.0);
    assert_eq!(sample["source_items"], equal + missing + different);
    assert_eq!(sample["target_items"], equal + extra + different);
    assert_eq!(
        (&whole["source_items"], &whole["target_items"]),
        (&json!(1000), &json!(1000))
    );
    assert_eq!(sampled("20%").0, found);
    assert_eq!(sampled("100%").0, [250, 250, 500, 250]);
    let run = project
        .verifydb(["out", "--table=films", "--sample=5%"])
        .exits(0);
    run.says("sample 5% of the keys")
        .says("of 1,000 items of table films")
        .says("missing 0 items");
}

#[test]
fn a_sample_of_something_else_is_refused() {
    let (_engine, project) = dump_of(3);
    project
        .verifydb(["out", "--sample=1%"])
        .exits(2)
        .says("--sample needs a table")
        .says("add --env NAME");

    project
        .verifydb(["out", "--table=films", "--sample=1"])
        .exits(2)
        .says("percentage, for example 5%");
    project
        .verifydb(["out", "--table=films", "--sample=0%"])
        .exits(2)
        .says("more than 0%");
    project
        .verifydb(["out", "--table=films", "--sample=1%", "--schema-only"])
        .exits(2);
}

#[test]
fn duplicates_of_a_dump_are_listed() {
    let (_engine, project) = dump_of(3);
    let item = |n: u32| format!(r#"{{"id":{{"S":"{n}"}}}}"#);
    of_an_older_tool(
        &project,
        "older",
        &[&item(1), &item(2), &item(1), &item(3), &item(2)],
    );

    let run = project
        .verifydb(["older", "--json"])
        .exits(12)
        .says("line 3")
        .says("line 5")
        .says("as in line 1");

    assert_eq!(summary(&run)["duplicates"], 2);
}

#[test]
fn settings_of_two_tables() {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    client.create_simple("same");
    client.create("other", |table| {
        let capacity = ProvisionedThroughput::builder()
            .read_capacity_units(5)
            .write_capacity_units(5)
            .build();
        table
            .provisioned_throughput(capacity.expect("both are given"))
            .attribute_definitions(attribute("pk", ScalarAttributeType::N))
            .key_schema(partition("pk"))
    });

    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "Scan",
            Fault::Refused("ValidationException", "must not be scanned"),
        )],
    );

    let project = Project::empty()
        .environment("prod", proxy.url(), "films")
        .environment("staging", proxy.url(), "other");
    let run = project
        .verifydb(["--env=prod", "--against-env=staging", "--schema-only"])
        .exits(3);
    assert!(
        run.output().contains("billing: prod on-demand / staging "),
        "{run}"
    );
    assert!(
        run.output()
            .contains("partition key: prod id (S) / staging pk (N)"),
        "{run}"
    );

    let run = project
        .verifydb(["--env=prod", "--against-table=same", "--schema-only"])
        .exits(0);
    assert_eq!(run.output(), "");
    let run = project
        .verifydb([
            "--env=prod",
            "--against-table=other",
            "--schema-only",
            "--json",
        ])
        .exits(3);

    let run = run.says("billing: films on-demand / other ");
    assert!(
        summary(&run)["differences"]
            .as_array()
            .is_some_and(|list| list.len() >= 2),
        "{run}"
    );

    project
        .verifydb(["--env=prod", "--against-table=films", "--schema-only"])
        .exits(2)
        .says("itself");
    project
        .verifydb(["--env=prod", "--against-table=absent", "--schema-only"])
        .exits(11)
        .says("absent");
    project
        .verifydb([
            "--env=prod",
            "--against-table=same",
            "--schema-only",
            "--exact",
        ])
        .exits(2);

    assert_eq!(proxy.count("Scan"), 0);
}

#[test]
fn two_tables() {
    let (engine, project) = dump_of(40);
    let client = engine.client();
    client.create_simple("other");
    client.put("other", numbered(40));
    let project = project
        .environment("prod", engine.url(), "films")
        .environment("staging", engine.url(), "other");
    project
        .verifydb(["--env=prod", "--against-env=staging"])
        .exits(0)
        .says("equal 40 items");
    project
        .verifydb(["--table=films", "--against-table=other"])
        .exits(0);
    client.put("other", [strings([("id", "more")])]);
    project
        .verifydb(["--env=prod", "--against-env=staging"])
        .exits(3)
        .says("1 item extra")
        .says("\"more\"");

    project
        .verifydb(["--env=staging", "--against-env=prod"])
        .exits(3)
        .says("1 item missing")
        .says("\"more\"");

    project
        .verifydb([
            "--env=prod",
            "--against-env=staging",
            "--against-table=films",
        ])
        .exits(2)
        .says("itself");

    project
        .verifydb([
            "--env=prod",
            "--against-env=staging",
            "--against-table=absent",
        ])
        .exits(11);
}

#[test]
fn other_keys_are_shown() {
    let (engine, project) = dump_of(3);
    engine.client().create("numbers", |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::N))
            .key_schema(partition("id"))
    });

    project
        .verifydb(["out", "--table=numbers"])
        .exits(3)
        .says("id (S)")
        .says("id (N)");

    project
        .verifydb(["--table=numbers", "--against-table=films"])
        .exits(3)
        .says("id (S)")
        .says("id (N)");

    project
        .verifydb(["out", "--table=numbers", "--schema-only"])
        .exits(3);
    project
        .verifydb(["out", "--table=films", "--schema-only"])
        .exits(0);

    // Items without a schema cannot be in the table without its key.
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project
        .verifydb(["items.jsonl", "--table=numbers"])
        .exits(3)
        .says("1 item missing")
        .says("without a key of the table");
}

#[test]
fn a_damaged_dump_is_not_compared() {
    let (engine, project) = dump_of(40);
    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "Scan",
            Fault::Refused("ValidationException", "must not be scanned"),
        )],
    );

    let project = project.environment("dev", proxy.url(), "films");
    let data = project
        .text("out/table-data.json")
        .replacen("item 3 ", "item 4 ", 1);
    project.write("out/table-data.json", data);
    project
        .verifydb(["out", "--env=dev"])
        .exits(12)
        .never_says("must not be scanned");
}

#[test]
fn the_later_of_two_lines_counts() {
    let (_engine, project) = dump_of(1);
    let good = project
        .text("out/table-data.json")
        .lines()
        .nth(1)
        .expect("an item")
        .to_owned();

    let stale = r#"{"id":{"S":"item-000000"},"text":{"S":"stale"}}"#;
    project.write("good.jsonl", format!("{stale}\n{good}\n"));
    project.write("bad.jsonl", format!("{good}\n{stale}\n"));
    project
        .verifydb(["good.jsonl", "--table=films"])
        .exits(0)
        .says("superseded 1 item");
    project
        .verifydb(["bad.jsonl", "--table=films"])
        .exits(3)
        .says("1 item different");
}

/// `count` items of 40 KB: a page of a Scan holds 25 of them.
fn large(count: usize) -> Vec<Item> {
    let text = "a film about tea. ".repeat(2_300);
    (0..count)
        .map(|number| strings([("id", &format!("large-{number:03}")), ("text", &text)]))
        .collect()
}

/// Says that a table is large enough for several segments.
fn grown(answer: &mut Value) {
    answer["Table"]["TableSizeBytes"] = json!(100_000_000);
}

#[test]
fn large_tables_are_read_in_several_segments_and_pages() {
    let engine = Engine::embedded();
    let client = engine.client();
    for (table, change) in [("films", None), ("other", Some(61))] {
        client.create_simple(table);
        let mut items = large(90);
        if let Some(number) = change {
            items[number].insert("text".to_owned(), s("short"));
            items.remove(3);
            items.push(strings([("id", "more")]));
        }

        for item in items {
            client.put_one(table, item);
        }
    }

    for rules in [vec![], vec![always("DescribeTable", Fault::Changed(grown))]] {
        let segments = if rules.is_empty() { 1 } else { 12 };
        let proxy = Proxy::with_rules(&engine, rules);
        let project = Project::empty().environment("dev", proxy.url(), "films");
        let arguments = ["--env=dev", "--against-table=other", "--json", "--quiet"];
        let run = project.verifydb(arguments).exits(3);
        let found = summary(&run);
        let counts = ["equal", "missing", "different", "extra"]
            .map(|name| found[name].as_u64().expect("a count"));
        assert_eq!(counts, [88, 1, 1, 1], "{run}");
        let keys: Vec<_> = found["examples"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["key"])
            .collect();

        let key = |id: &str| format!(r#"{{"id":{{"S":"{id}"}}}}"#);
        assert_eq!(
            keys,
            [
                &json!(key("large-003")),
                &json!(key("large-061")),
                &json!(key("more"))
            ],
            "{run}"
        );

        assert!(proxy.count("Scan") >= 2 * segments, "{run}");
    }
}

/// Where units are limited, pages get smaller as items get larger: what was read in one page is read again in several.
#[test]
fn every_difference_is_shown_where_pages_are_smaller_the_second_time() {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create("films", |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("at", ScalarAttributeType::N))
            .key_schema(partition("id"))
            .key_schema(sort("at"))
    });

    let text = "a film about tea. ".repeat(2_300);
    let item = |at: usize, text: &str| {
        Item::from(
            [("id", s("films")), ("at", n(at)), ("text", s(text))]
                .map(|(name, value)| (name.to_owned(), value)),
        )
    };

    client.put("films", (0..600).map(|at| item(at, "short")));

    for at in 600..640 {
        client.put_one("films", item(at, &text));
    }

    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    client.put("films", (100..600).step_by(50).map(|at| item(at, "other")));
    let run = project
        .verifydb(["out", "--env=local", "--max-rcu=1000", "--json"])
        .exits(3);
    let found = summary(&run);
    let examples = found["examples"].as_array().expect("a list");
    assert_eq!(
        (&found["different"], examples.len()),
        (&json!(10), 10),
        "{run}"
    );

    for example in examples {
        assert_eq!(
            example["attributes"][0]["target"], r#"{"S":"other"}"#,
            "{example}"
        );
    }
}

#[test]
fn the_pages_that_are_read_again_for_what_is_shown_are_counted() {
    let (engine, project) = dump_of(300);
    let bucket = Arc::new(Bucket::new(1e6));
    let rules = [
        always("Scan", Fault::Capacity(Arc::clone(&bucket))),
        always("DescribeTable", Fault::Changed(size_for(1))),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "films");
    engine.client().put_one(
        "films",
        strings([("id", "item-000007"), ("text", "another")]),
    );
    let run = project.verifydb(["out", "--env=dev", "--json"]).exits(3);
    assert_eq!(proxy.count("Scan"), 2, "{run}");
    let consumed: f64 = bucket.calls().iter().map(|call| call.units).sum();
    assert_eq!(summary(&run)["consumed_read_units"], consumed, "{run}");
}

#[test]
fn transient_faults_do_not_change_the_verdict() {
    let (engine, project) = dump_of(300);
    let faults = [
        Fault::TableThrottled,
        Fault::Status(500),
        Fault::WrongChecksum,
        Fault::CutInAnswer,
    ];

    let mut rules = vec![always("DescribeTable", Fault::Changed(grown))];
    rules.extend(
        (0..)
            .zip(faults)
            .map(|(seed, fault)| sometimes("Scan", 10, seed, fault)),
    );

    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "films");
    for _ in 0..2 {
        project
            .verifydb(["out", "--env=dev", "--exact"])
            .exits(0)
            .says("equal 300 items");
    }

    assert!(proxy.failures() > 0);
}

#[test]
fn a_protected_provisioned_table_is_read_gently() {
    let engine = Engine::embedded();
    engine.client().create("films", |table| {
        let capacity = ProvisionedThroughput::builder()
            .read_capacity_units(500)
            .write_capacity_units(5)
            .build();
        table
            .provisioned_throughput(capacity.expect("both are given"))
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
    });

    engine.client().put("films", numbered(3));
    let project = Project::on(&engine, "films").environment("prod", engine.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    project
        .verifydb(["out", "--env=prod"])
        .exits(0)
        .says("table films of environment prod is read at 250 units per second at most");
    project
        .verifydb(["out", "--env=prod", "--max-rcu=900"])
        .exits(0)
        .says("at 900 units per second");
    project
        .verifydb(["out", "--env=local"])
        .exits(0)
        .never_says("units per second");
}

/// Takes the ID out of a description, as of engines that have none.
fn without_id(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table").and_then(Value::as_object_mut) {
        table.remove("TableId");
    }
}

#[test]
fn a_table_is_not_compared_with_itself_however_its_endpoint_is_spelled() {
    let (engine, _) = dump_of(3);
    let no_ids = Proxy::with_rules(
        &engine,
        [always("DescribeTable", Fault::Changed(without_id))],
    );
    for url in [engine.url(), no_ids.url()] {
        let spelled = |name: &str| url.replace("127.0.0.1", name);
        for other in [
            spelled("localhost"),
            spelled("LOCALHOST"),
            spelled("0.0.0.0"),
            spelled("127.1"),
            format!("{url}/"),
        ] {
            // Under another name, 0.0.0.0 would be protected, and refused without encryption.
            let project = Project::empty()
                .environment("a", url, "films")
                .environment("dev", &other, "films");
            project
                .verifydb(["--env=a", "--against-env=dev"])
                .exits(2)
                .says("itself");
            project
                .verifydb(["--env=dev", "--against-env=a", "--schema-only"])
                .exits(2)
                .says("itself");
        }
    }

    // Another port leads to the same server: only the ID tells.
    let straight = Proxy::with_rules(&engine, []);
    let project = Project::empty()
        .environment("a", engine.url(), "films")
        .environment("b", straight.url(), "films");
    project
        .verifydb(["--env=a", "--against-env=b"])
        .exits(2)
        .says("itself");
}

#[test]
fn tables_of_one_name_in_different_places_are_compared() {
    let (one, _) = dump_of(3);
    let (other, _) = dump_of(4);
    let no_ids = [&one, &other].map(|engine| {
        Proxy::with_rules(
            engine,
            [always("DescribeTable", Fault::Changed(without_id))],
        )
    });

    let project = Project::empty()
        .environment("a", no_ids[0].url(), "films")
        .environment("b", no_ids[1].url(), "films");
    project.verifydb(["--env=a", "--against-env=b"]).exits(3);
    let project = Project::empty()
        .environment("a", one.url(), "films")
        .environment("b", other.url(), "films");
    project.verifydb(["--env=a", "--against-env=b"]).exits(3);
}

#[test]
fn an_embedded_database_is_known_by_its_file() {
    let (_engine, project) = dump_of(3);
    let embedded = |name: &str, file: &str| {
        let text = format!(
            "LOCAL_AWS_ENDPOINT=embedded:{file}\nAWS_REGION=eu-central-1\nDYNAMODB_TABLE=films\n"
        );
        project.write(format!("envs/.env.{name}"), text);
    };

    embedded("a", "films.db");
    embedded("b", "envs/../link.db");
    embedded("c", "copy.db");
    project
        .restoredb(["--env=a", "--source=out", "--yes"])
        .exits(0);
    std::fs::copy(project.path("films.db"), project.path("copy.db")).expect("a copy");
    std::os::unix::fs::symlink(project.path("films.db"), project.path("link.db")).expect("a link");
    project
        .verifydb(["--env=a", "--against-env=b"])
        .exits(2)
        .says("itself");

    // A copied file holds another table of the same ID.
    project.verifydb(["--env=a", "--against-env=c"]).exits(0);
}
