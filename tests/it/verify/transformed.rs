//! `verifydb` with the steps of a restore: a table against the dump as transformed.

use crate::support::client::{n, numbered, s};
use crate::support::engine::Engine;
use crate::support::project::Project;

/// A table `films` of this many items with a number `n`, and its dump in `out`.
fn dump_of(count: usize) -> (Engine, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let items = numbered(count)
        .into_iter()
        .enumerate()
        .map(|(number, mut item)| {
            item.insert("n".to_owned(), n(number));
            item
        });
    engine.client().put("films", items);
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

/// A restore of the 40 items in `out` to `copy` with these options.
fn restored_with(options: &[&str]) -> (Engine, Project) {
    let (engine, project) = dump_of(40);
    project.write("drop.toml", "[[rule]]\npath = \"n\"\naction = \"drop\"\n");
    project.write(
        "t.py",
        "def double(item):\n    if item['n'] == 7:\n        return None\n    item['n'] *= 2\n    return item\n\ndef rekey(item):\n    return {'key': 'k' + item['id'], 'n': item['n']}\n",
    );
    let restore = ["--source=out", "--table=copy", "--yes"];
    project.restoredb(restore.iter().chain(options)).exits(0);

    (engine, project)
}

/// The arguments that compare `copy` with the dump, and these options.
fn against_copy<'a>(options: &[&'a str]) -> Vec<&'a str> {
    [&["--source=out", "--table=copy", "--json"], options].concat()
}

#[test]
fn a_table_is_equal_with_the_steps_of_its_restore_and_different_without() {
    for options in [
        &["--where=.n | num > 30"][..],
        &["--transform=.n = N(.n | num * 3)"],
        &["--transform-command=sed s/item/thing/"],
        &["--transform-python=t.py:double"],
        &["--mask=drop.toml"],
        &[
            "--where=.n | num > 3",
            "--transform=.x = S(\"y\")",
            "--transform-python=t.py:double",
            "--mask=drop.toml",
        ],
        &["--sample=40%", "--transform=.x = S(\"y\")"],
    ] {
        let (_engine, project) = restored_with(options);
        let exact = [options, &["--exact"]].concat();
        let report = project.verifydb(against_copy(&exact)).exits(0).report();
        let found = &report["summary"];
        assert_eq!(found["equal"], found["target_items"], "{options:?}");
        assert_ne!(found["equal"], 0, "{options:?}");

        project.verifydb(against_copy(&[])).exits(3);
    }
}

#[test]
fn items_with_another_key_are_compared_by_the_key_of_the_table() {
    let options = ["--transform-python=t.py:rekey", "--key-schema=key:S"];
    let (engine, project) = restored_with(&options);
    let compare = against_copy(&options[..1]);
    let report = project.verifydb(&compare).exits(0).report();
    assert_eq!(report["summary"]["equal"], 40);

    // One item is gone, one has another value.
    let mut items = engine.client().items("copy").into_values();
    let (one, mut other) = (items.next().unwrap(), items.next().unwrap());
    let key = [("key".to_owned(), one["key"].clone())].into();
    engine
        .client()
        .ask(|client| {
            let call = client.delete_item().table_name("copy");
            call.set_key(Some(key)).send()
        })
        .expect("an item can be deleted");
    other.insert("n".to_owned(), s("other"));
    engine.client().put("copy", [other]);

    let report = project.verifydb(&compare).exits(3).report();
    let found = &report["summary"];
    assert_eq!(
        (&found["missing"], &found["different"], &found["equal"]),
        (&1.into(), &1.into(), &38.into())
    );
}

#[test]
fn skipped_and_rejected_items_are_counted_and_rejected_ones_are_a_difference() {
    let (_engine, project) = dump_of(20);
    let filter =
        r#"if .n | num % 5 == 0 then empty elif .n | num == 3 then error("no 3") else . end"#;
    let steps = ["--transform", filter];
    let compare = ["--source=out", "--table=films"];
    project
        .verifydb(compare.iter().chain(&steps))
        .exits(3)
        .says("1 item rejected by the transform")
        .says("A dry run of restoredb with the same options shows why")
        .says("4 items of the dump filtered out, 1 rejected");

    let report = project
        .verifydb(compare.iter().chain(&steps).chain(&["--json"]))
        .exits(3)
        .report();
    let found = &report["summary"];
    assert_eq!(found["transformed"]["items_left_out"], 4);
    assert_eq!(found["transformed"]["items_rejected"], 1);
    assert_eq!(found["equal"], 15);
    assert_eq!(found["extra"], 5);

    // Without steps, the report says nothing about them.
    let report = project
        .verifydb(compare.iter().chain(&["--json"]))
        .exits(0)
        .report();
    assert!(report["summary"].get("transformed").is_none());
}

#[test]
fn an_unused_mask_rule_is_a_warning() {
    let (_engine, project) = restored_with(&["--where=.n | num > 30"]);
    project.write("no.toml", "[[rule]]\npath = \"none\"\naction = \"drop\"\n");
    project
        .verifydb(against_copy(&["--where=.n | num > 30", "--mask=no.toml"]))
        .exits(0)
        .says("none");
}

#[test]
fn steps_only_apply_to_the_items_of_a_table_and_a_dump() {
    let (_engine, project) = dump_of(3);
    for arguments in [
        &["out", "--transform=."][..],
        &["out", "--quick", "--where=.n"],
        &["-e=local", "--against-table=copy", "--transform=."],
        &["-e=local", "-s=out", "--schema-only", "--mask=drop.toml"],
    ] {
        project
            .verifydb(arguments)
            .exits(2)
            .says("only applies to a comparison of the items of a table with a dump");
    }

    project
        .verifydb(["-e=local", "-s=out", "--transform=.a |"])
        .exits(2)
        .says("--transform, line 1, column 5");
}

/// Numbers that are equal but written differently are equal items.
#[test]
fn a_function_that_returns_other_notations_of_numbers_changes_nothing() {
    let (engine, project) = dump_of(3);
    let mut item = engine.client().items("films").into_values().next().unwrap();
    item.insert("digits".to_owned(), n("100000000000000000000"));
    engine.client().put("films", [item]);
    project.dumpdb(["--output=out"]).exits(0);
    project.write(
        "t.py",
        "def f(item):\n    return {name: value.normalize() if hasattr(value, 'normalize') else value for name, value in item.items()}\n",
    );
    let report = project
        .verifydb([
            "--source=out",
            "--table=films",
            "--json",
            "--exact",
            "--transform-python=t.py:f",
        ])
        .exits(0)
        .report();
    assert_eq!(report["summary"]["equal"], 3);
}
