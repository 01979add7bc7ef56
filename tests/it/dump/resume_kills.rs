//! Dumps killed at fifty points in time and resumed, in every layout: the result is exact each time. Only with the embedded engine,
//! for the same reason as in `resume`.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::poll;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::films::{films_table, items_in_table, items_in_text};
use crate::support::process::{send_signal, spawn_silent};
use crate::support::project::Project;

/// Kills of each layout; the layouts are killed at the same time.
const KILLS: usize = 7;

/// In one segment, in nine (more than the pages that memory has room for) and in 32 (as many pages are requested at the same time).
const LAYOUTS: [&[&str]; 8] = [
    &["--output=out"],
    &["--output=out", "--format=jsonl", "--segments=9"],
    &["--output=out", "--compress=zstd", "--segments=1"],
    &["--output=out", "--compress=gzip", "--segments=9"],
    &["--output=out", "--segments=32"],
    &[
        "--output=out",
        "--format=jsonl",
        "--compress=zstd",
        "--segments=32",
        "--consistent-read",
    ],
    &["--output=out.jsonl"],
    &["--output=out.jsonl.zst", "--segments=9"],
];

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn fifty_kills_and_not_an_item_too_few_or_too_many() {
    let (engine, client) = films_table(12);
    let expected = items_in_table(&client, "films");
    std::thread::scope(|scope| {
        let layouts = LAYOUTS.iter().zip(1..).map(|(layout, seed)| {
            let engine = &engine;
            scope.spawn(move || killed(engine, layout, Chance(seed)))
        });
        let mut resumed = 0;
        for killed in layouts.collect::<Vec<_>>() {
            let (project, times) = killed.join().expect("no layout fails");
            assert!(
                items_in_text(&unpacked(&project)) == expected,
                "items are missing, changed or too many"
            );
            resumed += times;
        }

        assert!(
            resumed >= LAYOUTS.len(),
            "only {resumed} of the kills left something to go on with"
        );
    });
}

/// Kills dumps of one layout, each going on with the one before, and lets the last one come to its end.
fn killed(engine: &Engine, layout: &[&str], mut chance: Chance) -> (Project, usize) {
    let proxy = Proxy::with_rules(
        engine,
        [always("Scan", Fault::Late(Duration::from_millis(170)))],
    );
    let project = Project::empty().environment("local", proxy.url(), "films");
    let dump = || project.command("dumpdb", layout.iter().chain(&["--resume", "--yes"]));
    let (mut kills, mut resumed) = (0, 0);
    let is_left = || {
        project
            .names(".")
            .iter()
            .any(|name| name.ends_with(".journal"))
    };

    while kills < KILLS {
        resumed += usize::from(is_left());
        let (before, pages) = (proxy.count("Scan"), chance.below(11));
        let after = Duration::from_millis(chance.below(170));
        let mut child = spawn_silent(dump());
        let mut reached = None;
        poll("the dump reads or ends", || {
            let read = proxy.count("Scan") - before;
            if reached.is_none() && read as u64 > pages {
                reached = Some(Instant::now());
            }

            reached.is_some_and(|since| since.elapsed() >= after) || has_ended(&mut child)
        });

        if has_ended(&mut child) {
            assert_eq!(
                child.wait().expect("it has ended").code(),
                Some(0),
                "{layout:?}"
            );

            continue;
        }

        send_signal(
            &child,
            if chance.below(4) == 0 {
                Signal::HUP
            } else {
                Signal::KILL
            },
        );

        child.wait().expect("a child can be waited for");
        kills += 1;
    }

    proxy.heal();
    resumed += usize::from(is_left());
    project
        .dumpdb(layout.iter().chain(&["--resume", "--yes"]))
        .exits(0);

    if project.path("out").exists() {
        project.verifydb(["out"]).exits(0);
    }

    assert_eq!(project.names(".").len(), 2, "{:?}", project.names("."));

    (project, resumed)
}

fn has_ended(child: &mut Child) -> bool {
    child
        .try_wait()
        .expect("a child can be waited for")
        .is_some()
}

/// The text of the one data file.
fn unpacked(project: &Project) -> String {
    let path = |name: &str| project.path(name);
    let names = ["out.jsonl", "out.jsonl.zst"].map(path).into_iter();
    let data = names.chain(["", "l"].iter().flat_map(|l| {
        ["", ".gz", ".zst"].map(|ending| path(&format!("out/table-data.json{l}{ending}")))
    }));
    let path = data
        .into_iter()
        .find(|path| path.exists())
        .expect("a data file");
    let bytes = std::fs::read(&path).expect("a file that can be read");
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => {
            let mut text = Vec::new();
            std::io::Read::read_to_end(
                &mut flate2::read::MultiGzDecoder::new(&bytes[..]),
                &mut text,
            )
            .expect("gzip");

            text
        }
        Some("zst") => zstd::stream::decode_all(&bytes[..]).expect("zstd"),
        _ => bytes,
    };

    String::from_utf8(text).expect("text")
}
