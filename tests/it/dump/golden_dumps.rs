//! Golden dumps, which are kept forever: valid ones of every kind, files of other tools, and damaged ones.
//!
//! What is expected of each stands here, written down by hand. `tests/fixtures/v1/README.md` says where they come from.

use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use dynadump::backup::{Source, SourceSpec};
use dynadump::item::item_digest;

use crate::support::client::{Item, Items, b, n, s};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, Run};

/// What a source holds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Films,
    FirstTwo,
    Extremes,
    Nothing,
}

use Content::{Extremes, Films, FirstTwo, Nothing};

/// Every good one, and what it holds.
const GOOD: [(&str, Content); 22] = [
    ("good/json", Films),
    ("good/json-gzip", Films),
    ("good/json-zstd", Films),
    ("good/jsonl", Films),
    ("good/jsonl-gzip", Films),
    ("good/jsonl-zstd", Films),
    ("good/first-two", FirstTwo),
    ("good/schema-only", Nothing),
    ("good/empty", Nothing),
    ("good/unknown-fields", Films),
    ("good/extremes", Extremes),
    ("good/extremes-zstd", Extremes),
    ("foreign/shell-script", Films),
    ("foreign/no-metadata", Films),
    ("foreign/aws-scan-pretty.json", Films),
    ("foreign/aws-scan-compact.json.gz", Films),
    ("foreign/aws-scan-two-pages.json", Films),
    ("foreign/items.jsonl", Films),
    ("foreign/items.jsonl.gz", Films),
    ("foreign/items.jsonl.zst", Films),
    ("foreign/array.json", Films),
    ("foreign/export.json", Films),
];

/// The rest of other programs' files.
const MORE: [(&str, Content); 3] = [
    ("foreign/export.json.gz", Films),
    ("foreign/rejects.jsonl", Films),
    ("foreign/items-crlf-bom.jsonl", Films),
];

/// Every damaged one, and what is said of it by both commands.
const DAMAGED: [(&str, &[&str]); 37] = [
    ("flipped-bit", &["table-data.json", "SHA-256"]),
    ("flipped-bit-in-schema", &["table-schema.json", "SHA-256"]),
    ("flipped-bit-in-summary", &["dump-summary.txt", "SHA-256"]),
    ("flipped-bit-gzip", &["table-data.json.gz"]),
    ("flipped-bit-zstd", &["table-data.json.zst"]),
    ("missing-table-data", &["table-data.json is missing"]),
    ("missing-table-schema", &["table-schema.json is missing"]),
    ("missing-dump-summary", &["dump-summary.txt is missing"]),
    ("missing-table-metadata", &["is unfinished"]),
    (
        "cut-data",
        &["table-data.json", "truncated: 200 bytes instead of 399"],
    ),
    ("cut-data-gzip", &["table-data.jsonl.gz", "truncated"]),
    ("cut-data-zstd", &["table-data.jsonl.zst", "truncated"]),
    ("cut-schema", &["table-schema.json", "truncated: 100 bytes"]),
    ("cut-metadata", &["table-metadata.json"]),
    ("cut-metadata-digest", &["table-metadata.json"]),
    ("longer-data", &["table-data.json", "too long: 400 bytes"]),
    ("extra-data", &["table-data.jsonl", "not part of this dump"]),
    ("swapped-data", &["table-data.json"]),
    ("swapped-schema", &["table-schema.json"]),
    ("swapped-metadata", &["is truncated"]),
    (
        "changed-metadata",
        &["table-metadata.json", "was changed after it was written"],
    ),
    (
        "newer-format",
        &["table-metadata.json", "newer format: version 2", "upgrade"],
    ),
    ("not-json", &["table-data.jsonl", "line 2"]),
    ("no-item", &["table-data.json", "line 3", "not an item"]),
    ("not-base64", &["table-data.json", "line 4", "not an item"]),
    ("fewer-items", &["contains 2 items", "says 3"]),
    ("more-items", &["contains 3 items", "says 2"]),
    ("wrong-count", &["contains 3 items", "`Count` is 4"]),
    ("two-data-files", &["lists more than one data file"]),
    ("file-elsewhere", &["contains 0 items", "says 3"]),
    ("lines-not-json.jsonl", &["lines-not-json.jsonl", "line 2"]),
    ("lines-no-item.jsonl", &["lines-no-item.jsonl", "line 2"]),
    ("cut.jsonl", &["cut.jsonl", "line 3"]),
    ("cut.jsonl.gz", &["cut.jsonl.gz", "damaged"]),
    ("cut-scan.json", &["cut-scan.json", "line"]),
    (
        "no-items.txt",
        &["no-items.txt", "line 1", "not a file of items"],
    ),
    (
        "plain-json.json",
        &["plain-json.json", "line 1", "DynamoDB JSON"],
    ),
];

