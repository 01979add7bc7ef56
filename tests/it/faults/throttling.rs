//! A table with little capacity: most of it is used, few requests are throttled, and caps are respected. The assertions are about
//! shares of the token bucket's units, measured by its clock. They leave room for a busy machine: the exact figures are those of the
//! simulations in `src/store/limiter`, which run on a clock of their own.

use std::sync::Arc;

use crate::support::bucket::Bucket;
use crate::support::client::{numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::project::{Project, dump_of};

/// An engine behind a bucket for one operation.
fn behind(engine: &Engine, operation: &'static str, units_per_second: f64) -> (Proxy, Arc<Bucket>) {
    let bucket = Arc::new(Bucket::new(units_per_second));
    let proxy = Proxy::with_rules(
        engine,
        [always(operation, Fault::Capacity(Arc::clone(&bucket)))],
    );
    (proxy, bucket)
}

/// An engine with a table `films` of so many items of about 4 KB, half a read unit or one each.
fn table_of_4_kb(items: usize) -> Engine {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(3_900);
    for chunk in numbered(items).chunks(25) {
        client.put(
            "films",
            chunk.iter().cloned().map(|mut item| {
                item.insert("padding".to_owned(), s(&padding));
                item
            }),
        );
    }

    engine
}

#[test]
fn a_restore_uses_most_of_the_capacity_of_a_small_table() {
    const UNITS: f64 = 100.0;
    const ITEMS: usize = 2_500;

    let (engine, project) = dump_of(ITEMS);
    let (proxy, bucket) = behind(&engine, "BatchWriteItem", UNITS);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--json"])
        .exits(0);
    assert_eq!(run.report()["summary"]["items_written"], ITEMS, "{run}");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
    let (used, throttled) = bucket.settled(10.0);
    assert!(used >= 0.6 * UNITS, "{used} of {UNITS} units per second");
    assert!(throttled <= 0.3, "{throttled} of the calls throttled");
}

#[test]
fn a_dump_uses_most_of_the_capacity_of_a_small_table() {
    const UNITS: f64 = 100.0;

    let engine = table_of_4_kb(5_000);
    let (proxy, bucket) = behind(&engine, "Scan", UNITS);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.dumpdb(["--output=out", "--segments=4"]).exits(0);
    assert_eq!(
        project.text("out/table-data.json").lines().count(),
        5_000 + 2
    );

    // The first four pages are whole ones, in flight before anything is known: they owe four seconds.
    let (used, throttled) = bucket.settled(15.0);
    assert!(used >= 0.5 * UNITS, "{used} of {UNITS} units per second");
    assert!(throttled <= 0.3, "{throttled} of the calls throttled");
}

#[test]
fn a_cap_on_writes_is_kept() {
    let (engine, project) = dump_of(2_400);
    let (proxy, bucket) = behind(&engine, "BatchWriteItem", 1e6);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--max-wcu=150"])
        .exits(0);
    run.says("at most 150 write units per second");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
    bucket.assert_kept(150.0);
}

#[test]
fn a_cap_on_reads_is_kept_however_small() {
    let engine = table_of_4_kb(150);
    let (proxy, bucket) = behind(&engine, "Scan", 1e6);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project
        .dumpdb(["--output=out", "--max-rcu=5", "--segments=3"])
        .exits(0)
        .says("at most 5 read units per second");
    assert_eq!(project.text("out/table-data.json").lines().count(), 150 + 2);
    bucket.assert_kept(5.0);
}

#[test]
fn a_cap_on_reads_is_kept_by_a_restore_that_reads_back() {
    let (engine, project) = dump_of(80);
    let (proxy, bucket) = behind(&engine, "Scan", 1e6);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--verify=full",
        "--max-rcu=5",
        "--json",
    ];

    let run = project
        .restoredb(arguments)
        .exits(0)
        .says("at most 5 read units per second");
    assert_eq!(run.report()["summary"]["verified"]["equal"], 80, "{run}");
    bucket.assert_kept(5.0);
}

#[test]
fn a_cap_on_reads_is_kept_by_the_lookup_of_items_that_exist() {
    let (engine, project) = dump_of(80);
    let client = engine.client();
    client.create_simple("copy");
    client.put("copy", client.items("films").into_values());

    let bucket = Arc::new(Bucket::new(1e6));
    let refused = Fault::Refused(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let rules = [
        always("PutItem", refused),
        always("GetItem", Fault::Capacity(Arc::clone(&bucket))),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--on-conflict=skip",
        "--verify=none",
        "--max-rcu=5",
        "--json",
    ];

    let run = project.restoredb(arguments).exits(0);
    assert_eq!(run.report()["summary"]["items_already_there"], 80, "{run}");
    bucket.assert_kept(5.0);
}

#[test]
fn the_limit_that_throttles_is_named_with_what_to_do_about_it() {
    let (engine, project) = dump_of(60);
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("dev", proxy.url(), "copy");
    for (reason, resource, advice) in [
        (
            "TableWriteKeyRangeThroughputExceeded",
            "table/copy",
            "a partition of the table has reached its limit (1,000 write units per second)",
        ),
        (
            "TableWriteAccountLimitExceeded",
            "table/copy",
            "\"Table-level write throughput limit\"",
        ),
        (
            "IndexWriteMaxOnDemandThroughputExceeded",
            "table/copy/index/by-year",
            "the on-demand maximum of index by-year is reached (MaxWriteRequestUnits)",
        ),
        (
            "TableWriteProvisionedThroughputExceeded",
            "table/copy",
            "the provisioned write capacity of the table is used up",
        ),
    ] {
        proxy.set([always(
            "BatchWriteItem",
            Fault::ThrottledBy(reason, resource),
        )]);
        let run = project
            .restoredb(["--source=out", "--env=dev", "--yes", "--give-up-after=4s"])
            .exits(1);
        for start in ["[WARNING] No progress on table copy for", "hint: "] {
            let named = run
                .stderr
                .lines()
                .any(|line| line.starts_with(start) && line.contains(advice));
            assert!(named, "{reason}: no {start} with its advice: {run}");
        }
    }
}

#[test]
fn a_share_of_an_on_demand_table_is_refused_before_anything_happens() {
    let (engine, project) = dump_of(3);
    let run = project.dumpdb(["--output=again", "--max-rcu=25%"]).exits(2);
    run.says("on-demand").says("--max-rcu N");
    let project = project.environment("dev", engine.url(), "copy");
    project
        .restoredb(["--source=out", "--env=dev", "--yes", "--max-wcu=25%"])
        .exits(2)
        .says("--max-wcu N");
    assert!(engine.client().describe("copy").is_none());
    let arguments = [
        "--source=out",
        "--env=dev",
        "--max-wcu=50%",
        "--write-capacity=8",
        "--read-capacity=8",
        "--dry-run",
    ];

    project
        .restoredb(arguments)
        .exits(0)
        .says("at most 4 write units per second");
}
