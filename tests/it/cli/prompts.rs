//! Prompts in a pseudo-terminal, and the behaviour without a terminal.

use crate::support::client::{Client, numbered};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, run};
use crate::support::pty::Terminal;

/// A dump of `prod` in `out`, and the environments `local` and `prod-eu` with an empty place for it each.
fn prod_dump() -> (Engine, Client, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    client.put("films", numbered(6));
    let project = Project::on(&engine, "laptop")
        .environment("prod", engine.url(), "films")
        .environment("prod-eu", engine.url(), "precious");
    project.dumpdb(["--env=prod", "--output=out"]).exits(0);

    (engine, client, project)
}

fn restore(project: &Project, arguments: &[&str]) -> Terminal {
    Terminal::run(project.command("restoredb", ["--source=out"].iter().chain(arguments)))
}

#[test]
fn yes_restores() {
    let (_engine, client, project) = prod_dump();
    let mut terminal = restore(&project, &["--env=local"]);
    terminal
        .reads("Cross-environment restore detected!")
        .reads("Target: local")
        .reads("laptop");
    terminal.reads("[y/N]").types("y");
    terminal.ends(0);
    assert_eq!(client.items("laptop").len(), 6);
}

#[test]
fn no_and_enter_restore_nothing() {
    for answer in ["n", ""] {
        let (_engine, client, project) = prod_dump();
        let mut terminal = restore(&project, &["--env=local"]);
        terminal.reads("[y/N]").types(answer);
        assert!(terminal.ends(4).contains("nothing was changed"));
        assert!(client.describe("laptop").is_none());
    }
}

#[test]
fn ctrl_c_at_a_question_restores_nothing() {
    let (_engine, client, project) = prod_dump();
    let mut terminal = restore(&project, &["--env=local"]);
    terminal.reads("[y/N]").interrupts();
    terminal.ends(130);
    assert!(client.describe("laptop").is_none());
}

#[test]
fn a_key_without_enter_is_no_answer() {
    let (_engine, client, project) = prod_dump();
    let mut terminal = restore(&project, &["--env=local"]);
    // The prompt shows the answer that Enter would confirm.
    terminal
        .reads("[y/N]")
        .presses("y")
        .reads("[Y/n]")
        .interrupts();
    terminal.ends(130);
    assert!(client.describe("laptop").is_none());
}

#[test]
fn a_prompt_states_what_will_be_done() {
    let (engine, client, project) = prod_dump();
    let mut terminal = restore(&project, &["--env=local"]);
    terminal
        .reads("Create table laptop (local) and write 6 items into it? [y/N]")
        .types("y");
    terminal.ends(0);

    let mut terminal = restore(&project, &["--env=local"]);
    terminal
        .reads("Write 6 items into table laptop (local)? [y/N]")
        .types("n");
    terminal.ends(4);

    let mut terminal = restore(&project, &["--env=local", "--replace"]);
    terminal
        .reads("Delete laptop (~6 items, local) and recreate it? [y/N]")
        .types("n");
    terminal.ends(4);

    let mut terminal = restore(&project, &["--env=prod-eu", "--schema-only"]);
    terminal
        .reads("Create table precious (prod-eu)? prod-eu is protected: type the name of the table to confirm")
        .types("precious");
    terminal.ends(0);

    let place = format!("staging, {}", engine.distant_url());
    let project = project.environment("staging", &engine.distant_url(), "laptop");
    let mut terminal = restore(&project, &["--env=staging"]);
    terminal
        .reads(&format!("Write 6 items into table laptop ({place}"))
        .reads("? [y/N]")
        .types("n");
    terminal.ends(4);
    assert_eq!(client.items("laptop").len(), 6);

    let dump = ["--env=local", "--output=out", "--limit=1"];
    let mut terminal = Terminal::run(project.command("dumpdb", dump));
    terminal
        .reads("Replace the dump in ")
        .reads("? [y/N]")
        .types("n");
    terminal.ends(4);
}

/// Plain `http://` to a host elsewhere: the command is refused before its first request.
#[test]
fn a_protected_environment_needs_an_encrypted_connection() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, []);
    let remote = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = Project::empty()
        .environment("prod", &remote, "films")
        .environment("staging", &remote, "films");
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");

    let commands: [(&str, &[&str]); 5] = [
        ("dumpdb", &["--output=out"]),
        ("restoredb", &["--source=items.jsonl", "--confirm=films"]),
        ("restoredb", &["--source=items.jsonl", "--dry-run"]),
        ("verifydb", &["--against-table=copy"]),
        ("verifydb", &["--source=items.jsonl"]),
    ];
    for (program, arguments) in commands {
        let command = project.command(program, ["--env=prod"].iter().chain(arguments));
        run(command, Vec::new())
            .exits(10)
            .says("protected environment prod would not be encrypted: http://0.0.0.0")
            .says("--allow-insecure-endpoint");
    }

    assert_eq!(proxy.calls().len(), 0);

    for arguments in [
        ["--env=prod", "--output=a", "--allow-insecure-endpoint"],
        ["--env=staging", "--output=b", "--json"],
    ] {
        project
            .dumpdb(arguments)
            .exits(0)
            .says("[WARNING] The connection to http://0.0.0.0")
            .says("is not encrypted");
    }
}

#[test]
fn a_protected_target_wants_the_name_of_its_table() {
    let (_engine, client, project) = prod_dump();
    for wrong in ["yes", "y", "films", ""] {
        let mut terminal = restore(&project, &["--env=prod-eu", "--yes"]);
        terminal.reads("type the name of the table").types(wrong);
        terminal.ends(4);
        assert!(
            client.describe("precious").is_none(),
            "{wrong:?} was taken for a yes"
        );
    }

    let mut terminal = restore(&project, &["--env=prod-eu"]);
    terminal
        .reads("type the name of the table")
        .types("precious");
    terminal.ends(0);
    assert_eq!(client.items("precious").len(), 6);
}