/// Those of them whose checksums match: their items are read before a table is deleted, and otherwise when they are sent.
const VOUCHED: [&str; 3] = ["not-json", "no-item", "not-base64"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/v1")
        .join(name)
}

/// Copies a fixture into the project, where a command may put things beside it.
fn placed(project: &Project, name: &str, at: &str) {
    let from = fixture(name);
    if from.is_file() {
        project.write(at, fs::read(&from).expect("a fixture"));
        return;
    }

    for entry in fs::read_dir(&from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("an entry").path();
        let file = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();

        project.write(format!("{at}/{file}"), fs::read(&path).expect("a fixture"));
    }
}

fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn ss<const N: usize>(set: [&str; N]) -> AttributeValue {
    AttributeValue::Ss(set.map(ToOwned::to_owned).to_vec())
}

fn films() -> Vec<Item> {
    vec![
        item([
            ("id", s("metropolis")),
            ("title", s("Metropolis")),
            ("year", n(1927)),
            ("genres", ss(["drama", "science fiction"])),
        ]),
        item([
            ("id", s("m")),
            ("title", s("M – Eine Stadt sucht einen Mörder")),
            ("year", n(1931)),
            ("restored", AttributeValue::Bool(true)),
        ]),
        item([
            ("id", s("nosferatu")),
            ("title", s("Nosferatu")),
            ("year", n(1922)),
            ("poster", b(*b"\x89PNG\r\n\x1a\n")),
            ("remake", AttributeValue::Null(true)),
        ]),
    ]
}

