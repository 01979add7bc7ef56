//! Common failures: each error says what happened, where, and what to do next.

use std::thread;
use std::time::Duration;

use aws_sdk_dynamodb::types::{BillingMode, ScalarAttributeType};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::{attribute, partition, sort};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls, with_text};
use crate::support::port::silent_port;
use crate::support::project::{Project, dump_of, run};

#[test]
fn an_engine_that_is_not_running_is_reported_immediately() {
    let (_socket, address) = silent_port();
    let url = format!("http://{address}");
    let project = Project::empty().environment("local", &url, "films");
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project
        .dumpdb(["--output=out"])
        .exits(11)
        .says(&url)
        .says("embedded:")
        .says("--wait 60s")
        .never_says("without progress");

    project
        .restoredb(["--source=items.jsonl"])
        .exits(11)
        .says(&url)
        .never_says("without progress");

    assert!(!project.path("out").exists());
}

#[test]
fn an_engine_that_starts_late_is_waited_for() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let (socket, address) = silent_port();
    let url = format!("http://{address}");
    let project = Project::empty().environment("local", &url, "films");
    let dump = {
        let command = project.command("dumpdb", ["--output=out", "--wait=60s"]);
        thread::spawn(move || run(command, Vec::new()))
    };

    // The endpoint appears after the command has found nothing there.
    listen_late(socket, engine.address());
    dump.join().expect("the run does not panic").exits(0);

    let (_socket, address) = silent_port();
    let url = format!("http://{address}");
    let project = Project::empty().environment("local", &url, "films");
    project.dumpdb(["--output=out", "--wait=1s"]).exits(11);
}

/// Forwards a port to an engine, but only after a while.
fn listen_late(socket: TcpSocket, engine: String) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for the port");

    thread::spawn(move || {
        runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let listener = socket.listen(64).expect("the port is ours");
            while let Ok((mut client, _)) = listener.accept().await {
                let engine = TcpStream::connect(engine.clone()).await;
                let mut engine = engine.expect("the engine runs");
                tokio::spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut engine).await);
                });
            }
        });
    });
}

#[test]
fn a_table_that_is_not_there_is_named_with_those_that_come_close() {
    let engine = Engine::any();
    let table = engine.table("film-catalogue");
    engine.client().create_simple(&table);
    let project = Project::on(&engine, &table);
    let misspelt = table.replacen("film-", "flim-", 1);
    let run = project
        .dumpdb(["--output=out", "--table", &misspelt])
        .exits(11);
    run.says(&misspelt).says("does not exist").says(&table);
    let far = project
        .dumpdb(["--output=out", "--table=zzzzzzzzzzzzzzzz"])
        .exits(11);
    far.says("does not exist")
        .says("DYNAMODB_TABLE")
        .never_says(&table);
    assert!(!project.path("out").exists());
}

#[test]
fn a_missing_table_is_reported_without_similar_names_if_listing_is_denied() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let denied = Fault::Refused("AccessDeniedException", "no");
    let proxy = Proxy::with_rules(&engine, [always("ListTables", denied)]);
    let project = Project::empty().environment("dev", proxy.url(), "flims");
    project
        .dumpdb(["--env=dev", "--output=out"])
        .exits(11)
        .says("does not exist")
        .says("DYNAMODB_TABLE")
        .never_says("no tables");
}

#[test]
fn the_name_of_an_environment_as_the_table_is_recognized() {
    let engine = Engine::any();
    let project = Project::on(&engine, &engine.table("films"));
    let project = project.environment("dev", engine.url(), "films");
    project
        .dumpdb(["dev"])
        .exits(11)
        .says("did you mean --env=dev?");

    let (_socket, address) = silent_port();
    let url = format!("http://{address}");
    project
        .environment("local", &url, "films")
        .dumpdb(["dev"])
        .exits(11)
        .says("did you mean --env=dev?");
}

