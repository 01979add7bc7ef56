use super::*;
use crate::event::{Reporter, SilentReporter};
use crate::item::{KeyAttribute, KeyType};
use crate::transform::{Outcome, RejectReason, Transform, TransformOutput, TransformedChunk};
use bytes::Bytes;
use std::time::Instant;

fn silent() -> Arc<dyn Reporter> {
    Arc::new(SilentReporter)
}

fn key() -> KeySchema {
    KeySchema {
        partition: KeyAttribute {
            name: "id".to_owned(),
            kind: KeyType::N,
        },
        sort: None,
    }
}

fn item(number: usize) -> Bytes {
    Bytes::from(format!(
        r#"{{"id":{{"N":"{number}"}},"text":{{"S":"{}"}}}}"#,
        "x".repeat(number % 50)
    ))
}

/// Sends `count` items in chunks of ten. Returns all outcomes, or the error and the outcomes before
/// it.
fn run(line: &str, jobs: usize, count: usize, timeout: Duration) -> (Vec<Outcome>, Option<Error>) {
    let spec = CommandSpec {
        jobs: NonZeroUsize::new(jobs),
        timeout,
        ..CommandSpec::new(line)
    };

    let transform = Transform::new()
        .command(spec)
        .unwrap()
        .for_table(&key(), &[])
        .unwrap();

    let (input, output): (_, TransformOutput<usize>) =
        transform.start(NonZeroUsize::MIN, &silent()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in 0..count.div_ceil(10) {
                let items = (chunk * 10..(chunk * 10 + 10).min(count))
                    .map(item)
                    .collect();
                if input.push(items, chunk).is_err() {
                    return;
                }
            }

            input.end();
        });

        let mut outcomes = Vec::new();
        for (expected, result) in output.enumerate() {
            match result {
                Ok(TransformedChunk {
                    tag,
                    outcomes: of_chunk,
                    items,
                }) => {
                    assert_eq!((tag, items.len()), (expected, of_chunk.len()));
                    outcomes.extend(of_chunk);
                }
                Err(error) => return (outcomes, Some(error)),
            }
        }

        (outcomes, None)
    })
}

fn all(line: &str, jobs: usize, count: usize) -> Vec<Outcome> {
    match run(line, jobs, count, Duration::from_secs(30)) {
        (outcomes, None) => outcomes,
        (_, Some(error)) => panic!("{line}: {error:?}"),
    }
}

fn failure(line: &str, count: usize, timeout: Duration) -> Error {
    run(line, 1, count, timeout)
        .1
        .unwrap_or_else(|| panic!("{line} works"))
}