fn map<const N: usize>(members: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(
        members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// 38 digits.
const NINES: &str = "99999999999999999999999999999999999999";

fn extremes() -> Vec<Item> {
    let list = AttributeValue::L;
    // The innermost value at the last of 32 levels: maps and lists in turn around it.
    let deep = (0..31).fold(n(1), |inner, level| match level % 2 {
        0 => map([("n", inner)]),
        _ => list(vec![inner]),
    });
    vec![
        item([
            ("id", s("all ten")),
            ("at", n(1)),
            ("b", b(*b"\x00\x01\x02\xff")),
            ("bool", AttributeValue::Bool(false)),
            (
                "bs",
                AttributeValue::Bs(vec![aws_blob(b"\x00"), aws_blob(b"\xff")]),
            ),
            (
                "l",
                list(vec![s("x"), AttributeValue::Null(true), list(vec![])]),
            ),
            ("m", map([("inner", map([]))])),
            ("n", n("-0.5")),
            (
                "ns",
                AttributeValue::Ns(["-3", "1", "2.5"].map(ToOwned::to_owned).to_vec()),
            ),
            ("null", AttributeValue::Null(true)),
            ("s", s("text")),
            ("ss", ss(["a", "b"])),
        ]),
        item([
            ("id", s("numbers")),
            ("at", n(2)),
            ("digits", n("1234567890123456789012345678901234567.8")),
            // 9.99…E+125 and 1E-130, as the engine spells them.
            ("largest", n(format!("{NINES}{}", "0".repeat(88)))),
            ("smallest", n(format!("0.{}1", "0".repeat(129)))),
            ("negative", n(format!("-{NINES}{}", "0".repeat(88)))),
            ("zero", n(0)),
            ("whole", n(NINES)),
        ]),
        item([
            ("id", s("empty")),
            ("at", n(3)),
            ("s", s("")),
            ("b", b([])),
            ("l", list(vec![])),
            ("m", map([])),
        ]),
        item([("id", s("deep")), ("at", n(4)), ("levels", deep)]),
        item([
            (
                "id",
                s("\u{0} 🎬 \" \\ / \n \u{2028} \u{feff} \u{ffff} שלום 🎬"),
            ),
            ("at", n(5)),
            ("a.b[0]", s("name")),
            ("#n", s("],\"Count\":3")),
            ("Items", list(vec![s("{\"Items\":[")])),
        ]),
        item([
            ("id", s("key at the end")),
            ("at", n("-6.25")),
            ("text", s("long ".repeat(200))),
        ]),
    ]
}

fn aws_blob(bytes: &[u8]) -> aws_sdk_dynamodb::primitives::Blob {
    aws_sdk_dynamodb::primitives::Blob::new(bytes)
}

impl Content {
    fn items(self) -> Vec<Item> {
        match self {
            Films => films(),
            // The engine's Scan gives them in this order.
            FirstTwo => films().into_iter().take(2).collect(),
            Extremes => extremes(),
            Nothing => Vec::new(),
        }
    }

    /// The digest of the items in any order, as the first version computed it. It stands in dumps: it may never become another.
    fn digest(self) -> &'static str {
        match self {
            Films => "0000000000000003282fae72974dc0867b798819881d4ede",
            FirstTwo => "000000000000000223a0f7da75d2a6f027c6a1be2979cf3e",
            Extremes => "00000000000000064a0c46559c2a9b147f3067e3c66f7443",
            Nothing => "000000000000000000000000000000000000000000000000",
        }
    }
}

/// In a form that does not depend on order.
fn by_id(items: Items) -> Vec<Item> {
    items.into_values().collect()
}

fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| format!("{:?} / {:?}", item["id"], item.get("at")));
    items
}

/// The number of items and the sum of their digests, which does not depend on their order.
fn digest_of(path: &Path) -> String {
    let source = Source::open(&SourceSpec::path(path)).expect("a good source");
    let (mut count, mut sum) = (0_u64, 0_u128);
    if source.has_items() {
        let mut items = source.items().expect("items");
        while let Some(item) = items.next_item().expect("an item") {
            count += 1;
            sum = sum.wrapping_add(item_digest(&item.text).expect("an item"));
        }
    }

    format!("{count:016x}{sum:032x}")
}

#[test]
fn intact_dumps_verify_and_restore_item_by_item() {
    let engine = Engine::embedded();
    let client = engine.client();
    let project = Project::on(&engine, "none");
    for (number, (name, content)) in GOOD.into_iter().chain(MORE).enumerate() {
        let (table, at) = (
            format!("copy-{number}"),
            Path::new(name)
                .file_name()
                .expect("a name")
                .to_string_lossy(),
        );

        placed(&project, name, &at);
        let expected = sorted(content.items());
        let run = project.verifydb([&*at, "--json"]).exits(0);

        // A dump without a data file has nothing to count.
        assert_eq!(
            run.report()["summary"]["items"],
            expected.len(),
            "{name}: {run}"
        );

        if project.path(&*at).is_file() {
            client.create_simple(&table);
        }

        let schema_only: &[&str] = if at == "schema-only" {
            &["--schema-only"]
        } else {
            &[]
        };

        let arguments = [
            &["--source", &*at, "--table", &table, "--yes", "--json"],
            schema_only,
        ]
        .concat();

        let run = project.restoredb(arguments).exits(0);
        assert_eq!(
            run.report()["summary"]["items_written"],
            expected.len(),
            "{name}: {run}"
        );

        let found = sorted(by_id(client.items(&table)));
        assert_eq!(found.len(), expected.len(), "{name}: {run}");

        for (found, expected) in found.iter().zip(&expected) {
            let names = found.keys().chain(expected.keys());
            let differing: Vec<_> = names
                .filter(|name| found.get(*name) != expected.get(*name))
                .collect();
            assert!(
                differing.is_empty(),
                "{name}, {:?}: {differing:?}\n{found:?}\n{expected:?}",
                expected["id"]
            );
        }

        project
            .verifydb(["--source", &*at, "--table", &table, "--exact"])
            .exits(0);
        assert_eq!(digest_of(&fixture(name)), content.digest(), "{name}");
    }
}

