//! How fast transforms are: items per second of each kind on one thread and on one for each core, beside the `jq` program on the
//! same lines.
//!
//! Run with `cargo bench --bench transform`; `jq` and `python3` are left out where they are missing.
#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dynadump::error::{Error, Result};
use dynadump::event::{Reporter, SilentReporter};
use dynadump::transform::{
    CommandSpec, ItemChunk, MaskKey, MaskRules, Masks, Outcome, PythonSpec, Transform,
};
use futures_util::stream::{self, StreamExt};
use tokio::runtime::Runtime;

/// Items of each measurement, and to a chunk.
const ITEMS: u32 = 100_000;
const CHUNK: usize = 500;

/// The example that the documentation leads with.
const EXAMPLE: &str = r#".new_sk = S("\(.type | str)#\(.timestamp | str)") | drop("old_sk")"#;

/// The same in plain jq.
const EXAMPLE_IN_JQ: &str = r#".new_sk = {S: "\(.type.S)#\(.timestamp.N)"} | del(.old_sk)"#;

const RULES: &str = r#"
[[rule]]
path = "email"
action = "hash"

[[rule]]
path = "name"
action = "fake"
kind = "name"

[[rule]]
path = "address.street"
action = "redact"

[[rule]]
path = "tags.*"
action = "keep-format"
"#;

fn main() -> Result<()> {
    let items = items();
    let bytes: usize = items.iter().map(Bytes::len).sum();
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    println!(
        "{ITEMS} items of {} bytes each, per second\n",
        bytes / items.len()
    );
    println!(
        "{:<28} {:>10} {:>10}",
        "",
        "one thread",
        format!("{cores} threads")
    );

    let rules = || MaskRules::parse("rules", RULES);
    let key = MaskKey::new(b"a key for the benchmark")?;
    let cases = [
        ("jq identity", Transform::new().filter("bench", ".")?),
        (
            "jq standing example",
            Transform::new().filter("bench", EXAMPLE)?,
        ),
        (
            "the same in plain jq",
            Transform::new().filter("bench", EXAMPLE_IN_JQ)?,
        ),
        (
            "--where",
            Transform::new().condition("bench", ".timestamp.N | tonumber > 5")?,
        ),
        (
            "mask file",
            Transform::new().mask(Masks::new(rules()?, Some(key))?),
        ),
        (
            "cat as a command",
            Transform::new().command(CommandSpec::new("cat"))?,
        ),
    ];

    for (name, transform) in cases.into_iter().chain(in_python()?) {
        let rate = |threads| Ok(per_second(run(&transform, &items, threads)?));
        println!(
            "{name:<28} {:>10.0} {:>10.0}",
            rate(NonZeroUsize::MIN)?,
            rate(cores)?
        );
    }

    let lines = items.join(&b'\n');
    for (name, program) in [
        ("the jq program, identity", "."),
        ("the jq program, example", EXAMPLE_IN_JQ),
    ] {
        match piped("jq", &["-c", program], &lines) {
            Some(took) => println!("{name:<28} {:>10.0}", per_second(took)),
            None => println!("{name:<28} not measured: there is no jq"),
        }
    }

    Ok(())
}

/// The example in Python: as a program that reads and writes JSON, and as a function.
fn in_python() -> Result<[(&'static str, Transform); 2]> {
    let program = CommandSpec::new("python3 examples/transform.py");
    let function = PythonSpec::new("examples/rekey.py:rekey");

    Ok([
        ("python3 as a command", Transform::new().command(program)?),
        ("a Python function", Transform::new().python(function)?),
    ])
}

fn per_second(took: Duration) -> f64 {
    f64::from(ITEMS) / took.as_secs_f64()
}

/// Items as an application has them: some attributes, a map, a set.
fn items() -> Vec<Bytes> {
    let item = |number: u32| {
        let mut text = String::with_capacity(1024);
        let (mail, date) = (
            format!("person{number}@example.org"),
            1_700_000_000 + number,
        );

        // A string takes everything.
        let _ = write!(
            text,
            r#"{{"pk":{{"S":"customer#{number:08}"}},"old_sk":{{"S":"v0"}},"type":{{"S":"order"}},"#
        );
        let _ = write!(
            text,
            r#""timestamp":{{"N":"{date}"}},"email":{{"S":"{mail}"}},"name":{{"S":"Person No {number}"}},"#
        );
        let _ = write!(
            text,
            r#""address":{{"M":{{"street":{{"S":"{number} Main Street"}},"city":{{"S":"Rome"}}}}}},"#
        );
        let _ = write!(
            text,
            r#""tags":{{"SS":["first-{number}","second-{number}"]}},"active":{{"BOOL":true}},"#
        );
        let _ = write!(
            text,
            r#""note":{{"S":"{}"}}}}"#,
            "lorem ipsum dolor sit amet ".repeat(20)
        );

        Bytes::from(text)
    };

    (0..ITEMS).map(item).collect()
}

/// The time that all items take.
///
/// # Errors
/// A program cannot be started, or fails; an item is rejected, so that the figure would be of something else.
fn run(transform: &Transform, items: &[Bytes], threads: NonZeroUsize) -> Result<Duration> {
    let reporter: Arc<dyn Reporter> = Arc::new(SilentReporter);
    let chunks: Vec<_> = items
        .chunks(CHUNK)
        .map(|chunk| {
            let items = chunk.to_vec();
            Ok(ItemChunk { tag: (), items })
        })
        .collect();

    let runtime = Runtime::new()
        .map_err(|error| Error::failed("the runtime cannot be started").with_source(error))?;
    runtime.block_on(async {
        let began = Instant::now();
        let mut results = transform.apply(stream::iter(chunks), threads, &reporter)?;

        while let Some(chunk) = results.next().await {
            for outcome in chunk?.outcomes {
                if let Outcome::Rejected(reason) = outcome {
                    return Err(Error::failed(format!("an item was rejected: {reason}")));
                }
            }
        }

        Ok(began.elapsed())
    })
}

/// The time a program takes for the lines; `None` if there is no such program.
fn piped(program: &str, arguments: &[&str], lines: &[u8]) -> Option<Duration> {
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .ok()?;

    child.stdin.take()?.write_all(lines).ok()?;

    child.wait().ok()?.success().then(|| began.elapsed())
}
