//! Tests of the pipeline, with steps that skip, multiply, reject and fail pseudorandomly.

use super::item_step::{ItemStep, ItemWorker};
use super::outcome::{Outcome, RejectReason};
use super::step::TransformStep;
use super::*;
use crate::error::{Error, Result};
use crate::event::{Reporter, SilentReporter};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use proptest::prelude::*;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn silent() -> Arc<dyn Reporter> {
    Arc::new(SilentReporter)
}

/// A step whose outcome depends only on the item and a seed, so that tests can predict it.
struct Erratic {
    seed: u64,
}

impl ItemStep for Erratic {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(self)
    }
}

fn mixed(seed: u64, text: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(text, seed)
}

impl ItemWorker for &Erratic {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        let chance = mixed(self.seed, item);
        // Some items take longer than others, so that they finish in another order.
        for _ in 0..chance % 2000 {
            std::hint::black_box(chance);
        }

        let with = |suffix: &str| Bytes::from([&item[..], suffix.as_bytes()].concat());
        match chance % 7 {
            0 => Outcome::Skipped,
            1 => Outcome::Rejected(RejectReason::internal(format!(
                "no: {}",
                String::from_utf8_lossy(item)
            ))),
            2 => Outcome::Several(vec![with("a"), with("b"), with("c")]),
            3 => Outcome::Changed(with("d")),
            _ => Outcome::Unchanged,
        }
    }
}

/// The expected outcome of two such steps, computed without the pipeline.
fn expected(item: &Bytes, seeds: [u64; 2]) -> Outcome {
    let mut current = vec![item.clone()];
    let mut touched = false;
    for seed in seeds {
        let mut next = Vec::new();
        for item in &current {
            let outcome = (&Erratic { seed }).apply(item, item);
            if let Outcome::Rejected(_) = outcome {
                return outcome;
            }

            touched |= outcome != Outcome::Unchanged && outcome != Outcome::Skipped;
            next.extend_from_slice(outcome.items(item));
        }

        current = next;
    }

    match current.len() {
        0 => Outcome::Skipped,
        1 if !touched => Outcome::Unchanged,
        1 => Outcome::Changed(current.remove(0)),
        _ => Outcome::Several(current),
    }
}

fn erratic(seeds: [u64; 2], between: Option<&str>) -> Transform {
    let mut transform = Transform::new();
    transform = transform.step(Erratic { seed: seeds[0] });
    if let Some(line) = between {
        transform = transform.command(CommandSpec::new(line)).unwrap();
    }

    transform.step(Erratic { seed: seeds[1] })
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn chunk<T>(items: Vec<Bytes>, tag: T) -> ItemChunk<T> {
    ItemChunk { tag, items }
}

/// Chunks of one item.
fn single_items(
    items: impl Iterator<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Result<ItemChunk<usize>>> + Send {
    stream::iter(
        items
            .enumerate()
            .map(|(tag, item)| Ok(chunk(vec![item], tag))),
    )
}

type Results<T> = BoxStream<'static, Result<TransformedChunk<T>>>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn order_and_counts_are_exact(
        seeds in any::<[u64; 2]>(),
        chunks in prop::collection::vec(0..30usize, 0..60),
        count in 1..6usize,
    ) {
        let mut number = 0;
        let inputs: Vec<Vec<Bytes>> = chunks.iter().map(|size| (0..*size).map(|_| {
            number += 1;
            Bytes::from(number.to_string())
        }).collect()).collect();
        let sent: Vec<_> = inputs.iter().cloned().enumerate().map(|(tag, items)| Ok(chunk(items, tag))).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let output: Vec<_> = runtime.block_on(async {
            let results = erratic(seeds, None).apply(stream::iter(sent), threads(count), &silent()).unwrap();
            results.map(Result::unwrap).collect().await
        });
        prop_assert_eq!(output.len(), chunks.len());
        let mut read = 0;
        for (tag, (result, input)) in output.into_iter().zip(inputs).enumerate() {
            prop_assert_eq!(result.tag, tag);
            prop_assert_eq!(&result.items, &input);
            let wanted: Vec<_> = input.iter().map(|item| expected(item, seeds)).collect();
            prop_assert_eq!(&result.outcomes, &wanted);
            read += result.outcomes.len() as u64;
        }
        prop_assert_eq!(read, number);
    }
}

