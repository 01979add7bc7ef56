//! Secrets are never printed or written, and links, names and documents from outside never redirect a write.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, with_text};
use crate::support::project::{Project, REGION, Run, dump_of};

/// Parts of what an environment says of its credentials.
const SECRETS: [&str; 3] = ["AKIATELLNOONE", "hush/hush", "hushtoken"];

/// A project whose environment `dev` has secrets and is behind these faults, with the dump of another in `out`.
fn with_secrets(engine: &Engine, rules: Vec<Rule>) -> (Project, Proxy) {
    let proxy = Proxy::with_rules(engine, rules);
    let project = Project::on(engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let file = format!(
        "LOCAL_AWS_ENDPOINT={}\nAWS_REGION={REGION}\nAWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_SESSION_TOKEN={}\n\
         DYNAMODB_TABLE=films\n",
        proxy.url(),
        SECRETS[0],
        SECRETS[1],
        SECRETS[2]
    );

    project.write("envs/.env.dev", file);

    (project, proxy)
}

fn films() -> Engine {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(40));

    engine
}

/// Every file of the project but env files, with the folders that hold them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for path in entries.filter(|path| path.file_name().is_some_and(|name| name != "envs")) {
        if path.is_dir() {
            found.extend(files(&path));
        }

        found.push(path);
    }

    found
}

fn tells_no_secret(project: &Project, run: &Run) {
    let told = format!("{run}{}", String::from_utf8_lossy(&run.stdout));
    for secret in SECRETS {
        assert!(!told.contains(secret), "{secret} is said\n{told}");
        for path in files(&project.path("."))
            .into_iter()
            .filter(|path| path.is_file())
        {
            let text = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
            assert!(
                !text.contains(secret),
                "{secret} stands in {}",
                path.display()
            );
        }
    }
}

const MANNERS: [&[&str]; 4] = [&[], &["-v"], &["-vv", "--json"], &["--quiet", "--json"]];

#[test]
fn secrets_are_in_no_output_and_in_no_file() {
    let engine = films();
    let (project, proxy) = with_secrets(&engine, vec![]);
    for manner in MANNERS {
        for (program, arguments) in [
            ("dumpdb", &["--env=dev", "--output=again", "--yes"][..]),
            ("dumpdb", &["--env=dev", "--output=again.jsonl", "--yes"]),
            ("dumpdb", &["--env=dev", "--dry-run"]),
            ("dumpdb", &["--env=dev", "--table=absent"]),
            (
                "restoredb",
                &["--env=dev", "--source=out", "--table=copy", "--yes"],
            ),
            ("verifydb", &["--env=dev", "--source=out", "--schema-only"]),
            ("restoredb", &["--env=dev", "--source=out", "--dry-run"]),
            ("verifydb", &["--env=dev", "--source=out"]),
        ] {
            let run = run_as(&project, program, &[arguments, manner].concat());
            tells_no_secret(&project, &run);
        }
    }

    assert!(
        proxy
            .calls()
            .iter()
            .any(|call| call.credential.contains(SECRETS[0])),
        "the credentials were used"
    );
}

fn run_as(project: &Project, program: &str, arguments: &[&str]) -> Run {
    crate::support::project::run(project.command(program, arguments), Vec::new())
}

