//! Backups and points in time of an engine that has them. It restores the items of today whatever the time, and may ignore overrides.

use aws_sdk_dynamodb::types::PointInTimeRecoverySpecification;

use crate::restore::backup_route::{create_films, is_restored};
use crate::support::client::Client;
use crate::support::engine::Engine;
use crate::support::project::Project;

fn turn_recovery_on(client: &Client, table: &str) {
    let recovery = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .expect("the switch is given");
    client
        .ask(|sdk| {
            sdk.update_continuous_backups()
                .table_name(table)
                .point_in_time_recovery_specification(recovery)
                .send()
        })
        .expect("the engine has point-in-time recovery");
}

#[test]
fn backups_are_listed_and_restored_by_arn_by_name_and_by_age() {
    let engine = Engine::any();
    let client = engine.client();
    if !engine.can().keeps_settings {
        return;
    }

    let films = engine.table("films");
    create_films(&client, &films);
    let project = Project::on(&engine, &films);
    let from = format!("--from-table={films}");
    let list = || project.restoredb(["--list-backups", &from, "--json"]);
    if !engine.can().has_backups {
        list().exits(1).says("no on-demand backups");
        return;
    }

    assert_eq!(
        list().exits(0).report()["summary"]["backups"],
        serde_json::json!([])
    );
    project
        .dumpdb(["--route=backup", "--output=out", "--backup-name=nightly"])
        .exits(0);
    let listed = list().exits(0).report();
    let backup = &listed["summary"]["backups"][0];
    assert_eq!(backup["name"], "nightly");
    let arn = backup["arn"].as_str().expect("an ARN");

    let by_arn = ["--backup-arn", arn];
    let by_name = ["--backup=nightly", &from];
    let by_age = ["--backup=latest", &from];
    for selection in [by_arn, by_name, by_age] {
        let copy = engine.table("copy");
        let target = ["--yes", "--read-capacity=7", "--table", &copy];
        project
            .restoredb([&selection[..], &target].concat())
            .exits(0);
        is_restored(&client, &films, &copy);
    }
}

#[test]
fn a_table_is_restored_to_its_latest_state() {
    let engine = Engine::any();
    let client = engine.client();
    let (films, copy) = (engine.table("films"), engine.table("copy"));
    if !engine.can().has_backups {
        return;
    }

    create_films(&client, &films);
    let project = Project::on(&engine, &films);
    let (from, table) = (format!("--from-table={films}"), format!("--table={copy}"));
    let restore = [
        "--point-in-time=latest",
        &from,
        &table,
        "--yes",
        "--read-capacity=7",
    ];
    project
        .restoredb(restore)
        .exits(1)
        .says("point-in-time recovery of table")
        .says("is off");
    turn_recovery_on(&client, &films);
    project.restoredb(restore).exits(0);
    is_restored(&client, &films, &copy);
}
