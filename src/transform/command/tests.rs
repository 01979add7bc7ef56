use super::*;
use crate::event::{Reporter, SilentReporter};
use crate::item::{KeyAttribute, KeyType};
use crate::transform::{ItemChunk, Outcome, RejectReason, Transform};
use futures_util::stream::Stream;
use std::iter;
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

/// Chunks of ten items.
fn chunks(count: usize) -> impl Stream<Item = Result<ItemChunk<usize>>> + Send {
    stream::iter((0..count.div_ceil(10)).map(move |tag| {
        let items = (tag * 10..(tag * 10 + 10).min(count)).map(item).collect();
        Ok(ItemChunk { tag, items })
    }))
}

/// Sends `count` items in chunks of ten. Returns all outcomes, or the error and the outcomes before
/// it.
async fn run(
    line: &str,
    jobs: usize,
    count: usize,
    timeout: Duration,
) -> (Vec<Outcome>, Option<Error>) {
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

    let mut results = transform
        .apply(chunks(count), NonZeroUsize::MIN, &silent())
        .unwrap();
    let (mut outcomes, mut expected) = (Vec::new(), 0);
    while let Some(result) = results.next().await {
        match result {
            Ok(chunk) => {
                assert_eq!(
                    (chunk.tag, chunk.items.len()),
                    (expected, chunk.outcomes.len())
                );
                expected += 1;
                outcomes.extend(chunk.outcomes);
            }
            Err(error) => return (outcomes, Some(error)),
        }
    }

    (outcomes, None)
}

async fn all(line: &str, jobs: usize, count: usize) -> Vec<Outcome> {
    match run(line, jobs, count, Duration::from_secs(30)).await {
        (outcomes, None) => outcomes,
        (_, Some(error)) => panic!("{line}: {error:?}"),
    }
}

async fn failure(line: &str, count: usize, timeout: Duration) -> Error {
    run(line, 1, count, timeout)
        .await
        .1
        .unwrap_or_else(|| panic!("{line} works"))
}

