//! Pipelines in which one side ends early: the other side ends soon after, with any number of segments.
//!
//! How the sides are connected is tested with scripted stores where they are (`ops/dump/copy.rs`, `ops/compare/table_side.rs`,
//! `ops/restore/items.rs`, `transform/tests.rs`); here are the causes that people meet.

use std::fs::File;
use std::io::{Read, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::{numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::project::Project;

/// Fewer than the pages that fit in memory, as many, one more, and all that are read at a time.
const SEGMENTS: [&str; 4] = ["1", "8", "9", "32"];

/// Everything here takes less than a second.
const DEADLINE: Duration = Duration::from_mins(5);

/// A table of 16 MB, for all tests.
static LARGE: LazyLock<Engine> = LazyLock::new(|| {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(100_000);
    for mut item in numbered(160) {
        item.insert("padding".to_owned(), s(&padding));
        client.put_one("films", item);
    }

    engine
});

/// Waits for the end of a child, whose output nobody has taken.
#[track_caller]
fn ended(mut child: Child, case: &str) -> Output {
    let stderr = child.stderr.take().map(|mut stderr| {
        thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).map(|_| text)
        })
    });

    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }

        if Instant::now() > deadline {
            child.kill().expect("a child can be killed");
            panic!("hangs: {case}");
        }

        thread::sleep(Duration::from_millis(5));
    };

    let text = stderr.map(|reader| {
        reader
            .join()
            .expect("the reader does not panic")
            .expect("a pipe can be read")
    });

    Output {
        status,
        stdout: Vec::new(),
        stderr: text.unwrap_or_default(),
    }
}

/// Asserts how a command ended and what it said.
#[track_caller]
fn assert_ended(output: &Output, code: i32, words: &str, case: &str) {
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{case}\n{talk}");
    assert!(
        talk.contains(words),
        "{case}: expected to read {words:?}\n{talk}"
    );
}

/// The command under a limit of the size of files; a write beyond it fails.
fn with_small_files(command: &Command) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", "ulimit -f 64; trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(command.get_program());
    limited
        .args(command.get_args())
        .current_dir(command.get_current_dir().expect("the project's folder"));
    limited.env_clear().envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );

    limited
}

#[test]
fn a_dump_ends_when_its_reader_closes_the_pipe() {
    for segments in SEGMENTS {
        let project = Project::on(&LARGE, "films");
        let mut command = project.command("dumpdb", ["--output=-", "--segments", segments]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dumpdb starts");

        let mut head = [0; 10];
        child
            .stdout
            .take()
            .expect("stdout is piped")
            .read_exact(&mut head)
            .expect("items come");

        assert_ended(
            &ended(child, segments),
            1,
            "was closed by its reader",
            segments,
        );
    }
}

#[test]
fn a_dump_that_cannot_be_written_ends() {
    for segments in SEGMENTS {
        let project = Project::on(&LARGE, "films");
        let segments = ["--segments", segments];

        let mut command = project.command("dumpdb", ["--output=-"].iter().chain(&segments));
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("a device that is always full");
        let child = command
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .expect("dumpdb starts");

        assert_ended(
            &ended(child, "full"),
            1,
            "No space left",
            &format!("a full disk, {segments:?}"),
        );

        for (output, file) in [
            (
                "--output=out",
                "/out.partial/table-data.json`: File too large",
            ),
            ("--output=out.jsonl", "/out.jsonl.partial`: File too large"),
        ] {
            let command = project.command("dumpdb", [output].iter().chain(&segments));
            let mut command = with_small_files(&command);
            let child = command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("dumpdb starts");

            let case = format!("small files, {output}, {segments:?}");
            assert_ended(&ended(child, &case), 1, file, &case);
        }

        assert!(!project.path("out").exists());
    }
}

#[test]
fn a_dump_whose_items_or_programs_fail_ends() {
    let cases: [(&[&str], i32, &str); 4] = [
        (
            &["--strict", "--transform=error(\"no\")"],
            3,
            "Stopped at the first rejected item",
        ),
        (&["--transform-command=head -n 3"], 1, "without an answer"),
        (&["--transform-command=exit 7"], 1, "exit status: 7"),
        (
            &[
                "--transform=.",
                "--transform-command=sed -u 5s/.*/garbage/",
                "--transform=.",
            ],
            1,
            "with a JSON object",
        ),
    ];

    for segments in SEGMENTS {
        for (arguments, code, words) in cases {
            let project = Project::on(&LARGE, "films");
            let arguments = [arguments, &["--output=out", "--segments", segments]].concat();
            let child = project
                .command("dumpdb", &arguments)
                .stderr(Stdio::piped())
                .spawn()
                .expect("dumpdb starts");

            let case = arguments.join(" ");
            assert_ended(&ended(child, &case), code, words, &case);
        }

        // The rejects file cannot be written.
        let project = Project::on(&LARGE, "films");
        let command = project.command(
            "dumpdb",
            [
                "--output=-",
                "--transform=error(\"no\")",
                "--segments",
                segments,
            ],
        );

        let child = with_small_files(&command)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        assert_ended(
            &ended(child.expect("dumpdb starts"), segments),
            1,
            "File too large",
            segments,
        );
    }
}

#[test]
fn a_program_that_buffers_its_output_gets_the_pages_of_all_segments() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(200));
    for segments in SEGMENTS {
        let project = Project::on(&engine, "films");
        let child = project
            .command(
                "dumpdb",
                [
                    "--output=out.jsonl",
                    "--transform-command=tac | tac",
                    "--segments",
                    segments,
                ],
            )
            .stderr(Stdio::piped())
            .spawn()
            .expect("dumpdb starts");

        assert_ended(&ended(child, segments), 0, "", segments);
        assert_eq!(project.text("out.jsonl").lines().count(), 200, "{segments}");
    }
}

