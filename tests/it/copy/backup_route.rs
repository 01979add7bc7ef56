//! The route `backup` of a copy: DynamoDB makes an on-demand backup of the source, and restores the target from it.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::restore::backup_route::{capacity, create_films, is_restored, scripted};
use crate::support::backups::Backups;
use crate::support::client::{Client, numbered, poll};
use crate::support::engine::Engine;
#[cfg(target_os = "linux")]
use crate::support::failpoint::Failpoint;
use crate::support::faults::{Fault, Proxy, always, calls};
use crate::support::journal::{STATE_DIR, journals};
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::{Project, Run, run};

const ARN: &str = "arn:aws:dynamodb:eu-central-1:000000000000:table/films/backup/1";

/// As a user of one environment types it.
const COPY: [&str; 6] = [
    "--route=backup",
    "--from=local",
    "--map=films=copy",
    "--read-capacity=7",
    "--backup-name=nightly",
    "--yes",
];

fn copy<'a>(more: &[&'a str]) -> Vec<&'a str> {
    COPY.iter().chain(more).copied().collect()
}

fn is_copied(client: &Client) {
    is_restored(client, "films", "copy");
}

/// Waits until this operation was called so often.
fn called(proxy: &Proxy, operation: &str, times: usize) {
    poll(operation, || proxy.count(operation) >= times);
}

/// Refuses an operation, and serves the others.
fn refuse(proxy: &Proxy, backups: &Backups, operation: &'static str, code: &'static str) {
    let mut rules = vec![always(operation, Fault::Refused(code, "refused"))];
    rules.extend(backups.rules());
    proxy.set(rules);
}

