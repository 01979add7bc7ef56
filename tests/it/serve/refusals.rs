//! What `servedb` refuses to serve, and where.

use std::net::TcpListener;

use crate::support::project::{Project, Run, run};
use crate::support::served::Served;

fn servedb<const N: usize>(project: &Project, arguments: [&str; N]) -> Run {
    run(project.command("servedb", arguments), Vec::new())
}

#[test]
fn a_port_in_use_is_named_with_the_process_that_listens_there() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("a bound socket").port();
    let url = format!("http://localhost:{port}");
    let project = Project::empty().environment_with("local", &url, "");

    let refused = servedb(&project, [])
        .exits(1)
        .says(&format!("port {port} is in use by"));
    if cfg!(target_os = "linux") {
        refused.says(&format!("(process {})", std::process::id()));
    }

    // Nothing was created.
    assert_eq!(project.names("."), ["envs"]);
}

#[test]
fn an_endpoint_on_another_machine_needs_an_address() {
    for url in [
        "https://dynamodb.eu-central-1.amazonaws.com",
        "http://localstack:4566",
        "embedded:dev.db",
    ] {
        let project = Project::empty().environment_with("dev", url, "");
        servedb(&project, ["--env=dev"])
            .exits(2)
            .says("the endpoint of environment dev is not a port of this machine")
            .says("--listen 127.0.0.1:8000");

        let served = Served::start(&project, ["--env=dev", "--listen=127.0.0.1:0"]);
        served.client().create_simple("films");
        assert!(project.path("dev.db").exists());
    }
}

#[test]
fn a_protected_environment_is_refused() {
    for (name, lines) in [("prod", ""), ("local", "DYNADUMP_PROTECTED=true\n")] {
        let project = Project::empty().environment_with(name, "http://localhost:4566", lines);
        let env = format!("--env={name}");
        servedb(&project, [env.as_str(), "--listen=127.0.0.1:0"])
            .exits(2)
            .says(&format!("environment {name} is protected"));
        assert_eq!(project.names("."), ["envs"]);
    }
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let project = Project::empty();
    let served = Served::start(&project, ["--no-env", "--memory", "--listen=0.0.0.0:0"]);
    // For clients on this machine.
    assert!(served.url().starts_with("http://127.0.0.1:"));
    served.client().create_simple("films");

    let (_, messages) = served.stop(rustix::process::Signal::TERM);
    assert!(
        messages.contains("[WARNING] Listening on 0.0.0.0:0: other machines can read"),
        "{messages}"
    );

    let served = Served::start(&project, ["--no-env", "--memory", "--listen=127.0.0.1:0"]);
    let (_, messages) = served.stop(rustix::process::Signal::TERM);
    assert!(!messages.contains("[WARNING]"), "{messages}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let project = Project::empty();
    project.write("data.db", "not a database, but longer than a header of SQLite is, which has 100 bytes in its first page");
    servedb(
        &project,
        ["--no-env", "--database=data.db", "--listen=127.0.0.1:0"],
    )
    .exits(1)
    .says("cannot be used");
    assert_eq!(project.names("."), ["data.db"]);
}
