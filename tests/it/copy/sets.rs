//! Copies of several tables.

use aws_sdk_dynamodb::types::{BillingMode, ScalarAttributeType};
use serde_json::Value;

use super::Scene;
use crate::support::client::{attribute, numbered, partition};
use crate::support::faults::{Fault, with_text};
use crate::support::project::REGION;

/// Tables `prod-00`, `prod-01` and so on in the source, with as many items as their number.
fn with_tables(count: usize) -> Scene {
    let scene = Scene::new(3, 10);
    for number in 0..count {
        let table = format!("prod-{number:02}");
        scene.source.create_simple(&table);
        scene.source.put(&table, numbered(number));
    }

    scene
}

/// The outcome of a table in a report.
fn outcome<'a>(report: &'a Value, target: &str) -> &'a Value {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let table = tables.iter().find(|table| table["target"] == target);
    table.unwrap_or_else(|| panic!("{target} is not in {report:#}"))
}

#[test]
fn forty_tables_with_a_prefix_get_another_one() {
    let scene = with_tables(40);
    let run = scene
        .copy(&[
            "--table=prod-*",
            "--map=prod-*=dev-*",
            "--transform=.copied = {BOOL: true}",
            "--billing-mode=on-demand",
        ])
        .exits(0)
        .says("Copied 40 of 40 tables to there");
    let report = run.report();
    assert_eq!(report["outcome"], "done", "{report:#}");
    for number in 0..40 {
        let target = format!("dev-{number:02}");
        assert_eq!(scene.target.items(&target).len(), number, "{target}");
        let table = outcome(&report, &target);
        assert_eq!(table["summary"]["verified"]["equal"], number, "{table:#}");
    }

    assert!(scene.target.describe("films").is_none());
    assert!(scene.target.describe("prod-00").is_none());
}

#[test]
fn a_table_that_fails_does_not_stop_the_others() {
    let scene = with_tables(6);
    scene.target.create("prod-02", |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("other", ScalarAttributeType::S))
            .key_schema(partition("other"))
    });
    let run = scene.copy(&["--table=prod-*"]).exits(13);
    let report = run.report();
    assert_eq!(outcome(&report, "prod-02")["exit_code"], 13, "{report:#}");
    for number in [0, 1, 3, 4, 5] {
        let table = format!("prod-{number:02}");
        assert_eq!(
            scene.target.items(&table),
            scene.source.items(&table),
            "{table}"
        );
    }

    // The plan already knows that it fails.
    scene.target.delete_if_there("prod-01");
    scene.copy(&["--table=prod-*", "--fail-fast"]).exits(13);
    assert!(scene.target.describe("prod-01").is_none());
}

#[test]
fn selections_and_mappings_are_checked_before_anything_is_written() {
    let scene = with_tables(3);
    for (options, code, message) in [
        (
            &["--table=prd-*"][..],
            11,
            "no table of environment here matches",
        ),
        (
            &["--table=prod-*", "--map=prod-*=same"],
            2,
            "several tables would have the same target",
        ),
        (
            &["--table=prod-*", "--map=other-*=x-*"],
            11,
            "no table matches \"other-*\"",
        ),
        (
            &["--table=prod-00", "--exclude=prod-01"],
            2,
            "names one table",
        ),
    ] {
        scene.copy(options).exits(code).says(message);
    }

    let plan = scene
        .copy(&["--all-tables", "--exclude=films", "--dry-run"])
        .exits(0)
        .report();
    assert_eq!(
        plan["plan"]["tables"].as_array().map(Vec::len),
        Some(3),
        "{plan:#}"
    );
    assert!(scene.target.describe("prod-00").is_none());
    assert_eq!(scene.source_proxy.count("Scan"), 0);
}

#[test]
fn a_dry_run_tries_the_transform_on_each_table() {
    let scene = with_tables(4);
    let plan = ["--table=prod-*", "--add-prefix=new-", "--dry-run"];
    let with_transform = [&plan[..], &["--transform=.new = S(\"x\")", "--show=1"]].concat();
    let run = scene
        .copy(&with_transform)
        .exits(0)
        .says("Dry run: 6 items of 4 tables read, 6 items")
        .says("new-prod-02  2 items read, 2 changed")
        .says("Table new-prod-03:");
    let report = run.report();
    assert_eq!(
        report["plan"]["tables"][3]["trial"]["changed"], 3,
        "{report:#}"
    );
    assert!(scene.target.describe("new-prod-03").is_none());

    // Reading costs read units: without a transform, nothing is read.
    let scans = scene.source_proxy.count("Scan");
    scene.copy(&plan).exits(0).never_says("Dry run:");
    assert_eq!(scene.source_proxy.count("Scan"), scans);
}

#[test]
fn several_tables_of_a_protected_environment_are_confirmed_by_its_name() {
    let scene = with_tables(3);
    let project = scene
        .project
        .environment("prod", scene.target_proxy.url(), "films");
    let copy = ["--from=here", "--to=prod", "--table=prod-*", "--yes"];
    project.copydb(copy).exits(4).says("--confirm=prod");
    project
        .copydb(copy.iter().chain(&["--confirm=prod-00"]))
        .exits(4);
    assert!(scene.target.describe("prod-00").is_none());
    project
        .copydb(copy.iter().chain(&["--confirm=prod"]))
        .exits(0);
    assert_eq!(scene.target.items("prod-02"), scene.source.items("prod-02"));
}

