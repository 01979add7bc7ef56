//! A restore: facts and options, and the findings.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use serde_json::{Value, json};

use super::lines;
use crate::backup::SourceSpec;
use crate::error::Result;
use crate::ops::ContentScope;
use crate::ops::guard::{
    BoostChange, CheckedSource, Connection, Fact, Findings, RestoreFacts, Resume, TableChanges,
    Target, restore,
};
use crate::ops::journal::{RestoreIdentity, RestoreJob, WrittenItems};
use crate::ops::restore::{
    ExistingTable, KeepReason, OnConflict, RestoreRequest, RestoreSource, Salvage, SourceFacts,
    TableAction, TableTtl, VerifyMode,
};
use crate::ops::source::TableScan;
use crate::ops::table_location::TableLocation;
use crate::schema::{
    KeyMismatch, OverriddenSchema, Overrides, TableOrigin, TableSchema, differences,
};
use crate::transform::{CommandSpec, Transform};

/// Options and facts. By default, a complete dump of `local` creates the missing table `films` in `local`.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
struct Scene {
    request: RestoreRequest,
    connection: Connection,
    place: TableLocation,
    existing: Option<TableSchema>,
    backups: Option<usize>,
    action: TableAction,
    unfinished: Option<RestoreJob>,
    resume: Resume<'static>,
    has_journal: bool,
    wanted: Option<OverriddenSchema>,
    key_mismatch: Option<KeyMismatch>,
    differences: usize,
    applies_settings: bool,
    has_setting_calls: bool,
    creates_with_kms_key: bool,
    later_indexes: BTreeSet<&'static str>,
    boost: Option<BoostChange>,
    ttl: Option<TableTtl>,
    source: SourceFacts,
    lacks_metadata: bool,
    is_of_empty_table: bool,
    origin: Option<TableOrigin>,
}

impl Scene {
    fn new() -> Self {
        let wanted = schema(&json!({}));
        Self {
            request: RestoreRequest::new(SourceSpec::path("out")),
            connection: Connection {
                environment: "local".to_owned(),
                endpoint: "http://localhost:8000".to_owned(),
                ..Connection::default()
            },
            place: TableLocation {
                environment: "local".to_owned(),
                table: "films".to_owned(),
                account: None,
                region: Some("eu-west-1".to_owned()),
                endpoint: Some("http://localhost:8000".to_owned()),
                protected: false,
                local: true,
                credentials: "none".to_owned(),
                sources: Vec::new(),
            },
            existing: None,
            backups: None,
            action: TableAction::Create,
            unfinished: None,
            resume: Resume::default(),
            has_journal: true,
            wanted: wanted.overridden(&Overrides::default()).ok(),
            key_mismatch: None,
            differences: 0,
            applies_settings: true,
            has_setting_calls: false,
            creates_with_kms_key: false,
            later_indexes: BTreeSet::new(),
            boost: None,
            ttl: None,
            source: source(),
            lacks_metadata: false,
            is_of_empty_table: false,
            origin: None,
        }
    }

    /// The target is in AWS.
    fn remote(&mut self) {
        self.place.environment = "staging".to_owned();
        self.place.account = Some("123456789012".to_owned());
        self.place.endpoint = None;
        self.place.local = false;
        self.source.environment = Some("staging".to_owned());
    }

    /// The table exists with 312 items and these fields.
    fn exists(&mut self, fields: &Value) {
        self.existing = Some(schema(fields));
        self.action = TableAction::Add { items: 312 };
        self.applies_settings = false;
    }

    /// The same, and the table is replaced.
    fn replaced(&mut self, fields: &Value) {
        self.exists(fields);
        self.request.existing = ExistingTable::Replace;
        self.action = TableAction::Replace { items: 312 };
        self.applies_settings = true;
    }

    /// Items of the dump do not fit the keys of two indexes that the dumped table and the existing one have.
    fn items_violate_index_keys(&mut self) {
        let index = |name: &str| json!({"IndexName": name, "KeySchema": [], "Projection": {}});
        let indexes = json!({"Table": {
            "ItemCount": 0,
            "GlobalSecondaryIndexes": [index("by-when")],
            "LocalSecondaryIndexes": [index("by-size")],
        }});

        self.wanted = schema(&indexes).overridden(&Overrides::default()).ok();
        self.existing = self.existing.as_ref().map(|_| schema(&indexes));
        self.source.index_violations = [("by-when", 4), ("by-size", 1)]
            .map(|(index, items)| (index.to_owned(), items))
            .into();
    }

