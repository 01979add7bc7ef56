//! Endpoints that answer and are not DynamoDB: another service on the port, a proxy's page, TLS where there is none.
//! None of their answers is taken for a table, for its end, or for a write.

use serde_json::{Value, json};

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls};
use crate::support::project::{Project, dump_of};

fn films() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(40));
    engine
}

#[test]
fn a_page_of_another_service_is_no_table() {
    let engine = films();
    let answers: [fn(&Value) -> Value; 3] =
        [|_| json!("<html>Log in</html>"), |_| json!({}), |_| json!({ "Table": null })];
    for answer in answers {
        let proxy = Proxy::of(&engine, [always("DescribeTable", Fault::Answered(answer))]);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
        let run = project.dumpdb(["--env=dev", "--output=out"]).exits(1);
        run.says("DescribeTable films").says("DynamoDB endpoint").says(proxy.url()).never_says("aws dynamodb");
        assert!(!project.path("out").exists());
    }
}

#[test]
fn an_answer_without_items_is_not_the_end_of_the_table() {
    let engine = films();
    let empty: fn(&Value) -> Value = |_| json!({});
    let proxy = Proxy::of(&engine, [calls("Scan", 1..=1, Fault::Answered(empty))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 40);
    assert_eq!(proxy.failures(), 1);

    let proxy = Proxy::of(&engine, [always("Scan", Fault::Answered(empty))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev", "--output=out", "--give-up-after=1s"]).exits(1).says("neither items nor their count");
    assert!(!project.path("out").exists());
}

#[test]
fn an_empty_answer_acknowledges_no_write() {
    let (engine, project) = dump_of(40);
    let proxy = Proxy::of(&engine, [calls("BatchWriteItem", 1..=1, Fault::Answered(|_| json!({})))]);
    let project = project.environment("dev", proxy.url(), "copy");
    project.restoredb(["--env=dev", "--source=out", "--yes", "--verify=count"]).exits(0);
    assert_eq!(proxy.failures(), 1);
    assert_eq!(engine.client().items("copy").len(), 40);
}

#[test]
fn tls_where_there_is_none_is_said_at_once() {
    let engine = films();
    let url = engine.url().replace("http://", "https://");
    let project = Project::on(&engine, "films").environment("dev", &url, "films");
    let run = project.dumpdb(["--env=dev", "--output=out", "--give-up-after=60s"]).exits(11);
    run.says("does not speak TLS").says("hint: ").says("http://").never_says("nothing has gone forward");
}

#[test]
fn an_endless_refusal_is_shortened() {
    let engine = films();
    let message = String::leak("x".repeat(1_000_000));
    let proxy = Proxy::of(&engine, [always("DescribeTable", Fault::Refused("ValidationException", message))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    let run = project.dumpdb(["--env=dev", "--output=out"]).exits(1).says("ValidationException: xxx");
    assert!(run.stderr.len() < 10_000, "{} bytes", run.stderr.len());
}
