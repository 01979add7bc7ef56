//! A dump: facts and options, and the findings.

use chrono::Utc;
use serde_json::json;

use super::lines;
use crate::backup::{DumpTarget, Metadata, SetManifest, TargetContents};
use crate::ops::ContentScope;
use crate::ops::dump::{DumpRequest, InterruptedDump};
use crate::ops::guard::{Connection, DumpFacts, DumpedTable, Fact, dump};
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;
use crate::transform::Transform;

/// The manifest of a set of these tables.
fn set(tables: &[&str]) -> SetManifest {
    let member = |table: &&str| {
        (
            (*table).to_owned(),
            json!({"folder": table, "status": "dumped"}),
        )
    };
    serde_json::from_value(json!({
        "format_version": 1,
        "tool_version": "0",
        "environment": "prod",
        "started_at": Utc::now(),
        "options_sha256": "",
        "tables": tables.iter().map(member).collect::<serde_json::Map<_, _>>(),
    }))
    .expect("a manifest")
}

/// Options and facts. By default, table `films` of `prod` is dumped to an empty folder.
struct Scene {
    request: DumpRequest,
    location: TableLocation,
    status: &'static str,
    replaced: TargetContents,
    obstacles: Option<Vec<String>>,
}

impl Scene {
    fn new() -> Self {
        Self {
            request: DumpRequest::new("films", DumpTarget::folder("out")),
            location: TableLocation {
                environment: "prod".to_owned(),
                table: "films".to_owned(),
                account: Some("123456789012".to_owned()),
                region: Some("eu-west-1".to_owned()),
                endpoint: None,
                protected: true,
                local: false,
                credentials: "none".to_owned(),
                sources: Vec::new(),
            },
            status: "ACTIVE",
            replaced: TargetContents::Empty,
            obstacles: None,
        }
    }

    /// A dump of this table of the environment is replaced.
    fn replaces(&mut self, environment: &str, table: &str, account: &str, complete: bool) {
        let metadata: Metadata = serde_json::from_value(json!({
            "format_version": 1,
            "tool_version": "0",
            "environment": environment,
            "table": table,
            "table_arn": format!("arn:aws:dynamodb:eu-west-1:{account}:table/{table}"),
            "region": "eu-west-1",
            "route": "scan",
            "started_at": Utc::now(),
            "finished_at": Utc::now(),
            "complete": complete,
            "transformed": false,
            "consistent_read": false,
            "segments": 1,
            "items": 312,
            "data_bytes": 118_000,
            "consumed_read_units": 1.0,
            "files": {},
        }))
        .expect("metadata");
        self.replaced = TargetContents::Dump(Some(Box::new(metadata)));
    }

    fn findings(&self) -> Vec<String> {
        let table = json!({
            "TableName": "films",
            "TableStatus": self.status,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        let schema = TableSchema::parse(table.to_string().as_bytes()).expect("a schema");
        let interrupted = self.obstacles.clone().map(|obstacles| InterruptedDump {
            started_at: Utc::now(),
            reached_at: Utc::now(),
            items: 14,
            data_bytes: 1_000,
            consumed_read_units: 1.0,
            obstacles,
        });

        lines(dump(&DumpFacts {
            request: &self.request,
            connection: &Connection::default(),
            replaced: Fact::Known(&self.replaced),
            table: Fact::Known(DumpedTable {
                location: &self.location,
                schema: &schema,
            }),
            interrupted: Fact::Known(interrupted.as_ref()),
        }))
    }
}

type Row = (&'static str, fn(&mut Scene), &'static [&'static str]);

#[test]
fn each_finding_follows_from_its_facts() {
    for (name, change, expected) in ROWS {
        let mut scene = Scene::new();
        change(&mut scene);
        assert_eq!(scene.findings(), *expected, "{name}");
    }
}

const SAME: &str = "123456789012";

const ROWS: &[Row] = &[
    ("nothing is replaced", |_| {}, &[]),
    (
        "--resume, and the interrupted dump was of something else",
        |scene| {
            scene.request.resume = true;
            scene.obstacles = Some(vec!["table: other then, films now".to_owned()]);
        },
        &[
            "refused (Usage): the interrupted dump is of another table or was started with other options",
        ],
    ),
    (
        "the interrupted dump was of something else, and --resume is not given",
        |scene| scene.obstacles = Some(vec!["table: other then, films now".to_owned()]),
        &[],
    ),
    (
        "the table is being changed",
        |scene| scene.status = "UPDATING",
        &["warning: table is UPDATING"],
    ),
    (
        "the same table is dumped again",
        |scene| scene.replaces("prod", "films", SAME, true),
        &[],
    ),
    (
        "a complete dump is replaced by one without items",
        |scene| {
            scene.replaces("prod", "films", SAME, true);
            scene.request.content = ContentScope::SchemaOnly;
        },
        &["question: the existing dump may be complete; the new one would contain no items"],
    ),
    (
        "a complete dump is replaced by one without a schema",
        |scene| {
            scene.replaces("prod", "films", SAME, true);
            scene.request.content = ContentScope::DataOnly;
        },
        &["question: the existing dump may be complete; the new one would contain no schema"],
    ),
    (
        "a complete dump is replaced by one of some items",
        |scene| {
            scene.replaces("prod", "films", SAME, true);
            scene.request.scan.limit = Some(10);
        },
        &[
            "question: the existing dump may be complete; the new one would contain part of the table",
        ],
    ),
    (
        "a complete dump is replaced by one of changed items",
        |scene| {
            scene.replaces("prod", "films", SAME, true);
            scene.request.transform = Transform::new()
                .filter("--transform", "del(.x)")
                .expect("a filter");
        },
        &[
            "question: the existing dump may be complete; the new one would contain transformed items",
        ],
    ),
    (
        "a partial dump is replaced by another one",
        |scene| {
            scene.replaces("prod", "films", SAME, false);
            scene.request.scan.limit = Some(10);
        },
        &[],
    ),
    (
        "a dump without metadata is replaced by one of some items",
        |scene| {
            scene.replaced = TargetContents::Dump(None);
            scene.request.scan.limit = Some(10);
        },
        &[
            "question: the existing dump may be complete; the new one would contain part of the table",
        ],
    ),
    (
        "a dump of another table is replaced",
        |scene| scene.replaces("prod", "actors", SAME, true),
        &["question: the existing dump is of table actors, not films"],
    ),
    (
        "a dump of another environment is replaced",
        |scene| scene.replaces("staging", "films", "000000000001", true),
        &["question: the existing dump is of environment staging, not prod"],
    ),
    (
        "a dump from another account is replaced",
        |scene| scene.replaces("prod", "films", "000000000001", true),
        &[
            "question: the dump to be replaced is of a table in 000000000001 eu-west-1, not in 123456789012 eu-west-1",
        ],
    ),
    (
        "a set is replaced",
        |scene| scene.replaced = TargetContents::Set(Box::new(set(&["actors", "films"]))),
        &[
            "question: the existing set of 2 tables (actors, films) would be replaced by a dump of one table",
        ],
    ),
];