#[test]
fn the_diagnosis_is_named_where_it_finds_more() {
    const DIAGNOSIS: &str = "`dumpdb --env=dev --doctor`";
    let elsewhere = Project::empty().environment("dev", "http://nowhere.invalid:8000", "films");
    let dump = ["--env=dev", "--output=x"];
    elsewhere.dumpdb(dump).exits(11).says(DIAGNOSIS);
    elsewhere
        .dumpdb(["--env=dev", "--doctor"])
        .exits(11)
        .never_says(DIAGNOSIS);

    let (engine, project) = dump_of(3);
    let denied = || Fault::Refused("AccessDeniedException", "no");
    let rules = [
        calls("Scan", 1..=1, denied()),
        always("BatchWriteItem", denied()),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "films");
    project.dumpdb(dump).exits(10).says(DIAGNOSIS);
    // A diagnosis calls nothing that writes.
    project
        .restoredb(["--env=dev", "--source=out", "--table=copy", "--yes"])
        .exits(10)
        .says("allow dynamodb:BatchWriteItem")
        .never_says(DIAGNOSIS);

    // An engine on this machine is not running.
    let (_socket, address) = silent_port();
    let url = format!("http://{address}");
    let stopped = Project::empty().environment("dev", &url, "films");
    stopped.dumpdb(dump).exits(11).never_says(DIAGNOSIS);
}

#[test]
fn an_environment_file_that_is_not_there() {
    let project = Project::empty().environment("local", "http://127.0.0.1:9", "films");
    project
        .dumpdb(["--env=prod"])
        .exits(10)
        .says("envs/.env.prod")
        .says("local");

    project
        .restoredb(["--env=prod"])
        .exits(10)
        .says("envs/.env.prod")
        .says("local");
}

#[test]
fn no_table_and_no_schema() {
    let engine = Engine::any();
    let table = engine.table("films");
    let project = Project::on(&engine, &table);
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    let run = project
        .restoredb(["--source=items.jsonl"])
        .exits(13)
        .says(&table);
    run.says("no schema")
        .says("pass a file with --schema")
        .says("create the table first");
    assert!(engine.client().describe(&table).is_none());
}

#[test]
fn another_environment_is_warned_of() {
    let (engine, project) = dump_of(2);
    let project = project.environment("dev", engine.url(), "copy");
    let run = project.restoredb(["--source=out", "--env=dev"]).exits(4);
    run.says("[WARNING] Cross-environment restore detected!")
        .says("[WARNING] Source: local → Target: dev");
}

#[test]
fn items_that_are_refused_are_kept_and_the_rest_is_written() {
    let (engine, project) = dump_of(120);
    let message = "One or more parameter values were invalid";
    let rules = ["item 17 ", "item 18 ", "item 93 "].map(|text| {
        with_text(
            "BatchWriteItem",
            text,
            Fault::Refused("ValidationException", message),
        )
    });

    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--json"])
        .exits(3)
        .says("rejects");
    let report = run.report();
    assert_eq!(
        (
            &report["summary"]["items_rejected"],
            &report["summary"]["items_written"]
        ),
        (&3.into(), &117.into()),
        "{report:#}"
    );

    assert_eq!(engine.client().items("copy").len(), 117);
    let rejects = report["summary"]["rejects_file"]
        .as_str()
        .expect("a file of rejects");
    let text = project.text(rejects);
    assert_eq!(text.lines().count(), 3, "{text}");

    for (line, number) in text.lines().zip([17, 18, 93]) {
        let reject: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(
            reject["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(message)),
            "{line}"
        );

        assert!(text.contains(&format!("item {number} ")), "{text}");
        assert!(reject.to_string().contains("item-0000"), "{line}");
    }

    assert!(
        !project
            .names("out")
            .iter()
            .any(|name| name.contains("reject")),
        "no reject lies in the dump"
    );
}

#[test]
fn rejects_in_the_state_directory_are_of_one_source_each() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::on(&engine, "films");
    let without_key = |name: &str| format!("{{\"name\":{{\"S\":\"{name}\"}}}}\n");

    // Beside names of this length there is none that is longer; and files in two folders may have the same one.
    let long = format!("{}.jsonl", "\u{e9}".repeat(120));
    let mut runs = Vec::new();
    for folder in ["a", "b"] {
        let path = project.write(format!("{folder}/{long}"), without_key(folder));
        let source = format!("--source={}", path.display());
        runs.push((folder, project.restoredb([&source, "--json"])));
    }

    for input in ["c", "d"] {
        runs.push((
            input,
            project.restoredb_from(without_key(input).as_bytes(), ["--source=-", "--json"]),
        ));
    }

    for (name, run) in runs {
        let report = run.exits(3).report();
        let rejects = report["summary"]["rejects_file"]
            .as_str()
            .expect("a file of rejects");
        assert!(rejects.contains("/.local/state/dynadump/"), "{rejects}");
        assert!(
            project
                .text(rejects)
                .contains(&format!("{{\"S\":\"{name}\"}}")),
            "{}",
            project.text(rejects)
        );
    }

    assert_eq!(project.names(".local/state/dynadump").len(), 4);
}