/// Operations that change something.
fn writes(proxy: &Proxy) -> Vec<String> {
    let reads = ["Describe", "Get", "List", "Scan", "BatchGet", "Query"];
    let calls = proxy.calls().into_iter().map(|call| call.operation);
    calls
        .filter(|operation| !reads.iter().any(|read| operation.starts_with(read)))
        .collect()
}

fn says_all(mut run: Run, words: &[&str]) -> Run {
    for part in words {
        run = run.says(part);
    }

    run
}

#[test]
fn damage_is_found_before_the_first_write_and_named() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.write(
        "outside.json",
        fs::read(fixture("good/json/table-data.json")).expect("a fixture"),
    );

    for (name, words) in DAMAGED {
        placed(&project, &format!("damaged/{name}"), name);
        says_all(project.verifydb([name]).exits(12), words);

        // Items without a schema need a table that is there.
        let has_schema = project.path(name).is_dir();
        let ways = [
            &["--table=films"][..],
            &["--table=new", "--if-missing"],
            &["--replace"],
        ];

        let ways = if VOUCHED.contains(&name) {
            &ways[2..]
        } else {
            &ways[..if has_schema { 3 } else { 1 }]
        };

        for extra in ways {
            let arguments = [&["--source", name, "--yes"], *extra].concat();
            let run = says_all(project.restoredb(&arguments).exits(12), words);
            let next = [
                "use another copy of the dump",
                "dump the table again",
                "upgrade dynadump",
                "run dumpdb again",
                "items are read in DynamoDB JSON",
            ];

            assert!(
                next.iter().any(|hint| run.stderr.contains(hint)),
                "no word of what to do next: {run}"
            );
            assert_eq!(writes(&proxy), [""; 0], "{run}");
        }

        let arguments = [&["--source", name, "--yes", "--json", "--quiet"], ways[0]].concat();
        let run = project.restoredb(arguments).exits(12);
        assert_eq!(run.report()["error"]["kind"], "damaged", "{run}");
        assert_eq!(
            project
                .names(".")
                .iter()
                .filter(|other| other.starts_with(&format!("{name}.")))
                .count(),
            0,
            "{name}"
        );
    }

    assert!(engine.client().items("films").is_empty());
}

#[test]
fn a_dump_whose_checksum_matches_is_read_once_and_its_lines_are_proven_when_they_are_sent() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::on(&engine, "films");
    for name in VOUCHED {
        placed(&project, &format!("damaged/{name}"), name);
    }

    project
        .restoredb(["--source=not-json", "--yes"])
        .exits(12)
        .says("is not an item")
        .says("comma or a closing bracket");

    for name in ["no-item", "not-base64"] {
        let run = project
            .restoredb(["--source", name, "--yes", "--json"])
            .exits(3);
        let summary = &run.report()["summary"];
        assert_eq!(
            (&summary["items_written"], &summary["items_rejected"]),
            (&2.into(), &1.into()),
            "{run}"
        );
    }
}