#[tokio::test]
async fn a_command_between_steps_keeps_order_and_counts() {
    // A command requires JSON, so the items must be valid here.
    let text = |number: u64| Bytes::from(format!(r#"{{"n":{{"N":"{number}"}}}}"#));
    let transform = Transform::new()
        .filter(
            "t",
            "if .n | num % 3 == 0 then empty elif .n | num % 3 == 1 then ., (.m = N(1)) else . end",
        )
        .unwrap()
        .command(CommandSpec::new(r#"sed 's/"N":"1[0-9]*7"/"N":"7"/'"#))
        .unwrap()
        .filter("t", "if .n | num % 5 == 0 then error(\"five\") else . end")
        .unwrap();

    let chunks: Vec<_> = (0..100)
        .map(|tag| Ok(chunk((tag * 10..tag * 10 + 10).map(text).collect(), tag)))
        .collect();
    let mut results = transform
        .apply(stream::iter(chunks), threads(2), &silent())
        .unwrap();

    let (mut number, mut tag) = (0, 0);
    while let Some(result) = results.next().await {
        let result = result.unwrap();
        assert_eq!(result.tag, tag);
        tag += 1;

        for outcome in result.outcomes {
            let after = if (17..200).contains(&number) && number % 10 == 7 && number >= 100
                || number == 17
            {
                7
            } else {
                number
            };

            match (number % 3, after % 5) {
                (0, _) => assert_eq!(outcome, Outcome::Skipped, "{number}"),
                (_, 0) => assert_eq!(
                    outcome,
                    Outcome::Rejected(RejectReason::External("five".to_owned())),
                    "{number}"
                ),
                (1, _) => assert!(
                    matches!(&outcome, Outcome::Several(two) if two[0] == text(after)),
                    "{number}: {outcome:?}"
                ),
                _ if after == number => assert_eq!(outcome, Outcome::Unchanged, "{number}"),
                _ => assert_eq!(outcome, Outcome::Changed(text(after)), "{number}"),
            }

            number += 1;
        }
    }

    assert_eq!(number, 1000);
}

/// A step that panics on one item.
struct Broken;

impl ItemStep for Broken {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(Broken)
    }
}

impl ItemWorker for Broken {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        assert_ne!(&item[..], b"42", "a bug");
        Outcome::Unchanged
    }
}

#[tokio::test]
async fn a_step_that_panics_is_an_error_at_its_place_and_ends_the_results() {
    for count in [1, 3] {
        let items = (0..10_000).map(|number| Bytes::from(number.to_string()));
        let mut results = Transform::new()
            .step(Broken)
            .apply(single_items(items), threads(count), &silent())
            .unwrap();

        for tag in 0..42 {
            assert_eq!(results.next().await.unwrap().unwrap().tag, tag);
        }

        let error = results.next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "the transform panicked; this is a bug");
        assert!(results.next().await.is_none());
    }
}

/// Number of results and the error that follows them, if any.
async fn output_of<T>(mut results: Results<T>) -> (usize, Option<String>) {
    let mut count = 0;
    while let Some(result) = results.next().await {
        match result {
            Ok(_) => count += 1,
            Err(error) => return (count, Some(error.to_string())),
        }
    }

    (count, None)
}

/// Transforms with one group of steps, with two, and with a command as the first one.
fn runs() -> Vec<Transform> {
    let cat = || CommandSpec::new("cat");
    vec![
        Transform::new().step(Erratic { seed: 0 }),
        Transform::new()
            .step(Erratic { seed: 0 })
            .command(cat())
            .unwrap(),
        Transform::new()
            .command(cat())
            .unwrap()
            .step(Erratic { seed: 0 }),
    ]
}

fn empty_items(count: usize) -> impl Iterator<Item = Bytes> + Send {
    std::iter::repeat_n(Bytes::from_static(b"{}"), count)
}

#[tokio::test]
async fn a_source_that_panics_is_a_failure_and_not_the_end() {
    let panicking = stream::once(async { panic!("provoked") });
    let items = single_items(empty_items(20)).chain(panicking);
    let transform = Transform::new().command(CommandSpec::new("cat")).unwrap();
    let results = transform.apply(items, threads(2), &silent()).unwrap();

    let expected = "the transform panicked; this is a bug";
    assert_eq!(output_of(results).await, (20, Some(expected.to_owned())));
}

#[tokio::test]
async fn the_failure_of_a_source_comes_after_the_results_before_it() {
    for transform in runs() {
        let failure = || Err(Error::failed("provoked"));
        let items = single_items(empty_items(20)).chain(stream::repeat_with(failure));
        let results = transform.apply(items, threads(2), &silent()).unwrap();

        assert_eq!(output_of(results).await, (20, Some("provoked".to_owned())));
    }
}

#[tokio::test]
async fn dropping_the_results_ends_the_source() {
    for transform in runs() {
        let (source_lives, source_ended) = tokio::sync::oneshot::channel::<()>();
        let item = Bytes::from(format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(300_000)));
        let items = single_items(std::iter::repeat(item)).map(move |chunk| {
            assert!(!source_lives.is_closed(), "the test waits for it");
            chunk
        });
        let mut results = transform.apply(items, threads(1), &silent()).unwrap();

        drop(results.next().await);
        drop(results);
        assert!(source_ended.await.is_err(), "it was dropped");
    }
}

