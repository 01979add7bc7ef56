//! Many small tables behind a control plane with the rates of AWS: for runs about a thousand tables at a time.
//!
//! Each table has two items. Tables are created, described, tagged and listed; settings that a table lacks are answered as
//! DynamoDB does. A call beyond the rate of its operation is refused, and what was refused is counted by operation and table.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bucket::Bucket;

/// Calls per second and account that AWS documents for an operation. Every other operation shares [`ALL_OPERATIONS`].
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTagsOfResource.html> and the page of each operation.
const RATES: [(&str, f64); 5] = [
    ("ListTagsOfResource", 10.0),
    ("TagResource", 5.0),
    ("UntagResource", 5.0),
    ("DescribeContinuousBackups", 10.0),
    ("ListBackups", 5.0),
];

/// Calls per second of the control plane as a whole.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-control-plane.html>
const ALL_OPERATIONS: f64 = 2500.0;

/// Tables that may be created, changed or deleted at a time.
const MAX_CHANGING: usize = 500;

/// Names in a page of `ListTables`.
const NAMES_IN_PAGE: usize = 100;

/// What the control plane answers to a call.
pub enum ControlReply {
    Accepted(String),
    Refused { kind: &'static str, message: &'static str },
}

/// The tables of one account.
pub struct SmallTables {
    /// Time for which a new table is `CREATING`.
    creation: Duration,
    all_operations: Bucket,
    by_operation: BTreeMap<&'static str, Bucket>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tables by name, with their creation; `None` for those that have always existed.
    tables: BTreeMap<String, Option<Instant>>,
    calls: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    /// Refusals since the last success, by operation and table.
    refused_in_a_row: HashMap<(String, String), u64>,
    most_refused_in_a_row: u64,
}

impl SmallTables {
    /// `count` tables named `small-1` and so on. The control plane has the rates of AWS, multiplied by `rate_factor`.
    #[must_use]
    pub fn new(count: u64, creation: Duration, rate_factor: f64) -> Self {
        let tables = (1..=count).map(|number| (format!("small-{number}"), None)).collect();
        Self {
            creation,
            all_operations: Bucket::new(ALL_OPERATIONS * rate_factor, 1.0),
            by_operation: RATES.iter().map(|(name, rate)| (*name, Bucket::new(rate * rate_factor, 1.0))).collect(),
            state: Mutex::new(State { tables, ..State::default() }),
        }
    }

    /// Counts of calls, of refusals, and of the most refusals in a row, as JSON.
    #[must_use]
    pub fn report(&self) -> String {
        let state = self.lock();
        json!({"calls": state.calls, "refused": state.refused, "most_refused_in_a_row": state.most_refused_in_a_row})
            .to_string()
    }

