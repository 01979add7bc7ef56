//! A scripted service of on-demand backups and restores to a point in time, in front of an engine that has neither: it keeps the items
//! of a table, makes them a new table, and takes its time for both. Whatever the time asked for, it restores the items of today.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::SystemTime;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, ProjectionType,
    ProvisionedThroughput, ProvisionedThroughputDescription, ScalarAttributeType,
};
use serde_json::{Value, json};

use super::client::{Client, Items, attribute, partition};
use super::engine::Engine;
use super::faults::{Fault, Refusal, Rule, Service, always};

/// The service. Clones share its state.
#[derive(Clone)]
pub(crate) struct Backups {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    backups: BTreeMap<String, Backup>,
    /// Number of backups that were made.
    made: usize,
    /// How often a restored table is described as `CREATING`, if it is not `creating`.
    restoring: Option<u32>,
    restored: BTreeMap<String, Restored>,
    /// How often a backup, and a restored table, is described as `CREATING`.
    creating: u32,
    /// The status at the end; `AVAILABLE` unless a test says otherwise.
    final_status: Option<&'static str>,
    ignores_overrides: bool,
    loses_response: bool,
    /// How restored tables end, if not `ACTIVE`.
    restore_end: Option<RestoreEnd>,
    /// Whether point-in-time recovery is off.
    is_recovery_off: bool,
}

/// How a restore ends that does not succeed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RestoreEnd {
    /// The table has this status.
    Status(&'static str),
    /// The table does not exist.
    Gone,
}

/// A restored table.
struct Restored {
    /// What it says about its origin.
    summary: Value,
    /// How often it is still described as `CREATING`.
    creating: u32,
}

struct Backup {
    name: String,
    table: String,
    items: Items,
    creating: u32,
    /// `SourceTableDetails` and `SourceTableFeatureDetails`.
    contents: [Value; 2],
}

/// The first time to which tables can be restored.
pub(crate) const EARLIEST: &str = "2026-01-01T00:00:00Z";
const EARLIEST_SECONDS: i64 = 1_767_225_600;

