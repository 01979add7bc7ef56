//! `servedb`: what an application finds at its endpoint, and how it starts and stops.

mod from_dumps;
mod locks;
mod refusals;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use rustix::process::Signal;

use crate::support::client::{numbered, s, strings};
use crate::support::port::silent_port;
use crate::support::project::{Project, REGION};
use crate::support::served::Served;

/// A project whose environment `local` is a port at which nothing listens.
fn project() -> (Project, String) {
    let (socket, address) = silent_port();
    drop(socket);
    let url = format!("http://localhost:{}", address.port());

    (Project::empty().environment_with("local", &url, ""), url)
}

/// Serves a database in memory on a free port.
const IN_MEMORY: [&str; 3] = ["--no-env", "--memory", "--listen=127.0.0.1:0"];

fn health(address: &str) -> String {
    let mut connection = TcpStream::connect(address).expect("it listens");
    write!(
        connection,
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("a request can be sent");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .expect("the answer is text");

    answer
}

#[test]
fn an_application_gets_the_endpoint_of_the_environment_and_the_data_survives_a_restart() {
    let (project, url) = project();
    let served = Served::start(&project, []);
    assert_eq!(served.url(), url);
    assert_eq!(served.setting("AWS_ENDPOINT_URL_DYNAMODB_STREAMS"), url);
    assert_eq!(served.setting("AWS_REGION"), REGION);
    assert_eq!(served.setting("AWS_DEFAULT_REGION"), REGION);
    assert_eq!(served.setting("AWS_ACCESS_KEY_ID"), "local");
    assert_eq!(served.setting("AWS_SECRET_ACCESS_KEY"), "local");

    served.client().create_simple("films");
    served.client().put("films", numbered(30));
    let (status, messages) = served.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{messages}");
    assert!(
        messages.contains("local.db at http://localhost:"),
        "{messages}"
    );

    assert_eq!(project.names("."), ["envs", "local.db"]);
    let served = Served::start(&project, []);
    assert_eq!(served.client().items("films").len(), 30);
    served.stop(Signal::TERM);

    // The same file without a server.
    project
        .dumpdb([
            "--endpoint-url=embedded:local.db",
            "--table=films",
            "--output=out",
        ])
        .exits(0);
    project.verifydb(["out"]).exits(0);
}

#[test]
fn the_other_commands_use_the_served_environment() {
    let (project, _) = project();
    let served = Served::start(&project, ["--memory"]);
    served.client().create_simple("films");
    served.client().put("films", numbered(30));

    project.dumpdb(["--table=films", "--output=out"]).exits(0);
    project
        .restoredb(["--source=out", "--table=copy", "--yes"])
        .exits(0);
    assert_eq!(served.client().items("copy").len(), 30);

    served.stop(Signal::TERM);
    assert!(!project.path("local.db").exists());
}

#[test]
fn an_embedded_environment_is_served_with_its_sample() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/envs/sample");
    let lines = format!("DYNADUMP_SAMPLE={sample}\n");
    let project = Project::empty().environment_with("demo", "embedded:envs/demo.db", &lines);

    let served = Served::start(&project, ["--env=demo", "--listen=127.0.0.1:0"]);
    assert_eq!(served.client().items("FilmCatalogue").len(), 312);
    assert!(project.path("envs/demo.db").exists());
}

#[test]
fn health_checks_get_status_200() {
    let served = Served::start(&Project::empty(), IN_MEMORY);
    let answer = health(served.address());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("healthy: "), "{answer}");
}

#[test]
fn queries_and_transactions_of_the_sdk_work() {
    let served = Served::start(&Project::empty(), IN_MEMORY);
    let client = served.client();
    client.create_simple("films");

    let put = |id: &str| {
        let put = Put::builder()
            .table_name("films")
            .set_item(Some(strings([("id", id), ("title", "Solaris")])))
            .condition_expression("attribute_not_exists(id)")
            .build()
            .expect("a complete request");
        TransactWriteItem::builder().put(put).build()
    };
    let is_written = |items: Vec<TransactWriteItem>| {
        let written = client.ask(|sdk| {
            sdk.transact_write_items()
                .set_transact_items(Some(items))
                .send()
        });
        written.is_ok()
    };
    assert!(is_written(vec![put("a"), put("b")]), "both items are new");
    assert!(!is_written(vec![put("c"), put("a")]), "one item exists");

    let found = client.ask(|sdk| {
        sdk.query()
            .table_name("films")
            .key_condition_expression("id = :id")
            .expression_attribute_values(":id", s("b"))
            .send()
    });
    assert_eq!(found.expect("a query").count(), 1);
    // The cancelled transaction has written nothing.
    assert_eq!(client.items("films").len(), 2);
}

#[test]
fn the_ready_file_has_the_settings_and_exists_only_while_it_serves() {
    let project = Project::empty();
    // Of a process that was killed.
    project.write(
        "ready.env",
        "AWS_ENDPOINT_URL_DYNAMODB=http://localhost:1\n",
    );
    let [no_env, memory, listen] = IN_MEMORY;
    let arguments = [no_env, memory, listen, "--ready-file=ready.env"];

    let served = Served::start(&project, arguments);
    // It is written right after the settings are printed.
    crate::support::client::poll("the ready file", || project.path("ready.env").exists());
    assert_eq!(project.text("ready.env"), served.settings);

    for signal in [Signal::INT, Signal::TERM] {
        let served = Served::start(&project, arguments);
        crate::support::client::poll("the ready file", || project.path("ready.env").exists());
        let (status, messages) = served.stop(signal);
        assert_eq!(status.code(), Some(0), "{messages}");
        assert!(messages.contains("[INFO] Stopping."), "{messages}");
        assert_eq!(project.names("."), Vec::<String>::new());
    }
}

#[test]
fn an_open_connection_does_not_keep_it_from_stopping() {
    let served = Served::start(&Project::empty(), IN_MEMORY);
    // A client that keeps its connection, as all SDKs do.
    let client = served.client();
    client.create_simple("films");
    let (status, messages) = served.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{messages}");
    drop(client);
}