#[test]
fn items_capacity_and_settings_are_those_of_the_source_with_the_overrides() {
    let engine = Engine::any();
    let client = engine.client();
    let (films, target) = (engine.table("films"), engine.table("copy"));
    if !engine.can().keeps_settings {
        return;
    }

    create_films(&client, &films);
    let project = Project::on(&engine, &films);
    let map = format!("--map={films}={target}");
    let arguments = |more: [&'static str; 3]| {
        let fixed = ["--route=backup", "--from=local", "--to=local", &map];
        let words = fixed.into_iter().chain(more);
        words.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let run = project.copydb(arguments(["--read-capacity=7", "--yes", "--verify=auto"]));
    if !engine.can().has_backups {
        run.exits(2)
            .says("has no on-demand backups")
            .says("--route scan");
        return;
    }

    run.exits(0).says("delete-backup --backup-arn");
    is_restored(&client, &films, &target);
    project
        .copydb(arguments(["--read-capacity=9", "--yes", "--replace"]))
        .exits(0);
    assert_eq!(capacity(&client, &target), [9, 3]);
}

#[test]
fn the_whole_workflow_reads_and_writes_no_items_and_waits_for_the_backup_and_the_table() {
    let (engine, backups, proxy, project) = scripted(3);
    project
        .copydb(copy(&[]))
        .exits(0)
        .says("nightly is kept; delete it with: aws dynamodb delete-backup --backup-arn")
        .says(ARN);
    is_copied(&engine.client());
    for operation in ["Scan", "BatchWriteItem", "DeleteTable", "DeleteBackup"] {
        assert_eq!(proxy.count(operation), 0, "{operation}");
    }

    assert_eq!(backups.count(), 1);
    assert!(journals(&project).is_empty());
}

#[test]
fn a_target_is_only_replaced_on_request_and_once_the_backup_is_available() {
    let (engine, backups, proxy, project) = scripted(1);
    let client = engine.client();
    client.create_simple("copy");

    project
        .copydb(copy(&[]))
        .exits(13)
        .says("restores a backup only into a new table")
        .says("--map");
    assert_eq!(backups.made(), 0);

    backups.end_in("DELETED");
    project
        .copydb(copy(&["--replace"]))
        .exits(1)
        .says("after the deletion, backup nightly remains, and the same command with --resume restores it")
        .says("its status is DELETED");
    assert_eq!(proxy.count("DeleteTable"), 0);

    backups.end_in("AVAILABLE");
    project.copydb(copy(&["--replace"])).exits(0);
    is_copied(&client);
}

#[test]
fn a_protected_target_is_confirmed_by_its_name() {
    let (engine, _backups, proxy, project) = scripted(0);
    let project = project.environment("prod", proxy.url(), "films");
    engine.client().create_simple("copy");
    let copy = [
        "--route=backup",
        "--from=prod",
        "--map=films=copy",
        "--replace",
        "--read-capacity=7",
    ];
    let with = |flag| copy.into_iter().chain([flag]).collect::<Vec<_>>();
    project.copydb(with("--yes")).exits(4);
    project.copydb(with("--confirm=films")).exits(4);
    assert_eq!(proxy.count("CreateBackup"), 0);

    project.copydb(with("--confirm=copy")).exits(0);
    is_copied(&engine.client());
}

#[test]
fn the_backup_is_deleted_on_request_once_the_target_is_complete() {
    let (engine, backups, proxy, project) = scripted(1);
    refuse(&proxy, &backups, "UpdateTimeToLive", "ValidationException");
    project
        .copydb(copy(&["--delete-backup"]))
        .exits(3)
        .says("nightly is kept, not deleted: settings of the table could not be applied");
    assert_eq!(backups.count(), 1);

    proxy.set(backups.rules());
    project
        .copydb(copy(&["--delete-backup", "--resume"]))
        .exits(0)
        .says("nightly was deleted");
    is_copied(&engine.client());
    assert_eq!((backups.count(), backups.made()), (0, 1));
    assert!(journals(&project).is_empty());
}

#[test]
fn a_backup_that_cannot_be_deleted_is_named() {
    let (engine, backups, proxy, project) = scripted(0);
    refuse(&proxy, &backups, "DeleteBackup", "AccessDeniedException");
    project
        .copydb(copy(&["--delete-backup"]))
        .exits(3)
        .says("nightly is kept, not deleted")
        .says(ARN);
    is_copied(&engine.client());
}

#[test]
fn options_and_places_that_a_backup_does_not_support_are_refused() {
    let (_engine, backups, proxy, project) = scripted(0);
    let other = Engine::embedded();
    let project = project.environment("other", other.url(), "films");
    for option in [
        "--limit=3",
        "--max-rcu=5",
        "--where=.id",
        "--sample=5%",
        "--delete-extra",
        "--on-conflict=skip",
        "--verify=full",
        "--if-empty",
        "--schema-only",
    ] {
        project
            .copydb(copy(&[option]))
            .exits(2)
            .says("cannot be combined with --route backup")
            .says("--route scan");
    }

    for (options, problem) in [
        (vec!["--table=films,others"], "copies one table"),
        (vec!["--to=other"], "only in its account and region"),
        (
            vec!["--key-schema=text:S"],
            "cannot be combined with a backup",
        ),
        (vec!["--backup-arn=x"], "cannot be used with"),
    ] {
        project.copydb(copy(&options)).exits(2).says(problem);
    }

    project
        .copydb(["--route=backup", "--from=local", "--yes"])
        .exits(2)
        .says("source and target are the same table")
        .says("--map");
    project
        .copydb(["--from=local", "--map=films=copy", "--delete-backup"])
        .exits(2)
        .says("--delete-backup needs --route backup");
    assert_eq!(backups.made(), 0);
    assert_eq!(proxy.count("RestoreTableFromBackup"), 0);
}

#[test]
fn the_input_of_a_workflow_names_tables_backup_and_capacity() {
    let (engine, backups, _proxy, project) = scripted(0);
    let client = engine.client();
    project.write(
        "input.json",
        r#"{"originTableName": "films", "backupName": "nightly", "targetTableName": "copy",
            "desiredReadCapacityUnits": 4, "desiredWriteCapacityUnits": 5}"#,
    );
    let copy = |more: &[&str]| {
        let fixed = ["--from=local", "--spec=input.json", "--yes"];
        project.copydb(fixed.iter().chain(more))
    };
    copy(&[]).exits(0).says("nightly is kept");
    assert_eq!(capacity(&client, "copy"), [4, 5]);
    assert_eq!(client.items("copy"), client.items("films"));

    // As on the next night.
    copy(&["--replace", "--read-capacity=7"]).exits(0);
    assert_eq!(capacity(&client, "copy"), [7, 5]);
    assert_eq!(client.items("copy"), client.items("films"));
    copy(&["--map=films=another", "--backup-name=another"])
        .exits(0)
        .says("another is kept");
    assert_eq!(capacity(&client, "another"), [4, 5]);
    assert_eq!(client.items("another"), client.items("films"));
    assert_eq!(backups.count(), 3);

    for (content, problem) in [
        (r#"{"targetTableName": "x"}"#, "originTableName is missing"),
        (r#"{"originTableName": "x"}"#, "targetTableName is missing"),
        (r#"{"originTable": "x"}"#, "unknown key originTable"),
    ] {
        project.write("input.json", content);
        let refused = copy(&["--replace"]).exits(2);
        refused.says("input.json").says(problem);
    }
}

/// Runs the example for a nightly copy.
fn nightly_copy(project: &Project) -> Run {
    let copydb = project.command("copydb", [""; 0]);
    let folder = Path::new(copydb.get_program()).parent();
    let folder = folder.expect("a folder of programs").display();
    let mut command = Command::new("/bin/bash");
    command
        .arg("nightly-copy.sh")
        .current_dir(project.path("."))
        .env_clear()
        .env("HOME", project.path("."))
        .env("PATH", format!("{folder}:/usr/bin:/bin"))
        .env("AWS_EC2_METADATA_DISABLED", "true");

    run(command, Vec::new())
}

#[test]
fn the_example_replaces_the_copy_each_night_and_keeps_no_backup() {
    let (engine, backups, proxy, project) = scripted(1);
    let client = engine.client();
    create_films(&client, "clients");
    let project = project.environment("prod", proxy.url(), "clients");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for file in ["nightly-copy.sh", "nightly-copy.json"] {
        project.write(file, std::fs::read(examples.join(file)).expect(file));
    }

    nightly_copy(&project).exits(0);
    assert_eq!(client.items("clients_restored"), client.items("clients"));
    let report = project.json("nightly-copy-report.json");
    assert_eq!(report["summary"]["backup"]["deleted"], true, "{report:#}");

    // DynamoDB refuses the restore of the second night once.
    let refused = Fault::Refused("BackupInUseException", "refused");
    let mut rules = vec![calls("RestoreTableFromBackup", 2..=2, refused)];
    rules.extend(backups.rules());
    proxy.set(rules);
    client.put("clients", numbered(40));
    nightly_copy(&project).exits(0);
    assert_eq!(client.items("clients_restored").len(), 40);
    assert_eq!((backups.made(), backups.count()), (2, 0));
    assert!(journals(&project).is_empty());
}

#[test]
fn errors_say_what_to_do_and_a_resumed_copy_uses_the_same_backup() {
    let (engine, backups, proxy, project) = scripted(0);
    let client = engine.client();
    client.create_simple("copy");
    for (code, hint) in [
        (
            "ContinuousBackupsUnavailableException",
            "prepares backups for a new table",
        ),
        ("TableInUseException", "when it is ACTIVE"),
        ("LimitExceededException", "backups or restores"),
    ] {
        refuse(&proxy, &backups, "CreateBackup", code);
        project
            .copydb(copy(&["--replace", "--give-up-after=1s"]))
            .exits(1)
            .says(hint);
    }

    assert_eq!((proxy.count("DeleteTable"), backups.made()), (0, 0));

    for (code, hint) in [
        (
            "BackupInUseException",
            "another request is using the backup",
        ),
        ("TableAlreadyExistsException", "choose another name"),
    ] {
        refuse(&proxy, &backups, "RestoreTableFromBackup", code);
        project
            .copydb(copy(&["--replace", "--resume"]))
            .exits(1)
            .says(hint);
        assert_eq!(backups.made(), 1);
    }

    proxy.set(backups.rules());
    project.copydb(copy(&["--replace", "--resume"])).exits(0);
    is_copied(&client);
    assert_eq!(backups.made(), 1);
}

#[test]
fn a_copy_interrupted_while_the_backup_is_made_continues_with_it() {
    let (engine, backups, proxy, project) = scripted(1000);
    proxy.hold("DescribeBackup", 3..);
    let child = spawn_with_messages(project.command("copydb", copy(&[])));
    called(&proxy, "DescribeBackup", 2);
    let (status, messages) = stopped(child, Signal::INT, &proxy);
    assert_eq!(status.code(), Some(130), "{messages}");
    assert!(messages.contains("--resume"), "{messages}");
    assert!(
        messages.contains(&format!("--backup-arn {ARN}")),
        "{messages}"
    );
    assert_eq!(proxy.count("RestoreTableFromBackup"), 0);

    backups.hurry();
    project.copydb(copy(&["--resume"])).exits(0);
    is_copied(&engine.client());
    assert_eq!(backups.made(), 1);
}

#[test]
fn a_copy_interrupted_while_the_table_is_restored_is_completed_here_and_on_another_machine() {
    for is_elsewhere in [false, true] {
        let (engine, backups, proxy, project) = scripted(1);
        let client = engine.client();
        client.create_simple("copy");
        backups.restore_in(1_000_000);
        let child = spawn_with_messages(project.command("copydb", copy(&["--replace"])));
        called(&proxy, "RestoreTableFromBackup", 1);
        let (status, messages) = stopped(child, Signal::INT, &proxy);
        assert_eq!(status.code(), Some(130), "{messages}");
        assert!(
            messages.contains(&format!("--backup-arn {ARN}")),
            "{messages}"
        );

        backups.is_being_restored("copy");
        if is_elsewhere {
            std::fs::remove_dir_all(project.path(STATE_DIR)).expect("a state directory");
            let arn = format!("--backup-arn={ARN}");
            let elsewhere = [
                "--route=backup",
                "--from=local",
                "--map=films=copy",
                "--read-capacity=7",
                "--replace",
                "--resume",
                "--yes",
                &arn,
            ];
            project.copydb(elsewhere).exits(0);
        } else {
            project.copydb(copy(&["--replace", "--resume"])).exits(0);
        }

        is_copied(&client);
        assert_eq!(backups.made(), 1);
        assert_eq!(proxy.count("RestoreTableFromBackup"), 1);
        assert_eq!(proxy.count("DeleteTable"), 1);
        assert!(journals(&project).is_empty());
    }
}

#[test]
fn a_target_that_is_recreated_while_the_backup_is_made_is_not_deleted() {
    let (engine, backups, proxy, project) = scripted(1000);
    let client = engine.client();
    client.create_simple("copy");
    let child = spawn_with_messages(project.command("copydb", copy(&["--replace"])));
    called(&proxy, "DescribeBackup", 1);
    client.delete_if_there("copy");
    client.create_simple("copy");
    backups.hurry();
    let output = child.wait_with_output().expect("the command ends");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("deleted and recreated"), "{messages}");
    assert_eq!(proxy.count("DeleteTable"), 0);
    assert_eq!(client.items("copy").len(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_copy_killed_at_any_change_of_its_journals_is_completed_with_one_backup() {
    let failpoint = Failpoint::compile();
    for number in 1.. {
        let (engine, backups, _proxy, project) = scripted(1);
        let client = engine.client();
        client.create_simple("copy");
        let arguments = copy(&["--replace", "--delete-backup"]);
        let state_dir = project.path(STATE_DIR);
        let command = project.command("copydb", &arguments);
        let is_killed = failpoint.kills(command, number, &state_dir);
        if is_killed && !journals(&project).is_empty() {
            project
                .copydb(copy(&["--replace", "--delete-backup", "--resume"]))
                .exits(0);
        } else if is_killed && backups.made() == 0 {
            project.copydb(&arguments).exits(0);
        }

        is_copied(&client);
        assert_eq!(backups.made(), 1, "killed at call {number}");
        assert_eq!(backups.count(), 0, "killed at call {number}");
        assert!(journals(&project).is_empty(), "killed at call {number}");
        if !is_killed {
            assert!(number > 5, "{number} calls");
            return;
        }
    }
}