#[expect(
    clippy::unnecessary_wraps,
    reason = "all operations have one signature"
)]
impl Backups {
    /// A service that describes each backup and each restored table as `CREATING` in the first `creating` calls.
    pub(crate) fn new(engine: &Engine, creating: u32) -> Self {
        let state = State {
            creating,
            ..State::default()
        };

        Self {
            url: engine.url().to_owned(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Backups end in this status.
    pub(crate) fn end_in(&self, status: &'static str) {
        self.state().final_status = Some(status);
    }

    /// Restored tables get the capacity of 5 units, whatever was asked for.
    pub(crate) fn ignore_overrides(&self) {
        self.state().ignores_overrides = true;
    }

    /// The response to the next request for a table is lost: a server error comes in its place.
    pub(crate) fn lose_next_response(&self) {
        self.state().loses_response = true;
    }

    /// A restored table is described as `CREATING` again, for two calls.
    pub(crate) fn is_being_restored(&self, table: &str) {
        let mut state = self.state();
        let restored = state.restored.get_mut(table);
        restored.expect("the table was restored").creating = 2;
    }

    /// Later backups and restored tables are described as `CREATING` this often.
    pub(crate) fn slow_down(&self, creating: u32) {
        self.state().creating = creating;
    }

    /// From now on, neither a backup nor a restored table is `CREATING`.
    pub(crate) fn hurry(&self) {
        let mut state = self.state();
        state.creating = 0;
        for backup in state.backups.values_mut() {
            backup.creating = 0;
        }

        for restored in state.restored.values_mut() {
            restored.creating = 0;
        }
    }

    /// Restored tables end like this.
    pub(crate) fn restores_end_in(&self, end: Option<RestoreEnd>) {
        self.state().restore_end = end;
    }

    /// Point-in-time recovery is off.
    pub(crate) fn turn_recovery_off(&self) {
        self.state().is_recovery_off = true;
    }

    /// Each table that is restored from now on is described as `CREATING` in the first `calls`.
    pub(crate) fn restore_in(&self, calls: u32) {
        self.state().restoring = Some(calls);
    }

    /// Number of backups that were made, whether they still exist or not.
    pub(crate) fn made(&self) -> usize {
        self.state().made
    }

    /// Number of backups.
    pub(crate) fn count(&self) -> usize {
        self.state().backups.len()
    }

    /// The rules of a proxy with this service.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let service = |answer: fn(&Self, &Value, Option<Value>) -> Result<Value, Refusal>| {
            let backups = self.clone();
            Service(Arc::new(move |request, found| {
                answer(&backups, request, found)
            }))
        };
        let answered = |answer| Fault::AnsweredBy(service(answer));

        vec![
            always("CreateBackup", answered(Self::create)),
            always("DescribeBackup", answered(Self::describe)),
            always("ListBackups", answered(Self::list)),
            always("DeleteBackup", answered(Self::delete)),
            always("RestoreTableFromBackup", answered(Self::restore)),
            always(
                "RestoreTableToPointInTime",
                answered(Self::restore_to_point_in_time),
            ),
            always("DescribeContinuousBackups", answered(Self::recovery)),
            always(
                "DescribeTable",
                Fault::ChangedBy(service(Self::described_table)),
            ),
        ]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds the backups")
    }

    /// Talks to the engine. In a thread of its own, because a proxy's task must not wait for a runtime.
    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Client) -> T + Send + 'static) -> T {
        let url = self.url.clone();
        let asking = thread::spawn(move || ask(&Client::at(&url)));
        asking.join().expect("the engine answers")
    }

    fn create(&self, request: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let table = text(request, "TableName");
        let name = text(request, "BackupName");
        let asked = table.clone();
        let (items, contents) =
            self.ask(move |client| (client.items(&asked), contents(client, &asked)));

        let mut state = self.state();
        state.made += 1;
        let number = state.made;
        let arn =
            format!("arn:aws:dynamodb:eu-central-1:000000000000:table/{table}/backup/{number}");
        let creating = state.creating;
        let backup = Backup {
            name,
            table,
            items,
            creating,
            contents,
        };
        let details = details(&arn, &backup, "CREATING");
        state.backups.insert(arn, backup);

        Ok(json!({"BackupDetails": details}))
    }

    fn describe(&self, request: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let arn = text(request, "BackupArn");
        let mut state = self.state();
        let final_status = state.final_status.unwrap_or("AVAILABLE");
        let backup = state
            .backups
            .get_mut(&arn)
            .ok_or(("BackupNotFoundException", "Backup not found"))?;
        let status = if backup.creating > 0 {
            backup.creating -= 1;
            "CREATING"
        } else {
            final_status
        };

        Ok(json!({"BackupDescription": {
            "BackupDetails": details(&arn, backup, status),
            "SourceTableDetails": backup.contents[0],
            "SourceTableFeatureDetails": backup.contents[1],
        }}))
    }

    fn delete(&self, request: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let deleted = self.state().backups.remove(&text(request, "BackupArn"));
        match deleted {
            Some(_) => Ok(json!({})),
            None => Err(("BackupNotFoundException", "Backup not found")),
        }
    }

    /// One backup in each page.
    fn list(&self, request: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let state = self.state();
        let table = request["TableName"].as_str();
        let start = request["ExclusiveStartBackupArn"]
            .as_str()
            .unwrap_or_default();
        let mut found = state.backups.iter().filter(|(arn, backup)| {
            arn.as_str() > start && table.is_none_or(|table| table == backup.table)
        });

        let Some((arn, backup)) = found.next() else {
            return Ok(json!({"BackupSummaries": []}));
        };

        let mut summary = details(arn, backup, "AVAILABLE");
        summary["TableName"] = json!(backup.table);
        let mut page = json!({"BackupSummaries": [summary]});
        if found.next().is_some() {
            page["LastEvaluatedBackupArn"] = json!(arn);
        }

        Ok(page)
    }

    fn restore(&self, request: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let arn = text(request, "BackupArn");
        let (items, contents) = {
            let state = self.state();
            let backup = state
                .backups
                .get(&arn)
                .ok_or(("BackupNotFoundException", "Backup not found"))?;
            (backup.items.clone(), backup.contents.clone())
        };

        self.restore_as(request, items, &contents, json!({"SourceBackupArn": arn}))
    }

    fn restore_to_point_in_time(
        &self,
        request: &Value,
        _: Option<Value>,
    ) -> Result<Value, Refusal> {
        let arn = text(request, "SourceTableArn");
        let table = arn.rsplit('/').next().unwrap_or_default().to_owned();
        let (items, contents) =
            self.ask(move |client| (client.items(&table), contents(client, &table)));
        let at = match &request["RestoreDateTime"] {
            Value::Null => json!(now()),
            at => at.clone(),
        };
        let summary = json!({"SourceTableArn": arn, "RestoreDateTime": at});

        self.restore_as(request, items, &contents, summary)
    }

    fn restore_as(
        &self,
        request: &Value,
        items: Items,
        contents: &[Value; 2],
        summary: Value,
    ) -> Result<Value, Refusal> {
        let target = text(request, "TargetTableName");
        let asked = target.clone();
        if self.ask(move |client| client.describe(&asked).is_some()) {
            return Err(("TableAlreadyExistsException", "Table already exists"));
        }

        {
            let mut state = self.state();
            let creating = state.restoring.unwrap_or(state.creating);
            let restored = Restored { summary, creating };
            state.restored.insert(target.clone(), restored);
        }

        // Without an override, the table is as in the backup.
        let [details, features] = contents;
        let wanted = |name: &str, otherwise: &Value| match &request[name] {
            Value::Null => otherwise.clone(),
            value => value.clone(),
        };
        let capacity = match &request["BillingModeOverride"] {
            _ if self.state().ignores_overrides => [5, 5],
            Value::String(mode) if mode == "PAY_PER_REQUEST" => [0, 0],
            _ => capacity_of(&wanted(
                "ProvisionedThroughputOverride",
                &details["ProvisionedThroughput"],
            )),
        };
        let indexes = wanted(
            "GlobalSecondaryIndexOverride",
            &features["GlobalSecondaryIndexes"],
        );
        self.ask(move |client| {
            create_table(client, &target, capacity, &indexes);
            client.put(&target, items.into_values());
        });

        if std::mem::take(&mut self.state().loses_response) {
            return Err(("InternalServerError", "the response is lost"));
        }

        Ok(json!({"TableDescription": {"TableStatus": "CREATING"}}))
    }

    /// Point-in-time recovery is on for all tables.
    fn recovery(&self, _: &Value, _: Option<Value>) -> Result<Value, Refusal> {
        let recovery = if self.state().is_recovery_off {
            json!({"PointInTimeRecoveryStatus": "DISABLED"})
        } else {
            json!({
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": 35,
                "EarliestRestorableDateTime": EARLIEST_SECONDS,
                "LatestRestorableDateTime": now(),
            })
        };

        Ok(json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": recovery,
        }}))
    }

    /// A restored table names its backup, and is `CREATING` for a while.
    fn described_table(&self, request: &Value, found: Option<Value>) -> Result<Value, Refusal> {
        let mut found = found.expect("the engine was asked");
        let mut state = self.state();
        let table = text(request, "TableName");
        let end = state.restore_end;
        let (Some(restored), Some(described)) =
            (state.restored.get_mut(&table), found.get_mut("Table"))
        else {
            return Ok(found);
        };

        let is_creating = restored.creating > 0;
        restored.creating = restored.creating.saturating_sub(1);
        described["RestoreSummary"] = restored.summary.clone();
        described["RestoreSummary"]["RestoreInProgress"] = json!(is_creating || end.is_some());
        match end {
            _ if is_creating => described["TableStatus"] = json!("CREATING"),
            Some(RestoreEnd::Status(status)) => described["TableStatus"] = json!(status),
            Some(RestoreEnd::Gone) => {
                return Err(("ResourceNotFoundException", "Requested resource not found"));
            }
            None => {}
        }

        Ok(found)
    }
}