    /// A restore that created the table has not finished.
    fn unfinished(&mut self, wrote: WrittenItems) {
        self.exists(&json!({}));
        self.unfinished = Some(RestoreJob {
            table: "films".to_owned(),
            environment: "local".to_owned(),
            endpoint: None,
            since: Utc::now(),
            source: "other".to_owned(),
            created: true,
            backup_arn: None,
            schema: None,
            was_empty: false,
            wrote,
            table_id: None,
            boost: None,
            progress: None,
        });
    }

    /// The findings, or the reason for a refusal.
    fn result(&self) -> Result<Findings> {
        let target = Target {
            place: &self.place,
            existing: self.existing.as_ref(),
            backups: self.backups,
            action: &self.action,
            unfinished: self.unfinished.as_ref(),
            resume: self.resume,
            has_journal: self.has_journal,
        };
        let changes = TableChanges {
            wanted: self.wanted.as_ref(),
            key_mismatch: self.key_mismatch.as_ref(),
            differences: self.differences,
            applies_settings: self.applies_settings,
            has_setting_calls: self.has_setting_calls,
            creates_with_kms_key: self.creates_with_kms_key,
            later_indexes: self.later_indexes.clone(),
            boost: self.boost,
            ttl: self.ttl.as_ref(),
        };
        let source = CheckedSource {
            facts: &self.source,
            lacks_metadata: self.lacks_metadata,
            is_of_empty_table: self.is_of_empty_table,
            origin: self.origin.clone(),
            planned_backup: None,
        };

        restore(&RestoreFacts {
            target: Fact::Known(target),
            changes: Fact::Known(changes),
            source: Fact::Known(source),
            ..RestoreFacts::new(&self.request, &self.connection)
        })
    }
}

/// A table with the key `id`.
fn schema(fields: &Value) -> TableSchema {
    let mut document = json!({"Table": {
        "TableName": "films",
        "TableStatus": "ACTIVE",
        "ItemCount": 312,
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    }});
    let table = fields.get("Table").and_then(Value::as_object);
    for (name, value) in table.into_iter().flatten() {
        document["Table"][name] = value.clone();
    }

    let sections = fields.as_object().into_iter().flatten();
    for (name, value) in sections.filter(|(name, _)| *name != "Table") {
        document[name] = value.clone();
    }

    TableSchema::parse(document.to_string().as_bytes()).expect("a schema")
}

/// The tag of an unfinished restore.
fn tagged() -> Value {
    json!({"Tags": [{"Key": "dynadump:restoring", "Value": "now on build-7"}]})
}

fn ttl(is_new: bool) -> TableTtl {
    let attribute = "until".to_owned();
    TableTtl { attribute, is_new }
}

/// A complete dump.
fn source() -> SourceFacts {
    SourceFacts {
        path: "out".to_owned(),
        kind: "dump",
        environment: Some("local".to_owned()),
        table: Some("films".to_owned()),
        account: None,
        region: Some("eu-west-1".to_owned()),
        started_at: None,
        finished_at: None,
        items: Some(312),
        bytes: Some(118_000),
        expired_items: None,
        index_violations: BTreeMap::new(),
        complete: true,
        partial: Vec::new(),
        transformed: false,
        mask_rules_sha256: None,
        salvage: None,
        scan: None,
        settings_origin: None,
    }
}

/// Items of a source that is known.
fn items_of_other() -> WrittenItems {
    WrittenItems::ItemsOf(Box::new(RestoreIdentity {
        source: "other".to_owned(),
        data_sha256: "0".repeat(64),
        on_conflict: OnConflict::default(),
        salvage: false,
        transform: None,
    }))
}

fn sends_items_to_a_program(request: &mut RestoreRequest) {
    let command = CommandSpec::new("cat");
    request.transform = Transform::new().command(command).expect("a program");
}

