//! How fast transforms are: items per second of each kind on one thread, beside the `jq` program and Python on the same lines.
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
use dynadump::error::Result;
use dynadump::event::{Reporter, Silent};
use dynadump::transform::{CommandSpec, MaskKey, MaskRules, Masks, Tally, Transform};

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
    println!("{ITEMS} items of {} bytes each, one thread", bytes / items.len());
    let rules = || MaskRules::parse("rules", RULES);
    let key = MaskKey::new(b"a key for the benchmark")?;
    let python = CommandSpec::new("python3 examples/transform.py");
    let cases = [
        ("jq identity", Transform::new().filter("bench", ".")?),
        ("jq standing example", Transform::new().filter("bench", EXAMPLE)?),
        ("the same in plain jq", Transform::new().filter("bench", EXAMPLE_IN_JQ)?),
        ("--where", Transform::new().condition("bench", ".timestamp.N | tonumber > 5")?),
        ("mask file", Transform::new().mask(Masks::new(rules()?, Some(key))?)),
        ("cat as a command", Transform::new().command(CommandSpec::new("cat"))?),
        ("python3 as a command", Transform::new().command(python)?),
    ];
    for (name, transform) in cases {
        let (took, tally) = run(&transform, &items)?;
        show(
            name,
            took,
            &format!("{} unchanged, {} changed, {} rejected", tally.unchanged, tally.changed, tally.rejected),
        );
    }
    let lines = items.join(&b'\n');
    for (name, program) in [("the jq program, identity", "."), ("the jq program, example", EXAMPLE_IN_JQ)] {
        match piped("jq", &["-c", program], &lines) {
            Some(took) => show(name, took, ""),
            None => println!("{name:<28} not measured: there is no jq"),
        }
    }
    Ok(())
}

fn show(name: &str, took: Duration, note: &str) {
    let per_second = f64::from(ITEMS) / took.as_secs_f64();
    println!("{name:<28} {per_second:>9.0} items/s  {note}");
}

/// Items as an application has them: some attributes, a map, a set.
fn items() -> Vec<Bytes> {
    let item = |number: u32| {
        let mut text = String::with_capacity(1024);
        let (mail, date) = (format!("person{number}@example.org"), 1_700_000_000 + number);
        // A string takes everything.
        let _ = write!(text, r#"{{"pk":{{"S":"customer#{number:08}"}},"old_sk":{{"S":"v0"}},"type":{{"S":"order"}},"#);
        let _ = write!(
            text,
            r#""timestamp":{{"N":"{date}"}},"email":{{"S":"{mail}"}},"name":{{"S":"Person No {number}"}},"#
        );
        let _ = write!(text, r#""address":{{"M":{{"street":{{"S":"{number} Main Street"}},"city":{{"S":"Rome"}}}}}},"#);
        let _ = write!(text, r#""tags":{{"SS":["first-{number}","second-{number}"]}},"active":{{"BOOL":true}},"#);
        let _ = write!(text, r#""note":{{"S":"{}"}}}}"#, "lorem ipsum dolor sit amet ".repeat(20));
        Bytes::from(text)
    };
    (0..ITEMS).map(item).collect()
}

fn run(transform: &Transform, items: &[Bytes]) -> Result<(Duration, Tally)> {
    let reporter: Arc<dyn Reporter> = Arc::new(Silent);
    let began = Instant::now();
    let (feeder, results) = transform.start(NonZeroUsize::MIN, &reporter)?;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        scope.spawn(move || items.chunks(CHUNK).all(|chunk| feeder.push(chunk.to_vec(), ()).is_ok()));
        for chunk in results {
            chunk?.outcomes.iter().for_each(|outcome| tally.add(outcome));
        }
        Ok((began.elapsed(), tally))
    })
}

/// The time a program takes for the lines; `None` if there is no such program.
fn piped(program: &str, arguments: &[&str], lines: &[u8]) -> Option<Duration> {
    let began = Instant::now();
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(lines).ok()?;
    child.wait().ok()?.success().then(|| began.elapsed())
}