    /// Forgets the counts. The tables stay.
    pub fn forget(&self) {
        let mut state = self.lock();
        let tables = std::mem::take(&mut state.tables);
        *state = State { tables, ..State::default() };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call of the control plane or of Application Auto Scaling.
    #[must_use]
    pub fn answer(&self, operation: &str, body: &[u8]) -> ControlReply {
        let request = serde_json::from_slice(body).unwrap_or(Value::Null);
        let table = table_of(&request);
        let mut state = self.lock();
        *state.calls.entry(operation.to_owned()).or_default() += 1;

        let has_units = self.by_operation.get(operation).is_none_or(|rate| rate.take(1.0));
        if !(has_units && self.all_operations.take(1.0)) {
            state.refuse(operation, &table);
            return refused("ThrottlingException", "Rate exceeded");
        }

        let reply = self.accepted(&mut state, operation, &request, &table);
        match &reply {
            ControlReply::Refused { kind: "LimitExceededException", .. } => state.refuse(operation, &table),
            _ => {
                state.refused_in_a_row.remove(&(operation.to_owned(), table));
            }
        }

        reply
    }

    fn accepted(&self, state: &mut State, operation: &str, request: &Value, table: &str) -> ControlReply {
        let reply = match operation {
            "ListTables" => list_tables(state, request),
            "CreateTable" => return self.create(state, table),
            "DescribeTable" => match state.tables.get(table) {
                Some(created) => format!(r#"{{"Table":{}}}"#, self.description(table, *created)),
                None => return refused("ResourceNotFoundException", "Requested resource not found"),
            },
            "ListTagsOfResource" => r#"{"Tags":[]}"#.to_owned(),
            "DescribeContinuousBackups" => json!({"ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
            }})
            .to_string(),
            "DescribeTimeToLive" => json!({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}).to_string(),
            "DescribeContributorInsights" => {
                json!({"TableName": table, "ContributorInsightsStatus": "DISABLED"}).to_string()
            }
            "DescribeKinesisStreamingDestination" => {
                json!({"TableName": table, "KinesisDataStreamDestinations": []}).to_string()
            }
            "GetResourcePolicy" => return refused("PolicyNotFoundException", "no policy"),
            "DescribeScalableTargets" => r#"{"ScalableTargets":[]}"#.to_owned(),
            "DescribeScalingPolicies" => r#"{"ScalingPolicies":[]}"#.to_owned(),
            "ListBackups" => r#"{"BackupSummaries":[]}"#.to_owned(),
            "TagResource" | "UntagResource" => "{}".to_owned(),
            _ => return refused("UnknownOperationException", "the stub does not know it"),
        };

        ControlReply::Accepted(reply)
    }

    fn create(&self, state: &mut State, table: &str) -> ControlReply {
        if state.tables.contains_key(table) {
            return refused("ResourceInUseException", "the table exists");
        }

        let changing = state.tables.values().filter(|created| self.is_new(**created)).count();
        if changing >= MAX_CHANGING {
            return refused(
                "LimitExceededException",
                "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously",
            );
        }

        let created = Some(Instant::now());
        state.tables.insert(table.to_owned(), created);
        ControlReply::Accepted(format!(r#"{{"TableDescription":{}}}"#, self.description(table, created)))
    }

    fn is_new(&self, created: Option<Instant>) -> bool {
        created.is_some_and(|created| created.elapsed() < self.creation)
    }

    fn description(&self, table: &str, created: Option<Instant>) -> Value {
        let (status, items) = match created {
            Some(_) if self.is_new(created) => ("CREATING", 0),
            Some(_) => ("ACTIVE", 0),
            None => ("ACTIVE", ITEMS),
        };

        json!({
            "TableName": table,
            "TableArn": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}"),
            "TableId": format!("id-of-{table}"),
            "TableStatus": status,
            "CreationDateTime": 1.7e9,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ItemCount": items,
            "TableSizeBytes": items * 40,
        })
    }
}

impl State {
    fn refuse(&mut self, operation: &str, table: &str) {
        *self.refused.entry(operation.to_owned()).or_default() += 1;
        let in_a_row = self.refused_in_a_row.entry((operation.to_owned(), table.to_owned())).or_default();
        *in_a_row += 1;
        self.most_refused_in_a_row = self.most_refused_in_a_row.max(*in_a_row);
    }
}

/// Items of each table.
const ITEMS: u64 = 2;

/// The page of a Scan of one of the tables.
#[must_use]
pub fn scan(body: &[u8]) -> String {
    let request = serde_json::from_slice(body).unwrap_or(Value::Null);
    let mut items = String::new();
    // One segment has all items.
    let is_first = request["Segment"].as_u64().unwrap_or(0) == 0;
    let count = if is_first { ITEMS } else { 0 };
    for number in 0..count {
        let comma = if number > 0 { "," } else { "" };
        let _ = write!(items, r#"{comma}{{"id":{{"S":"item-{number}"}},"count":{{"N":"{number}"}}}}"#);
    }

    format!(
        r#"{{"ConsumedCapacity":{{"CapacityUnits":0.5,"TableName":"{}"}},"Count":{count},"Items":[{items}],"ScannedCount":{count}}}"#,
        table_of(&request)
    )
}

fn refused(kind: &'static str, message: &'static str) -> ControlReply {
    ControlReply::Refused { kind, message }
}

/// The table that a request is about, by name or ARN.
fn table_of(request: &Value) -> String {
    let name = request["TableName"].as_str().or_else(|| request["ResourceArn"].as_str()?.rsplit('/').next());
    let resource = || request["ResourceId"].as_str()?.rsplit('/').next();
    name.or_else(resource).unwrap_or_default().to_owned()
}

fn list_tables(state: &State, request: &Value) -> String {
    let start = request["ExclusiveStartTableName"].as_str().unwrap_or_default();
    let limit = request["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(NAMES_IN_PAGE);
    let names: Vec<&String> =
        state.tables.keys().filter(|name| name.as_str() > start).take(limit.min(NAMES_IN_PAGE)).collect();
    let last = names.last().filter(|last| state.tables.keys().next_back() != Some(**last));

    match last {
        Some(last) => json!({"TableNames": names, "LastEvaluatedTableName": last}).to_string(),
        None => json!({"TableNames": names}).to_string(),
    }
}
