//! Default caps of tables in a protected environment: half of the capacity, in plans and on the wire.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{ProvisionedThroughput, ScalarAttributeType};
use serde_json::{Value, json};

use crate::support::bucket::Bucket;
use crate::support::client::{attribute, numbered, partition};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::journal::journals;
use crate::support::project::{Project, Run, dump_of};

const WRITE: &str = "BatchWriteItem";
const BOOST: &str = "--boost-write-capacity=1000";

/// A dump of `films` in `out`. The environments `prod` and `dev` are the table `copy` behind a proxy, provisioned with 100 RCU / 40 WCU.
struct Scene {
    engine: Engine,
    proxy: Proxy,
    project: Project,
}

impl Scene {
    fn new(items: usize, items_before: usize, rules: impl Into<Vec<Rule>>) -> Self {
        let (engine, project) = dump_of(items);
        let capacity = ProvisionedThroughput::builder()
            .read_capacity_units(100)
            .write_capacity_units(40)
            .build()
            .expect("both are given");
        engine.client().create("copy", |table| {
            table
                .provisioned_throughput(capacity)
                .attribute_definitions(attribute("id", ScalarAttributeType::S))
                .key_schema(partition("id"))
        });
        engine.client().put("copy", numbered(items_before));
        let proxy = Proxy::with_rules(&engine, rules);
        let project = project
            .environment("prod", proxy.url(), "copy")
            .environment("dev", proxy.url(), "copy");

        Self {
            engine,
            proxy,
            project,
        }
    }

    fn plan(&self, more: &[&str]) -> Run {
        let arguments = ["--source=out", "--dry-run", "--json", "--verify=full"];
        self.project
            .restoredb(arguments.iter().chain(more))
            .exits(0)
    }

    fn restore(&self, more: &[&str]) -> Run {
        let arguments = [
            "--source=out",
            "--env=prod",
            "--confirm=copy",
            "--verify=none",
        ];
        self.project.restoredb(arguments.iter().chain(more))
    }

    /// A restore that stops halfway.
    fn stops(&self) {
        self.proxy
            .set([calls(WRITE, 2..=usize::MAX, Fault::TableThrottled)]);
        self.restore(&["--give-up-after=1s", "--concurrency=1", "--batch-size=5"])
            .exits(1);
        self.proxy.heal();
        assert!(!self.engine.client().items("copy").is_empty());
    }
}

#[test]
fn a_protected_table_that_holds_items_is_written_and_read_at_half_its_capacity() {
    let scene = Scene::new(3, 1, []);
    let run = scene
        .plan(&["--env=prod"])
        .says("at most 20 write units per second (half of the provisioned 40: the environment is protected)")
        .says("at most 50 read units per second (half of the provisioned 100: the environment is protected)");
    assert_eq!(
        run.report()["plan"]["max_write_units"],
        json!({
            "units_per_second": 20,
            "reason": "protected",
            "capacity": {"units": 40, "kind": "provisioned"},
        })
    );

    scene.plan(&["--env=dev"]).never_says("per second (");
}

#[test]
fn options_override_the_default() {
    let scene = Scene::new(3, 1, []);
    scene
        .plan(&["--env=prod", "--max-wcu=25%", "--max-rcu=90"])
        .says("at most 10 write units per second (25% of the provisioned 40)")
        .says("at most 90 read units per second")
        .never_says("protected:");
    let lifted = scene
        .plan(&["--env=prod", "--max-wcu=none", "--max-rcu=none"])
        .never_says("at most");
    assert_eq!(
        lifted.report()["plan"]["max_read_units"],
        json!({"units_per_second": null, "reason": "lifted"})
    );
    lifted.says("no limit (as requested)");
}

/// As DynamoDB reports it until it counts the items.
fn without_items(answer: &mut Value) {
    answer["Table"]["ItemCount"] = 0.into();
}

#[test]
fn a_table_without_items_and_one_that_is_created_have_no_default() {
    let scene = Scene::new(3, 0, []);
    let schema = ["--read-capacity=10", "--write-capacity=10"];
    for more in [
        &["--env=prod"][..],
        &["--env=prod", "--table=other", schema[0], schema[1]],
    ] {
        let run = scene.plan(more);
        assert_eq!(
            run.report()["plan"]["max_write_units"],
            Value::Null,
            "{run}"
        );
        assert_eq!(run.report()["plan"]["max_read_units"], Value::Null, "{run}");
    }

    let scene = Scene::new(
        3,
        1,
        [always("DescribeTable", Fault::Changed(without_items))],
    );
    scene
        .plan(&["--env=prod"])
        .says("at most 20 write units per second");
}