#[test]
fn an_unfinished_dump_is_distinguished_from_a_missing_one() {
    let engine = Engine::embedded();
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    placed(&project, "damaged/unfinished", "cut.partial");

    for run in [
        project.verifydb(["cut"]),
        project.restoredb(["--source=cut", "--yes"]),
    ] {
        run.exits(12)
            .says("cut.partial")
            .says("is unfinished")
            .says("run dumpdb again");
    }

    placed(&project, "damaged/unfinished", "cut");
    project.verifydb(["cut"]).exits(12).says("is unfinished");

    // The last good dump counts, whatever lies beside it.
    placed(&project, "good/json", "good");
    placed(&project, "damaged/unfinished", "good.partial");
    project.verifydb(["good"]).exits(0).says("3 items");
    assert_eq!(writes(&proxy), [""; 0]);
}

#[test]
fn a_key_that_a_scan_returns_twice_is_listed_as_a_collision() {
    let engine = Engine::embedded();
    let project = Project::on(&engine, "films");
    placed(&project, "damaged/duplicate-keys", "dump");
    let run = project.verifydb(["dump"]).exits(12).says("1 finding");
    run.says("dump/table-data.json")
        .says("line 5: the same key as in line 3")
        .says(r#"{"id":{"S":"m"}}"#);
    let run = project
        .restoredb(["--source=dump", "--yes", "--json"])
        .exits(3);
    let run = run
        .says("1 item has the same key as another item")
        .says("item 4 has the key of item 2");
    let summary = &run.report()["summary"];
    let counts = [
        "items_written",
        "items_superseded",
        "items_overwritten",
        "collisions",
    ]
    .map(|name| summary[name].as_u64());

    assert_eq!(counts, [3, 0, 1, 1].map(Some), "{run}");
    let items = engine.client().items("films");
    let years: Vec<_> = items.values().map(|item| item["year"].clone()).collect();
    assert_eq!(years, [n(1932), n(1927), n(1922)]);
}

#[test]
fn a_key_of_another_type_is_listed_and_rejected() {
    let engine = Engine::embedded();
    let project = Project::on(&engine, "films");
    placed(&project, "damaged/key-of-another-type", "dump");
    project
        .verifydb(["dump"])
        .exits(12)
        .says("line 4: not an item of this table")
        .says(r#"has type "N", the table's key has type S"#);

    let run = project
        .restoredb(["--source=dump", "--yes", "--json"])
        .exits(3);
    let summary = &run.report()["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_rejected"]),
        (&2.into(), &1.into()),
        "{run}"
    );

    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    assert!(
        rejects.contains(r#""item":{"id":{"N":"3"},"title":{"S":"Nosferatu"}}"#),
        "{rejects}"
    );
}

#[test]
fn what_only_the_table_can_judge_is_rejected_by_it() {
    let engine = Engine::embedded();
    let project = Project::on(&engine, "films");
    placed(&project, "damaged/number-of-39-digits", "dump");
    project.verifydb(["dump"]).exits(0).says("3 items");
    let run = project
        .restoredb(["--source=dump", "--yes", "--json"])
        .exits(3);
    let summary = &run.report()["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_rejected"]),
        (&2.into(), &1.into()),
        "{run}"
    );

    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    assert!(
        rejects.contains("123456789012345678901234567890123456789"),
        "{rejects}"
    );
}

#[test]
fn every_fixture_has_its_verdict() {
    let names = |folder: &str| {
        let entries = fs::read_dir(fixture(folder)).expect("a folder of fixtures");
        let mut names: Vec<_> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();

        names.sort();
        names
    };

    let mut found = [names("good"), names("foreign")].concat();
    let mut judged: Vec<_> = GOOD
        .iter()
        .chain(&MORE)
        .filter_map(|(name, _)| name.split('/').nth(1))
        .collect();

    found.sort();
    judged.sort_unstable();
    assert_eq!(found, judged);
    let apart = [
        "duplicate-keys",
        "key-of-another-type",
        "number-of-39-digits",
        "unfinished",
    ];

    let mut judged: Vec<_> = DAMAGED.iter().map(|(name, _)| *name).chain(apart).collect();
    judged.sort_unstable();
    assert_eq!(names("damaged"), judged);
}
