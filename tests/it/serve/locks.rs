//! A database file belongs to the `servedb` that serves it.

use rustix::process::Signal;

use crate::support::client::numbered;
use crate::support::project::{Project, dump_of, run};
use crate::support::pty::Terminal;
use crate::support::served::Served;

const EMBEDDED: &str = "--endpoint-url=embedded:data.db";

#[test]
fn other_commands_are_referred_to_the_url_of_a_served_file() {
    let (_engine, project) = dump_of(3);
    let project = project.environment("served", "embedded:data.db", "films");
    let served = Served::start(
        &project,
        ["--no-env", "--database=data.db", "--listen=127.0.0.1:0"],
    );
    served.client().create_simple("films");
    served.client().put("films", numbered(3));
    let hint = format!("hint: use {} as the endpoint", served.url());
    let holder = format!("served by servedb, process {} on", served.id());

    let dump = || project.dumpdb(["--no-env", EMBEDDED, "--table=films", "--output=again"]);
    dump().exits(1).says(&hint).says(&holder);
    for arguments in [&["--yes"][..], &["--dry-run"]] {
        let all = ["--no-env", EMBEDDED, "--source=out"];
        project
            .restoredb(all.iter().chain(arguments))
            .exits(1)
            .says(&hint);
    }
    project
        .verifydb(["--no-env", EMBEDDED, "--table=films", "--source=out"])
        .exits(1)
        .says(&hint);

    for arguments in [
        ["--from=served", "--to=local"],
        ["--from=local", "--to=served"],
    ] {
        project
            .copydb(arguments.iter().chain(&["--table=films", "--yes"]))
            .exits(1)
            .says(&hint);
    }

    // Another server on another port.
    let arguments = ["--no-env", "--database=data.db", "--listen=127.0.0.1:0"];
    run(project.command("servedb", arguments), Vec::new())
        .exits(1)
        .says(&hint);

    served.stop(Signal::TERM);
    dump().exits(0);
}

#[test]
fn a_server_that_was_killed_does_not_block_its_file() {
    let project = Project::empty();
    let arguments = ["--no-env", "--database=data.db", "--listen=127.0.0.1:0"];
    let served = Served::start(&project, arguments);
    served.client().create_simple("films");
    served.client().put("films", numbered(3));
    served.stop(Signal::KILL);
    assert!(project.path("data.db-lock").exists());

    project
        .dumpdb(["--no-env", EMBEDDED, "--table=films", "--output=out"])
        .exits(0);
    let served = Served::start(&project, arguments);
    assert_eq!(served.client().items("films").len(), 3);
}

#[test]
fn a_file_that_another_command_has_open_is_not_served() {
    let (_engine, project) = dump_of(3);
    let restore = |table, more: &[&'static str]| {
        let arguments = ["--no-env", EMBEDDED, "--source=out", table];
        project.command("restoredb", arguments.iter().chain(more))
    };
    run(restore("--table=films", &["--yes"]), Vec::new()).exits(0);

    // It has opened the file, and waits for an answer. Another command may use the file, too.
    let mut waiting = Terminal::run(restore("--table=copy", &[]));
    waiting.reads("[y/N]");
    project
        .dumpdb(["--no-env", EMBEDDED, "--table=films", "--output=again"])
        .exits(0);

    let arguments = ["--no-env", "--database=data.db", "--listen=127.0.0.1:0"];
    run(project.command("servedb", arguments), Vec::new())
        .exits(1)
        .says("data.db is open in another process")
        .says("hint: start servedb when that command has ended");

    waiting.types("y");
    waiting.ends(0);
    assert!(!project.path("data.db-lock").exists());
    let served = Served::start(&project, arguments);
    assert_eq!(served.client().items("copy").len(), 3);
}
