//! Every fault with every command, alone and combined, at a fifth of the calls: the result is exact each time.
//!
//! The random generator is seeded, so failures are reproducible. Calls are many and small: pages and segments of a Scan, batches of five items.
//! Tables are read in one segment, in nine and in 32, by turns: nine are more than the pages that memory has room for.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Items, numbered, s, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, size_for, sometimes, storm};
use crate::support::project::{Project, Run};

const ITEMS: usize = 240;

/// In how many segments a table is read, by turns.
const SEGMENTS: [u32; 3] = [1, 9, 32];

/// Of a hundred calls.
const SHARE: u64 = 20;

/// A call that hangs is given up after a quarter of this.
const PATIENCE: &str = "--give-up-after=20s";

/// What may be asked of a table.
const READING: &[&str] = &["Scan", "DescribeTable"];
const RESTORING: &[&str] = &["BatchWriteItem", "CreateTable", "Scan"];

/// What goes wrong, and with which calls.
struct Case {
    name: &'static str,
    operations: &'static [&'static str],
    fault: Fault,
}

const fn case(name: &'static str, operations: &'static [&'static str], fault: Fault) -> Case {
    Case {
        name,
        operations,
        fault,
    }
}

const ALL: &[&str] = &["Scan", "DescribeTable", "BatchWriteItem", "CreateTable"];
const DATA: &[&str] = &["Scan", "BatchWriteItem"];

/// All that passes by itself.
fn cases() -> Vec<Case> {
    let simultaneous = "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously";
    vec![
        case("throttled table", ALL, Fault::TableThrottled),
        case("throttled account", ALL, Fault::AccountThrottled),
        case(
            "request limit",
            ALL,
            Fault::Refused(
                "RequestLimitExceeded",
                "Throughput exceeds the current limit.",
            ),
        ),
        case(
            "too many table operations",
            &["CreateTable"],
            Fault::Refused("LimitExceededException", simultaneous),
        ),
        case(
            "nothing processed",
            &["BatchWriteItem"],
            Fault::Unprocessed(0),
        ),
        case(
            "something processed",
            &["BatchWriteItem"],
            Fault::Unprocessed(2),
        ),
        case(
            "internal error",
            ALL,
            Fault::Refused("InternalServerError", "The request processing has failed"),
        ),
        case("500", ALL, Fault::Status(500)),
        case("503", ALL, Fault::Status(503)),
        case("reset before the call", ALL, Fault::CutBeforeCall),
        case("closed before the call", ALL, Fault::Closed),
        case("reset in the answer", ALL, Fault::CutInAnswer),
        case("closed in the answer", ALL, Fault::ClosedInAnswer),
        case("half a body", ALL, Fault::Shortened),
        case("wrong checksum", ALL, Fault::WrongChecksum),
        case(
            "wrong count",
            &["Scan"],
            Fault::Changed(|page| page["Count"] = json!(1_000_000)),
        ),
        case("damaged item", &["Scan"], Fault::Unsigned(damage)),
        case("late", ALL, Fault::Late(Duration::from_millis(300))),
        case(
            "table not active",
            DATA,
            Fault::Refused("ResourceInUseException", "Table is being updated"),
        ),
    ]
}

/// Makes the first string of a page something else than UTF-8.
fn damage(page: &mut Vec<u8>) {
    let string = page.windows(6).position(|window| window == b"{\"S\":\"");
    page.insert(string.map_or(0, |at| at + 6), 0xff);
}

/// Those that cost a time-out each.
fn slow() -> Vec<Case> {
    vec![
        case("silent", DATA, Fault::SilentReporter),
        case("stalled", DATA, Fault::Stalled),
        case("trickled", DATA, Fault::Trickled),
    ]
}

/// Those that are cured once and for all.
fn cured() -> Vec<Case> {
    let invalid = "The security token included in the request is invalid.";
    vec![
        case("wrong clock", ALL, Fault::Clock(7_200)),
        case(
            "refused credentials",
            DATA,
            Fault::Refused("UnrecognizedClientException", invalid),
        ),
    ]
}

/// The tables of a set.
const TABLES: [&str; 2] = ["films", "other"];

/// A table `films` with its clean dump in `clean`, and a table `other` that lacks an item, has another one more, and one otherwise. Both
/// are in the clean set `clean-set`.
struct World {
    engine: Engine,
    project: Project,
    items: Items,
    lines: BTreeSet<String>,
    compression: &'static str,
    /// Runs so far, each with the next number of segments.
    runs: usize,
}

/// A table of the size that is read in this many segments.
fn of_size(segments: u32) -> Rule {
    always("DescribeTable", Fault::Changed(size_for(segments)))
}

impl World {
    fn new() -> Self {
        let engine = Engine::embedded();
        let client = engine.client();

        // In one segment, too, there are several pages.
        let padding = "ü".repeat(6_000);
        let mut items = numbered(ITEMS);
        for item in &mut items {
            item.insert("padding".to_owned(), s(&padding));
        }

        client.create_simple("films");
        client.put("films", items.clone());
        client.create_simple("other");
        items.swap_remove(17);
        items[100].insert("text".to_owned(), s("another"));
        items.push(strings([("id", "one more")]));
        client.put("other", items);
        let project = Project::on(&engine, "films");
        project.dumpdb(["--output=clean"]).exits(0);
        project
            .dumpdb(["--table=films,other", "--output=clean-set"])
            .exits(0);
        let (items, lines) = (client.items("films"), lines_of(&project, "clean"));
        assert_eq!((items.len(), lines.len()), (ITEMS, ITEMS));
        Self {
            engine,
            project,
            items,
            lines,
            compression: "--wire-compression=off",
            runs: 0,
        }
    }

    /// Puts these faults in the way.
    fn behind(&mut self, rules: Vec<Rule>) -> Proxy {
        let proxy = Proxy::with_rules(&self.engine, rules);
        proxy.compresses();
        let project = std::mem::replace(&mut self.project, Project::empty());
        self.project = project.environment("dev", proxy.url(), "films");

        proxy
    }

    /// Puts the same faults in the way of the source and of the target of a copy, each with calls of its own.
    fn between(&mut self, rules: &[Rule]) -> [Proxy; 2] {
        let size = of_size(self.segments());
        let rules = [rules, &[size]].concat();
        let source = Proxy::with_rules(&self.engine, rules.clone());
        source.compresses();
        let project = std::mem::replace(&mut self.project, Project::empty());
        self.project = project.environment("source", source.url(), "films");

        [source, self.behind(rules)]
    }

    /// The next number of segments.
    fn segments(&mut self) -> u32 {
        self.runs += 1;
        SEGMENTS[self.runs % SEGMENTS.len()]
    }

    fn dump(&mut self, name: &str, rules: Vec<Rule>) {
        let proxy = self.behind(rules);
        let segments = format!("--segments={}", self.segments());
        let run = self
            .project
            .dumpdb([
                "--env=dev",
                "--output=out",
                &segments,
                PATIENCE,
                self.compression,
                "--json",
                "--yes",
            ])
            .exits(0);

        went_wrong(name, &proxy, &run);
        assert_eq!(run.report()["summary"]["items"], ITEMS, "{name}: {run}");
        assert!(
            lines_of(&self.project, "out") == self.lines,
            "{name}: other items\n{run}"
        );
        self.project.verifydb(["out"]).exits(0);
    }

    fn restore(&mut self, name: &str, rules: Vec<Rule>) {
        // Of two rules that fit a call the first one holds.
        let size = of_size(self.segments());
        let proxy = self.behind([rules, vec![size]].concat());
        self.engine.client().delete_if_there("copy");
        let arguments = [
            "--env=dev",
            "--source=clean",
            "--table=copy",
            "--batch-size=5",
            PATIENCE,
            "--json",
            "--yes",
        ];

        let run = self.project.restoredb(arguments).exits(0);
        went_wrong(name, &proxy, &run);
        assert!(
            self.engine.client().items("copy") == self.items,
            "{name}: other items\n{run}"
        );
        let report = run.report();
        let count = |field: &str| {
            report["summary"][field]
                .as_u64()
                .unwrap_or_else(|| panic!("{name}: {field}\n{run}"))
        };

        assert_eq!(
            (count("items_read"), count("items_written")),
            (ITEMS as u64, ITEMS as u64),
            "{name}: {run}"
        );

        assert_eq!(
            (count("items_rejected"), count("items_superseded")),
            (0, 0),
            "{name}: {run}"
        );

        assert_eq!(
            report["summary"]["verified"]["equal"], ITEMS,
            "{name}: {run}"
        );
    }

    /// Source and target have the same faults.
    fn copy(&mut self, name: &str, rules: &[Rule]) {
        let proxies = self.between(rules);
        self.engine.client().delete_if_there("copy");
        let arguments = [
            "--from=source",
            "--to=dev",
            "--map=films=copy",
            "--batch-size=5",
            "--verify=full",
            PATIENCE,
            "--json",
            "--yes",
        ];

        let run = self.project.copydb(arguments).exits(0);
        went_wrong_on_both_sides(name, &proxies, rules, &run);
        assert!(
            self.engine.client().items("copy") == self.items,
            "{name}: other items\n{run}"
        );
        let summary = run.report()["summary"].clone();
        for field in ["items_read", "items_written"] {
            assert_eq!(summary[field], ITEMS, "{name}: {field}\n{run}");
        }

        assert_eq!(summary["verified"]["equal"], ITEMS, "{name}: {run}");
    }

    /// Both tables into a set.
    fn dump_set(&mut self, name: &str, rules: Vec<Rule>) {
        let proxy = self.behind(rules);
        let segments = format!("--segments={}", self.segments());
        let run = self
            .project
            .dumpdb([
                "--env=dev",
                "--table=films,other",
                "--output=set",
                &segments,
                PATIENCE,
                "--json",
                "--yes",
            ])
            .exits(0);

        went_wrong(name, &proxy, &run);
        for table in TABLES {
            assert!(
                lines_of(&self.project, &format!("set/{table}"))
                    == lines_of(&self.project, &format!("clean-set/{table}")),
                "{name}: other items in {table}\n{run}"
            );
        }

        self.project.verifydb(["set"]).exits(0);
    }

    /// Both tables of the clean set.
    fn restore_set(&mut self, name: &str, rules: Vec<Rule>) {
        let size = of_size(self.segments());
        let proxy = self.behind([rules, vec![size]].concat());
        self.delete_copies();
        let arguments = [
            "--env=dev",
            "--source=clean-set",
            "--add-prefix=copy-",
            "--batch-size=5",
            PATIENCE,
            "--json",
            "--yes",
        ];

        let run = self.project.restoredb(arguments).exits(0);
        went_wrong(name, &proxy, &run);
        self.has_copies(name, &run);
    }

    /// Both tables. Source and target have the same faults.
    fn copy_set(&mut self, name: &str, rules: &[Rule]) {
        let proxies = self.between(rules);
        self.delete_copies();
        let arguments = [
            "--from=source",
            "--to=dev",
            "--table=films,other",
            "--add-prefix=copy-",
            "--batch-size=5",
            "--verify=full",
            PATIENCE,
            "--json",
            "--yes",
        ];

        let run = self.project.copydb(arguments).exits(0);
        went_wrong_on_both_sides(name, &proxies, rules, &run);
        self.has_copies(name, &run);
    }

    fn delete_copies(&self) {
        for table in TABLES {
            self.engine
                .client()
                .delete_if_there(&format!("copy-{table}"));
        }
    }

    /// The copies of both tables are equal, and the report accounts for every item.
    fn has_copies(&self, name: &str, run: &Run) {
        let client = self.engine.client();
        for table in TABLES {
            assert!(
                client.items(&format!("copy-{table}")) == client.items(table),
                "{name}: other items in {table}\n{run}"
            );
        }

        let total = run.report()["summary"]["total"].clone();
        for field in ["items_read", "items_written"] {
            assert_eq!(total[field], 2 * ITEMS, "{name}: {field}\n{run}");
        }

        for field in ["items_rejected", "items_skipped", "items_superseded"] {
            assert_eq!(total[field], 0, "{name}: {field}\n{run}");
        }
    }

    /// A table against its dump, and two tables.
    fn verify(&mut self, name: &str, rules: Vec<Rule>) {
        let size = of_size(self.segments());
        let proxy = self.behind([vec![size], rules].concat());
        for (arguments, counts, code) in [
            (["clean", "--env=dev", "--exact"], [ITEMS, 0, 0, 0], 0),
            (
                ["--env=dev", "--table=films", "--against-table=other"],
                [ITEMS - 2, 1, 1, 1],
                3,
            ),
        ] {
            let run = self
                .project
                .verifydb(arguments.iter().chain(&[PATIENCE, "--json"]))
                .exits(code);
            let summary = run.report()["summary"].clone();
            let found =
                ["equal", "missing", "different", "extra"].map(|count| summary[count].clone());
            assert_eq!(found, counts.map(Value::from), "{name}: {run}");
            let examples = summary["examples"].as_array().map_or(0, Vec::len);
            assert_eq!(examples, counts[1] + counts[2] + counts[3], "{name}: {run}");
        }

        assert!(
            proxy
                .calls()
                .iter()
                .any(|call| call.failed && call.operation == "Scan"),
            "{name}: nothing went wrong"
        );
    }
}

/// The items of a dump, with the members of their objects in order: the engine gives them in another one each time.
fn lines_of(project: &Project, dump: &str) -> BTreeSet<String> {
    let document = project.json(format!("{dump}/table-data.json"));
    let items = document["Items"].as_array().expect("an array of items");
    let texts: BTreeSet<_> = items.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), items.len(), "an item stands twice");

    texts
}