#[test]
fn a_server_that_echoes_the_request_is_not_quoted() {
    let engine = films();
    for code in [
        "InvalidSignatureException",
        "ValidationException",
        "InternalServerError",
        "AccessDeniedException",
    ] {
        for (program, operation, arguments) in [
            ("dumpdb", "DescribeTable", &["--env=dev", "--output=x"][..]),
            ("dumpdb", "Scan", &["--env=dev", "--output=x"]),
            (
                "dumpdb",
                "DescribeTimeToLive",
                &["--env=dev", "--output=again", "--yes"],
            ),
            (
                "restoredb",
                "CreateTable",
                &["--env=dev", "--source=out", "--table=copy", "--yes"],
            ),
            (
                "restoredb",
                "BatchWriteItem",
                &["--env=dev", "--source=out", "--yes"],
            ),
            ("verifydb", "Scan", &["--env=dev", "--source=out"]),
        ] {
            let (project, proxy) =
                with_secrets(&engine, vec![always(operation, Fault::Echoed(code))]);
            let arguments = [arguments, &["-vv", "--json", "--give-up-after=1s"]].concat();
            let run = run_as(&project, program, &arguments);
            assert!(proxy.failures() > 0, "{run}");
            tells_no_secret(&project, &run);
        }
    }

    // What was refused is still told.
    let (project, _proxy) = with_secrets(
        &engine,
        vec![always("Scan", Fault::Echoed("AccessDeniedException"))],
    );
    let run = project
        .dumpdb(["--env=dev", "--output=x"])
        .exits(10)
        .says("AccessDeniedException: The request was");
    run.says("x-amz-security-token\", \"[hidden]\"")
        .says(REGION);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn all_files_of_a_remote_environment_are_private() {
    let engine = films();
    let refused = Fault::Refused(
        "ValidationException",
        "One or more parameter values were invalid",
    );
    let rules = vec![
        with_text("BatchWriteItem", "item 17 ", refused),
        calls("Scan", 2..=2, Fault::Status(500)),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let distant = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = Project::empty().environment("dev", &distant, "films");
    let envs = project.path("envs");
    project.dumpdb(["--env=dev", "--output=dumps/out"]).exits(0);
    project
        .dumpdb(["--env=dev", "--output=dumps/out", "--yes"])
        .exits(0);
    project
        .dumpdb([
            "--env=dev",
            "--output=dumps/packed",
            "--compress=zstd",
            "--format=jsonl",
        ])
        .exits(0);

    project
        .dumpdb(["--env=dev", "--output=dumps/films.jsonl"])
        .exits(0);
    project
        .restoredb(["--env=dev", "--source=dumps/out", "--table=copy", "--yes"])
        .exits(3);

    for path in files(&project.path("."))
        .into_iter()
        .filter(|path| !path.starts_with(&envs))
    {
        let shared = ["dumps", ".local", "state", "dynadump"]
            .iter()
            .any(|name| path.ends_with(name));
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert!(
            shared || mode(&path) == expected,
            "{}: {:o}",
            path.display(),
            mode(&path)
        );
    }

    assert!(
        files(&project.path("."))
            .iter()
            .any(|path| path.to_string_lossy().contains("rejects"))
    );
}

/// A folder that nothing may change.
fn precious(project: &Project) -> PathBuf {
    project.write("precious/thesis.txt", "ten years of work");
    project.write("precious/table-data.json", "not a dump");
    project.path("precious")
}

#[track_caller]
fn is_untouched(project: &Project) {
    assert_eq!(project.names("precious"), ["table-data.json", "thesis.txt"]);
    assert_eq!(project.text("precious/thesis.txt"), "ten years of work");
    assert_eq!(project.text("precious/table-data.json"), "not a dump");
}

#[test]
fn symbolic_links_next_to_a_dump_do_not_redirect_writes() {
    for (link, to) in [
        ("out.partial", "precious"),
        ("out.old", "precious"),
        ("out.lock", "precious/thesis.txt"),
        ("new.partial", "precious"),
        ("new.lock", "precious/absent"),
        ("new.jsonl.partial", "precious/thesis.txt"),
        ("dangling", "precious/absent"),
        ("link", "precious"),
    ] {
        let (_engine, project) = dump_of(5);
        precious(&project);
        fs::remove_file(project.path("out.lock")).ok();
        symlink(project.path(to), project.path(link))
            .unwrap_or_else(|error| panic!("{link}: {error}"));

        for output in [
            "--output=out",
            "--output=new",
            "--output=new.jsonl",
            "--output=dangling",
            "--output=link",
        ] {
            project.dumpdb([output, "--yes"]);
            is_untouched(&project);
        }

        project.verifydb(["out"]).exits(0);
    }
}

#[test]
fn a_partial_file_of_another_program_is_named_and_kept() {
    let (_engine, project) = dump_of(5);
    project.write("new.jsonl.partial", "half of a download");
    for _ in 0..2 {
        project
            .dumpdb(["--output=new.jsonl"])
            .exits(1)
            .says("new.jsonl.partial` was not written by an interrupted dump")
            .says("hint: move it elsewhere");
        assert_eq!(project.text("new.jsonl.partial"), "half of a download");
        assert!(!project.path("new.jsonl").exists());
        assert!(!project.path("new.jsonl.lock").exists());
    }

    fs::remove_file(project.path("new.jsonl.partial")).expect("the file is moved away");
    project.dumpdb(["--output=new.jsonl"]).exits(0);
}

#[test]
fn a_folder_that_is_a_link_to_a_dump_stays_one() {
    let (_engine, project) = dump_of(5);
    fs::create_dir(project.path("disk")).expect("a folder");
    fs::rename(project.path("out"), project.path("disk/out")).expect("the dump moves");
    symlink(project.path("disk/out"), project.path("out")).expect("a link");
    project.dumpdb(["--output=out"]).exits(0);
    assert!(
        fs::symlink_metadata(project.path("out"))
            .expect("a link")
            .is_symlink()
    );

    project.verifydb(["disk/out"]).exits(0).says("5 items");
    project.dumpdb(["--output=disk/../disk/./out/"]).exits(0);
    project.verifydb(["out"]).exits(0);
}

#[test]
fn links_in_the_place_of_rejects_and_marks_are_not_followed() {
    let engine = films();
    let refused = Fault::Refused(
        "ValidationException",
        "One or more parameter values were invalid",
    );
    let proxy = Proxy::with_rules(&engine, [with_text("BatchWriteItem", "item 17 ", refused)]);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    let restore = ["--env=dev", "--source=out", "--yes", "--json"];
    let run = project.restoredb(restore).exits(3);
    let rejects = PathBuf::from(
        run.report()["summary"]["rejects_file"]
            .as_str()
            .expect("a file of rejects"),
    );

    precious(&project);
    let made: Vec<_> = files(&project.path(".local"))
        .into_iter()
        .filter(|path| path.is_file())
        .collect();
    for path in made.iter().chain([&project.path(&rejects)]) {
        fs::remove_file(path).expect("a file of the run before");
        symlink(project.path("precious/thesis.txt"), path).expect("a link in its place");
    }

    // That it goes on is not asked for; that it writes nothing there is.
    project.restoredb(restore);
    is_untouched(&project);
}

/// Nothing of the hostile names lies above the project.
#[track_caller]
fn no_evil_is_done(project: &Project) {
    for above in ["..", "../..", "../../.."] {
        assert!(
            !project
                .names(above)
                .iter()
                .any(|name| name.contains("evil")),
            "{above}"
        );
    }
}

#[test]
fn names_in_a_dump_cannot_escape_its_folder() {
    let (engine, project) = dump_of(5);
    for name in [
        "../../evil",
        "/tmp/evil",
        "..",
        "a/../../b",
        "evil\u{0}",
        "",
        "\u{1b}[2J\n",
    ] {
        project.copy("out", "hostile");
        project.change_metadata("hostile", |metadata| {
            metadata["table"] = json!(name);
        });
        project
            .verifydb(["hostile"])
            .exits(0)
            .never_says("\u{1b}[2J");

        // An environment without a table takes the dump's name.
        let bare = format!(
            "LOCAL_AWS_ENDPOINT={}\nAWS_REGION={REGION}\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\n",
            engine.url()
        );
        project.write("envs/.env.bare", bare);
        let run = project
            .restoredb(["--env=bare", "--source=hostile", "--yes"])
            .never_says("\u{1b}[2J");
        assert!(
            !run.status.success() && run.status.code().is_some_and(|code| code != 101),
            "{run}"
        );
    }

    for files in [
        "../precious/thesis.txt",
        "/etc/passwd",
        "table-data.json/../../precious/thesis.txt",
    ] {
        precious(&project);
        project.copy("out", "hostile");
        project.change_metadata("hostile", |metadata| {
            metadata["files"][files] = json!({ "bytes": 17, "sha256": "0".repeat(64) });
        });

        // Listed, not known, and so neither read nor believed.
        project
            .verifydb(["hostile"])
            .exits(0)
            .says("does not support")
            .never_says("ten years");

        project.dumpdb(["--output=hostile", "--yes"]).exits(0);
        is_untouched(&project);
        project
            .verifydb(["hostile"])
            .exits(0)
            .never_says("does not support");
    }

    no_evil_is_done(&project);
}

#[test]
fn names_of_servers_and_environments_cannot_escape_the_folder() {
    let (engine, project) = dump_of(5);
    let rename =
        Fault::Changed(|answer| answer["Table"]["TableName"] = json!("../../evil\u{1b}[2J"));
    let list = Fault::Answered(|_| json!({ "TableNames": ["../../filmz", "films\u{1b}[2J"] }));
    let proxy = Proxy::with_rules(
        &engine,
        [always("DescribeTable", rename), always("ListTables", list)],
    );
    let project = project.environment("dev", proxy.url(), "films");
    project.dumpdb(["--env=dev"]).never_says("\u{1b}[2J");
    project
        .dumpdb(["--env=dev", "--table=filmz", "--output=x"])
        .never_says("\u{1b}[2J");

    for name in ["../films", "a/b", "..", ".", ""] {
        let run = project.dumpdb([format!("--table={name}"), "--output=x".to_owned()]);
        assert_eq!(run.status.code(), Some(2), "{run}");
        let run = project.dumpdb([format!("--env={name}")]);
        assert!(matches!(run.status.code(), Some(2 | 10)), "{run}");
    }

    no_evil_is_done(&project);
    assert!(!project.path("x").exists());
}

#[test]
fn a_dump_that_names_a_host_makes_no_call_there() {
    let (engine, project) = dump_of(5);
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!(
        "http://{}",
        listener
            .local_addr()
            .expect("a bound listener has an address")
    );

    project.change_metadata("out", |metadata| {
        metadata["endpoint"] = json!(url);
    });
    let project = project.environment("dev", engine.url(), "copy");
    project
        .restoredb(["--env=dev", "--source=out", "--yes"])
        .exits(0);
    project.verifydb(["--env=dev", "--source=out"]).exits(0);
    assert!(listener.accept().is_err(), "somebody has called");
}

#[test]
fn files_of_a_dump_that_are_links_out_of_it_are_not_read() {
    let (_engine, project) = dump_of(5);
    for name in [
        "table-data.json",
        "table-schema.json",
        "table-metadata.json",
        "dump-summary.txt",
    ] {
        project.copy("out", "linked");
        fs::rename(project.path(format!("linked/{name}")), project.path(name))
            .expect("the file moves out");
        symlink(project.path(name), project.path(format!("linked/{name}"))).expect("a link");
        project
            .verifydb(["linked"])
            .exits(12)
            .says(name)
            .says("is a symbolic link to a file outside the dump");

        project
            .restoredb(["--source=linked", "--table=copy", "--yes"])
            .exits(12)
            .says("is a symbolic link to a file outside the dump");
        fs::remove_dir_all(project.path("linked")).expect("a folder");
    }
}
