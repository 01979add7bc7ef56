//! Tests of the pipeline, with stages that skip, multiply, reject and fail pseudorandomly.

use super::outcome::{Outcome, RejectReason};
use super::stage::{Stage, StageWorker};
use super::step::TransformStep;
use super::*;
use crate::event::{Reporter, SilentReporter};
use bytes::Bytes;
use proptest::prelude::*;
use std::num::NonZeroUsize;
use std::sync::Arc;

fn silent() -> Arc<dyn Reporter> {
    Arc::new(SilentReporter)
}

/// A stage whose outcome depends only on the item and a seed, so that tests can predict it.
struct Erratic {
    seed: u64,
}

impl Stage for Erratic {
    fn worker(&self) -> Box<dyn StageWorker + '_> {
        Box::new(self)
    }
}

fn mixed(seed: u64, text: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(text, seed)
}

impl StageWorker for &Erratic {
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

/// The expected outcome of two such stages, computed without the pipeline.
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
    transform = transform.stage(Erratic { seed: seeds[0] });
    if let Some(line) = between {
        transform = transform.command(CommandSpec::new(line)).unwrap();
    }

    transform.stage(Erratic { seed: seeds[1] })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn order_and_counts_are_exact(
        seeds in any::<[u64; 2]>(),
        chunks in prop::collection::vec(0..30usize, 0..60),
        threads in 1..6usize,
    ) {
        let (input, output) = erratic(seeds, None).start(NonZeroUsize::new(threads).unwrap(), &silent()).unwrap();
        let mut number = 0;
        let inputs: Vec<Vec<Bytes>> = chunks.iter().map(|size| (0..*size).map(|_| {
            number += 1;
            Bytes::from(number.to_string())
        }).collect()).collect();
        let sent = inputs.clone();
        let output: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(move || {
                sent.into_iter().enumerate().for_each(|(tag, items)| input.push(items, tag).unwrap());
                input.end();
            });
            output.map(Result::unwrap).collect()
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

#[test]
fn a_command_between_stages_keeps_order_and_counts() {
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

    let (input, output) = transform
        .start(NonZeroUsize::new(2).unwrap(), &silent())
        .unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in 0..100 {
                input
                    .push((chunk * 10..chunk * 10 + 10).map(text).collect(), chunk)
                    .unwrap();
            }

            input.end();
        });

        let mut number = 0;
        for (chunk, result) in output.enumerate() {
            let result = result.unwrap();
            assert_eq!(result.tag, chunk as u64);
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
    });
}

/// A stage that panics on one item.
struct Broken;

impl Stage for Broken {
    fn worker(&self) -> Box<dyn StageWorker + '_> {
        Box::new(Broken)
    }
}

impl StageWorker for Broken {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        assert_ne!(&item[..], b"42", "a bug");
        Outcome::Unchanged
    }
}

#[test]
fn a_failure_comes_at_its_place_and_ends_the_run() {
    let transform = Transform::new().stage(Broken);
    let (input, mut output) = transform
        .start(NonZeroUsize::new(3).unwrap(), &silent())
        .unwrap();
    std::thread::scope(|scope| {
        let sender = scope.spawn(move || {
            (0..10_000).find(|n| input.push(vec![Bytes::from(n.to_string())], *n).is_err())
        });
        for tag in 0..42 {
            assert_eq!(output.next().unwrap().unwrap().tag, tag);
        }

        assert!(output.next().unwrap().is_err());
        assert!(output.next().is_none());
        drop(output);
        assert!(sender.join().unwrap().is_some(), "the feeder is told");
    });
}

/// Number of results and the error that follows them, if any.
fn output_of<T>(output: super::TransformOutput<T>) -> (usize, Option<String>) {
    let mut count = 0;
    for result in output {
        match result {
            Ok(_) => count += 1,
            Err(error) => return (count, Some(error.to_string())),
        }
    }

    (count, None)
}

/// Transforms with one processor, with two, and with a command as the first one.
fn runs() -> Vec<Transform> {
    let cat = || CommandSpec::new("cat");
    vec![
        Transform::new().stage(Erratic { seed: 0 }),
        Transform::new()
            .stage(Erratic { seed: 0 })
            .command(cat())
            .unwrap(),
        Transform::new()
            .command(cat())
            .unwrap()
            .stage(Erratic { seed: 0 }),
    ]
}

#[test]
fn a_feeder_whose_thread_panics_is_a_failure_and_not_the_end() {
    for transform in runs() {
        let (input, output) = transform
            .start(NonZeroUsize::new(2).unwrap(), &silent())
            .unwrap();
        let fed = std::thread::spawn(move || {
            for tag in 0..20 {
                input.push(vec![Bytes::from_static(b"{}")], tag).unwrap();
            }

            panic!("provoked");
        });

        let (count, error) = output_of(output);
        assert!(fed.join().is_err());
        assert_eq!(
            (count, error.as_deref()),
            (
                20,
                Some("reading the items ended unexpectedly; this is a bug")
            )
        );
    }
}

#[test]
fn the_failure_of_a_source_comes_after_the_results_before_it() {
    for transform in runs() {
        let (input, output) = transform
            .start(NonZeroUsize::new(2).unwrap(), &silent())
            .unwrap();
        let fed = std::thread::spawn(move || {
            for tag in 0..20 {
                input.push(vec![Bytes::from_static(b"{}")], tag).unwrap();
            }

            input.fail(crate::error::Error::failed("provoked"));
        });

        assert_eq!(output_of(output), (20, Some("provoked".to_owned())));
        fed.join().unwrap();
    }
}

#[test]
fn dropping_the_results_ends_a_waiting_feeder() {
    for transform in runs() {
        let (input, mut output) = transform.start(NonZeroUsize::MIN, &silent()).unwrap();
        let fed = std::thread::spawn(move || {
            while input
                .push(
                    vec![Bytes::from(format!(
                        r#"{{"a":{{"S":"{}"}}}}"#,
                        "x".repeat(300_000)
                    ))],
                    (),
                )
                .is_ok()
            {}
        });

        drop(output.next());
        drop(output);
        fed.join().unwrap();
    }
}

#[test]
fn few_items_are_in_flight_at_a_time() {
    let transform = Transform::new().stage(Erratic { seed: 0 });
    let (input, mut output) = transform
        .start(NonZeroUsize::new(2).unwrap(), &silent())
        .unwrap();
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..100 {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                if input
                    .push(vec![Bytes::from(number.to_string())], ())
                    .is_err()
                {
                    return;
                }
            }

            input.end();
        });

        for pulled in 0..100 {
            assert!(
                sent.load(std::sync::atomic::Ordering::SeqCst) <= pulled + 8,
                "at {pulled}"
            );
            output.next().unwrap().unwrap();
        }

        assert!(output.next().is_none());
    });
}

#[test]
fn masks_come_last_and_everything_is_a_transform() {
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
    let (input, output) = transform.start(NonZeroUsize::MIN, &silent()).unwrap();
    input
        .push(
            vec![
                Bytes::from_static(br#"{"a":{"S":"x"}}"#),
                Bytes::from_static(b"{}"),
            ],
            (),
        )
        .unwrap();

    input.end();
    let outcomes = output.map(Result::unwrap).next().unwrap().outcomes;
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
        [TransformStep::Stage(_), TransformStep::Stage(_)]
    ));
}
