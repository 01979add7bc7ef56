//! The route `backup`: DynamoDB makes an on-demand backup for a dump, and restores a table from it.

use aws_sdk_dynamodb::types::{ScalarAttributeType, Tag, TimeToLiveSpecification};
use rustix::process::Signal;

use crate::support::backups::Backups;
use crate::support::client::{Client, attribute, numbered, partition, poll};
use crate::support::engine::Engine;
#[cfg(target_os = "linux")]
use crate::support::failpoint::Failpoint;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::journal::{STATE_DIR, journals};
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::Project;

const DUMP: [&str; 3] = ["--route=backup", "--output=out", "--backup-name=nightly"];
const RESTORE: [&str; 4] = ["--source=out", "--table=copy", "--yes", "--read-capacity=7"];

/// A table `films` of 30 items with 3 units of capacity, a tag and TTL.
pub(crate) fn create_films(client: &Client, table: &str) {
    client.create(table, |create| {
        let capacity = aws_sdk_dynamodb::types::ProvisionedThroughput::builder()
            .read_capacity_units(3)
            .write_capacity_units(3)
            .build();
        let tag = Tag::builder().key("owner").value("archive").build();
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(capacity.expect("both units are given"))
            .tags(tag.expect("key and value are given"))
    });
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build();
    client
        .ask(|sdk| {
            sdk.update_time_to_live()
                .table_name(table)
                .time_to_live_specification(ttl.expect("switch and attribute are given"))
                .send()
        })
        .expect("the engine has TTL");
    client.put(table, numbered(30));
}

pub(crate) fn capacity(client: &Client, table: &str) -> [i64; 2] {
    let described = client.describe(table).expect("the table exists");
    let capacity = described.provisioned_throughput();
    let capacity = capacity.expect("the table is provisioned");

    [
        capacity.read_capacity_units().unwrap_or_default(),
        capacity.write_capacity_units().unwrap_or_default(),
    ]
}

/// Asserts that a restored table is the dumped one, with another read capacity.
pub(crate) fn is_restored(client: &Client, from: &str, table: &str) {
    assert!(client.items(table) == client.items(from));
    assert_eq!(capacity(client, table), [7, 3]);

    let ttl = client
        .ask(|sdk| sdk.describe_time_to_live().table_name(table).send())
        .expect("the engine has TTL");
    let ttl = ttl.time_to_live_description.expect("TTL is described");
    assert_eq!(ttl.attribute_name(), Some("expires"));

    let described = client.describe(table).expect("the table exists");
    let arn = described.table_arn().expect("the table has an ARN");
    let tags = client
        .ask(|sdk| sdk.list_tags_of_resource().resource_arn(arn).send())
        .expect("the engine has tags");
    let keys: Vec<_> = tags.tags().iter().map(Tag::key).collect();
    assert_eq!(keys, ["owner"]);
}

/// An engine with the table `films`, and a scripted service of backups in front of it.
pub(crate) fn scripted(creating: u32) -> (Engine, Backups, Proxy, Project) {
    let engine = Engine::embedded();
    create_films(&engine.client(), "films");
    let backups = Backups::new(&engine, creating);
    let proxy = Proxy::with_rules(&engine, backups.rules());
    let project = Project::empty().environment("local", proxy.url(), "films");

    (engine, backups, proxy, project)
}

#[test]
fn a_backup_restores_items_capacity_and_settings() {
    let engine = Engine::any();
    let client = engine.client();
    let (films, copy) = (engine.table("films"), engine.table("copy"));
    if !engine.can().keeps_settings {
        return;
    }

    create_films(&client, &films);
    let project = Project::on(&engine, &films);
    let dumped = project.dumpdb(DUMP);
    if !engine.can().has_backups {
        dumped
            .exits(1)
            .says("this endpoint has no on-demand backups");
        assert!(!project.path("out").exists());
        return;
    }

    dumped.exits(0);
    assert_eq!(project.json("out/table-metadata.json")["route"], "backup");
    let table = format!("--table={copy}");
    project
        .restoredb(["--source=out", &table, "--yes", "--read-capacity=7"])
        .exits(0);
    is_restored(&client, &films, &copy);
}

