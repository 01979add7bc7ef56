//! Contract of the store traits, tested with every engine: the operations rely on nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dynadump::environment::{
    Answers, Approval, Decision, Environment, EnvironmentRequest, ProcessEnvironment, Question,
};
use dynadump::error::ErrorKind;
use dynadump::event::SilentReporter;
use dynadump::item::{KeyAttribute, KeySchema, KeyType, item_digest};
use dynadump::schema::{Captured, Operation, Section, Setting, SettingCall, TableSchema};
use dynadump::store::{Reader, ScanRequest, StoreOptions, Writer, resolve_environment};
use tokio::runtime::Runtime;

use crate::support::client::{n, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, calls, sometimes};
use crate::support::project::Project;

/// A store of an engine, with a runtime of its own so that tests stay synchronous.
struct Stage {
    engine: Engine,
    proxy: Proxy,
    environment: Environment,
    store: Reader,
    runtime: Runtime,
}

impl Stage {
    fn new() -> Self {
        Self::behind(vec![])
    }

    fn behind(rules: Vec<Rule>) -> Self {
        let engine = Engine::any();
        let proxy = Proxy::with_rules(&engine, rules);
        let project = Project::empty().environment("local", proxy.url(), "unused");
        let request = EnvironmentRequest {
            working_dir: project.path("."),
            ..EnvironmentRequest::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime for the store");
        let environment = runtime
            .block_on(resolve_environment(
                &request,
                &ProcessEnvironment::capture(),
            ))
            .expect("an environment");
        let options = StoreOptions {
            give_up_after: Duration::from_secs(20),
            reporter: Arc::new(SilentReporter),
            ..StoreOptions::default()
        };

        let store = runtime
            .block_on(Reader::open(&environment, options))
            .expect("a store");
        Self {
            engine,
            proxy,
            environment,
            store,
            runtime,
        }
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The store with leave to write to `table`, and to replace it.
    fn writable(&self, table: &str) -> Writer {
        let question = Question::ReplaceTable {
            table: table.to_owned(),
            losses: Vec::new(),
        };
        let approval = Approval::for_table(&self.environment, table, "Replace it", vec![question]);
        match approval
            .decide(&Answers {
                yes: true,
                ..Answers::default()
            })
            .expect("an answer")
        {
            Decision::Granted(confirmation) => Writer::new(self.store.clone(), confirmation),
            Decision::Ask(ask) => panic!("a local environment asks {ask:?}"),
        }
    }

    fn described(&self, table: &str) -> TableSchema {
        self.wait(self.store.describe(table))
            .expect("an answer")
            .expect("the table is there")
    }

    /// A table of so many items with a text of 3 KB each.
    fn filled(&self, stem: &str, items: usize) -> String {
        let table = self.engine.table(stem);
        let client = self.engine.client();
        client.create_simple(&table);
        let mut items = numbered(items);
        for item in &mut items {
            item.insert("padding".to_owned(), s("x".repeat(3_000)));
        }

        client.put(&table, items);

        table
    }

    /// One segment from its beginning, or from behind a page: its pages, each as the keys of its items.
    fn segment(&self, mut request: ScanRequest, key: &KeySchema) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        loop {
            let page = self.wait(self.store.scan(&request)).expect("a page");
            assert!(page.read_units >= 0.0);
            let texts: Vec<_> = page
                .items
                .iter()
                .map(|item| key.extract(item).expect("a key").to_json())
                .collect();

            assert!(
                request
                    .limit
                    .is_none_or(|limit| texts.len() <= limit as usize),
                "a page over its limit"
            );

            pages.push(texts);

            match page.next {
                Some(next) => request.start = Some(next),
                None => return pages,
            }
        }
    }
}

fn scan_of(table: &str) -> ScanRequest {
    ScanRequest {
        table: table.to_owned(),
        segment: 0,
        total_segments: 1,
        consistent_read: false,
        limit: None,
        start: None,
        selection: Arc::default(),
        key: Arc::new(KeySchema {
            partition: KeyAttribute {
                name: "id".to_owned(),
                kind: KeyType::S,
            },
            sort: None,
        }),
        index_keys: Arc::default(),
        previous_keys: Arc::default(),
    }
}

/// The key of a table that `create_simple` made.
fn simple_key() -> KeySchema {
    KeySchema {
        partition: KeyAttribute {
            name: "id".to_owned(),
            kind: KeyType::S,
        },
        sort: None,
    }
}

fn item(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[test]
fn describe_returns_the_table_or_not_found() {
    let stage = Stage::new();
    let table = stage.filled("films", 1);
    assert!(
        stage
            .wait(stage.store.describe("no-such-table-anywhere"))
            .expect("an answer")
            .is_none()
    );

    let schema = stage.described(&table);
    assert_eq!(schema.table_name(), Some(table.as_str()));
    let key = schema.key_schema().expect("a key");
    assert_eq!(
        (key.partition.name.as_str(), key.sort.is_none()),
        ("id", true)
    );

    // Verbatim: whatever the engine says is in the document, known here or not.
    let told = stage
        .engine
        .client()
        .describe(&table)
        .expect("the table is there");

    let document: serde_json::Value = serde_json::from_slice(&schema.to_document()).expect("JSON");
    assert_eq!(document["Table"]["TableArn"].as_str(), told.table_arn());
    assert_eq!(document["Table"]["TableStatus"], "ACTIVE");
}

#[test]
fn the_pages_of_a_scan_are_the_table() {
    let stage = Stage::new();
    let table = stage.filled("films", 700);
    let key = stage.described(&table).key_schema().expect("a key");
    let whole = stage.segment(scan_of(&table), &key);
    assert!(whole.len() > 1, "2 MB are more than a page");
    let keys: BTreeSet<_> = whole.concat().into_iter().collect();
    assert_eq!((keys.len(), whole.concat().len()), (700, 700));
    assert!(keys.iter().any(|key| key.contains("item-000699")));
    let strong = stage.segment(
        ScanRequest {
            consistent_read: true,
            ..scan_of(&table)
        },
        &key,
    );

    assert_eq!(strong.concat().into_iter().collect::<BTreeSet<_>>(), keys);

    for limit in [1, 7, 100] {
        let request = ScanRequest {
            limit: Some(limit),
            ..scan_of(&table)
        };
        let page = stage.wait(stage.store.scan(&request)).expect("a page");
        assert_eq!(page.items.len(), limit as usize);

        // What is behind a page is all that was not in it, as often as it is asked.
        for _ in 0..2 {
            let behind = stage
                .segment(
                    ScanRequest {
                        start: page.next.clone(),
                        ..scan_of(&table)
                    },
                    &key,
                )
                .concat();

            let first = page
                .items
                .iter()
                .map(|item| key.extract(item).expect("a key").to_json());
            let both: BTreeSet<_> = first.chain(behind.iter().cloned()).collect();
            assert_eq!((behind.len() + limit as usize, &both), (700, &keys));
        }
    }
}

#[test]
fn segments_part_the_table() {
    let stage = Stage::new();
    let table = stage.filled("films", 120);
    let key = stage.described(&table).key_schema().expect("a key");
    for total_segments in [2, 5, 16] {
        let mut found = Vec::new();
        for segment in 0..total_segments {
            let request = ScanRequest {
                segment,
                total_segments,
                limit: Some(50),
                ..scan_of(&table)
            };

            found.extend(stage.segment(request, &key).concat());
        }

        let different: BTreeSet<_> = found.iter().collect();
        assert_eq!(
            (found.len(), different.len()),
            (120, 120),
            "{total_segments} segments"
        );
    }
}

#[test]
fn items_come_as_they_were_sent() {
    let stage = Stage::new();
    let table = stage.engine.table("films");
    stage.engine.client().create_simple(&table);
    let texts = [
        r#"{"id":{"S":"a \" \\ \u0001 ü 🎬"},"n":{"N":"1234567890123456789012345678901234567.8"},"b":{"B":"AAEC/w=="}}"#,
        r#"{"id":{"S":"b"},"l":{"L":[{"M":{"x":{"NULL":true}}},{"BOOL":false},{"L":[]}]},"s":{"S":""}}"#,
        r#"{"id":{"S":"c"},"ss":{"SS":["a","b"]},"ns":{"NS":["1","-2.5"]},"bs":{"BS":["AA=="]}}"#,
    ];

    let written = stage
        .wait(
            stage
                .writable(&table)
                .write(&table, &simple_key(), texts.map(item).to_vec()),
        )
        .expect("an answer");

    assert_eq!((written.items, written.rejected.len()), (3, 0));
    let page = stage
        .wait(stage.store.scan(&scan_of(&table)))
        .expect("a page");
    let digests = |items: Vec<&[u8]>| -> BTreeSet<u128> {
        items
            .into_iter()
            .map(|item| item_digest(item).expect("an item"))
            .collect()
    };

    assert_eq!(
        digests(page.items.iter().collect()),
        digests(texts.map(str::as_bytes).to_vec())
    );
}

#[test]
fn a_write_ends_with_each_item_acknowledged_or_refused() {
    let stage = Stage::behind(vec![calls("BatchWriteItem", 1..=4, Fault::Unprocessed(5))]);
    let table = stage.engine.table("films");
    stage.engine.client().create_simple(&table);
    let texts: Vec<_> = (0..25)
        .map(|n| format!(r#"{{"id":{{"S":"{n}"}},"v":{{"N":"1"}}}}"#))
        .collect();
    let store = stage.writable(&table);
    let items = || texts.iter().map(|text| item(text)).collect::<Vec<_>>();
    let written = stage
        .wait(store.write(&table, &simple_key(), items()))
        .expect("an answer");
    let bytes: usize = texts.iter().map(String::len).sum();
    assert_eq!(
        (written.items, written.bytes, written.rejected.len()),
        (25, bytes as u64, 0)
    );
    assert!(written.throttled_calls > 0, "{written:?}");
    assert_eq!(stage.engine.client().items(&table).len(), 25);
    assert!(stage.proxy.count("BatchWriteItem") >= 5);

    // The same again is the same again; another version takes the place of the first.
    let mut again = items();
    again[3] = item(r#"{"id":{"S":"3"},"v":{"N":"2"}}"#);
    assert_eq!(
        stage
            .wait(store.write(&table, &simple_key(), again))
            .expect("an answer")
            .items,
        25
    );

    let found = stage.engine.client().items(&table);
    assert_eq!(
        (found.len(), &found[&format!("{:?}", s("3"))]["v"]),
        (25, &n(2))
    );
    assert_eq!(
        stage
            .wait(store.write(&table, &simple_key(), Vec::new()))
            .expect("an answer")
            .items,
        0
    );
}

#[test]
fn put_if_absent_does_not_replace_an_item() {
    // The second call is done by the engine, and its answer is lost.
    let stage = Stage::behind(vec![calls("PutItem", 2..=2, Fault::CutInAnswer)]);
    let table = stage.engine.table("films");
    stage.engine.client().create_simple(&table);
    let (store, key) = (
        stage.writable(&table),
        stage.described(&table).key_schema().expect("a key"),
    );
    let put = |text: &str| {
        stage
            .wait(store.put_if_absent(&table, &key, item(text)))
            .expect("an answer")
    };

    let counts = |text: &str| {
        let written = put(text);
        (
            written.items,
            written.already_present,
            written.conflicts.len(),
            written.rejected.len(),
        )
    };

    let first = r#"{"id":{"S":"a"},"v":{"N":"1"},"tags":{"SS":["x","y"]}}"#;
    assert_eq!(counts(first), (1, 0, 0, 0));
    assert_eq!(
        counts(r#"{"id":{"S":"b"},"v":{"N":"1"}}"#),
        (1, 0, 0, 0),
        "written by the call whose answer was lost"
    );

    assert_eq!(
        counts(r#"{"id":{"S":"a"},"v":{"N":"1.0"},"tags":{"SS":["y","x"]}}"#),
        (1, 1, 0, 0),
        "equal is there already"
    );

    let other = r#"{"id":{"S":"a"},"v":{"N":"2"}}"#;
    let written = put(other);
    assert_eq!((written.items, written.conflicts.len()), (0, 1));
    assert_eq!(written.conflicts[0].item, other.as_bytes());
    assert_eq!(counts(r#"{"id":{"S":""}}"#), (0, 0, 0, 1));
    let found = stage.engine.client().items(&table);
    assert_eq!(
        (found.len(), &found[&format!("{:?}", s("a"))]["v"]),
        (2, &n(1))
    );
}

#[test]
fn a_rejected_item_is_isolated_and_returned_unchanged() {
    let stage = Stage::behind(vec![sometimes(
        "BatchWriteItem",
        20,
        3,
        Fault::Unprocessed(1),
    )]);

    let table = stage.engine.table("films");
    stage.engine.client().create_simple(&table);
    let bad = [
        r#"{"id":{"N":"5"},"why":{"S":"a key of another type"}}"#.to_owned(),
        r#"{"why":{"S":"no key"}}"#.to_owned(),
        r#"{"id":{"S":""},"why":{"S":"an empty key"}}"#.to_owned(),
        format!(
            r#"{{"id":{{"S":"large"}},"why":{{"S":"{}"}}}}"#,
            "x".repeat(420_000)
        ),
    ];

    let mut items: Vec<_> = (0..21)
        .map(|n| item(&format!(r#"{{"id":{{"S":"{n}"}}}}"#)))
        .collect();
    for (at, text) in [0, 7, 8, 24].into_iter().zip(&bad) {
        items.insert(at, item(text));
    }

    assert_eq!(items.len(), 25);
    let written = stage
        .wait(stage.writable(&table).write(&table, &simple_key(), items))
        .expect("an answer");

    // The beginning tells them apart; all of it must be the same.
    let begin = |text: &[u8]| String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
    let found: BTreeSet<_> = written
        .rejected
        .iter()
        .map(|one| begin(&one.item))
        .collect();
    assert_eq!(
        found,
        bad.iter().map(|text| begin(text.as_bytes())).collect()
    );
    assert!(
        written
            .rejected
            .iter()
            .all(|one| bad.iter().any(|text| text.as_bytes() == &one.item[..]))
    );

    assert!(
        written.rejected.iter().all(|one| one.reason.len() > 10),
        "a reason is missing"
    );
    assert_eq!((written.items, written.rejected.len()), (21, 4));
    assert_eq!(stage.engine.client().items(&table).len(), 21);
}

#[test]
fn a_store_writes_where_it_was_allowed_and_nowhere_else() {
    let stage = Stage::new();
    let (table, other) = (stage.filled("films", 2), stage.filled("other", 2));
    let store = stage.writable(&table);
    let one = || vec![item(r#"{"id":{"S":"one more"}}"#)];
    let error = stage
        .wait(store.write(&other, &simple_key(), one()))
        .expect_err("not confirmed");
    assert_eq!(error.kind(), ErrorKind::NotConfirmed);
    assert_eq!(
        stage
            .wait(store.delete(&other))
            .expect_err("not confirmed")
            .kind(),
        ErrorKind::NotConfirmed
    );

    assert_eq!(stage.engine.client().items(&other).len(), 2);
    assert_eq!(
        stage
            .wait(store.write(&table, &simple_key(), one()))
            .expect("an answer")
            .items,
        1
    );
}

#[test]
fn tables_come_and_go() {
    let stage = Stage::new();
    let model = stage.filled("films", 1);
    let table = stage.engine.table("made");
    let request = stage
        .described(&model)
        .create_table_request(&table)
        .expect("a request");
    let store = stage.writable(&table);
    assert!(
        stage
            .wait(store.create(&table, &request))
            .expect("an answer")
            .refused
            .is_empty()
    );

    stage.engine.client().wait_until_active(&table);
    assert_eq!(
        stage.described(&table).key_schema().ok(),
        stage.described(&model).key_schema().ok()
    );

    // A table that is there is never taken for the one that was asked for.
    assert!(stage.wait(store.create(&table, &request)).is_err());
    stage.wait(store.delete(&table)).expect("an answer");
    crate::support::client::poll("the table is gone", || {
        stage
            .wait(stage.store.describe(&table))
            .expect("an answer")
            .is_none()
    });

    assert_eq!(
        stage
            .wait(store.delete(&table))
            .expect_err("it is gone")
            .kind(),
        ErrorKind::NotFound
    );

    for error in [
        stage.wait(stage.store.scan(&scan_of(&table))).err(),
        stage
            .wait(store.write(&table, &simple_key(), vec![item(r#"{"id":{"S":"a"}}"#)]))
            .err(),
    ] {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::NotFound));
    }
}

fn setting(name: &str) -> Setting {
    name.parse().expect("the name of a setting")
}

#[test]
fn every_section_that_is_asked_for_is_answered() {
    let stage = Stage::new();
    let table = stage.filled("films", 1);
    let schema = stage.described(&table);
    let sections = Section::all();
    let captured = stage.wait(stage.store.capture(&schema, &sections));
    let found: BTreeMap<_, _> = captured
        .iter()
        .map(|(section, captured)| (section.name(), captured))
        .collect();
    assert_eq!(
        (captured.len(), found.len()),
        (sections.len(), sections.len())
    );

    for (name, captured) in &found {
        match captured {
            Captured::NotCaptured { reason, .. } => assert!(!reason.is_empty(), "{name}"),
            Captured::Document(text) => {
                drop(serde_json::from_str::<serde_json::Value>(text.get()).expect(name));
            }
            Captured::Nothing => {}
        }
    }

    assert!(stage.wait(stage.store.capture(&schema, &[])).is_empty());

    // Only reads were made.
    let reads = ["Describe", "List", "Get", "BatchWriteItem", "CreateTable"];
    for call in stage.proxy.calls() {
        assert!(
            reads.iter().any(|read| call.operation.starts_with(read)),
            "{}",
            call.operation
        );
    }
}

#[test]
fn a_setting_that_is_applied_is_captured() {
    let stage = Stage::new();
    if !stage.engine.can().keeps_settings {
        return;
    }

    let table = stage.filled("films", 1);
    let call = SettingCall {
        setting: setting("ttl"),
        what: "TTL on attribute expires".to_owned(),
        operation: Operation::dynamodb("UpdateTimeToLive"),
        body: format!(
            r#"{{"TableName":"{table}","TimeToLiveSpecification":{{"AttributeName":"expires","Enabled":true}}}}"#
        ),
        adds: None,
        needs_index: None,
    };

    stage
        .wait(stage.writable(&table).apply(&table, &call, None))
        .expect("an answer");
    let mut sections = Section::all();
    sections.retain(|section| section.name() == "TimeToLive");
    let captured = stage.wait(stage.store.capture(&stage.described(&table), &sections));

    let [(_, Captured::Document(text))] = &captured[..] else {
        panic!("{captured:?}")
    };

    assert!(text.get().contains(r#""expires""#), "{text}");
    let schema = stage.described(&table).with_sections(captured);
    assert!(schema.section(sections[0]).is_some() && schema.not_captured().is_empty());
}

#[test]
fn what_an_endpoint_is_asked_of_itself_changes_nothing() {
    let stage = Stage::new();
    let table = stage.filled("films", 1);
    let before = stage.proxy.calls().len();
    assert!(
        stage
            .wait(stage.store.table_names())
            .expect("an answer")
            .contains(&table)
    );

    assert_eq!(
        stage.wait(stage.store.account()).as_deref(),
        Some("000000000000")
    );
    assert!(
        stage
            .wait(stage.store.backup_count(&table))
            .is_none_or(|count| count == 0)
    );

    let settings = ["ttl", "tags", "pitr"].map(setting);
    let lacking = stage.wait(stage.store.unsupported_settings(&table, &settings));
    assert!(lacking.keys().all(|setting| settings.contains(setting)));
    assert!(
        lacking.values().all(|reason| !reason.is_empty()),
        "{lacking:?}"
    );

    for call in &stage.proxy.calls()[before..] {
        let reads = ["Describe", "List", "Get"];
        assert!(
            reads.iter().any(|read| call.operation.starts_with(read)),
            "{}",
            call.operation
        );
    }

    assert_eq!(stage.engine.client().items(&table).len(), 1);
}
