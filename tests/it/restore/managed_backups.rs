//! Restores without a dump: from an on-demand backup by ARN or name, and to a point in time.

use aws_sdk_dynamodb::types::Tag;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::backup_route::{capacity, create_films, is_restored, scripted};
use crate::support::backups::{Backups, EARLIEST, RestoreEnd};
use crate::support::client::{Client, poll};
#[cfg(target_os = "linux")]
use crate::support::failpoint::Failpoint;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
#[cfg(target_os = "linux")]
use crate::support::journal::STATE_DIR;
use crate::support::journal::journals;
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::{Project, Run};

const ARN: &str = "arn:aws:dynamodb:eu-central-1:000000000000:table/films/backup/1";
const RESTORE: [&str; 5] = [
    "--backup=latest",
    "--from-table=films",
    "--table=copy",
    "--read-capacity=7",
    "--yes",
];

/// Makes a backup of a table.
fn back_up(project: &Project, table: &str, name: &str) {
    let (table, name) = (format!("--table={table}"), format!("--backup-name={name}"));
    project
        .dumpdb(["--route=backup", "--output=out", "--yes", &table, &name])
        .exits(0);
}

/// The last request of this operation.
fn last_request(proxy: &Proxy, operation: &str) -> Value {
    let calls = proxy.calls();
    let mut found = calls.iter().filter(|call| call.operation == operation);
    found
        .next_back()
        .expect("the operation was called")
        .body
        .clone()
}

fn tags(client: &Client, table: &str) -> Vec<String> {
    let described = client.describe(table).expect("the table exists");
    let arn = described.table_arn().expect("the table has an ARN");
    let tags = client
        .ask(|sdk| sdk.list_tags_of_resource().resource_arn(arn).send())
        .expect("the engine has tags");
    tags.tags()
        .iter()
        .map(Tag::key)
        .map(ToOwned::to_owned)
        .collect()
}

/// The rules of the service, after this one.
fn set(proxy: &Proxy, backups: &Backups, rule: Rule) {
    let mut rules = vec![rule];
    rules.extend(backups.rules());
    proxy.set(rules);
}

#[test]
fn backups_are_listed_page_by_page() {
    let (engine, _backups, _proxy, project) = scripted(0);
    let list = |arguments: &[&str]| project.restoredb([&["--list-backups"], arguments].concat());
    list(&[])
        .exits(0)
        .says("environment local has no on-demand backups");
    list(&["--from-table=films"])
        .exits(0)
        .says("of table films");

    create_films(&engine.client(), "users");
    back_up(&project, "films", "nightly");
    back_up(&project, "films", "weekly");
    back_up(&project, "users", "nightly");
    let listed = list(&[]).exits(0);
    let lines: Vec<_> = listed.output().lines().collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("Table  Backup"), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(ARN)), "{lines:?}");

    let report = list(&["--from-table=films", "--json"]).exits(0).report();
    let backups = report["summary"]["backups"].as_array();
    let backups = backups.expect("a list of backups");
    assert_eq!(backups.len(), 2);
    assert!(backups.iter().all(|backup| backup["table"] == "films"));

    list(&["--from-table=f*"]).exits(2).says("is a pattern");
}

#[test]
fn a_backup_is_restored_by_arn_by_name_and_by_age() {
    let (engine, _backups, proxy, project) = scripted(2);
    back_up(&project, "films", "nightly");
    for (number, selection) in [
        &["--backup-arn", ARN][..],
        &["--backup", "nightly", "--from-table", "films"],
        &["--backup", "latest", "--from-table", "films"],
    ]
    .into_iter()
    .enumerate()
    {
        let table = format!("copy{number}");
        let target = ["--yes", "--read-capacity=7", "--table", &table];
        project
            .restoredb([selection, &target].concat())
            .exits(0)
            .says("of the table as it is now")
            .says(&format!("Restored table {table}"));
        is_restored(&engine.client(), "films", &table);
        let request = last_request(&proxy, "RestoreTableFromBackup");
        assert_eq!(request["BackupArn"], ARN);
        assert_eq!(
            request["ProvisionedThroughputOverride"],
            json!({"ReadCapacityUnits": 7, "WriteCapacityUnits": 3})
        );
    }

    assert!(journals(&project).is_empty());
}

#[test]
fn billing_and_its_maximum_are_overridden() {
    let (_engine, _backups, proxy, project) = scripted(0);
    back_up(&project, "films", "nightly");
    let billing = ["--billing-mode=on-demand", "--set=on-demand-max-read=50"];
    let restore = ["--backup-arn", ARN, "--table=copy", "--yes"];
    project.restoredb([&restore[..], &billing].concat());

    let request = last_request(&proxy, "RestoreTableFromBackup");
    assert_eq!(request["BillingModeOverride"], "PAY_PER_REQUEST");
    let maximum = json!({"MaxReadRequestUnits": 50});
    assert_eq!(request["OnDemandThroughputOverride"], maximum);
    assert_eq!(request.get("ProvisionedThroughputOverride"), None);
}

