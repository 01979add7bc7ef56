//! Endpoints that are not DynamoDB: another service on the port, the error page of a proxy, TLS on a plain port.
//! Their responses never count as a missing table, the end of a table, or a successful write.

use aws_sdk_dynamodb::types::{BillingMode, ScalarAttributeType};
use serde_json::{Value, json};

use crate::support::client::{attribute, n, numbered, partition};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::project::{Project, REGION, Run, dump_of};

fn films() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(40));

    engine
}

#[test]
fn a_page_of_another_service_is_rejected() {
    let engine = films();
    let answers: [fn(&Value) -> Value; 3] = [
        |_| json!("<html>Log in</html>"),
        |_| json!({}),
        |_| json!({ "Table": null }),
    ];

    for answer in answers {
        let proxy = Proxy::with_rules(&engine, [always("DescribeTable", Fault::Answered(answer))]);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
        let run = project.dumpdb(["--env=dev", "--output=out"]).exits(1);
        run.says("DescribeTable films")
            .says("DynamoDB endpoint")
            .says(proxy.url())
            .never_says("aws dynamodb");
        assert!(!project.path("out").exists());
    }
}

#[test]
fn an_endpoint_that_answered_describe_table_is_not_asked_whether_it_is_dynamodb() {
    const QUESTION: &str = "a DynamoDB endpoint?";
    let (engine, project) = dump_of(40);
    let at = |rule: Rule, name: &str| {
        let proxy = Proxy::with_rules(&engine, [rule]);
        project.write(
            format!("envs/.env.{name}"),
            format!(
                "LOCAL_AWS_ENDPOINT={}\nAWS_REGION={REGION}\nDYNAMODB_TABLE={name}\n",
                proxy.url()
            ),
        );
        proxy
    };
    let dump = |name: &str| {
        let env = format!("--env={name}");
        project.dumpdb([
            &env,
            "--output=again",
            "--give-up-after=1s",
            "--table=films",
        ])
    };
    let restore = |name: &str| {
        let env = format!("--env={name}");
        project.restoredb([&env, "--source=out", "--yes", "--give-up-after=1s"])
    };

    let _other_server = at(always("DescribeTable", Fault::Status(404)), "dev");
    drop(dump("dev").exits(1).says("HTTP status 404").says(QUESTION));

    let error_page = Fault::Status(502);
    let _proxy = at(always("Scan", error_page.clone()), "dev-scan");
    drop(
        dump("dev-scan")
            .exits(1)
            .says("HTTP status 502")
            .never_says(QUESTION),
    );

    // A table that does not exist is an answer of DynamoDB, too.
    let _proxy = at(always("CreateTable", Fault::Status(404)), "dev-create");
    drop(
        restore("dev-create")
            .exits(1)
            .says("HTTP status 404")
            .never_says(QUESTION),
    );

    let empty = Fault::Answered(|_| json!({}));
    for (name, fault) in [("dev-write", empty), ("dev-page", error_page)] {
        let proxy = at(always("BatchWriteItem", fault), name);
        drop(
            restore(name)
                .exits(1)
                .says(proxy.url())
                .never_says(QUESTION),
        );
    }

    let empty = Fault::Answered(|_| json!({}));
    let _proxy = at(calls("DescribeTable", 2..=usize::MAX, empty), "dev-later");
    drop(
        restore("dev-later")
            .exits(1)
            .says("does not describe a table")
            .never_says(QUESTION),
    );
}

#[test]
fn an_answer_without_items_is_not_the_end_of_the_table() {
    let engine = films();
    let empty: fn(&Value) -> Value = |_| json!({});
    let proxy = Proxy::with_rules(&engine, [calls("Scan", 1..=1, Fault::Answered(empty))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 40);
    assert_eq!(proxy.failures(), 1);

    let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Answered(empty))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    project
        .dumpdb(["--env=dev", "--output=out", "--give-up-after=1s"])
        .exits(1)
        .says("neither items nor their count");
    assert!(!project.path("out").exists());
}

#[test]
fn an_empty_answer_acknowledges_no_write() {
    let (engine, project) = dump_of(40);
    let proxy = Proxy::with_rules(
        &engine,
        [calls(
            "BatchWriteItem",
            1..=1,
            Fault::Answered(|_| json!({})),
        )],
    );

    let project = project.environment("dev", proxy.url(), "copy");
    project
        .restoredb(["--env=dev", "--source=out", "--yes", "--verify=none"])
        .exits(0);
    assert_eq!(proxy.failures(), 1);
    assert_eq!(engine.client().items("copy").len(), 40);
}