/// How many more chunks are read than results are taken, at most.
async fn read_ahead(transform: &Transform, item: Bytes, count: usize) -> usize {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let items = single_items(std::iter::repeat_n(item, count)).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut results = transform.apply(items, threads(2), &silent()).unwrap();

    let mut most = 0;
    for taken in 1..=count {
        results.next().await.unwrap().unwrap();

        // Whatever reads ahead has the time for it.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }

        most = most.max(sent.load(Ordering::SeqCst) - taken);
    }

    assert!(results.next().await.is_none());

    most
}

#[tokio::test]
async fn few_items_are_in_flight_at_a_time() {
    let transform = Transform::new().step(Erratic { seed: 0 });
    let most = read_ahead(&transform, Bytes::from_static(b"1"), 100).await;
    assert!(most <= 8, "{most}");
}

/// A command that answers faster than its results are taken must not hold the whole table in memory.
#[tokio::test]
async fn results_of_a_command_that_nobody_takes_are_limited() {
    let transform = Transform::new().command(CommandSpec::new("cat")).unwrap();
    let item = Bytes::from(format!(r#"{{"a":{{"S":"{}"}}}}"#, "x".repeat(300_000)));
    let most = read_ahead(&transform, item, 200).await;

    // 16 MB that wait, 8 MB without an answer, and what the feeding task and the processes have taken.
    assert!(most <= 24 * 1024 * 1024 / 300_000 + 5, "{most}");
}

#[tokio::test]
async fn masks_come_last_and_everything_is_a_transform() {
    let rules = MaskRules::parse(
        "r",
        "[[rule]]\npath = 'copy'\naction = 'redact'\n[[rule]]\npath = 'none'\naction = 'drop'",
    )
    .unwrap();

    let transform = Transform::new()
        .mask(Masks::new(rules, None).unwrap())
        .filter("t", ".copy = .a")
        .unwrap();
    assert!(!transform.is_empty() && Transform::new().is_empty());
    let items = vec![
        Bytes::from_static(br#"{"a":{"S":"x"}}"#),
        Bytes::from_static(b"{}"),
    ];
    let mut results = transform
        .apply(stream::iter([Ok(chunk(items, ()))]), threads(1), &silent())
        .unwrap();
    let outcomes = results.next().await.unwrap().unwrap().outcomes;
    assert_eq!(
        outcomes[0],
        Outcome::Changed(r#"{"a":{"S":"x"},"copy":{"S":"[redacted]"}}"#.into())
    );
    assert!(
        matches!(&outcomes[1], Outcome::Rejected(reason) if reason.to_string().contains("is not shown")),
        "{:?}",
        outcomes[1]
    );

    assert_eq!(
        transform.warnings(),
        ["r line 4, column 1: the rule for `none` matched no item"]
    );
    assert!(matches!(
        transform.steps()[..],
        [TransformStep::PerItem(_), TransformStep::PerItem(_)]
    ));
}

#[tokio::test]
async fn a_function_gives_outcomes_and_its_items_are_checked() {
    let function = |item: &Bytes| match &item[..] {
        br#"{"n":{"N":"0"}}"# => Outcome::Unchanged,
        br#"{"n":{"N":"1"}}"# => Outcome::Skipped,
        br#"{"n":{"N":"2"}}"# => Outcome::Changed(r#"{"n":{"N":"-2"}}"#.into()),
        br#"{"n":{"N":"3"}}"# => Outcome::Several(vec![item.clone(), r#"{"n":{"N":"x"}}"#.into()]),
        _ => Outcome::Rejected("unknown".to_owned().into()),
    };
    let transform = Transform::new().function("numbers", function);
    let items = (0..5).map(|number| format!(r#"{{"n":{{"N":"{number}"}}}}"#).into());
    let chunk = ItemChunk {
        tag: (),
        items: items.collect(),
    };
    let reporter: Arc<dyn Reporter> = Arc::new(SilentReporter);
    let mut results = transform
        .apply(stream::iter([Ok(chunk)]), NonZeroUsize::MIN, &reporter)
        .unwrap();
    let outcomes = results.next().await.unwrap().unwrap().outcomes;

    assert_eq!(
        outcomes[..3],
        [
            Outcome::Unchanged,
            Outcome::Skipped,
            Outcome::Changed(r#"{"n":{"N":"-2"}}"#.into())
        ]
    );
    let reasons: Vec<_> = outcomes[3..]
        .iter()
        .map(|outcome| match outcome {
            Outcome::Rejected(reason) => reason.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(reasons[0].contains("number"), "{reasons:?}");
    assert_eq!(reasons[1], "unknown");

    assert!(transform.changes_items() && !transform.has_commands());
    assert_eq!(
        transform.descriptions().collect::<Vec<_>>(),
        ["function numbers"]
    );
    let other = Transform::new().function("letters", |_| Outcome::Unchanged);
    assert_ne!(transform.identity(), other.identity());
}