type Row = (&'static str, fn(&mut Scene), &'static [&'static str]);

#[test]
fn each_finding_follows_from_its_facts() {
    for (name, change, expected) in REFUSED.iter().chain(WARNED).chain(ASKED) {
        let mut scene = Scene::new();
        change(&mut scene);
        assert_eq!(lines(scene.result()), *expected, "{name}");
    }
}

const OVERWRITES: &str = "warning: items with matching keys will be overwritten, even if newer";

const REFUSED: &[Row] = &[
    (
        "the source has no items",
        |scene| scene.source.items = Some(0),
        &[
            "refused (Damaged): nothing to write from out: the source contains no items; table films was not touched",
        ],
    ),
    (
        "--replace, and the source has no items",
        |scene| {
            scene.replaced(&json!({}));
            scene.source.items = Some(0);
        },
        &[
            "refused (Damaged): nothing to write from out: the source contains no items; table films was not touched",
        ],
    ),
    (
        "the source has no items, and the table exists",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            scene.source.items = Some(0);
        },
        &[],
    ),
    (
        "the source has no items, and only the schema is restored",
        |scene| {
            scene.source.items = Some(0);
            scene.request.content = ContentScope::SchemaOnly;
        },
        &[],
    ),
    (
        "--allow-empty, and the source has no items",
        |scene| {
            scene.source.items = Some(0);
            scene.request.allow_empty = true;
        },
        &[],
    ),
    (
        "the source is a complete dump of an empty table",
        |scene| {
            scene.source.items = Some(0);
            scene.is_of_empty_table = true;
        },
        &[],
    ),
    (
        "the number of items is not known before the restore",
        |scene| scene.source.items = None,
        &[],
    ),
    (
        "the target is in memory",
        |scene| scene.connection.is_in_memory = true,
        &[
            "refused (Usage): a database in memory (embedded: without a file) is lost when the command ends",
        ],
    ),
    (
        "standard input is to be resumed",
        |scene| {
            scene.request.source = SourceSpec::Stdin.into();
            scene.request.resume = true;
        },
        &["refused (Usage): `resume` needs a file: standard input can be read only once"],
    ),
    (
        "standard input is to be salvaged",
        |scene| {
            scene.request.source = SourceSpec::Stdin.into();
            scene.request.salvage = true;
        },
        &["refused (Usage): `salvage` needs a file: standard input can be read only once"],
    ),
    (
        "a copy of a limited number of items deletes what the source does not have",
        |scene| {
            let mut scan = TableScan::default();
            scan.options.limit = Some(5);
            scene.request.source = RestoreSource::Table(scan);
            scene.request.delete_extra = true;
        },
        &[
            "refused (Usage): `delete_extra` cannot be combined with `limit`: items that are not read would be deleted",
        ],
    ),
    (
        "a copy of a sample deletes what the source does not have",
        |scene| {
            scene.request.source = RestoreSource::Table(TableScan::default());
            scene.request.delete_extra = true;
            let transform = Transform::new().condition("where", ".a");
            scene.request.transform = transform.expect("a condition");
        },
        &[
            "refused (Usage): `delete_extra` cannot be combined with `where`: items that are not read would be deleted",
        ],
    ),
    (
        "--resume, and the interrupted restore does not fit",
        |scene| {
            scene.unfinished(items_of_other());
            scene.request.resume = true;
            scene.resume.reason = Some("it was of another dump");
        },
        &[
            "refused (Failed): the interrupted restore into this table cannot be resumed: it was of another dump",
        ],
    ),
    (
        "--resume --schema-only",
        |scene| {
            scene.unfinished(items_of_other());
            scene.request.resume = true;
            scene.request.content = ContentScope::SchemaOnly;
            scene.resume.reason = Some("it was of another dump");
        },
        &[],
    ),
    (
        "--replace, and the table has deletion protection",
        |scene| scene.replaced(&json!({"Table": {"DeletionProtectionEnabled": true}})),
        &["refused (Usage): the target table has deletion protection, so it cannot be replaced"],
    ),
    (
        "deletion protection, and items are added",
        |scene| scene.exists(&json!({"Table": {"DeletionProtectionEnabled": true}})),
        &[OVERWRITES],
    ),
    (
        "--replace, and the table has replicas and a witness",
        |scene| {
            scene.replaced(&json!({"Table": {
                "Replicas": [{"RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE"}],
                "GlobalTableWitnesses": [{"RegionName": "us-west-2", "WitnessStatus": "ACTIVE"}],
            }}));
        },
        &[
            "refused (SchemaMismatch): table films is a global table with replicas or witnesses in eu-west-1, us-west-2, so it cannot be \
           replaced",
        ],
    ),
    (
        "items are added to a global table",
        |scene| {
            let replicas = json!([{"RegionName": "us-east-1", "ReplicaStatus": "ACTIVE"}]);
            scene.exists(&json!({"Table": {"Replicas": replicas, "ItemCount": 0}}));
        },
        &["warning: This is a global table. All items will be replicated to us-east-1."],
    ),
    (
        "the table cannot be written",
        |scene| scene.exists(&json!({"Table": {"TableStatus": "ARCHIVED"}})),
        &[
            "refused (Failed): table films cannot be written, and its status does not change by itself: table is ARCHIVED",
        ],
    ),
    (
        "--if-missing, and an unfinished restore of another dump created the table",
        |scene| {
            scene.unfinished(items_of_other());
            scene.request.existing = ExistingTable::Keep;
            scene.resume.reason = Some("it was of another dump");
            scene.resume.has_other_items = true;
        },
        &[
            "refused (Failed): table films was created by a restore of other that did not end; it was of another dump",
        ],
    ),
    (
        "--if-empty, and an unfinished restore of another dump has written to the table",
        |scene| {
            scene.unfinished(items_of_other());
            scene.unfinished.as_mut().expect("a job").created = false;
            scene.request.existing = ExistingTable::Fill;
            scene.resume.reason = Some("it was of another dump");
            scene.resume.has_other_items = true;
        },
        &[
            "refused (Failed): table films contains items of a restore of other that did not end; it was of another dump",
        ],
    ),
    (
        "--if-missing, and a restore from another machine has not finished",
        |scene| {
            scene.exists(&tagged());
            scene.request.existing = ExistingTable::Keep;
            scene.action = TableAction::Keep {
                reason: KeepReason::Exists,
            };
        },
        &[RESTORED_ELSEWHERE],
    ),
    (
        "--if-empty, and a restore from another machine has not written items yet",
        |scene| {
            scene.exists(&tagged());
            scene.request.existing = ExistingTable::Fill;
        },
        &[RESTORED_ELSEWHERE],
    ),
    (
        "--no-create, and there is no table",
        |scene| scene.request.create = false,
        &["refused (NotFound): table films does not exist in environment local"],
    ),
    (
        "--data-only, and the table is being deleted",
        |scene| {
            scene.request.content = ContentScope::DataOnly;
            scene.action = TableAction::CreateWhenDeleted;
        },
        &["refused (NotFound): table films is being deleted in environment local"],
    ),
    (
        "there is no schema to create the table from",
        |scene| scene.wanted = None,
        &[
            "refused (SchemaMismatch): table films does not exist in environment local, and the source has no schema to create it from",
        ],
    ),
    (
        "the table has another key",
        |scene| {
            scene.exists(&json!({}));
            let other = schema(&json!({"Table": {
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
            }}));
            scene.key_mismatch = differences(&schema(&json!({})), &other).key;
        },
        &["refused (SchemaMismatch): the key schema of table films differs from that of the dump"],
    ),
];

const WARNED: &[Row] = &[
    (
        "items do not fit an index of the new table, which is created after them",
        |scene| {
            scene.items_violate_index_keys();
            scene.source.index_violations.remove("by-size");
            scene.later_indexes.insert("by-when");
        },
        &[
            "warning: Index by-when is created after the items: 4 items do not fit its key and will be in the table only.",
        ],
    ),
    (
        "items do not fit indexes, and no items are written",
        |scene| {
            scene.items_violate_index_keys();
            scene.request.content = ContentScope::SchemaOnly;
        },
        &[],
    ),
    (
        "items do not fit indexes, and the table is left alone",
        |scene| {
            scene.exists(&json!({}));
            scene.items_violate_index_keys();
            scene.action = TableAction::Keep {
                reason: KeepReason::Exists,
            };
        },
        &[],
    ),
    (
        "items do not fit indexes that the dumped table had and the existing table lacks",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            let existing = scene.existing.clone();
            scene.items_violate_index_keys();
            scene.existing = existing;
        },
        &[],
    ),
    (
        "items do not fit indexes of the existing table",
        |scene| {
            scene.exists(&json!({}));
            scene.items_violate_index_keys();
        },
        &[
            "warning: 1 item does not fit the key of index by-size and will be rejected. 4 items do not fit the key of index by-when and will \
           be rejected. To restore them, delete the index and pass `apply_settings`, which creates it after the items.",
        ],
    ),
    (
        "items do not fit an index of the table that the unfinished restore created",
        |scene| {
            scene.unfinished(items_of_other());
            scene.items_violate_index_keys();
            scene.source.index_violations.remove("by-size");
            scene.resume.is_resumed = true;
        },
        &[
            "warning: 4 items do not fit the key of index by-when and will be rejected. To restore them, pass `existing: Replace`: the index will be \
           created after the items.",
        ],
    ),
    ("nothing is dangerous", |_| {}, &[]),
    (
        "an environment of production has the endpoint of a local engine",
        |scene| {
            scene.connection.environment = "prod".to_owned();
            scene.connection.misplaced_endpoint = Some("LOCAL_AWS_ENDPOINT in x line 3".to_owned());
        },
        &[
            "warning: The endpoint of environment prod is http://localhost:8000 (LOCAL_AWS_ENDPOINT in x line 3). This variable is for \
           local engines: remove it if prod is an environment on AWS.",
        ],
    ),
    (
        "items are added to items",
        |scene| scene.exists(&json!({})),
        &[OVERWRITES],
    ),
    (
        "items are added to an empty table",
        |scene| scene.exists(&json!({"Table": {"ItemCount": 0}})),
        &[],
    ),
    (
        "--on-conflict skip",
        |scene| {
            scene.exists(&json!({}));
            scene.request.write.on_conflict = OnConflict::Skip;
        },
        &[],
    ),
    (
        "--if-missing, and the table exists",
        |scene| {
            scene.exists(&json!({"Table": {"TableStatus": "UPDATING"}}));
            scene.action = TableAction::Keep {
                reason: KeepReason::Exists,
            };
        },
        &[],
    ),
    (
        "an unfinished restore is resumed",
        |scene| {
            scene.unfinished(items_of_other());
            scene.resume.is_resumed = true;
        },
        &[],
    ),
    (
        "an unfinished restore is not resumed",
        |scene| {
            scene.unfinished(items_of_other());
            scene.resume.reason = Some("--resume would resume it");
        },
        &[
            "warning: an earlier restore into this table did not end; every item is written again (--resume would resume it)",
        ],
    ),
    (
        "the items of an unfinished restore of another dump remain",
        |scene| {
            scene.unfinished(items_of_other());
            scene.resume.reason = Some("it was of another dump");
            scene.resume.has_other_items = true;
        },
        &[
            "warning: an earlier restore into this table did not end; the items that it wrote remain in the table (it was of another dump)",
            OVERWRITES,
        ],
    ),
    (
        "items are added, and a restore from another machine has not finished",
        |scene| scene.exists(&tagged()),
        &[
            "warning: A restore of this table that is not known on this machine has not finished (dynadump:restoring: now on build-7). \
             The tag will not be removed.",
            OVERWRITES,
        ],
    ),
    (
        "the tag is that of an unfinished restore with a journal",
        |scene| {
            scene.unfinished(items_of_other());
            scene.existing = Some(schema(&tagged()));
            scene.request.existing = ExistingTable::Keep;
            scene.resume.is_resumed = true;
        },
        &[],
    ),
    (
        "the table is being changed",
        |scene| scene.exists(&json!({"Table": {"TableStatus": "UPDATING", "ItemCount": 0}})),
        &["warning: waiting for the table, which is not ready: table is UPDATING"],
    ),
    (
        "the table has a stream",
        |scene| {
            let stream = json!({"StreamEnabled": true, "StreamViewType": "KEYS_ONLY"});
            scene.exists(&json!({"Table": {"StreamSpecification": stream, "ItemCount": 0}}));
        },
        &["warning: the table has a live stream: its consumers will see every restored item"],
    ),
    (
        "the new table will have TTL, and items have expired",
        |scene| {
            scene.ttl = Some(ttl(true));
            scene.source.items = Some(10);
            scene.source.expired_items = Some(7);
        },
        &[
            "warning: 7 of 10 items are past their TTL (attribute until): DynamoDB will delete them. To keep them, pass \
             `settings.without` ttl.",
        ],
    ),
    (
        "the table will have TTL, and no item has expired",
        |scene| {
            scene.ttl = Some(ttl(true));
            scene.source.expired_items = Some(0);
        },
        &[],
    ),
    (
        "the existing table has TTL, and items have expired",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            scene.ttl = Some(ttl(false));
            scene.source.items = Some(10);
            scene.source.expired_items = Some(1);
        },
        &[
            "warning: 1 of 10 items are past their TTL (attribute until): DynamoDB will delete them. To keep them, disable TTL of the \
             table first.",
        ],
    ),
    (
        "the table has TTL, and the items are not known before the restore",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            scene.ttl = Some(ttl(false));
        },
        &[
            "warning: the table will have TTL on attribute until: DynamoDB will delete items that are past their TTL. To keep them, \
             disable TTL of the table first.",
        ],
    ),
    (
        "the table has TTL, and no items are restored",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            scene.ttl = Some(ttl(false));
            scene.request.content = ContentScope::SchemaOnly;
        },
        &[],
    ),
    (
        "the dump is a part of a table",
        |scene| {
            scene.source.complete = false;
            scene.source.partial = vec!["limit 100".to_owned()];
        },
        &["warning: the dump contains part of the table (limit 100)"],
    ),
    (
        "a boost of a table with auto scaling",
        |scene| {
            scene.exists(
                &json!({"AutoScaling": {"ScalableTargets": []}, "Table": {"ItemCount": 0}}),
            );
            scene.boost = Some(BoostChange::Raised);
        },
        &["warning: the table has auto scaling, which may change the boosted capacity"],
    ),
    (
        "a boost without a state directory",
        |scene| {
            scene.boost = Some(BoostChange::Raised);
            scene.has_journal = false;
        },
        &["warning: there is no state directory: the boost remains if this command is killed"],
    ),
    (
        "an earlier boost is reverted without a state directory",
        |scene| {
            scene.boost = Some(BoostChange::Reverted);
            scene.has_journal = false;
        },
        &[],
    ),
    (
        "overrides, and the table keeps its settings, which are those",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            let wanted = scene.wanted.as_mut().expect("a schema");
            wanted.has_overrides = true;
            wanted.notes = vec!["billing".to_owned()];
        },
        &[],
    ),
    (
        "overrides, and the table keeps its settings, which differ",
        |scene| {
            scene.exists(&json!({"Table": {"ItemCount": 0}}));
            scene.differences = 1;
            let wanted = scene.wanted.as_mut().expect("a schema");
            wanted.has_overrides = true;
            wanted.notes = vec!["billing".to_owned()];
        },
        &["warning: the table exists and keeps its settings: the overrides have no effect"],
    ),
    (
        "a KMS key at a local endpoint",
        |scene| scene.creates_with_kms_key = true,
        &[
            "warning: A local endpoint may not support encryption. If it refuses the KMS key, the table is created without it.",
        ],
    ),
    (
        "--verify full with a program",
        |scene| {
            scene.request.verify = VerifyMode::Full;
            sends_items_to_a_program(&mut scene.request);
        },
        &[
            "warning: the comparison transforms the dump once more: what does not come out the same twice differs",
        ],
    ),
    (
        "--verify full of standard input",
        |scene| {
            scene.request.verify = VerifyMode::Full;
            scene.request.source = SourceSpec::Stdin.into();
        },
        &["warning: Standard input cannot be read twice: items will not be read back."],
    ),
];