#[test]
fn where_nothing_is_dangerous_nothing_is_asked() {
    let (_engine, client, project) = prod_dump();
    let project = project.environment("dev", "http://127.0.0.1:9", "films");
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    client.create_simple("laptop");
    let command = project.command("restoredb", ["--env=local", "--source=items.jsonl"]);
    Terminal::run(command).ends(0);
    assert_eq!(client.items("laptop").len(), 1);
}

#[test]
fn replacing_names_what_dies() {
    let (_engine, client, project) = prod_dump();
    client.create_simple("laptop");
    client.put("laptop", numbered(20));
    let mut terminal = restore(&project, &["--env=local", "--replace"]);
    terminal
        .reads("\"laptop\" and its items will be deleted")
        .reads("[y/N]")
        .types("y");
    terminal.ends(0);
    assert_eq!(client.items("laptop").len(), 6);
}

#[test]
fn without_a_terminal_a_flag_must_answer() {
    let (_engine, client, project) = prod_dump();
    let restore = |arguments: &[&str]| project.restoredb(["--source=out"].iter().chain(arguments));
    let refused = restore(&["--env=local"]).exits(4);
    refused
        .says("[WARNING] Cross-environment restore detected!")
        .says("[WARNING] Source: prod → Target: local")
        .says("--yes");
    assert!(client.describe("laptop").is_none());
    restore(&["--env=local", "--yes"])
        .exits(0)
        .says("Cross-environment restore detected!");
    assert_eq!(client.items("laptop").len(), 6);

    restore(&["--env=prod-eu"])
        .exits(4)
        .says("--confirm=precious");
    restore(&["--env=prod-eu", "--yes"])
        .exits(4)
        .says("--confirm=precious");
    restore(&["--env=prod-eu", "--confirm=films"]).exits(4);
    assert!(client.describe("precious").is_none());
    restore(&["--env=prod-eu", "--confirm=precious"]).exits(0);
    assert_eq!(client.items("precious").len(), 6);
}

#[test]
fn a_dump_on_standard_input_cannot_prompt() {
    let (_engine, client, project) = prod_dump();
    client.create_simple("precious");
    let input = b"{\"id\":{\"S\":\"a\"}}\n";
    project
        .restoredb_from(input, ["--source=-", "--env=prod-eu"])
        .exits(4);
    project
        .restoredb_from(input, ["--source=-", "--env=prod-eu", "--confirm=precious"])
        .exits(0);
    assert_eq!(client.items("precious").len(), 1);
}

#[test]
fn progress_is_drawn_in_a_terminal() {
    let (_engine, _, project) = prod_dump();
    let seen = Terminal::run(project.command("dumpdb", ["--env=prod", "--output=again"])).ends(0);
    assert!(!seen.contains("panicked"), "{seen}");
    assert!(seen.contains("again"), "{seen}");
}

#[test]
fn a_remote_target_is_written_only_after_a_yes() {
    let (engine, client, project) = prod_dump();
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    let project = project.environment("staging", &engine.distant_url(), "films");
    let restore = |arguments: &[&str]| {
        project.restoredb(
            ["--source=items.jsonl", "--env=staging"]
                .iter()
                .chain(arguments),
        )
    };

    drop(
        restore(&[])
            .exits(4)
            .says("[WARNING] Remote target: http://0.0.0.0")
            .says("pass --yes"),
    );

    assert_eq!(client.items("films").len(), 6);

    // Nothing would be written.
    restore(&["--dry-run"]).exits(0);
    restore(&["--if-missing"])
        .exits(0)
        .never_says("Remote target");

    // The dump of the same environment is no exception.
    project.dumpdb(["--env=staging", "--output=own"]).exits(0);
    let own = ["--env=staging", "--source=own"];
    drop(
        project
            .restoredb(own)
            .exits(4)
            .never_says("Cross-environment"),
    );

    drop(
        project
            .restoredb(own.iter().chain(&["--table=laptop"]))
            .exits(4),
    );

    assert!(client.describe("laptop").is_none());
    let mut terminal = Terminal::run(project.command("restoredb", own));
    terminal.reads("Remote target").reads("[y/N]").types("y");
    terminal.ends(0);
    restore(&["--yes"]).exits(0);
    assert_eq!(client.items("films").len(), 7);
}

#[test]
fn an_endpoint_of_the_process_does_not_make_a_write_go_unasked() {
    let (engine, client, project) = prod_dump();
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project.write(
        "envs/.env.dev",
        "AWS_REGION=eu-central-1\nDYNAMODB_TABLE=films\n",
    );
    let mut command = project.command("restoredb", ["--env=dev", "--source=items.jsonl"]);
    command.env("AWS_ENDPOINT_URL", engine.distant_url());
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    run(command, Vec::new())
        .exits(4)
        .says("Remote target: http://0.0.0.0")
        .says("AWS_ENDPOINT_URL in the process environment");
    assert_eq!(client.items("films").len(), 6);
}

#[test]
fn any_environment_named_production_is_protected() {
    let (engine, client, project) = prod_dump();
    for name in ["dev-prod", "test_production", "local.PROD"] {
        let project = Project::empty().environment(name, engine.url(), "films");
        project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
        let arguments = [&format!("--env={name}"), "--source=items.jsonl", "--yes"];
        project
            .restoredb(arguments)
            .exits(4)
            .says("--confirm=films");
    }

    assert_eq!(client.items("films").len(), 6);
    let project = project.environment("pre-prod", engine.url(), "films");
    project
        .restoredb(["--env=pre-prod", "--source=out", "--yes"])
        .exits(0);
}