/// This time, in seconds.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("a time after 1970").as_secs()
}

/// `SourceTableDetails` and `SourceTableFeatureDetails` of a table, with the TTL that it may have.
fn contents(client: &Client, table: &str) -> [Value; 2] {
    let described = client.describe(table).expect("the table exists");
    let key = |key: &[KeySchemaElement]| {
        let elements = key.iter().map(|element| {
            json!({
                "AttributeName": element.attribute_name(),
                "KeyType": element.key_type().as_str(),
            })
        });
        elements.collect::<Value>()
    };
    let units = |throughput: Option<&ProvisionedThroughputDescription>| {
        let [read, write] = throughput.map_or([0, 0], |throughput| {
            [
                throughput.read_capacity_units().unwrap_or_default(),
                throughput.write_capacity_units().unwrap_or_default(),
            ]
        });
        json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write})
    };
    let indexes = described.global_secondary_indexes().iter().map(|index| {
        json!({
            "IndexName": index.index_name(),
            "KeySchema": key(index.key_schema()),
            "Projection": {"ProjectionType": "ALL"},
            "ProvisionedThroughput": units(index.provisioned_throughput()),
        })
    });

    let details = json!({
        "TableName": table,
        "TableId": "3f7a",
        "KeySchema": key(described.key_schema()),
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": units(described.provisioned_throughput()),
    });
    let features = json!({
        "GlobalSecondaryIndexes": indexes.collect::<Value>(),
        "TimeToLiveDescription": {"AttributeName": "expires", "TimeToLiveStatus": "ENABLED"},
    });

    [details, features]
}