#[test]
fn settings_of_a_deleted_table_come_from_the_backup_and_the_others_are_named() {
    let (engine, _backups, _proxy, project) = scripted(1);
    let client = engine.client();
    back_up(&project, "films", "nightly");
    let items = client.items("films");
    client.delete_if_there("films");

    let run = project
        .restoredb(["--backup-arn", ARN, "--yes", "-v"])
        .exits(0)
        .says("as far as the backup describes them")
        .says("Table films no longer exists as it was")
        .says("tags, PITR, contributor insights")
        .says("the backup does not contain it, and its table does not exist");
    drop(run);
    assert!(client.items("films") == items);
    assert_eq!(capacity(&client, "films"), [3, 3]);
    assert_eq!(tags(&client, "films"), Vec::<String>::new());
    let ttl = client
        .ask(|sdk| sdk.describe_time_to_live().table_name("films").send())
        .expect("the engine has TTL");
    let ttl = ttl.time_to_live_description.expect("TTL is described");
    assert_eq!(ttl.attribute_name(), Some("expires"));
}

#[test]
fn a_point_in_time_is_restored_under_another_name() {
    let (engine, _backups, proxy, project) = scripted(2);
    for (number, time) in ["latest", "2026-11-19T10:00:00+02:00", "1min ago"]
        .into_iter()
        .enumerate()
    {
        let table = format!("copy{number}");
        project
            .restoredb([
                "--from-table=films",
                "--point-in-time",
                time,
                "--read-capacity=7",
                "--yes",
                "--table",
                &table,
            ])
            .exits(0)
            .says("restored by DynamoDB, which may take hours");
        is_restored(&engine.client(), "films", &table);
        let request = last_request(&proxy, "RestoreTableToPointInTime");
        let source = request["SourceTableArn"].as_str().expect("an ARN");
        assert!(source.ends_with(":table/films"), "{source}");
        match time {
            "latest" => assert_eq!(request["UseLatestRestorableTime"], true),
            "1min ago" => assert!(request["RestoreDateTime"].is_i64(), "{request}"),
            _ => assert_eq!(request["RestoreDateTime"], 1_795_075_200),
        }
    }
}

#[test]
fn names_and_times_that_do_not_exist_are_refused() {
    let (_engine, backups, _proxy, project) = scripted(0);
    let restore =
        |arguments: &[&str]| project.restoredb([arguments, &["--table=copy", "--yes"]].concat());
    restore(&["--backup=latest", "--from-table=films"])
        .exits(11)
        .says("has no on-demand backup");
    back_up(&project, "films", "nightly");
    restore(&["--backup=nightli", "--from-table=films"])
        .exits(11)
        .says("did you mean nightly?");
    restore(&["--backup-arn", &ARN.replace("/1", "/2")])
        .exits(11)
        .says(&format!("did you mean {ARN}?"));
    restore(&["--backup-arn=nightly"])
        .exits(2)
        .says("is not the ARN of a backup");
    restore(&["--backup=latest", "--from-table=films,users"])
        .exits(2)
        .says("needs the name of one table");
    restore(&["--backup=latest"]).exits(2).says("--from-table");

    let to = |time: &str| restore(&["--from-table=films", "--point-in-time", time]);
    to("2026-11-19T08:00:00").exits(2).says("has no time zone");
    to("2200-01-01T00:00:00Z").exits(2).says("is in the future");
    to("2025-12-31T23:59:59Z")
        .exits(2)
        .says("is before the earliest restorable time")
        .says(&format!("from {EARLIEST} to "));
    restore(&["--from-table=filmz", "--point-in-time=latest"])
        .exits(11)
        .says("did you mean films?");
    backups.turn_recovery_off();
    to("latest")
        .exits(1)
        .says("point-in-time recovery of table films is off");
}