#[test]
fn a_read_only_database_is_reported_immediately() {
    let (engine, project) = dump_of(1);
    let words = "backend: attempt to write a readonly database";
    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "CreateTable",
            Fault::Refused("InternalServerError", words),
        )],
    );

    let project = project.environment("dev", proxy.url(), "copy");
    project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(1)
        .says(words)
        .never_says("without progress");

    assert_eq!(proxy.count("CreateTable"), 1);
}

#[test]
fn a_full_disk_below_the_engine_ends_a_restore_without_retries() {
    let (engine, project) = dump_of(1);
    let words = "backend: database or disk is full";
    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "BatchWriteItem",
            Fault::Refused("InternalServerError", words),
        )],
    );

    let project = project.environment("dev", proxy.url(), "copy");
    project
        .restoredb(["--source=out", "--env=dev", "--yes", "--give-up-after=10s"])
        .exits(1)
        .says(words)
        .says("--resume")
        .never_says("without progress");

    assert_eq!(proxy.count("BatchWriteItem"), 1);
}

#[test]
fn no_credentials() {
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\n",
    );
    let run = project.dumpdb(["--env=dev", "--output=out"]).exits(10);
    run.says("credentials").says("AWS_PROFILE");
    project.write(
        "envs/.env.sso",
        "DYNAMODB_TABLE=films\nAWS_REGION=eu-central-1\nAWS_PROFILE=nobody\n",
    );
    project
        .dumpdb(["--env=sso", "--output=out"])
        .exits(10)
        .says("profile \"nobody\" (envs/.env.sso line 3) does not exist")
        .says("aws configure sso --profile nobody");
}

#[test]
fn throttling_that_will_not_drain() {
    let (engine, project) = dump_of(60);
    let proxy = Proxy::with_rules(&engine, [always("BatchWriteItem", Fault::TableThrottled)]);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = ["--source=out", "--env=dev", "--yes", "--give-up-after=4s"];
    project
        .restoredb(arguments)
        .exits(1)
        .says("ProvisionedThroughputExceededException")
        .says("response after 4s without progress")
        .says("0 of")
        .says("capacity");
    assert!(proxy.count("BatchWriteItem") > 3, "it was tried again");

    let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::AccountThrottled)]);
    let project = project.environment("test", proxy.url(), "films");
    project
        .dumpdb(["--env=test", "--output=again", "--give-up-after=1s"])
        .exits(1)
        .says("ThrottlingException");
    assert!(!project.path("again").exists());
}

#[test]
fn a_failed_restore_is_unfinished_until_it_completes() {
    let (engine, project) = dump_of(300);
    // The fourth call and many after it fail, until the first run has given up.
    let proxy = Proxy::with_rules(
        &engine,
        [calls(
            "BatchWriteItem",
            4..=usize::MAX,
            Fault::TableThrottled,
        )],
    );

    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--if-missing",
        "--give-up-after=1s",
    ];

    project.restoredb(arguments).exits(1);
    let half = engine.client().items("copy").len();
    assert!(half > 0 && half < 300, "{half}");

    // The table is there now, but half a table is not what was asked for.
    project.restoredb(arguments).exits(1);
    proxy.heal();
    project.restoredb(arguments).exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
    let kept = project
        .restoredb(arguments.iter().chain(&["--json"]))
        .exits(0)
        .report();
    assert_eq!(kept["summary"]["table"], "kept", "{kept:#}");
}

#[test]
fn an_unfinished_restore_is_known_under_another_spelling_of_its_endpoint() {
    let (engine, project) = dump_of(300);
    let proxy = Proxy::with_rules(
        &engine,
        [calls(
            "BatchWriteItem",
            4..=usize::MAX,
            Fault::TableThrottled,
        )],
    );

    let spelled = |name: &str| format!("{}/", proxy.url().replace("127.0.0.1", name));
    let project = project.environment("dev", proxy.url(), "copy").environment(
        "laptop",
        &spelled("LocalHost"),
        "copy",
    );

    project
        .restoredb(["--source=out", "--env=dev", "--yes", "--give-up-after=1s"])
        .exits(1);
    proxy.heal();
    let run = project
        .restoredb(["--source=out", "--env=laptop", "--yes", "--if-missing"])
        .exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films"),
        "{run}"
    );
}

