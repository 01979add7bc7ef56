//! Prices in plans. Requests to AWS go through a proxy to the embedded engine.

use serde_json::Value;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::http_proxy::HttpProxy;
use crate::support::project::{Project, Run, run};
use crate::support::tls::TlsServer;

/// The plan of a dump of an on-demand table in this region of AWS.
fn plan(region: &str) -> Run {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(30));
    let server = TlsServer::named(&[&format!("dynamodb.{region}.amazonaws.com")], &engine);
    let proxy = HttpProxy::to(server.address());

    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!(
            "DYNAMODB_TABLE=films\nAWS_REGION={region}\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n"
        ),
    );
    let bundle = project.write("ca.pem", server.authority());
    let mut command = project.command(
        "dumpdb",
        ["--env=dev", "--output=out", "--json", "--dry-run"],
    );
    command.env("HTTPS_PROXY", proxy.address());
    command.env("AWS_CA_BUNDLE", bundle);

    run(command, Vec::new()).exits(0)
}

#[test]
fn the_plan_for_a_table_on_aws_has_the_price_of_its_region_with_its_date() {
    let run = plan("eu-west-1").says("less than $0.01 (eu-west-1, list price of 2026-09-11)");
    let price = run.report()["plan"]["scan_cost"]["price"].clone();
    assert_eq!(price["region"], "eu-west-1");
    let usd = price["usd"].as_f64().expect("a number");
    let units = run.report()["plan"]["read_units"].as_f64().expect("units");
    assert!((usd * 1e6 - units * 0.1415).abs() < 1e-6, "{price}");
}

#[test]
fn a_price_that_is_not_known_is_not_guessed() {
    let run = plan("eu-south-2").says("n/a (no list price for region eu-south-2 is known)");
    let price = run.report()["plan"]["scan_cost"]["price"].clone();
    assert_eq!(price["usd"], Value::Null);
}