const RESTORED_ELSEWHERE: &str = "refused (Failed): table films is not complete: a restore that is not known on this machine has not \
    finished (dynadump:restoring: now on build-7)";

const ASKED: &[Row] = &[
    (
        "a copy deletes what the source does not have",
        |scene| {
            scene.exists(&json!({}));
            scene.request.source = RestoreSource::Table(TableScan::default());
            scene.request.delete_extra = true;
        },
        &[
            OVERWRITES,
            "question: items of table \"films\" that the source does not have will be deleted",
        ],
    ),
    (
        "the environments differ",
        |scene| scene.source.environment = Some("prod".to_owned()),
        &["question: Source: prod → Target: local"],
    ),
    (
        "the environments differ, and nothing is written",
        |scene| {
            scene.exists(&json!({}));
            scene.action = TableAction::Keep {
                reason: KeepReason::Exists,
            };
            scene.source.environment = Some("prod".to_owned());
        },
        &[],
    ),
    (
        "the environments have the same name in two regions",
        |scene| scene.source.region = Some("us-east-1".to_owned()),
        &["question: Source: local (us-east-1) → Target: local (eu-west-1)"],
    ),
    (
        "the environments have the same name in two accounts",
        |scene| {
            scene.remote();
            scene.source.account = Some("000000000001".to_owned());
        },
        &[
            "question: Source: staging (000000000001 eu-west-1) → Target: staging (123456789012 eu-west-1)",
            "question: Remote target: AWS account 123456789012 in eu-west-1",
        ],
    ),
    (
        "a local engine invents an account",
        |scene| {
            scene.source.account = Some("000000000001".to_owned());
            scene.place.account = Some("000000000000".to_owned());
        },
        &[],
    ),
    (
        "the source does not tell its environment",
        |scene| scene.source.environment = None,
        &[],
    ),
    (
        "the damaged dump does not tell its environment",
        |scene| {
            scene.source.environment = None;
            scene.lacks_metadata = true;
        },
        &["question: the damaged dump does not say which environment it is from"],
    ),
    (
        "the target is remote",
        Scene::remote,
        &["question: Remote target: AWS account 123456789012 in eu-west-1"],
    ),
    (
        "settings of a remote table are changed",
        |scene| {
            scene.remote();
            scene.exists(&json!({}));
            scene.request.content = ContentScope::SchemaOnly;
            scene.has_setting_calls = true;
        },
        &["question: Remote target: AWS account 123456789012 in eu-west-1"],
    ),
    (
        "--schema-only, and a remote table has all settings",
        |scene| {
            scene.remote();
            scene.exists(&json!({}));
            scene.request.content = ContentScope::SchemaOnly;
        },
        &[],
    ),
    (
        "only the boost of an unfinished restore is reverted",
        |scene| {
            scene.remote();
            scene.exists(&json!({}));
            scene.request.content = ContentScope::SchemaOnly;
            scene.boost = Some(BoostChange::Reverted);
        },
        &["question: Remote target: AWS account 123456789012 in eu-west-1"],
    ),
    (
        "--replace, and nothing is known about backups",
        |scene| scene.replaced(&json!({})),
        &[
            "question: table \"films\" and its items will be deleted, and with it its settings, tags and point-in-time history",
        ],
    ),
    (
        "--replace from a backup that DynamoDB keeps",
        |scene| {
            scene.replaced(&json!({}));
            scene.request.content = ContentScope::SchemaOnly;
            scene.origin = Some(TableOrigin::Backup {
                arn: "arn:b".to_owned(),
            });
        },
        &[
            "question: table \"films\" and its items will be deleted, and with it its settings, tags and point-in-time history",
            "question: if DynamoDB cannot restore the table after the deletion, backup arn:b remains, and the same command restores it",
        ],
    ),
    (
        "--replace, and there is no backup",
        |scene| {
            let stream = json!({"StreamEnabled": true});
            scene.replaced(&json!({
                "ContinuousBackups": {"ContinuousBackupsStatus": "ENABLED"},
                "Table": {"StreamSpecification": stream},
            }));
            scene.backups = Some(0);
        },
        &[
            "question: table \"films\" and its items will be deleted, and with it its settings and tags, its stream, with every record not \
           read yet, the last copy of its items: it has no backup",
        ],
    ),
    (
        "--replace, and there are backups",
        |scene| {
            let pitr = json!({"PointInTimeRecoveryStatus": "ENABLED"});
            scene.replaced(&json!({"ContinuousBackups": {"PointInTimeRecoveryDescription": pitr}}));
            scene.backups = Some(2);
        },
        &[
            "warning: 2 on-demand backups of the old table remain",
            "question: table \"films\" and its items will be deleted, and with it its settings and tags, its point-in-time history (AWS \
             keeps one last backup for 35 days)",
        ],
    ),
    (
        "--replace with a part of a table",
        |scene| {
            scene.replaced(&json!({"ContinuousBackups": {}}));
            scene.source.complete = false;
        },
        &[
            "warning: the dump contains part of the table",
            "question: table \"films\" and its items will be deleted, and with it its settings and tags",
            "question: the dump is incomplete: the new table will lack the items that the dump lacks",
        ],
    ),
    (
        "--replace with a damaged dump",
        |scene| {
            scene.replaced(&json!({"ContinuousBackups": {}}));
            scene.source.salvage = Some(Salvage {
                promised: Some(2),
                readable: 1,
                unreadable: 1,
            });
        },
        &[
            "question: table \"films\" and its items will be deleted, and with it its settings and tags",
            "question: the dump is damaged: the new table will lack the items that the dump lacks",
        ],
    ),
];