#[tokio::test]
async fn lines_come_back_in_order_from_any_number_of_copies() {
    for jobs in [1, 3] {
        let outcomes = all("cat", jobs, 1005).await;
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
        )
        .await;

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
#[tokio::test]
async fn a_program_may_hold_its_output_back() {
    assert_eq!(all("awk '{print}'", 2, 5000).await.len(), 5000);
    assert_eq!(all("tac | tac", 2, 50).await.len(), 50);
}

#[tokio::test]
async fn an_answer_may_reject_an_item() {
    let outcomes = all(r#"sed 's/.*/{"error":"no"}/'"#, 1, 3).await;
    assert_eq!(
        outcomes,
        vec![Outcome::Rejected(RejectReason::External("no".to_owned())); 3]
    );
}

#[tokio::test]
async fn a_crash_names_the_item_and_shows_the_last_words() {
    let line = r#"head -n 13; echo "out of cheese" >&2; exit 7"#;
    let (outcomes, error) = run(line, 1, 100, Duration::from_secs(30)).await;
    let error = error.expect("it crashed");
    assert_eq!(outcomes.len(), 10);
    assert_eq!(
        error.to_string(),
        r#"the command of `transform_command` ended without an answer for the item {"id":{"N":"13"}} (exit status: 7)"#
    );
    assert!(
        error
            .details()
            .iter()
            .any(|line| line.contains("out of cheese")),
        "{error:?}"
    );

    let error = failure("cat; exit 3", 5, Duration::from_secs(30)).await;
    assert!(
        error
            .to_string()
            .ends_with("answered every item, then failed (exit status: 3)"),
        "{error}"
    );

    let error = failure("kill -9 $$", 5, Duration::from_secs(30)).await;
    assert!(
        error
            .to_string()
            .contains(r#"for the item {"id":{"N":"0"}} (signal: 9"#),
        "{error}"
    );
}

#[tokio::test]
async fn garbage_names_the_item() {
    let error = failure("sed '3s/.*/Hello/'", 10, Duration::from_secs(30)).await;
    assert_eq!(
        error.to_string(),
        r#"the command of `transform_command` did not answer the item {"id":{"N":"2"}} with a JSON object: "Hello""#
    );
    assert!(error.hint().expect("a hint").contains("standard error"));
}

#[tokio::test]
async fn more_lines_than_items_are_an_error() {
    let error = failure("cat; echo '{}'", 10, Duration::from_secs(30)).await;
    assert!(
        error
            .to_string()
            .ends_with("printed more lines than it received items"),
        "{error}"
    );
}

#[tokio::test]
async fn a_hang_ends_with_the_time_out_and_with_all_its_processes() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let line = format!("head -n 4; sleep 1000 & echo $! > {}; wait", pid.display());
    let error = failure(&line, 10, Duration::from_secs(3)).await;
    assert_eq!(
        error.to_string(),
        r#"the command of `transform_command` did not answer for 3 s: the next item is {"id":{"N":"4"}}"#
    );
    let pid = std::fs::read_to_string(pid).unwrap();
    until(|| !is_running(&pid)).await;

    let error = failure("cat; sleep 1000", 3, Duration::from_secs(3)).await;
    assert!(
        error
            .to_string()
            .ends_with("it answered every item but did not exit"),
        "{error}"
    );
}

/// A page of which a filter leaves nothing is a chunk without items. They are held until the items before them are answered.
#[tokio::test]
async fn a_program_that_holds_its_output_back_gets_a_limited_number_of_chunks() {
    let spec = CommandSpec {
        jobs: NonZeroUsize::new(1),
        timeout: Duration::from_millis(200),
        ..CommandSpec::new("tac | tac")
    };
    let transform = Transform::new().command(spec).unwrap();
    let first = ItemChunk {
        tag: (),
        items: vec![item(1)],
    };
    let pages = (0..2 * MAX_PENDING_JOBS).map(|_| ItemChunk {
        tag: (),
        items: Vec::new(),
    });
    let chunks = stream::iter(iter::once(first).chain(pages).map(Ok));
    let mut results = transform
        .apply(chunks, NonZeroUsize::MIN, &silent())
        .unwrap();

    // At the end of its input it would have answered.
    let error = results.next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("did not answer for"), "{error}");
}

/// A program may hold the last answers of a chunk back until it gets the next one, even if a chunk is larger than what a process may
/// be sent without an answer.
#[tokio::test]
async fn a_large_chunk_does_not_wait_for_the_last_answers_of_the_one_before() {
    let jobs = UNANSWERED_BYTES / MIN_UNANSWERED_BYTES;
    let text = "x".repeat(1000);
    let large = move |tag| {
        let lines =
            (0..270).map(|number| format!(r#"{{"id":{{"N":"{number}"}},"t":{{"S":"{text}"}}}}"#));
        Ok(ItemChunk {
            tag,
            items: lines.map(Bytes::from).collect(),
        })
    };
    let spec = CommandSpec {
        jobs: NonZeroUsize::new(jobs),
        timeout: Duration::from_mins(1),
        ..CommandSpec::new("awk '{print}'")
    };
    let transform = Transform::new().command(spec).unwrap();
    let chunks = stream::iter((0..jobs + 5).map(large));
    let mut results = transform
        .apply(chunks, NonZeroUsize::MIN, &silent())
        .unwrap();

    for tag in 0..jobs + 5 {
        assert_eq!(results.next().await.unwrap().unwrap().tag, tag);
    }

    assert!(results.next().await.is_none());
}

#[tokio::test]
async fn a_run_that_is_given_up_ends_its_commands() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let line = format!("echo $$ > {}; sleep 1000 & wait", file.display());
    let transform = Transform::new().command(CommandSpec::new(line)).unwrap();
    let results = transform
        .apply(chunks(20), NonZeroUsize::MIN, &silent())
        .unwrap();

    let mut pid = String::new();
    until(|| {
        pid = std::fs::read_to_string(&file).unwrap_or_default();
        pid.ends_with('\n')
    })
    .await;
    assert!(is_running(&pid));

    drop(results);
    until(|| !is_running(&pid)).await;
}

/// Whether a process exists and is not a zombie.
fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits for a condition.
async fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(500);
    while !condition() {
        assert!(Instant::now() < deadline, "it takes too long");
        tokio::task::yield_now().await;
    }
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
