//! One restore per table at a time, and one journal per table, whatever the environment is called and however its endpoint is written.

use std::fs;
use std::io::Write as _;
use std::process::{Child, Stdio};

use crate::support::client::{numbered, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, calls};
use crate::support::journal::{STATE_DIR, journals};
use crate::support::process::spawn_silent;
use crate::support::project::Project;

const WRITE: &str = "BatchWriteItem";

/// A table `films`, its dump `out`, and the environment `dev`, which is the table `copy` through a proxy.
fn scene() -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    client.put("films", numbered(300));
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, proxy, project)
}

/// Adds environments that reach the same table through other spellings of the URL.
fn with_spellings(mut project: Project, url: &str) -> (Project, Vec<&'static str>) {
    let (_, port) = url.rsplit_once(':').expect("a port");
    let spellings = [
        ("dev-name", url.to_owned()),
        ("dev-slash", format!("{url}/")),
        ("dev-host", format!("http://localhost:{port}")),
        ("dev-case", format!("HTTP://LocalHost:{port}/")),
        ("dev-any", format!("http://0.0.0.0:{port}")),
    ];

    for (name, url) in &spellings {
        project = project.environment(name, url, "copy");
    }

    (project, spellings.map(|(name, _)| name).to_vec())
}

#[test]
fn a_table_that_is_being_restored_is_refused_through_every_spelling_of_its_endpoint() {
    let (_engine, proxy, project) = scene();
    let url = proxy.url().to_owned();
    let (project, spellings) = with_spellings(project, &url);
    // Without an ID of the table, only the endpoint tells that it is the same.
    proxy.set([calls(
        "DescribeTable",
        1..=usize::MAX,
        Fault::Changed(|answer| {
            if let Some(table) = answer["Table"].as_object_mut() {
                table.remove("TableId");
            }
        }),
    )]);
    proxy.hold(WRITE, 2..);
    let arguments = ["--source=out", "--env=dev", "--yes", "--concurrency=1"];
    let mut first = spawn_silent(project.command("restoredb", arguments));
    poll("the restore writes", || proxy.seen(WRITE) > 0);

    for name in spellings {
        let environment = format!("--env={name}");
        project
            .restoredb(["--source=out", &environment, "--yes"])
            .exits(1)
            .says(&format!("is being restored by process {}", first.id()));
    }

    proxy.release();
    assert_eq!(first.wait().expect("a child ends").code(), Some(0));
    let left = project.names(STATE_DIR);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_table_that_is_being_restored_is_refused_through_another_endpoint() {
    let (engine, proxy, project) = scene();
    let project = project.environment("direct", engine.url(), "copy");
    proxy.hold(WRITE, 2..);
    let arguments = ["--source=out", "--env=dev", "--yes", "--concurrency=1"];
    let mut first = spawn_silent(project.command("restoredb", arguments));
    poll("the restore writes", || proxy.seen(WRITE) > 0);

    for more in ["--if-missing", "--replace", "--dry-run"] {
        project
            .restoredb(["--source=out", "--env=direct", "--yes", more])
            .exits(1)
            .says(&format!("is being restored by process {}", first.id()));
    }

    // Another table with the same endpoint.
    project
        .restoredb(["--source=out", "--env=direct", "--yes", "--table=third"])
        .exits(0);
    proxy.release();
    assert_eq!(first.wait().expect("a child ends").code(), Some(0));
    let left = project.names(STATE_DIR);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_restore_is_resumed_through_an_environment_with_another_name_and_spelling() {
    let (engine, proxy, project) = scene();
    let url = proxy.url().to_owned();
    let (project, spellings) = with_spellings(project, &url);
    for name in spellings {
        let first_refused = proxy.seen(WRITE) + 9;
        proxy.set([calls(
            WRITE,
            first_refused..=usize::MAX,
            Fault::TableThrottled,
        )]);
        let first = ["--source=out", "--env=dev", "--yes", "--replace"];
        project
            .restoredb(
                first
                    .iter()
                    .chain(&["--give-up-after=1s", "--concurrency=1"]),
            )
            .exits(1);
        assert_eq!(journals(&project).len(), 1);

        proxy.heal();
        let environment = format!("--env={name}");
        let summary = project
            .restoredb(["--source=out", &environment, "--yes", "--resume", "--json"])
            .exits(0)
            .report();
        let resumed = &summary["summary"]["resumed"]["items"];
        assert!(resumed.as_u64() > Some(0), "{name}: {summary:#}");
        assert!(journals(&project).is_empty());
        let client = engine.client();
        assert_eq!(client.items("copy"), client.items("films"));
    }
}

/// A restore of standard input that waits for more items.
fn restore_of_an_open_pipe(project: &Project, environment: &str) -> Child {
    let arguments = [
        "--source=-",
        "--schema=out/table-schema.json",
        "--yes",
        environment,
    ];
    let mut command = project.command("restoredb", arguments);
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = spawned.expect("the command starts");
    poll("the table is locked", || {
        let state = project.path(STATE_DIR);
        fs::read_dir(state).is_ok_and(|entries| entries.count() > 0)
    });

    child
}

/// Ends the pipe after one item, and with it the restore.
fn finished(mut child: Child) {
    let mut input = child.stdin.take().expect("stdin is piped");
    input
        .write_all(b"{\"id\":{\"S\":\"a\"}}\n")
        .expect("the restore reads");
    drop(input);
    assert_eq!(child.wait().expect("a child ends").code(), Some(0));
}

#[test]
fn a_database_file_is_the_same_under_each_of_its_names() {
    let (_engine, _, project) = scene();
    let project = project
        .environment("one", "embedded:one.db", "films")
        .environment_with("two", "embedded:two.db", "DYNAMODB_TABLE=films\n")
        .environment("three", "embedded:./envs/../three.db", "films")
        .environment("fresh", "embedded:fresh.db", "films")
        .environment("again", "embedded:./fresh.db", "films");
    project
        .restoredb(["--source=out", "--env=one", "--table=other", "--yes"])
        .exits(0);
    fs::hard_link(project.path("one.db"), project.path("two.db")).expect("a hard link");
    std::os::unix::fs::symlink(project.path("one.db"), project.path("three.db"))
        .expect("a symbolic link");

    // The file of `fresh` does not exist before the first restore.
    for (first, others) in [("one", &["two", "three"][..]), ("fresh", &["again"])] {
        let child = restore_of_an_open_pipe(&project, &format!("--env={first}"));
        for other in others {
            project
                .restoredb(["--source=out", &format!("--env={other}"), "--yes"])
                .exits(1)
                .says(&format!("is being restored by process {}", child.id()));
        }

        finished(child);
    }
}