#[test]
fn errors_of_dynamodb_say_what_to_do() {
    let (_engine, backups, proxy, project) = scripted(0);
    back_up(&project, "films", "nightly");
    let from_backup = ["--backup=latest", "--from-table=films"];
    let to_time = ["--point-in-time=latest", "--from-table=films"];
    for (arguments, code, exit, hint) in [
        (
            from_backup,
            "BackupInUseException",
            1,
            "another request is using the backup",
        ),
        (from_backup, "TableInUseException", 1, "when it is ACTIVE"),
        (
            from_backup,
            "BackupNotFoundException",
            11,
            "lists the backups",
        ),
        (
            to_time,
            "PointInTimeRecoveryUnavailableException",
            1,
            "point-in-time recovery is not enabled",
        ),
        (
            to_time,
            "InvalidRestoreTimeException",
            2,
            "latest restorable time",
        ),
        (
            to_time,
            "ContinuousBackupsUnavailableException",
            1,
            "in a few minutes",
        ),
    ] {
        let operation = if arguments == from_backup {
            "RestoreTableFromBackup"
        } else {
            "RestoreTableToPointInTime"
        };
        set(
            &proxy,
            &backups,
            always(operation, Fault::Refused(code, "refused")),
        );
        project
            .restoredb(
                [
                    &arguments[..],
                    &["--table=copy", "--yes", "--give-up-after=1s"],
                ]
                .concat(),
            )
            .exits(exit)
            .says(hint);
        assert!(journals(&project).is_empty(), "{code}");
    }
}

#[test]
fn a_restore_waits_while_too_many_others_are_running() {
    let (engine, backups, proxy, project) = scripted(0);
    back_up(&project, "films", "nightly");
    let full = Fault::Refused(
        "LimitExceededException",
        "Subscriber limit exceeded: Only 50 simultaneous table restores are allowed",
    );
    set(
        &proxy,
        &backups,
        calls("RestoreTableFromBackup", 1..=3, full),
    );
    project
        .restoredb(RESTORE)
        .exits(0)
        .says("other restores of this account must finish")
        .says("50 simultaneous");
    is_restored(&engine.client(), "films", "copy");
}

#[test]
fn a_table_under_its_own_name_is_replaced_only_from_a_backup_and_only_on_request() {
    let (engine, _backups, proxy, project) = scripted(1);
    let client = engine.client();
    back_up(&project, "films", "nightly");
    let items = client.items("films");
    let restore = |arguments: &[&str]| {
        project.restoredb([arguments, &["--from-table=films", "--yes"]].concat())
    };

    restore(&["--backup=latest"])
        .exits(13)
        .says("restores a backup only into a new table")
        .says("--replace");
    restore(&["--point-in-time=latest"])
        .exits(13)
        .never_says("--replace");
    restore(&["--point-in-time=latest", "--replace"])
        .exits(2)
        .says("would delete table films");
    restore(&["--backup=latest", "--if-missing"]).exits(0);
    assert_eq!(proxy.count("DeleteTable"), 0);

    restore(&["--backup=latest", "--replace"])
        .exits(0)
        .says(&format!("backup {ARN} remains"));
    assert!(client.items("films") == items);
    assert_eq!(tags(&client, "films"), ["owner"]);
}

#[test]
fn a_backup_that_cannot_be_used_deletes_nothing() {
    let (_engine, backups, proxy, project) = scripted(3);
    back_up(&project, "films", "nightly");
    backups.end_in("DELETED");
    project
        .restoredb(["--backup-arn", ARN, "--replace", "--yes"])
        .exits(1)
        .says("its status is DELETED");
    assert_eq!(proxy.count("DeleteTable"), 0);
}