#[test]
fn a_program_that_waits_for_more_than_fits_in_memory_ends_with_the_timeout() {
    for segments in SEGMENTS {
        let project = Project::on(&LARGE, "films");
        let child = project
            .command(
                "dumpdb",
                [
                    "--output=out.jsonl",
                    "--transform-command=tac | tac",
                    "--transform-timeout=1s",
                    "--segments",
                    segments,
                ],
            )
            .stderr(Stdio::piped())
            .spawn()
            .expect("dumpdb starts");

        assert_ended(&ended(child, segments), 1, "did not answer for", segments);

        let arguments = [
            "--transform-command=tac | tac",
            "--transform-timeout=1s",
            "--concurrency",
            segments,
        ];
        let (output, _) = restores([], &lines(8_000), &arguments);
        assert_ended(&output, 1, "did not answer for", &arguments.join(" "));
    }
}

/// A restore into an empty table whose standard input is fed and then stays open.
fn restores(rules: impl Into<Vec<Rule>>, input: &str, arguments: &[&str]) -> (Output, usize) {
    let engine = Engine::embedded();
    engine.client().create_simple("copy");
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("local", proxy.url(), "copy");
    let mut command = project.command(
        "restoredb",
        ["--source=-", "--yes", "--verify=none"]
            .iter()
            .chain(arguments),
    );

    let mut child = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("restoredb starts");

    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();

    // It may go away before it has read everything.
    let feeder = thread::spawn(move || stdin.write_all(input.as_bytes()).map(|()| stdin));
    let output = ended(child, &arguments.join(" "));
    drop(feeder.join().expect("the feeder does not panic"));

    (output, engine.client().items("copy").len())
}

/// Items on lines of 2 KB: the source reads a megabyte at a time.
fn lines(count: usize) -> String {
    let line = |n| {
        format!(
            "{{\"id\":{{\"S\":\"item-{n}\"}},\"padding\":{{\"S\":\"{}\"}}}}\n",
            "x".repeat(2000)
        )
    };

    (0..count).map(line).collect()
}

#[test]
fn a_restore_that_cannot_write_ends_although_its_source_has_not() {
    let denied = [always(
        "BatchWriteItem",
        Fault::Refused("AccessDeniedException", "not yours"),
    )];
    let keyless = || {
        format!(
            "{}{{\"other\":{{\"S\":\"x\"}}}}\n{}",
            lines(700),
            lines(2000)
        )
    };

    for concurrency in SEGMENTS {
        let concurrency = ["--concurrency", concurrency];
        let with = |more: &[&'static str]| [&concurrency[..], more].concat();
        let (output, _) = restores(denied.clone(), &lines(3000), &with(&[]));
        assert_ended(
            &output,
            10,
            "not yours",
            &format!("denied, {concurrency:?}"),
        );

        let (output, _) = restores([], &keyless(), &with(&["--strict"]));
        assert_ended(
            &output,
            3,
            "stopped at the first rejected item",
            &format!("strict, {concurrency:?}"),
        );

        let (output, _) = restores(
            [],
            &lines(3000),
            &with(&["--transform-command=head -n 500"]),
        );

        assert_ended(
            &output,
            1,
            "without an answer",
            &format!("command, {concurrency:?}"),
        );

        let (output, _) = restores([], &keyless(), &with(&["--strict", "--transform=."]));
        assert_ended(
            &output,
            3,
            "stopped at the first rejected item",
            &format!("strict filter, {concurrency:?}"),
        );
    }
}

#[test]
fn a_restore_whose_source_fails_ends_although_writing_is_slow() {
    let slow = [calls(
        "BatchWriteItem",
        1..=20,
        Fault::Late(Duration::from_millis(20)),
    )];

    let damaged = format!("{}garbage\n{}", lines(1500), lines(1500));
    for concurrency in SEGMENTS {
        for transform in ["--transform=.", "--transform-command=cat", "--where=true"] {
            let (output, written) = restores(
                slow.clone(),
                &damaged,
                &["--concurrency", concurrency, transform],
            );

            assert_ended(&output, 12, "", &format!("{concurrency} {transform}"));
            assert!(written <= 1500);
        }
    }
}