#[test]
fn a_backup_and_a_restored_table_are_waited_for() {
    let (engine, _backups, proxy, project) = scripted(3);
    project.dumpdb(DUMP).exits(0).says("backed up films");
    assert_eq!(
        project.names("out"),
        [
            "dump-summary.txt",
            "table-metadata.json",
            "table-schema.json"
        ]
    );

    project
        .restoredb(RESTORE)
        .exits(0)
        .says("restored table copy");
    is_restored(&engine.client(), "films", "copy");
    let scans = proxy.calls();
    assert!(
        !scans
            .iter()
            .any(|call| ["Scan", "BatchWriteItem"].contains(&&*call.operation))
    );
    assert!(journals(&project).is_empty());
}

#[test]
fn a_table_that_dynamodb_is_restoring_for_another_machine_is_waited_for() {
    let (engine, backups, _proxy, project) = scripted(1);
    project.dumpdb(DUMP).exits(0);
    project.restoredb(RESTORE).exits(0);
    assert!(journals(&project).is_empty());

    // As while another machine waits for it.
    for option in ["--if-missing", "--read-capacity=9"] {
        backups.is_being_restored("copy");
        let restore = ["--source=out", "--table=copy", "--yes", option];
        project.restoredb(restore).exits(0).says("restored table");
    }

    assert_eq!(capacity(&engine.client(), "copy"), [9, 3]);
}

#[test]
fn overrides_that_the_endpoint_ignores_are_applied_afterwards() {
    let (engine, backups, _proxy, project) = scripted(1);
    backups.ignore_overrides();
    project.dumpdb(DUMP).exits(0);
    project.restoredb(RESTORE).exits(0);
    is_restored(&engine.client(), "films", "copy");
}

#[test]
fn a_table_that_exists_is_only_replaced_on_request_and_only_once_the_backup_is_available() {
    let (engine, backups, proxy, project) = scripted(1);
    let client = engine.client();
    project.dumpdb(DUMP).exits(0);
    client.create_simple("copy");

    project
        .restoredb(RESTORE)
        .exits(13)
        .says("restores a backup only into a new table");
    backups.end_in("DELETED");
    project
        .restoredb(RESTORE.iter().chain(&["--replace"]))
        .exits(1)
        .says("its status is DELETED");
    assert!(
        !proxy
            .calls()
            .iter()
            .any(|call| call.operation == "DeleteTable")
    );

    backups.end_in("AVAILABLE");
    project
        .restoredb(RESTORE.iter().chain(&["--replace"]))
        .exits(0);
    is_restored(&client, "films", "copy");
}

#[test]
fn errors_say_what_to_do() {
    let (_engine, backups, proxy, project) = scripted(0);
    let with = |operation, code| {
        let mut rules = vec![always(operation, Fault::Refused(code, "refused"))];
        rules.extend(backups.rules());
        proxy.set(rules);
    };

    for (code, hint) in [
        (
            "ContinuousBackupsUnavailableException",
            "prepares backups for a new table",
        ),
        ("TableInUseException", "when it is ACTIVE"),
        (
            "BackupInUseException",
            "another request is using the backup",
        ),
        ("LimitExceededException", "too many backups or restores"),
    ] {
        with("CreateBackup", code);
        project
            .dumpdb(DUMP.iter().chain(&["--give-up-after=1s"]))
            .exits(1)
            .says(hint);
    }

    proxy.set(backups.rules());
    project.dumpdb(DUMP).exits(0);
    for (code, exit, hint) in [
        ("BackupNotFoundException", 11, "lists the backups"),
        ("TableAlreadyExistsException", 1, "choose another name"),
        ("LimitExceededException", 1, "too many backups or restores"),
    ] {
        with("RestoreTableFromBackup", code);
        project.restoredb(RESTORE).exits(exit).says(hint);
    }

    with("DescribeBackup", "BackupNotFoundException");
    project.restoredb(RESTORE).exits(11).says("does not exist");
}

