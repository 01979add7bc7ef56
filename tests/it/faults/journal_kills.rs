//! Dumps and restores that are killed at each system call that changes their lock or journal: nothing is lost, and the next run
//! continues.

use aws_sdk_dynamodb::types::{ProvisionedThroughput, ScalarAttributeType};

use crate::support::client::{Client, Items, attribute, numbered, partition};
use crate::support::engine::Engine;
use crate::support::failpoint::Failpoint;
use crate::support::faults::{Fault, Proxy, with_text};
use crate::support::films::{films_table, items_in_table, items_in_text};
use crate::support::journal::{STATE_DIR, journals, read};
use crate::support::project::Project;

/// The write capacity of the table, and of the boosted table.
const CAPACITY: [i64; 2] = [7, 1000];

const BOOST: &str = "--boost-write-capacity=1000";

/// Each run makes more such calls. A failpoint that does not count must not make a test pass.
const MIN_CALLS: usize = 12;

fn create_provisioned(client: &Client, table: &str) {
    let units = ProvisionedThroughput::builder()
        .read_capacity_units(5)
        .write_capacity_units(CAPACITY[0])
        .build()
        .expect("both units are given");
    client.create(table, |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(units)
    });
}

fn write_capacity(client: &Client, table: &str) -> Option<i64> {
    client
        .describe(table)?
        .provisioned_throughput()?
        .write_capacity_units()
}

/// Asserts that the journal records what a killed restore has left.
fn is_recorded(project: &Project, client: &Client, table: &str, items: &Items) {
    // Reading checks the digest.
    let journal = journals(project)
        .first()
        .map(|path| read(project, path)["restore"].take());
    let Some(capacity) = write_capacity(client, table) else {
        return;
    };

    let is_complete = client.items(table) == *items;
    if !is_complete || capacity == CAPACITY[1] {
        let journal = journal.expect("the table is unfinished");
        assert_eq!(journal["created"], true, "{journal:#}");
        assert!(
            capacity == CAPACITY[0] || journal["boost"].is_object(),
            "the boost is forgotten: {journal:#}"
        );
    }
}

#[test]
fn a_restore_killed_at_any_change_of_its_journal_is_completed_and_its_boost_reverted() {
    let engine = Engine::embedded();
    let client = engine.client();
    create_provisioned(&client, "films");
    client.put("films", numbered(40));
    let items = client.items("films");
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    let (failpoint, state_dir) = (Failpoint::compile(), project.path(STATE_DIR));
    for number in 1.. {
        let table = format!("copy{number}");
        let restore = |more: &[&'static str]| {
            let table = ["--source=out", "--yes", "--table", &table];
            project.command("restoredb", table.iter().chain(more))
        };
        let is_killed = failpoint.kills(restore(&[BOOST]), number, &state_dir);
        is_recorded(&project, &client, &table, &items);

        // The run that continues is killed too.
        if is_killed {
            failpoint.kills(restore(&["--if-missing"]), number, &state_dir);
            is_recorded(&project, &client, &table, &items);
            let again = ["--source=out", "--yes", "--if-missing", "--table", &table];
            project.restoredb(again).exits(0);
        }

        assert!(client.items(&table) == items, "killed at call {number}");
        assert_eq!(write_capacity(&client, &table), Some(CAPACITY[0]));
        assert!(journals(&project).is_empty(), "killed at call {number}");

        if !is_killed {
            assert!(number > MIN_CALLS, "{number} calls");
            return;
        }
    }
}

#[test]
fn a_dump_killed_at_any_change_of_its_journal_is_completed_and_the_old_one_is_kept() {
    let (engine, client) = films_table(2);
    let expected = items_in_table(&client, "films");
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    let expired = Fault::Refused("ExpiredTokenException", "The security token is expired");
    let failpoint = Failpoint::compile();
    let folder = project.path(".").canonicalize().expect("it exists");

    for (output, data) in [("out", "out/table-data.json"), ("out.jsonl", "out.jsonl")] {
        for number in 1.. {
            let dump = |more: &[&'static str]| {
                let output = ["--segments=1", "--yes", "--output", output];
                project.command("dumpdb", output.iter().chain(more))
            };

            proxy.heal();
            project
                .dumpdb(["--segments=1", "--yes", "--output", output])
                .exits(0);
            let is_old_kept = || assert_eq!(items_in_text(&project.text(data)), expected);

            // It fails after the first page and saves its progress, or is killed.
            proxy.set([with_text("Scan", "ExclusiveStartKey", expired.clone())]);
            let is_killed = failpoint.kills(dump(&[]), number, &folder);
            is_old_kept();

            // The run that resumes it is killed too.
            proxy.heal();
            let is_killed_again = failpoint.kills(dump(&["--resume"]), number, &folder);
            is_old_kept();

            project
                .dumpdb(["--segments=1", "--yes", "--resume", "--output", output])
                .exits(0);
            is_old_kept();
            let left = project.names(".");
            assert!(
                left.iter()
                    .all(|name| ["envs", "out", "out.jsonl"].contains(&name.as_str())),
                "killed at call {number}: {left:?}"
            );

            if !is_killed && !is_killed_again {
                assert!(number > MIN_CALLS, "{number} calls");
                break;
            }
        }
    }
}