#[test]
fn lines_come_back_in_order_from_any_number_of_copies() {
    for jobs in [1, 3] {
        let outcomes = all("cat", jobs, 1005);
        assert_eq!(outcomes.len(), 1005);
        assert!(
            outcomes
                .iter()
                .all(|outcome| *outcome == Outcome::Unchanged)
        );

        let outcomes = all(
            r#"sed -u 's/"N":"\([0-9]*5\)"/"N":"1\1"/; s/.*"N":"[0-9]*7".*/{"skip": true}/'"#,
            jobs,
            1005,
        );

        for (number, outcome) in outcomes.into_iter().enumerate() {
            match number % 10 {
                5 => {
                    let Outcome::Changed(changed) = outcome else {
                        panic!("{number}: {outcome:?}")
                    };

                    assert!(changed.starts_with(format!(r#"{{"id":{{"N":"1{number}""#).as_bytes()));
                }
                7 => assert_eq!(outcome, Outcome::Skipped),
                _ => assert_eq!(outcome, Outcome::Unchanged),
            }
        }
    }
}

/// `awk` prints when its buffer is full or its input has ended; `tac` only at the end of its input.
#[test]
fn a_program_may_hold_its_output_back() {
    assert_eq!(all("awk '{print}'", 2, 5000).len(), 5000);
    assert_eq!(all("tac | tac", 2, 50).len(), 50);
}

#[test]
fn an_answer_may_reject_an_item() {
    let outcomes = all(r#"sed 's/.*/{"error":"no"}/'"#, 1, 3);
    assert_eq!(
        outcomes,
        vec![Outcome::Rejected(RejectReason::External("no".to_owned())); 3]
    );
}

#[test]
fn a_crash_names_the_item_and_shows_the_last_words() {
    let line = r#"head -n 13; echo "out of cheese" >&2; exit 7"#;
    let (outcomes, error) = run(line, 1, 100, Duration::from_secs(30));
    let error = error.expect("it crashed");
    assert_eq!(outcomes.len(), 10);
    assert_eq!(
        error.to_string(),
        r#"the command of --transform-command ended without an answer for the item {"id":{"N":"13"}} (exit status: 7)"#
    );
    assert!(
        error
            .details()
            .iter()
            .any(|line| line.contains("out of cheese")),
        "{error:?}"
    );

    let error = failure("cat; exit 3", 5, Duration::from_secs(30));
    assert!(
        error
            .to_string()
            .ends_with("answered every item, then failed (exit status: 3)"),
        "{error}"
    );

    let error = failure("kill -9 $$", 5, Duration::from_secs(30));
    assert!(
        error
            .to_string()
            .contains(r#"for the item {"id":{"N":"0"}} (signal: 9"#),
        "{error}"
    );
}

#[test]
fn garbage_names_the_item() {
    let error = failure("sed '3s/.*/Hello/'", 10, Duration::from_secs(30));
    assert_eq!(
        error.to_string(),
        r#"the command of --transform-command did not answer the item {"id":{"N":"2"}} with a JSON object: "Hello""#
    );
    assert!(error.hint().expect("a hint").contains("standard error"));
}

#[test]
fn more_lines_than_items_are_an_error() {
    let error = failure("cat; echo '{}'", 10, Duration::from_secs(30));
    assert!(
        error
            .to_string()
            .ends_with("printed more lines than it received items"),
        "{error}"
    );
}

#[test]
fn a_hang_ends_with_the_time_out_and_with_all_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let line = format!("head -n 4; sleep 1000 & echo $! > {}; wait", pid.display());
    let error = failure(&line, 10, Duration::from_secs(3));
    assert_eq!(
        error.to_string(),
        r#"the command of --transform-command did not answer for 3 s: the next item is {"id":{"N":"4"}}"#
    );
    let pid = std::fs::read_to_string(pid).unwrap();
    let deadline = Instant::now() + Duration::from_secs(500);
    let gone = || {
        std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
            .map_or(true, |stat| stat.contains(") Z "))
    };
    while !gone() {
        assert!(Instant::now() < deadline, "the program's child lives on");
        std::thread::yield_now();
    }

    let error = failure("cat; sleep 1000", 3, Duration::from_secs(3));
    assert!(
        error
            .to_string()
            .ends_with("it answered every item but did not exit"),
        "{error}"
    );
}

/// A page of which a filter leaves nothing is a chunk without items. They are held until the items before them are answered.
#[test]
fn a_program_that_holds_its_output_back_gets_a_limited_number_of_chunks() {
    let spec = CommandSpec {
        jobs: NonZeroUsize::new(1),
        timeout: Duration::from_millis(200),
        ..CommandSpec::new("tac | tac")
    };
    let transform = Transform::new().command(spec).unwrap();
    let (input, mut output) = transform.start(NonZeroUsize::MIN, &silent()).unwrap();

    std::thread::scope(|scope| {
        scope.spawn(move || {
            input.push(vec![item(1)], ()).unwrap();
            let mut pages = (0..2 * MAX_PENDING_JOBS).map(|_| input.push(Vec::new(), ()));
            if pages.all(|pushed| pushed.is_ok()) {
                input.end();
            }
        });

        // At the end of its input it would have answered.
        let error = output.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("did not answer for"), "{error}");
    });
}

#[test]
fn a_run_that_is_given_up_ends_its_commands() {
    let spec = CommandSpec::new("sleep 1000");
    let transform = Transform::new().command(spec).unwrap();
    let (input, output) = transform.start(NonZeroUsize::MIN, &silent()).unwrap();
    input.push(vec![item(1)], ()).unwrap();
    drop(output);
    assert!(input.push(vec![item(2)], ()).is_err());
}

#[test]
fn a_missing_program_is_reported_immediately() {
    for line in ["no-such-program-at-all --x", "", "  ", "/no/such/path"] {
        let error = Transform::new()
            .command(CommandSpec::new(line))
            .expect_err(line);
        assert_eq!(error.kind(), crate::error::ErrorKind::Usage, "{line}");
    }

    for line in ["cat", "FOO=1 cat", "./x || cat", "exec cat"] {
        assert_eq!(
            Transform::new().command(CommandSpec::new(line)).is_ok(),
            !line.starts_with("./"),
            "{line}"
        );
    }
}