fn text(request: &Value, field: &str) -> String {
    request[field].as_str().unwrap_or_default().to_owned()
}

fn details(arn: &str, backup: &Backup, status: &str) -> Value {
    json!({
        "BackupArn": arn,
        "BackupName": backup.name,
        "BackupStatus": status,
        "BackupType": "USER",
        "BackupSizeBytes": 100,
        "BackupCreationDateTime": 4_000_000_000.5,
    })
}

fn capacity_of(throughput: &Value) -> [i64; 2] {
    ["ReadCapacityUnits", "WriteCapacityUnits"].map(|units| throughput[units].as_i64().unwrap_or(0))
}

fn throughput([read, write]: [i64; 2]) -> ProvisionedThroughput {
    ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build()
        .expect("both units are given")
}

/// A table with the key `id`, and with those of the indexes that are listed, on `genre`.
fn create_table(client: &Client, table: &str, capacity: [i64; 2], indexes: &Value) {
    client.create(table, |mut create| {
        create = create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"));
        create = match capacity {
            [0, 0] => create.billing_mode(BillingMode::PayPerRequest),
            capacity => create.provisioned_throughput(throughput(capacity)),
        };

        for index in indexes.as_array().into_iter().flatten() {
            let projection = Projection::builder().projection_type(ProjectionType::All);
            let index = GlobalSecondaryIndex::builder()
                .index_name(text(index, "IndexName"))
                .key_schema(partition("genre"))
                .projection(projection.build())
                .provisioned_throughput(throughput(capacity_of(&index["ProvisionedThroughput"])));
            create = create
                .attribute_definitions(attribute("genre", ScalarAttributeType::S))
                .global_secondary_indexes(index.build().expect("name and key are given"));
        }

        create
    });
}