#[test]
fn a_refusal_needs_only_the_facts_of_its_stage() {
    let mut scene = Scene::new();
    scene.connection.is_in_memory = true;
    let facts = RestoreFacts::new(&scene.request, &scene.connection);
    assert_eq!(
        lines(restore(&facts)),
        [
            "refused (Usage): a database in memory (embedded: without a file) is lost when the command ends"
        ]
    );

    // The caller serves the database after the restore.
    scene.request.allow_in_memory = true;
    let facts = RestoreFacts::new(&scene.request, &scene.connection);
    assert!(lines(restore(&facts)).is_empty());

    scene.connection.is_in_memory = false;
    scene.request.create = false;
    let facts = RestoreFacts::new(&scene.request, &scene.connection);
    assert!(lines(restore(&facts)).is_empty(), "nothing is known yet");
}

#[test]
fn the_question_states_what_the_restore_does() {
    for (name, change, expected) in ACTIONS {
        let mut scene = Scene::new();
        change(&mut scene);
        let action = scene.result().expect("it is not refused").action;
        assert_eq!(action.as_deref(), *expected, "{name}");
    }
}

type ActionRow = (&'static str, fn(&mut Scene), Option<&'static str>);

const ACTIONS: &[ActionRow] = &[
    (
        "the table is created",
        |_| {},
        Some("Create table films (local) and write 312 items into it"),
    ),
    (
        "--schema-only",
        |scene| scene.request.content = ContentScope::SchemaOnly,
        Some("Create table films (local)"),
    ),
    (
        "items are added to a remote table",
        |scene| {
            scene.remote();
            scene.exists(&json!({}));
            scene.source.items = Some(12_345);
        },
        Some(
            "Write 12,345 items into table films (staging, AWS account 123456789012 in eu-west-1)",
        ),
    ),
    (
        "an interrupted restore is resumed",
        |scene| {
            scene.unfinished(items_of_other());
            scene.resume.is_resumed = true;
            scene.resume.items_done = 300;
        },
        Some("Write 12 items into table films (local)"),
    ),
    (
        "a transform may leave out items",
        |scene| {
            scene.exists(&json!({}));
            sends_items_to_a_program(&mut scene.request);
        },
        Some("Write the items into table films (local)"),
    ),
    (
        "--on-conflict skip",
        |scene| {
            scene.exists(&json!({}));
            scene.request.write.on_conflict = OnConflict::Skip;
        },
        Some("Write up to 312 items into table films (local)"),
    ),
    (
        "--replace",
        |scene| scene.replaced(&json!({})),
        Some("Delete films (~312 items, local) and recreate it"),
    ),
    (
        "--replace of a table that AWS has not counted",
        |scene| {
            scene.remote();
            scene.replaced(&json!({}));
            scene.action = TableAction::Replace { items: 0 };
        },
        Some(
            "Delete films (unknown number of items, staging, AWS account 123456789012 in eu-west-1) and recreate it",
        ),
    ),
    (
        "--apply-settings --schema-only",
        |scene| {
            scene.exists(&json!({}));
            scene.request.content = ContentScope::SchemaOnly;
            scene.has_setting_calls = true;
        },
        Some("Change the settings of table films (local)"),
    ),
    (
        "--if-missing, and the table exists",
        |scene| {
            scene.exists(&json!({}));
            scene.action = TableAction::Keep {
                reason: KeepReason::Exists,
            };
        },
        None,
    ),
];