#[test]
fn a_restore_that_fails_or_is_cancelled_says_so() {
    for (end, message) in [
        (RestoreEnd::Status("DELETING"), "the restore was cancelled"),
        (RestoreEnd::Gone, "does not exist any more"),
        (
            RestoreEnd::Status("INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
            "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        ),
    ] {
        let (_engine, backups, _proxy, project) = scripted(3);
        back_up(&project, "films", "nightly");
        backups.restores_end_in(Some(end));
        project.restoredb(RESTORE).exits(1).says(message);
    }
}

#[test]
fn waits_tell_the_status_and_the_time() {
    // About 20 ms + 40 ms + … until the tenth description.
    let (_engine, _backups, _proxy, project) = scripted(10);
    back_up(&project, "films", "nightly");
    project
        .restoredb(RESTORE)
        .exits(0)
        .says("waiting until table copy is ACTIVE, ")
        .says(" s so far: table is CREATING");
}

/// Interrupts a command while this operation is in flight. Returns its messages.
fn interrupted_at(
    project: &Project,
    proxy: &Proxy,
    operation: &'static str,
    arguments: &[&str],
) -> String {
    let before = proxy.seen(operation);
    proxy.hold(operation, before + 1..);
    let child = spawn_with_messages(project.command("restoredb", arguments));
    poll(operation, || proxy.seen(operation) > before);
    let (status, messages) = stopped(child, Signal::INT, proxy);
    assert_eq!(status.code(), Some(130), "{operation}: {messages}");

    messages
}

#[test]
fn a_restore_that_is_interrupted_in_any_state_is_resumed_by_the_same_command() {
    let replace = [
        "--backup=latest",
        "--from-table=films",
        "--read-capacity=7",
        "--replace",
        "--yes",
    ];
    for operation in [
        "DeleteTable",
        "RestoreTableFromBackup",
        "UpdateTimeToLive",
        "TagResource",
    ] {
        let (engine, _backups, proxy, project) = scripted(1);
        let client = engine.client();
        back_up(&project, "films", "nightly");
        create_films(&client, "same");

        let messages = interrupted_at(&project, &proxy, operation, &replace);
        assert!(
            messages.contains("run the same command again"),
            "{messages}"
        );
        assert!(messages.contains(ARN), "{messages}");
        project.restoredb(replace).exits(0);
        is_restored(&client, "same", "films");
        assert!(journals(&project).is_empty(), "{operation}");
    }
}

#[test]
fn a_restore_is_resumed_on_another_machine_by_arn() {
    let (engine, backups, proxy, project) = scripted(0);
    back_up(&project, "films", "nightly");
    backups.slow_down(1000);
    let child = spawn_with_messages(project.command("restoredb", RESTORE));
    poll("the table is requested", || {
        proxy.count("RestoreTableFromBackup") == 1
    });
    // The first one finds it, and the second one its status.
    let described = proxy.count("DescribeTable");
    poll("the table is described", || {
        proxy.count("DescribeTable") > described + 3
    });
    let (status, messages) = stopped(child, Signal::INT, &proxy);
    assert_eq!(status.code(), Some(130), "{messages}");
    assert!(messages.contains("table is CREATING"), "{messages}");
    let elsewhere = format!("restoredb --backup-arn {ARN} --table copy");
    assert!(messages.contains(&elsewhere), "{messages}");

    backups.hurry();
    backups.is_being_restored("copy");
    let other = Project::empty().environment("local", proxy.url(), "films");
    other
        .restoredb([
            "--backup-arn",
            ARN,
            "--table=copy",
            "--read-capacity=7",
            "--yes",
        ])
        .exits(0);
    is_restored(&engine.client(), "films", "copy");
    assert_eq!(proxy.count("RestoreTableFromBackup"), 1);
}

#[test]
fn another_time_or_backup_does_not_resume_a_restore() {
    let (_engine, backups, proxy, project) = scripted(0);
    let to = |time: &str| {
        let restore = [
            "--from-table=films",
            "--table=copy",
            "--yes",
            "--point-in-time",
        ];
        project.restoredb(restore.iter().copied().chain([time]))
    };
    interrupted_at(
        &project,
        &proxy,
        "TagResource",
        &[
            "--from-table=films",
            "--table=copy",
            "--yes",
            "--point-in-time=2026-11-19T08:00:00Z",
        ],
    );
    backups.is_being_restored("copy");
    to("2026-11-19T09:00:00Z")
        .exits(1)
        .says("to another time")
        .says("--point-in-time 2026-11-19T08:00:00Z");
    to("2026-11-19T08:00:00Z").exits(0);
    assert_eq!(proxy.count("RestoreTableToPointInTime"), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_replacement_killed_at_any_change_of_its_journal_keeps_all_settings() {
    let failpoint = Failpoint::compile();
    let replace = [
        "--backup=latest",
        "--from-table=films",
        "--read-capacity=7",
        "--replace",
        "--yes",
    ];
    for number in 1.. {
        let (engine, _backups, _proxy, project) = scripted(1);
        let client = engine.client();
        create_films(&client, "same");
        back_up(&project, "films", "nightly");
        let state_dir = project.path(STATE_DIR);
        let is_killed = failpoint.kills(project.command("restoredb", replace), number, &state_dir);
        if is_killed {
            project.restoredb(replace).exits(0);
        }

        is_restored(&client, "same", "films");
        assert!(journals(&project).is_empty(), "killed at call {number}");
        if !is_killed {
            assert!(number > 3, "{number} calls");
            return;
        }
    }
}

#[test]
fn options_for_items_are_refused() {
    let (_engine, _backups, _proxy, project) = scripted(0);
    back_up(&project, "films", "nightly");
    let refused = |option: &str| -> Run {
        let restore = ["--backup-arn", ARN, "--table=copy", "--yes", option];
        project.restoredb(restore).exits(2)
    };
    for option in [
        "--source=out",
        "--schema-only",
        "--max-wcu=5",
        "--key-schema=id:N",
        "--on-conflict=skip",
        "--from-table=films",
        "--list-backups",
        "--map=aaa=bbb",
    ] {
        refused(option).says("cannot be used with");
    }

    refused("--where=.id").says("cannot be combined with a backup");
}
