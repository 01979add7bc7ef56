//! Every command in README.md and docs/ runs: each page in a project folder that has the environments and dumps which the pages assume.
//!
//! The `sh` blocks of a page run in their order. A command that asks is answered with yes, and `servedb` is stopped when it is ready. A line
//! whose comment names an exit code must end with it, all others with 0. A block that needs what is not here says so:
//! `sh norun reason="needs AWS"`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use crate::support::guide::{Block, Page, pages};
use crate::support::project::{Project, run};

use super::seed::seed;

/// The number of blocks that may say `norun`, and their reasons.
const MAX_NOT_RUN: usize = 12;
const REASONS: [&str; 3] = [
    "builds the programs",
    "needs two AWS accounts",
    "the embedded engine has no backups",
];

/// Starts each script: a command on a terminal is answered with yes, a server ends when it is ready.
const PRELUDE: &str = r#"
set -euo pipefail
expect() {
    local codes=$1 status=0
    shift
    "$@" || status=$?
    [[ " $codes " == *" $status "* ]] || { echo "exit code $status instead of $codes: $*" >&2; exit 1; }
}
serve_and_stop() {
    local ready=served.env arguments=("$@")
    [[ " $* " == *" --listen "* ]] || arguments+=(--listen 127.0.0.1:0)
    if [[ " $* " == *" --ready-file ready.env"* ]]; then ready=ready.env; else arguments+=(--ready-file "$ready"); fi
    servedb "${arguments[@]}" &
    local server=$!
    until [[ -s $ready ]]; do kill -0 "$server"; sleep 0.02; done
    kill "$server"
    wait "$server"
}
"#;

/// A command that answers its prompt: without a terminal, the message of exit code 4 names the flag.
const ANSWERS: &str = r#"#!/bin/bash
messages=$(mktemp)
status=0
"$program" "$@" 2>"$messages" || status=$?
if [[ $status == 4 ]]; then
    flag=$(grep -oE -e '--(yes|confirm=[A-Za-z0-9_.-]+)' "$messages" | head -n 1)
    status=0
    "$program" "$@" $flag 2>"$messages" || status=$?
fi
cat "$messages" >&2
rm "$messages"
exit "$status"
"#;

/// `cargo run` of the commands. `cargo test` would run this test again.
const CARGO: &str = r#"#!/bin/bash
case "$1 ${2:-} ${3:-}" in
"run -- "*) shift 2; exec dumpdb "$@" ;;
"run --bin "*) program=$3; shift 4; exec "$program" "$@" ;;
"test "*) ;;
*) echo "cargo $* is not expected here" >&2; exit 1 ;;
esac
"#;

macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        /// The pages that have a test.
        const TESTED: &[&str] = &[$($path),*];

        $(
            #[test]
            fn $name() {
                run_page($path);
            }
        )*
    };
}

pages! {
    readme: "README.md",
    aws_backup: "docs/aws-backup.md",
    ci: "docs/ci.md",
    coming_from: "docs/coming-from.md",
    copy: "docs/copy.md",
    dump: "docs/dump.md",
    environments: "docs/environments.md",
    getting_started: "docs/getting-started.md",
    local_development: "docs/local-development.md",
    masking: "docs/masking.md",
    restore: "docs/restore.md",
    restore_production: "docs/restore-production.md",
    report: "docs/report.md",
    sets: "docs/sets.md",
    settings: "docs/settings.md",
    transforms: "docs/TRANSFORM.md",
    troubleshooting: "docs/troubleshooting.md",
    verify: "docs/verify.md",
}

#[test]
fn each_page_with_commands_has_a_test() {
    let with_commands: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.blocks().iter().any(is_shell))
        .map(|page| page.path.display().to_string())
        .collect();
    let untested: Vec<_> = with_commands
        .iter()
        .filter(|path| !TESTED.contains(&path.as_str()))
        .collect();

    assert!(with_commands.len() > 10, "{with_commands:?}");
    assert!(untested.is_empty(), "add them to `pages!`: {untested:?}");
}

#[test]
fn few_blocks_are_not_run_and_each_has_one_of_the_reasons() {
    let mut not_run = Vec::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| !is_run(block)) {
            let place = format!("{}:{}: {}", page.path.display(), block.line, block.info);
            let reason = block.info.split('"').nth(1).unwrap_or_default();
            assert!(REASONS.contains(&reason), "{place}");
            not_run.push(place);
        }
    }

    assert!(not_run.len() <= MAX_NOT_RUN, "{}", not_run.join("\n"));
}