fn went_wrong(name: &str, proxy: &Proxy, run: &Run) {
    // The size in a restore's descriptions is always changed: that is no fault.
    let is_fault =
        |operation: &str| operation != "DescribeTable" || run.command.starts_with("dumpdb");
    let failed = proxy
        .calls()
        .into_iter()
        .filter(|call| call.failed && is_fault(&call.operation));
    assert!(failed.count() > 0, "{name}: nothing went wrong\n{run}");
}

/// Each side of a copy has had a fault, if the rules are about one of its calls.
fn went_wrong_on_both_sides(name: &str, proxies: &[Proxy; 2], rules: &[Rule], run: &Run) {
    for (proxy, operations) in proxies.iter().zip([&["Scan"][..], RESTORING]) {
        let is_about = |rule: &Rule| operations.iter().any(|operation| rule.is_about(operation));
        if rules.iter().any(is_about) {
            went_wrong(name, proxy, run);
        }
    }
}

/// Those of the case's operations that are among these.
fn hit(case: &Case, of: &[&'static str]) -> Vec<&'static str> {
    case.operations
        .iter()
        .copied()
        .filter(|operation| of.contains(operation))
        .collect()
}

/// The fault at a fifth of these calls, the first one in any case.
fn at_a_fifth(operation: &'static str, fault: &Fault, seed: u64) -> [Rule; 2] {
    [
        calls(operation, 1..=1, fault.clone()),
        sometimes(operation, SHARE, seed, fault.clone()),
    ]
}

/// The fault at every call, or at one, as it is cured by what the command learns from it.
fn until_cured(operation: &'static str, fault: &Fault) -> Rule {
    match fault {
        Fault::Clock(_) => always(operation, fault.clone()),
        other => calls(operation, 2..=2, other.clone()),
    }
}

/// Each case by itself, as far as it is about these operations.
fn each(of: &[&'static str], mut with: impl FnMut(&str, Vec<Rule>)) {
    let mut alone = |case: &Case, rules: Vec<Rule>| {
        if !rules.is_empty() {
            with(case.name, rules);
        }
    };

    for (seed, case) in (0..).zip(cases()) {
        alone(
            &case,
            hit(&case, of)
                .into_iter()
                .flat_map(|operation| at_a_fifth(operation, &case.fault, seed))
                .collect(),
        );
    }

    for case in slow() {
        alone(
            &case,
            hit(&case, of)
                .into_iter()
                .map(|operation| calls(operation, 2..=3, case.fault.clone()))
                .collect(),
        );
    }

    for case in cured() {
        alone(
            &case,
            hit(&case, of)
                .into_iter()
                .map(|operation| until_cured(operation, &case.fault))
                .collect(),
        );
    }
}

/// All cases together.
fn everything(of: &[&'static str], seed: u64) -> Vec<Rule> {
    let cases: Vec<_> = cases().into_iter().chain(slow()).collect();
    let rules = of.iter().flat_map(|operation| {
        let faults = cases
            .iter()
            .filter(|case| case.operations.contains(operation))
            .map(|case| case.fault.clone());
        storm(operation, SHARE, seed, &faults.collect::<Vec<_>>())
    });

    rules.collect()
}

#[test]
fn a_dump_through_each_fault() {
    let mut world = World::new();
    each(READING, |name, rules| world.dump(name, rules));
}

#[test]
fn a_restore_through_each_fault() {
    let mut world = World::new();
    each(RESTORING, |name, rules| world.restore(name, rules));
}

#[test]
fn a_copy_through_each_fault() {
    let mut world = World::new();
    each(ALL, |name, rules| world.copy(name, &rules));
}

#[test]
fn a_verification_through_each_fault() {
    let mut world = World::new();
    each(&["Scan"], |name, rules| world.verify(name, rules));
}

#[test]
fn a_dump_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=4 {
        world.dump(&format!("seed {seed}"), everything(READING, seed));
    }
}

#[test]
fn a_compressed_dump_through_all_of_them() {
    let mut world = World::new();
    world.compression = "--wire-compression=on";
    for seed in 5..=7 {
        world.dump(&format!("seed {seed}"), everything(READING, seed));
    }
}

#[test]
fn a_restore_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=4 {
        world.restore(&format!("seed {seed}"), everything(ALL, seed));
    }
}

#[test]
fn a_copy_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=4 {
        world.copy(&format!("seed {seed}"), &everything(ALL, seed));
    }
}

#[test]
fn a_dump_of_several_tables_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=3 {
        world.dump_set(&format!("seed {seed}"), everything(READING, seed));
    }
}

#[test]
fn a_restore_of_several_tables_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=3 {
        world.restore_set(&format!("seed {seed}"), everything(ALL, seed));
    }
}

#[test]
fn a_copy_of_several_tables_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=3 {
        world.copy_set(&format!("seed {seed}"), &everything(ALL, seed));
    }
}

#[test]
fn a_verification_through_all_of_them() {
    let mut world = World::new();
    for seed in 1..=4 {
        let first = calls("Scan", 1..=1, Fault::CutInAnswer);
        world.verify(
            &format!("seed {seed}"),
            [vec![first], everything(&["Scan"], seed)].concat(),
        );
    }
}
