//! Restores into a table that has replicas in other regions, as a server describes it.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::project::{Project, dump_of};

/// Describes each table as one with two replicas and a witness.
fn global(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        table["Replicas"] = json!([
            {"RegionName": "us-east-1", "ReplicaStatus": "ACTIVE"},
            {"RegionName": "ap-south-1", "ReplicaStatus": "ACTIVE"},
        ]);
        table["GlobalTableWitnesses"] =
            json!([{"RegionName": "us-west-2", "WitnessStatus": "ACTIVE"}]);
    }
}

/// The dump `out` of twelve items, and the empty table `copy` of environment `dev`, which is a global table.
fn global_copy() -> (Engine, Proxy, Project) {
    let (engine, project) = dump_of(12);
    engine.client().create_simple("copy");
    let proxy = Proxy::with_rules(&engine, [always("DescribeTable", Fault::Changed(global))]);
    let project = project.environment("dev", proxy.url(), "copy");

    (engine, proxy, project)
}

fn are_equal(client: &Client) -> bool {
    client.items("copy") == client.items("films")
}

#[test]
fn a_global_table_is_not_replaced() {
    let (engine, proxy, project) = global_copy();
    let client = engine.client();
    let arguments = ["--source=out", "--env=dev", "--yes"];
    project.restoredb(arguments).exits(0);
    assert!(are_equal(&client));

    for more in [&[][..], &["--dry-run"]] {
        let before = proxy.calls().len();
        let replace = arguments.iter().chain(&["--replace"]).chain(more);
        let run = project.restoredb(replace).exits(13);
        run.says("table copy is a global table with replicas or witnesses in us-east-1, ap-south-1, us-west-2")
            .says("hint: omit --replace");

        let calls = proxy.calls().split_off(before);
        let is_change = |operation: &str| {
            ["Delete", "Create", "Update", "Batch"]
                .iter()
                .any(|change| operation.starts_with(change))
        };
        assert!(
            !calls.iter().any(|call| is_change(&call.operation)),
            "{calls:#?}"
        );
        assert!(are_equal(&client));
    }
}

#[test]
fn the_plan_of_a_restore_into_a_global_table_states_its_regions_and_their_cost() {
    let (engine, _proxy, project) = global_copy();
    let arguments = ["--source=out", "--env=dev", "--yes", "-v"];
    let plan = project.restoredb(arguments.iter().chain(&["--dry-run", "--json"]));
    let plan = plan
        .exits(0)
        .says("This is a global table. All items will be replicated to us-east-1, ap-south-1.")
        .says("24 replicated write units in other regions");

    let cost = &plan.report()["plan"]["write_cost_at_most"];
    assert_eq!(cost["write_units"], 12, "{cost:#}");
    assert_eq!(cost["replicated_write_units"], 24, "{cost:#}");

    project.restoredb(arguments).exits(0);
    assert!(are_equal(&engine.client()));
}
