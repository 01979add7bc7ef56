//! The first commands after an installation, away from any project: the demo, new env files, reads without an env file, completions.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::project::{Project, REGION, run};

const PROGRAMS: [&str; 5] = ["dumpdb", "restoredb", "copydb", "servedb", "verifydb"];

#[test]
fn the_demo_needs_no_env_file_and_keeps_its_database_in_the_state_directory() {
    let project = Project::empty();
    project.dumpdb(["--env=demo"]).exits(0);
    let metadata = project.json("backups/dynamodb/demo/table-metadata.json");
    assert_eq!(
        (&metadata["items"], &metadata["table"]),
        (&json!(312), &json!("FilmCatalogue"))
    );
    assert_eq!(project.names(""), [".local", "backups"]);

    project
        .restoredb(["--env=demo", "--table=FilmCopy"])
        .exits(0);
    project
        .dumpdb(["FilmCopy", "--env=demo", "--output=copy"])
        .exits(0);
    assert_eq!(project.json("copy/table-metadata.json")["items"], 312);
    assert!(project.path(".local/state/dynadump/demo.db").exists());
}

#[test]
fn init_creates_env_files_and_keeps_existing_ones() {
    let project = Project::empty();
    project.write("envs/.env.local", "# mine\n");
    let first = project.dumpdb(["--init"]).exits(0);
    first
        .says("Kept envs/.env.local, which exists")
        .says("Created envs/.env.prod.example");
    assert_eq!(project.text("envs/.env.local"), "# mine\n");
    assert_eq!(
        project.names("envs"),
        [
            ".env.dev.example",
            ".env.local",
            ".env.prod.example",
            ".env.staging.example",
            ".gitignore"
        ]
    );

    project.write("envs/.gitignore", "# mine too\n");
    project.dumpdb(["--init"]).exits(0);
    assert_eq!(project.text("envs/.gitignore"), "# mine too\n");
}

#[test]
fn git_ignores_credentials_and_dumps_after_init_but_not_examples() {
    let project = Project::empty();
    project.dumpdb(["--init"]).exits(0);
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(project.path(""))
            .env("HOME", project.path(""))
            .output()
            .expect("git runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    git(&["init", "--quiet"]);

    let paths = [
        "envs/.env.prod",
        "envs/.env.prod.example",
        "envs/.env.local",
        "envs/local.db-wal",
        "backups/dynamodb/prod/table-data.json",
        "backups/.gitignore",
    ];
    let ignored = git(&[&["check-ignore", "--no-index"][..], &paths].concat());
    assert_eq!(
        ignored.lines().collect::<Vec<_>>(),
        [paths[0], paths[3], paths[4]]
    );
}

#[test]
fn without_env_files_the_hint_names_the_demo_init_and_the_flags() {
    Project::empty()
        .dumpdb(["--table=films"])
        .exits(10)
        .says("environment \"local\" has no file")
        .says("--env=demo")
        .says("dumpdb --init")
        .says("--no-env with --profile, --region and --table");
}

#[test]
fn a_profile_and_a_table_need_no_env_file_to_read_but_to_write() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    engine.client().put(&table, numbered(3));
    let project = Project::empty();
    project.write(
        ".aws/config",
        format!(
            "[profile ops]\nregion = {REGION}\nendpoint_url = {}\n",
            engine.url()
        ),
    );
    project.write(
        ".aws/credentials",
        "[ops]\naws_access_key_id = test\naws_secret_access_key = test\n",
    );

    project
        .dumpdb([&table, "--profile=ops", "--output=out"])
        .exits(0);
    assert_eq!(
        project.json("out/table-metadata.json")["environment"],
        "no-env"
    );
    let named = format!("--table={table}");
    project.verifydb(["out", "--profile=ops", &named]).exits(0);

    project
        .restoredb(["out", "--profile=ops", &named, "--yes"])
        .exits(2)
        .says("--profile without --env or --no-env");
}

/// A script or man page that a command prints.
fn generated(program: &str, kind: &str) -> String {
    let arguments = ["--generate", kind];
    let printed = run(Project::empty().command(program, arguments), Vec::new()).exits(0);

    String::from_utf8(printed.stdout.clone()).expect("a text")
}

/// Passes a text to a program; `None` if the program is not installed.
fn check(program: &str, arguments: &[&str], text: &str) -> Option<String> {
    let project = Project::empty();
    let file = project.write("text", text);
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {stderr}");
    assert_eq!(stderr, "", "{program}");

    Some(stdout)
}

#[test]
fn completion_scripts_parse() {
    for program in PROGRAMS {
        let bash = generated(program, "bash");
        assert!(bash.contains("--verbose"), "{bash}");
        check("bash", &["-n"], &bash).expect("bash is installed");

        let zsh = generated(program, "zsh");
        assert!(zsh.starts_with(&format!("#compdef {program}\n")), "{zsh}");
        check("zsh", &["-n"], &zsh);

        let fish = generated(program, "fish");
        assert!(fish.contains(&format!("complete -c {program}")), "{fish}");
        check("fish", &["--no-execute"], &fish);
    }
}

#[test]
fn man_pages_render_and_describe_every_heading() {
    for program in PROGRAMS {
        let page = generated(program, "man");
        assert!(page.contains(".TH"), "{page}");

        // Without a renderer, the source of the page is looked at.
        let render = ["-k", "-man", "-Tutf8", "-ww", "-P", "-cbou"];
        let text = check("groff", &render, &page).unwrap_or(page);
        for part in ["EXAMPLES", "EXIT CODES", "verbose", "   10  environment"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