#[test]
fn a_key_of_another_shape_is_refused_before_the_first_write() {
    let (engine, project) = dump_of(5);
    let proxy = Proxy::with_rules(&engine, []);
    engine.client().create("other", |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("director", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .key_schema(partition("director"))
            .key_schema(sort("year"))
    });

    let project = project.environment("dev", proxy.url(), "other");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(13);
    run.says("key")
        .says("id")
        .says("director")
        .says("year")
        .says("--table");

    assert_eq!(proxy.count("BatchWriteItem"), 0);

    // Items without the key are no reason to stop: each is rejected by itself.
    project.write(
        "items.jsonl",
        "{\"director\":{\"S\":\"a\"},\"year\":{\"N\":\"1\"}}\n{\"director\":{\"S\":\"b\"}}\n",
    );
    project
        .restoredb(["--source=items.jsonl", "--env=dev", "--yes"])
        .exits(3)
        .says("1");
    assert_eq!(engine.client().items("other").len(), 1);
}

#[test]
fn only_the_oversized_item_is_rejected() {
    let (engine, project) = dump_of(1);
    let line = |id: &str, bytes: usize| {
        format!(
            "{{\"id\":{{\"S\":\"{id}\"}},\"t\":{{\"S\":\"{}\"}}}}\n",
            "x".repeat(bytes)
        )
    };

    // 409,600 bytes are taken: 2 + 3 for the key, 1 for the name, the rest for the text.
    project.write(
        "items.jsonl",
        [
            line("one", 10),
            line("max", 409_594),
            line("big", 409_595),
            line("two", 10),
        ]
        .concat(),
    );

    let report = project
        .restoredb(["--source=items.jsonl", "--json"])
        .exits(3)
        .report();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_rejected"]),
        (&3.into(), &1.into()),
        "{report:#}"
    );

    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    assert!(
        rejects.contains("\"big\"") && rejects.to_lowercase().contains("size"),
        "{}",
        &rejects[..200]
    );

    assert_eq!(engine.client().items("films").len(), 4);
}

#[test]
fn access_denied_names_the_permission() {
    let (engine, project) = dump_of(3);
    for (operation, arguments, tool) in [
        ("DescribeTable", &["--env=dev", "--output=x"][..], "dumpdb"),
        (
            "Scan",
            &["--env=dev", "--output=x", "--segments=1"],
            "dumpdb",
        ),
        (
            "CreateTable",
            &["--env=dev", "--source=out", "--yes", "--table=copy"],
            "restoredb",
        ),
        (
            "BatchWriteItem",
            &["--env=dev", "--source=out", "--yes"],
            "restoredb",
        ),
    ] {
        let denied = Fault::Refused(
            "AccessDeniedException",
            "User: arn:aws:iam::000000000000:user/eve is not authorized",
        );
        let proxy = Proxy::with_rules(&engine, [always(operation, denied)]);
        let elsewhere = Project::empty().environment("dev", proxy.url(), "films");
        for file in project.names("out") {
            elsewhere.write(format!("out/{file}"), project.bytes(format!("out/{file}")));
        }

        let run = run(elsewhere.command(tool, arguments), Vec::new())
            .exits(10)
            .says(&format!("dynamodb:{operation}"));
        // The refusal may be about the tag of the new table, which is left out once.
        let requests = if operation == "CreateTable" { 2 } else { 1 };
        assert_eq!(
            proxy.count(operation),
            requests,
            "a refusal is not tried again: {run}"
        );

        assert!(!elsewhere.path("x").exists());
    }
}

#[test]
fn expired_credentials_are_an_environment_error() {
    let (engine, _project) = dump_of(1);
    let expired = Fault::Refused(
        "ExpiredTokenException",
        "The security token included in the request is expired",
    );
    let proxy = Proxy::with_rules(&engine, [always("DescribeTable", expired)]);
    let project = Project::empty().environment("dev", proxy.url(), "films");
    project
        .dumpdb(["--env=dev", "--output=x"])
        .exits(10)
        .says("ExpiredTokenException")
        .says("hint: get new credentials to replace the expired ones: static keys, envs/.env.dev line 3");
}