#[test]
fn the_tables_may_be_listed_in_the_file_for_both_sides() {
    let scene = with_tables(3);
    let side = |side: &str, url: &str| {
        format!(
            "{side}_AWS_ACCESS_KEY_ID=test\n{side}_AWS_SECRET_ACCESS_KEY=test\n{side}_AWS_REGION={REGION}\n{side}_AWS_ENDPOINT_URL={url}\n"
        )
    };
    let text = side("SRC", scene.source_proxy.url())
        + &side("DEST", scene.target_proxy.url())
        + "TABLES_TO_MIGRATE=prod-01,prod-02\nSRC_PREFIX=prod-\nDEST_PREFIX=staging-\n";
    scene.project.write(".env", text);
    scene
        .project
        .copydb(["--env-file=.env", "--yes"])
        .exits(0)
        .says("Copied 2 of 2 tables to dest");
    for number in ["01", "02"] {
        assert_eq!(
            scene.target.items(&format!("staging-{number}")),
            scene.source.items(&format!("prod-{number}"))
        );
    }
}

#[test]
fn the_summary_accounts_for_every_item_of_each_table_and_of_all() {
    let scene = with_tables(4);
    let map = ["--table=prod-*", "--map=prod-*=dev-*"];
    let options = [
        "--where=.id.S != \"item-000000\"",
        "--transform=if .id.S == \"item-000001\" then error(\"no\") else .new = {BOOL: true} end",
    ];
    let run = scene.copy(&[&map[..], &options].concat()).exits(1);
    let total = run.report()["summary"]["total"].take();
    run.says("Copied 2 of 4 tables to there in ")
        .says("1 item written of 3 read: 1 changed, 1 filtered out, 1 rejected")
        .says("Total              1 item written of 3 read: 1 changed, 1 filtered out, 1 rejected");
    assert_eq!(
        total,
        serde_json::json!({
            "items_read": 3, "items_changed": 1, "items_left_out": 1, "items_out": 1, "items_written": 1, "items_skipped": 0,
            "items_rejected": 1, "items_superseded": 0, "items_overwritten": 0, "items_deleted": 0,
        })
    );
}

#[test]
fn a_deletion_from_several_tables_is_one_question() {
    let scene = with_tables(4);
    let options = ["--table=prod-*", "--delete-extra"];
    scene.copy(&options).exits(0);
    scene.target.put("prod-02", numbered(5));
    scene.target.put("prod-03", numbered(4));
    let question = "tems of 4 tables that their sources do not have will be deleted: prod-00, prod-01, prod-02, prod-03";
    let unanswered = scene
        .project
        .copydb(["--from=here", "--to=there"].iter().chain(&options))
        .exits(4);
    assert_eq!(
        unanswered
            .stderr
            .matches("that their sources do not have")
            .count(),
        2,
        "{unanswered}"
    );
    unanswered.says(question);

    let run = scene.copy(&options).exits(3);
    assert_eq!(run.report()["summary"]["total"]["items_deleted"], 4);
    run.says(question)
        .says("prod-02  merged into the existing table, 2 items written; 3 deleted from the target")
        .says("Items that the source does not have were not deleted: the source has no items");
    assert_eq!(scene.target.items("prod-02"), scene.source.items("prod-02"));
}

#[test]
fn the_plan_names_every_target_and_the_units_of_all_tables() {
    let scene = with_tables(30);
    let options = ["--table=prod-*", "--map=prod-*=dev-*"];
    scene.copy(&options).exits(0);
    let plan = scene
        .copy(
            &[
                &options[..],
                &["--dry-run", "--max-total-rcu=50", "--max-total-wcu=60"],
            ]
            .concat(),
        )
        .exits(0)
        .says("read units, at most 50 per second in total")
        .says("Writes up to 441 write units, at most 60 per second in total");
    (0..30).fold(plan, |plan, number| {
        plan.says(&format!("prod-{number:02} → dev-{number:02} exists"))
    });
}

#[test]
fn the_next_command_compares_or_copies_the_tables_that_failed() {
    let scene = with_tables(3);
    let far = scene.target_proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = scene.project.environment("dev", &far, "films");
    let copy = ["--from=here", "--to=dev", "--yes"];

    // At a remote target, items are not read back.
    project
        .copydb(copy.iter().chain(&["--map=films=copies"]))
        .exits(0)
        .says("Next  verifydb --env=here --against-env=dev --table films --against-table copies");
    let set = ["--table=prod-*", "--map", "prod-*=dev-*"];
    project
        .copydb(copy.iter().chain(&set))
        .exits(0)
        .says("Next               verifydb --env=here --against-env=dev '--table=prod-*' --map 'prod-*=dev-*'");
    let masked = ["--transform=.new = {BOOL: true}"];
    project
        .copydb(copy.iter().chain(&masked))
        .exits(0)
        .never_says("Next");

    scene.target_proxy.set([with_text(
        "BatchWriteItem",
        "dev-02",
        Fault::Refused("AccessDeniedException", "not authorized"),
    )]);
    project
        .copydb(copy.iter().chain(&set))
        .exits(10)
        .says("Next               Resume with: ")
        .says(" --resume");
}