#[test]
fn the_items_that_an_interrupted_restore_wrote_itself_do_not_count() {
    let scene = Scene::new(40, 0, []);
    scene.stops();
    let resumed = scene.plan(&["--env=prod", "--resume"]);
    assert!(!resumed.report()["plan"]["resumes"].is_null(), "{resumed}");
    assert_eq!(
        resumed.report()["plan"]["max_write_units"],
        Value::Null,
        "{resumed}"
    );

    // The journal outlives another interruption.
    scene.proxy.set([always(WRITE, Fault::TableThrottled)]);
    scene.restore(&["--resume", "--give-up-after=1s"]).exits(1);
    scene.proxy.heal();
    let resumed = scene.plan(&["--env=prod", "--resume"]);
    assert_eq!(
        resumed.report()["plan"]["max_write_units"],
        Value::Null,
        "{resumed}"
    );

    // Nothing else tells whose items they are.
    for journal in journals(&scene.project) {
        std::fs::remove_file(scene.project.path(journal)).expect("it exists");
    }
    scene
        .plan(&["--env=prod"])
        .says("at most 20 write units per second");

    let scene = Scene::new(40, 1, []);
    scene.stops();
    scene
        .plan(&["--env=prod", "--resume"])
        .says("at most 20 write units per second");
}

#[test]
fn the_default_cap_is_kept() {
    let bucket = Arc::new(Bucket::new(1e6));
    let rule = always(WRITE, Fault::Capacity(Arc::clone(&bucket)));
    let scene = Scene::new(300, 1, [rule]);
    scene.restore(&[]).exits(0);
    bucket.assert_kept(20.0);
}

#[test]
fn a_boost_raises_the_default_cap_unless_it_is_refused() {
    let bucket = Arc::new(Bucket::new(1e6));
    let refused = Fault::Refused("LimitExceededException", "too many decreases today");
    let scene = Scene::new(
        300,
        1,
        [
            always(WRITE, Fault::Capacity(Arc::clone(&bucket))),
            always("UpdateTable", refused),
        ],
    );

    let run = scene
        .plan(&["--env=prod", BOOST])
        .says("at most 20 write units per second, 980 while boosted");
    assert_eq!(
        run.report()["plan"]["max_write_units"]["while_boosted"],
        980
    );
    scene
        .restore(&[BOOST])
        .exits(0)
        .says("the table is not boosted");
    bucket.assert_kept(20.0);
}

/// As DynamoDB describes an on-demand table.
fn warm(answer: &mut Value) {
    answer["Table"]["WarmThroughput"] =
        json!({"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000, "Status": "ACTIVE"});
}

#[test]
fn an_on_demand_table_is_read_at_half_its_warm_throughput() {
    let (engine, project) = dump_of(3);
    let proxy = Proxy::with_rules(&engine, [always("DescribeTable", Fault::Changed(warm))]);
    let project = project.environment("prod", proxy.url(), "films");
    let plan = |more: &[&str]| {
        let arguments = ["--env=prod", "--output=again", "--dry-run"];
        project.dumpdb(arguments.iter().chain(more)).exits(0)
    };

    plan(&[]).says("at most 6,000 read units per second (half of the warm throughput of 12000");
    plan(&["--max-rcu=25%"])
        .says("at most 3,000 read units per second (25% of the warm throughput");
    plan(&["--max-rcu=none"]).says("no limit (as requested)");
    project
        .verifydb(["out", "--env=prod"])
        .exits(0)
        .says("table films of environment prod is read at 6,000 units per second at most (half of the warm throughput");

    let project = project.environment("prod", engine.url(), "films");
    project
        .dumpdb(["--env=prod", "--output=again", "--dry-run"])
        .exits(0)
        .says("no limit (the capacity of the table is unknown)");
}

#[test]
fn with_if_empty_a_protected_table_is_read_once_to_see_that_it_is_empty() {
    let scene = Scene::new(5, 0, []);
    let run = scene.plan(&["--env=prod", "--if-empty"]);
    assert!(run.report()["plan"]["max_write_units"].is_null(), "{run}");
    assert_eq!(scene.proxy.count("Scan"), 1);
}