#[test]
fn https_to_a_plain_port_fails_immediately() {
    let engine = films();
    let url = engine.url().replace("http://", "https://");
    let project = Project::on(&engine, "films").environment("dev", &url, "films");
    let run = project
        .dumpdb(["--env=dev", "--output=out", "--give-up-after=60s"])
        .exits(11);
    run.says("does not speak TLS")
        .says("hint: ")
        .says("http://")
        .never_says("No progress");
}

#[test]
fn an_endless_refusal_is_shortened() {
    let engine = films();
    let message = String::leak("x".repeat(1_000_000));
    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "DescribeTable",
            Fault::Refused("ValidationException", message),
        )],
    );

    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    let run = project
        .dumpdb(["--env=dev", "--output=out"])
        .exits(1)
        .says("ValidationException: xxx");
    assert!(run.stderr.len() < 10_000, "{} bytes", run.stderr.len());
}

/// Answers that are not HTTP, at the places where a parser meets them.
const NOT_HTTP: [&[u8]; 8] = [
    b"HTTP/9.9 banana\r\n\r\n",
    b"HTTP/1.1 2x0 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: banana\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
    b"\x16\x03\x01garbage\r\n\r\n",
];

#[test]
fn an_answer_that_is_not_http_is_like_a_lost_connection() {
    for bytes in NOT_HTTP {
        let (engine, project) = dump_of(40);
        let fault = Fault::Raw(bytes);
        let operations = ["DescribeTable", "Scan", "BatchWriteItem"];
        let once = operations.map(|operation| calls(operation, 1..=1, fault.clone()));
        let proxy = Proxy::with_rules(&engine, once);
        let project = project.environment("dev", proxy.url(), "films");
        project.dumpdb(["--env=dev", "--output=again"]).exits(0);
        assert_eq!(project.json("again/table-metadata.json")["items"], 40);
        project
            .restoredb([
                "--env=dev",
                "--source=again",
                "--table=copy",
                "--yes",
                "--batch-size=10",
            ])
            .exits(0);

        assert_eq!(
            engine.client().items("copy"),
            engine.client().items("films")
        );
        assert_eq!(
            proxy.failures(),
            operations.len(),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// What an endpoint returns as not written, for the request of a batch.
fn unprocessed(writes: &[Value]) -> Value {
    json!({ "UnprocessedItems": { "copy": writes }, "ConsumedCapacity": [{ "TableName": "copy", "CapacityUnits": 1.0 }] })
}

fn put(item: &Value) -> Value {
    json!({ "PutRequest": { "Item": item } })
}

fn sent(request: &Value) -> Vec<Value> {
    request["RequestItems"]["copy"]
        .as_array()
        .expect("the batch is for the table")
        .clone()
}

#[test]
fn unprocessed_items_that_were_not_sent_are_an_error_of_the_endpoint() {
    let foreign = |_: &Value| unprocessed(&[put(&json!({ "id": { "S": "foreign" } }))]);
    let twice = |request: &Value| {
        let sent = sent(request);
        unprocessed(&[sent[0].clone(), sent[0].clone()])
    };
    let more = |request: &Value| {
        let mut sent = sent(request);
        sent.push(put(&json!({ "id": { "S": "foreign" } })));
        unprocessed(&sent)
    };

    let of_another_table = |request: &Value| json!({ "UnprocessedItems": { "copy": [], "films": sent(request) }, "ConsumedCapacity": [] });
    let keyless = |_: &Value| unprocessed(&[put(&json!({ "title": { "S": "Alien" } }))]);
    let of_another_type = |_: &Value| unprocessed(&[put(&json!({ "id": { "N": "1" } }))]);
    let deleting =
        |_: &Value| unprocessed(&[json!({ "DeleteRequest": { "Key": { "id": { "S": "0" } } } })]);
    let no_list =
        |_: &Value| json!({ "UnprocessedItems": { "copy": "all" }, "ConsumedCapacity": [] });
    let answers: [fn(&Value) -> Value; 8] = [
        foreign,
        twice,
        more,
        of_another_table,
        keyless,
        of_another_type,
        deleting,
        no_list,
    ];

    for (number, answer) in answers.into_iter().enumerate() {
        let (engine, project) = dump_of(40);
        let proxy = Proxy::with_rules(
            &engine,
            [calls(
                "BatchWriteItem",
                2..=usize::MAX,
                Fault::Answered(answer),
            )],
        );

        let project = project.environment("dev", proxy.url(), "copy");
        let options = ["--batch-size=10", "--concurrency=1", "--give-up-after=1s"];
        let run = project
            .restoredb(
                ["--env=dev", "--source=out", "--yes"]
                    .iter()
                    .chain(&options),
            )
            .exits(1);

        run.says(" items had been written")
            .says(proxy.url())
            .never_says("verified");
        assert_eq!(engine.client().items("copy").len(), 10, "answer {number}");
        let sends_foreign = |body: &Value| body.to_string().contains("foreign");
        assert!(
            !proxy.calls().iter().any(|call| sends_foreign(&call.body)),
            "answer {number}"
        );
    }
}

/// All items but the first, with another spelling of the key and other contents.
fn respelled(request: &Value) -> Value {
    let writes = sent(request).into_iter().skip(1).map(|write| {
        let id = write["PutRequest"]["Item"]["id"]["N"]
            .as_str()
            .expect("a number")
            .to_owned();
        put(&json!({ "year": { "N": "0" }, "id": { "N": format!("{id}.0") } }))
    });

    unprocessed(&writes.collect::<Vec<_>>())
}

#[test]
fn unprocessed_items_are_matched_as_dynamodb_compares_keys_and_sent_again_as_they_were() {
    let engine = Engine::embedded();
    for table in ["films", "copy"] {
        engine.client().create(table, |create| {
            create
                .billing_mode(BillingMode::PayPerRequest)
                .attribute_definitions(attribute("id", ScalarAttributeType::N))
                .key_schema(partition("id"))
        });
    }

    let item = |id: u32| {
        [
            ("id".to_owned(), n(id.to_string())),
            ("year".to_owned(), n("1979")),
        ]
        .into()
    };

    engine.client().put("films", (1..=10).map(item));
    let proxy = Proxy::with_rules(
        &engine,
        [calls("BatchWriteItem", 1..=1, Fault::Answered(respelled))],
    );
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    project
        .restoredb(["--env=dev", "--source=out", "--yes", "--verify=none"])
        .exits(0);

    let batches: Vec<_> = proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "BatchWriteItem")
        .collect();

    let of_first = sent(&batches[0].body).split_off(1);
    assert_eq!(sent(&batches[1].body), of_first);
    assert_eq!(
        engine.client().items("copy").len(),
        9,
        "the engine has not seen the first item"
    );
}

/// A page that ends at `last`, of one item: another one for each position at which the page can start.
fn page_until(request: &Value, last: &Value) -> Value {
    let id = request["ExclusiveStartKey"]["id"]["S"]
        .as_str()
        .unwrap_or("0");
    json!({ "Items": [{ "id": { "S": id } }], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": last })
}

#[test]
fn a_scan_that_never_ends_is_an_error_of_the_endpoint() {
    let repeated = |request: &Value| page_until(request, &json!({ "id": { "S": "a" } }));
    let alternating = |request: &Value| {
        let next = if request["ExclusiveStartKey"]["id"]["S"] == "a" {
            "b"
        } else {
            "a"
        };

        page_until(request, &json!({ "id": { "S": next } }))
    };

    let answers: [fn(&Value) -> Value; 6] = [
        repeated,
        alternating,
        |request| page_until(request, &json!({})),
        |request| page_until(request, &json!("a")),
        |request| page_until(request, &json!([{ "id": { "S": "a" } }])),
        |request| page_until(request, &json!(7)),
    ];

    let refused = |run: Run, proxy: &Proxy| {
        run.exits(1)
            .says("Scan ")
            .says(proxy.url())
            .never_says("equal")
    };

    for answer in answers {
        let (engine, project) = dump_of(40);
        engine.client().create_simple("other");
        let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Answered(answer))]);
        let project = project
            .environment("dev", proxy.url(), "films")
            .environment("copy", proxy.url(), "copy");
        for segments in ["--segments=1", "--segments=9", "--segments=32"] {
            refused(
                project.dumpdb(["--env=dev", "--output=new", segments]),
                &proxy,
            );
            assert!(!project.path("new").exists());
        }

        refused(
            project.dumpdb(["--env=dev", "--dry-run", "--transform=.x = {S:\"y\"}"]),
            &proxy,
        );
        refused(project.verifydb(["--env=dev", "--source=out"]), &proxy);
        refused(
            project.verifydb(["--env=dev", "--against-env=local", "--against-table=other"]),
            &proxy,
        );
        refused(
            project.restoredb(["--env=copy", "--source=out", "--yes", "--verify=full"]),
            &proxy,
        );
    }
}

#[test]
fn a_list_of_tables_that_never_ends_is_not_waited_for() {
    let engine = films();
    let endless: fn(&Value) -> Value =
        |_| json!({ "TableNames": [], "LastEvaluatedTableName": "a" });
    let proxy = Proxy::with_rules(&engine, [always("ListTables", Fault::Answered(endless))]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "flims");
    project
        .dumpdb(["--env=dev", "--output=out"])
        .exits(11)
        .says("does not exist");
    assert_eq!(proxy.count("ListTables"), 2);
}
