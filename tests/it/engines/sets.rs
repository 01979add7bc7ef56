//! Forty tables with a prefix are dumped and restored under another prefix, while some of them fail.

use std::fs;
use std::process;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::{Client, numbered, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, with_text};
use crate::support::process::{send_signal, spawn_silent, spawn_with_messages};
use crate::support::project::Project;

const TABLES: usize = 40;

/// Tables with as many items as their numbers, and an environment behind a proxy.
struct Fleet {
    engine: Engine,
    client: Client,
    proxy: Proxy,
    project: Project,
    prefix: String,
    tables: Vec<String>,
}

impl Fleet {
    /// `stem` must be of one test only: the engine may be shared.
    fn new(stem: &str) -> Self {
        let engine = Engine::any();
        let client = engine.client();
        let prefix = format!("{stem}-{}-", process::id());
        let tables: Vec<String> = (0..TABLES)
            .map(|number| engine.table(&format!("{prefix}{number:02}")))
            .collect();
        for (number, table) in tables.iter().enumerate() {
            client.create_simple(table);
            client.put(table, numbered(number));
            engine.ends_with_test(copy_of(table));
        }

        let proxy = Proxy::with_rules(&engine, []);
        let project = Project::empty().environment("local", proxy.url(), "ignored");

        Self {
            engine,
            client,
            proxy,
            project,
            prefix,
            tables,
        }
    }

    fn dump(&self) -> Vec<String> {
        let tables = format!("--table={}*", self.prefix);
        let options = ["--output=set", "--json", "--give-up-after=60s"];
        let options = options.map(str::to_owned).into_iter();
        options.chain([tables]).collect()
    }

    /// Checks that the copies of these tables, by their numbers, have their items.
    fn are_equal(&self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            let table = &self.tables[number];
            let copied = self.client.items(&copy_of(table));
            assert_eq!(copied, self.client.items(table), "{table}");
            assert_eq!(copied.len(), number, "{table}");
        }
    }
}

fn restore() -> Vec<String> {
    let options = ["--source=set", "--add-prefix=copy-", "--yes", "--json"];
    options.map(str::to_owned).into()
}

fn copy_of(table: &str) -> String {
    format!("copy-{table}")
}

/// A text that stays until the process ends, for the rules of a proxy.
fn text(table: &str) -> &'static str {
    String::leak(format!("\"{table}\""))
}

/// The exit codes of the tables that are not done, by their numbers.
fn failed(report: &Value) -> Vec<(usize, u64)> {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    assert_eq!(tables.len(), TABLES, "{report:#}");
    let codes = tables.iter().map(|table| table["exit_code"].as_u64());
    let failed = codes
        .enumerate()
        .filter(|(_, code)| *code != Some(0))
        .map(|(number, code)| (number, code.expect("an exit code")));

    failed.collect()
}

#[test]
fn forty_tables_go_out_and_back_while_some_are_deleted_damaged_or_denied() {
    let fleet = Fleet::new("fleet");
    let denied = Fault::Refused("AccessDeniedException", "not authorized");

    // One is deleted after the plan, one may not be read.
    let (deleted, unreadable) = (5, 6);
    fleet.proxy.set([with_text(
        "Scan",
        text(&fleet.tables[unreadable]),
        denied.clone(),
    )]);
    fleet.proxy.hold("Scan", ..);
    let dump = spawn_with_messages(fleet.project.command("dumpdb", fleet.dump()));
    poll("the tables are read", || fleet.proxy.seen("Scan") > 0);
    fleet.client.delete_if_there(&fleet.tables[deleted]);
    poll("the table is gone", || {
        fleet.client.describe(&fleet.tables[deleted]).is_none()
    });
    fleet.proxy.release();
    let output = dump.wait_with_output().expect("a child can be waited for");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("Dumped 38 of 40 tables"), "{messages}");

    // The others are resumed: only what is missing is read, and the table that is gone is not found.
    fleet.proxy.heal();
    fleet.client.create_simple(&fleet.tables[deleted]);
    fleet.client.put(&fleet.tables[deleted], numbered(deleted));
    let scans = fleet.proxy.count("Scan");
    let resume = [fleet.dump(), vec!["--resume".to_owned()]].concat();
    let report = fleet.project.dumpdb(resume).exits(0).report();
    assert!(failed(&report).is_empty());
    assert!(fleet.proxy.count("Scan") - scans < TABLES, "{report:#}");

    // One dump is damaged, one is missing, and one table may not be written.
    let (damaged, missing, unwritable) = (7, 8, 9);
    let data = format!("set/{}/table-data.json", fleet.tables[damaged]);
    let changed = fleet.project.text(&data).replacen("item-", "meti-", 1);
    fleet.project.write(&data, changed);
    fs::remove_dir_all(fleet.project.path(format!("set/{}", fleet.tables[missing])))
        .expect("a folder");
    let target = copy_of(&fleet.tables[unwritable]);
    fleet
        .proxy
        .set([with_text("BatchWriteItem", text(&target), denied)]);
    let report = fleet.project.restoredb(restore()).exits(1).report();
    assert_eq!(
        failed(&report),
        [(damaged, 12), (missing, 12), (unwritable, 10)],
        "{report:#}"
    );
    let failing = [damaged, missing, unwritable];
    fleet.are_equal((0..TABLES).filter(|number| !failing.contains(number)));
    for number in [damaged, missing] {
        let target = copy_of(&fleet.tables[number]);
        assert!(fleet.client.describe(&target).is_none(), "{target}");
    }
}

#[test]
fn forty_tables_that_are_killed_on_the_way_back_are_complete_after_they_are_resumed() {
    let fleet = Fleet::new("killed-fleet");
    fleet.project.dumpdb(fleet.dump()).exits(0);

    let mut arguments = restore();
    for kill in 1..=3 {
        let goal = fleet.proxy.seen("BatchWriteItem") + 9;
        fleet.proxy.hold("BatchWriteItem", goal..);
        let mut child = spawn_silent(fleet.project.command("restoredb", &arguments));
        poll("the restore writes or ends", || {
            let has_ended = child.try_wait().is_ok_and(|ended| ended.is_some());
            has_ended || fleet.proxy.seen("BatchWriteItem") >= goal
        });
        send_signal(&child, Signal::KILL);
        child.wait().expect("a child can be waited for");
        fleet.proxy.release();
        if kill == 1 {
            arguments.push("--resume".to_owned());
        }
    }

    let report = fleet.project.restoredb(&arguments).exits(0).report();
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let is_before = |table: &&Value| table["outcome"] == "restored-before";
    assert!(tables.iter().any(|table| is_before(&table)), "{report:#}");
    fleet.are_equal(0..TABLES);
    drop(fleet.engine);
}