#[test]
fn options_that_a_backup_does_not_support_are_refused() {
    let (_engine, _backups, _proxy, project) = scripted(0);
    for option in ["--limit=3", "--compress=zstd", "--where=.id", "--max-rcu=5"] {
        project
            .dumpdb(DUMP.iter().chain(&[option]))
            .exits(2)
            .says("cannot be combined with --route backup");
    }

    project
        .dumpdb(["--output=out", "--backup-name=x12"])
        .exits(2)
        .says("--backup-name needs --route backup");
    project
        .dumpdb(["--route=backup", "--output=out", "--backup-name=a b"])
        .exits(2)
        .says("not a valid name of a backup");
}

#[test]
fn an_interrupted_backup_continues_and_is_used_by_the_run_that_resumes() {
    let (_engine, backups, proxy, project) = scripted(1000);
    proxy.hold("DescribeBackup", 3..);
    let child = spawn_with_messages(project.command("dumpdb", DUMP));
    poll("the backup is described", || {
        let described = proxy.calls();
        described
            .iter()
            .filter(|call| call.operation == "DescribeBackup")
            .count()
            >= 2
    });
    let (status, messages) = stopped(child, Signal::INT, &proxy);
    assert_eq!(status.code(), Some(130), "{messages}");
    assert!(messages.contains("--backup-arn arn:aws:"), "{messages}");
    assert_eq!(backups.count(), 1);

    // By ARN, as another machine would.
    let arn = "--backup-arn=arn:aws:dynamodb:eu-central-1:000000000000:table/films/backup/1";
    backups.hurry();
    project
        .dumpdb(["--route=backup", "--output=elsewhere", arn])
        .exits(0);
    project.dumpdb(DUMP.iter().chain(&["--resume"])).exits(0);
    assert_eq!(backups.count(), 1);

    // Without --resume, another backup is made.
    project.dumpdb(DUMP).exits(0);
    assert_eq!(backups.count(), 2);
}

#[test]
#[cfg(target_os = "linux")]
fn a_dump_killed_at_any_change_of_its_journal_makes_no_second_backup_when_it_resumes() {
    let failpoint = Failpoint::compile();
    for number in 1.. {
        let (_engine, backups, _proxy, project) = scripted(1);
        let folder = project.path("");
        let is_killed = failpoint.kills(project.command("dumpdb", DUMP), number, &folder);
        // The last calls come after the dump is in place.
        if is_killed && !project.path("out/table-metadata.json").exists() {
            project.dumpdb(DUMP.iter().chain(&["--resume"])).exits(0);
        }

        assert_eq!(backups.count(), 1, "killed at call {number}");
        assert_eq!(project.json("out/table-metadata.json")["route"], "backup");
        if !is_killed {
            assert!(number > 3, "{number} calls");
            return;
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_restore_killed_at_any_change_of_its_journal_is_completed() {
    let failpoint = Failpoint::compile();
    let (engine, _backups, _proxy, project) = scripted(1);
    let client = engine.client();
    project.dumpdb(DUMP).exits(0);
    let state_dir = project.path(STATE_DIR);
    for number in 1.. {
        let table = format!("--table=copy{number}");
        let restore = ["--source=out", &table, "--yes", "--read-capacity=7"];
        let is_killed = failpoint.kills(project.command("restoredb", restore), number, &state_dir);
        if is_killed {
            let again = restore.iter().copied().chain(["--if-missing"]);
            project.restoredb(again).exits(0);
        }

        is_restored(&client, "films", &format!("copy{number}"));
        assert!(journals(&project).is_empty(), "killed at call {number}");
        if !is_killed {
            assert!(number > 3, "{number} calls");
            return;
        }
    }
}

#[test]
fn a_lost_response_to_the_request_for_a_table_is_no_failure() {
    let (engine, backups, _proxy, project) = scripted(1);
    project.dumpdb(DUMP).exits(0);
    backups.lose_next_response();
    project.restoredb(RESTORE).exits(0);
    is_restored(&engine.client(), "films", "copy");
}