/// Whether a block has commands.
fn is_shell(block: &Block) -> bool {
    block.info.split_whitespace().next() == Some("sh")
}

/// Whether the commands of a block are run, if it has any.
fn is_run(block: &Block) -> bool {
    !is_shell(block) || !block.info.contains("norun")
}

/// Runs the blocks of a page.
fn run_page(path: &str) {
    let pages = pages();
    let page = pages.iter().find(|page| page.path == Path::new(path));
    let page = page.unwrap_or_else(|| panic!("{path} does not exist"));
    let seed = shared_seed();
    let project = copy_of(&seed);
    for block in page.blocks() {
        if is_shell(&block) && is_run(&block) && has_its_tool(&block) {
            run_block(&project, page, &block);
            // A block may have copied an example over an env file; the reader fills it in.
            super::seed::write_environments(&project);
        }
    }
}

fn run_block(project: &Project, page: &Page, block: &Block) {
    let script: Vec<String> = block.text.lines().map(expectation).collect();
    let script = format!("{PRELUDE}\n{}\n", script.join("\n"));
    let ended = run(shell(project, &script), Vec::new());
    assert!(
        ended.status.success(),
        "{}:{}:\n{}\n{}",
        page.path.display(),
        block.line,
        block.text,
        ended.stderr
    );
}

/// A line, with a check of the exit codes that its comment names.
fn expectation(line: &str) -> String {
    if line.starts_with("servedb ") || line == "servedb" {
        return if line.trim_end().ends_with('&') {
            line.to_owned()
        } else {
            line.replacen("servedb", "serve_and_stop", 1)
        };
    }
    let Some((_, comment)) = line.split_once("exit code ") else {
        return line.to_owned();
    };
    if !line.starts_with(|first: char| first.is_ascii_lowercase()) {
        return line.to_owned();
    }

    let codes: Vec<_> = comment
        .split_whitespace()
        .take(3)
        .map(|word| word.trim_matches(|letter: char| !letter.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .collect();

    format!("expect '{}' {line}", codes.join(" "))
}

/// Whether the program that a block names with `needs=` is installed.
fn has_its_tool(block: &Block) -> bool {
    let Some(tool) = block.info.split("needs=").nth(1) else {
        return true;
    };

    ["/usr/bin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(tool).exists())
}

/// Bash with the commands in its path.
fn shell(project: &Project, script: &str) -> Command {
    let commands = project.path("bin");
    let mut command = project.command("dumpdb", [""; 0]);
    let environment: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("/bin/bash");
    command
        .arg("-c")
        .arg(script)
        .current_dir(project.path("."))
        .env_clear()
        .envs(environment)
        .env("PATH", format!("{}:/usr/bin:/bin", commands.display()))
        .env("DYNADUMP_MASK_KEY", "0123456789abcdef0123456789abcdef");

    command
}

/// The project that the pages assume. Pages that run at the same time share it; the last one removes it.
fn shared_seed() -> Arc<Project> {
    static SEED: Mutex<Weak<Project>> = Mutex::new(Weak::new());
    let mut shared = SEED.lock().expect("the project of the pages");
    shared.upgrade().unwrap_or_else(|| {
        let project = Arc::new(seed());
        *shared = Arc::downgrade(&project);
        project
    })
}

/// A copy of a project, with the commands in `bin`.
fn copy_of(seed: &Project) -> Project {
    let project = Project::empty();
    copy_folder(&seed.path("."), &project.path("."));
    for program in ["dumpdb", "restoredb", "copydb", "verifydb", "servedb"] {
        let command = project.command(program, [""; 0]);
        let path = Path::new(command.get_program()).display();
        let script = if program == "servedb" {
            format!("#!/bin/bash\nexec '{path}' \"$@\"\n")
        } else {
            ANSWERS.replacen('\n', &format!("\nprogram='{path}'\n"), 1)
        };
        executable(&project, program, &script);
    }
    executable(&project, "cargo", CARGO);

    project
}

fn executable(project: &Project, name: &str, script: &str) {
    let path = project.write(Path::new("bin").join(name), script);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable file");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
