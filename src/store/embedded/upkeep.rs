//! Removes what DynamoDB would remove from a served database: items past their TTL, and old stream records.

use std::path::PathBuf;
use std::time::Duration;

use dynoxide::Database;
use dynoxide::storage::Storage;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::database::{EmbeddedDatabase, path_str, unusable_database};
use crate::error::{Error, Result};

/// Time between two sweeps.
const INTERVAL: Duration = Duration::from_mins(1);

/// How long DynamoDB keeps stream records.
const STREAM_RETENTION: Duration = Duration::from_hours(24);

/// Stream records that one transaction removes, while writes of applications wait.
const RECORDS_AT_ONCE: u32 = 1000;

/// The engine looks up the last sequence number of a table before each write, without an index of its own.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS dynadump_stream_sequence \
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// What is removed from a served database.
#[derive(Debug, Clone)]
pub struct Upkeep {
    /// Whether expired items are removed.
    pub ttl: bool,
    /// The database file; the stream records of a database in memory are kept.
    pub file: Option<PathBuf>,
}

/// A connection of its own to a database file: the engine does not remove stream records.
struct StreamRecords(Storage);

impl StreamRecords {
    fn open(file: &std::path::Path) -> Result<Self> {
        let path = path_str(file)?;
        let unusable = |error: String| unusable_database(path, error);
        let storage = Storage::new(path).map_err(|error| unusable(error.to_string()))?;
        storage
            .conn()
            .execute_batch(STREAM_INDEX)
            .map_err(|error| unusable(error.to_string()))?;

        Ok(Self(storage))
    }

    /// Removes the records that are older than [`STREAM_RETENTION`] at `now`, in seconds since 1970.
    fn remove_old(&self, now: i64) -> Result<()> {
        let oldest = now.saturating_sub_unsigned(STREAM_RETENTION.as_secs());
        // IDs ascend with time, so this reads only the oldest records.
        let remove = format!(
            "DELETE FROM _stream_records WHERE created_at < {oldest} \
             AND id < (SELECT MIN(id) FROM _stream_records) + {RECORDS_AT_ONCE}"
        );
        loop {
            let removed = self.0.conn().execute(&remove, ());
            match removed {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    return Err(
                        Error::failed("old stream records were not removed").with_source(error)
                    );
                }
            }
        }
    }
}

/// Sweeps a database once a minute, until it is dropped. A sweep that fails is repeated a minute later.
///
/// # Errors
/// The database file cannot be opened.
pub(super) async fn run(database: &EmbeddedDatabase, upkeep: Upkeep) -> Result<()> {
    let records = match &upkeep.file {
        Some(file) => Some(StreamRecords::open(file)?),
        None => None,
    };
    let mut state = (database.0.clone(), records);

    let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let ttl = upkeep.ttl;
        let swept = tokio::task::spawn_blocking(move || {
            sweep(&state.0, state.1.as_ref(), ttl);
            state
        });
        state = swept
            .await
            .map_err(|error| Error::failed("the sweep stopped unexpectedly").with_source(error))?;
    }
}

fn sweep(database: &Database, records: Option<&StreamRecords>, ttl: bool) {
    // A database that is busy for seconds is swept a minute later.
    if ttl {
        let _ = database.sweep_ttl();
    }

    if let Some(records) = records {
        let _ = records.remove_old(chrono::Utc::now().timestamp());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dynoxide::storage_backend::ManualClock;
    use serde_json::{Value, json};

    use super::super::testing::{from_json, scanned, stream_records};
    use super::*;

    /// Seconds since 1970 at which the tests begin.
    const NOW: u64 = 1_800_000_000;

    fn create(database: &Database) {
        let table = json!({
            "TableName": "films",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "KEYS_ONLY" },
        });
        database.create_table(from_json(table)).unwrap();
        let ttl = json!({
            "TableName": "films",
            "TimeToLiveSpecification": { "AttributeName": "until", "Enabled": true },
        });
        database.update_time_to_live(from_json(ttl)).unwrap();
    }

    fn put(database: &Database, id: &str, until: u64) {
        let item = json!({ "id": { "S": id }, "until": { "N": until.to_string() } });
        let request = json!({ "TableName": "films", "Item": item });
        database.put_item(from_json(request)).unwrap();
    }

    fn ids(database: &Database) -> Vec<String> {
        let items: Vec<Value> = from_json(scanned(database, json!({ "TableName": "films" })));
        let id = |item: &Value| item["id"]["S"].as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }

    /// Lets the minutes pass, each with time for the sweep.
    async fn minutes(count: u32) {
        for _ in 0..count {
            tokio::time::sleep(INTERVAL).await;
        }
        // The tick of the last minute may come after ours.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    fn start(database: &Database, ttl: bool) -> tokio::task::JoinHandle<Result<()>> {
        let database = EmbeddedDatabase(database.clone());
        tokio::spawn(async move { run(&database, Upkeep { ttl, file: None }).await })
    }

    #[tokio::test(start_paused = true)]
    async fn expired_items_are_removed_once_a_minute() {
        let clock = ManualClock::new(NOW);
        let database = Database::memory_with_clock(Arc::new(clock.clone())).unwrap();
        create(&database);
        put(&database, "expired", NOW - 10);
        put(&database, "soon", NOW + 90);
        put(&database, "later", NOW + 10_000);

        let sweeping = start(&database, true);
        tokio::time::sleep(INTERVAL / 2).await;
        assert_eq!(ids(&database).len(), 3);

        minutes(1).await;
        assert_eq!(ids(&database), ["later", "soon"]);
        clock.set(NOW + 100);
        minutes(1).await;
        assert_eq!(ids(&database), ["later"]);
        sweeping.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn expired_items_are_kept_without_ttl() {
        let clock = ManualClock::new(NOW);
        let database = Database::memory_with_clock(Arc::new(clock)).unwrap();
        create(&database);
        put(&database, "expired", NOW - 10);

        let sweeping = start(&database, false);
        minutes(5).await;
        assert_eq!(ids(&database), ["expired"]);
        sweeping.abort();
    }

    /// Sequence numbers of the stream, read by the engine's own connection.
    fn sequence_numbers(database: &Database) -> Vec<String> {
        let number = |record: &Value| {
            let number = record["dynamodb"]["SequenceNumber"].as_str();
            number.unwrap().to_owned()
        };
        stream_records(database).iter().map(number).collect()
    }

    #[test]
    fn stream_records_are_kept_for_24_hours() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let database = EmbeddedDatabase::open(&file).unwrap().0;
        create(&database);
        let streams = StreamRecords::open(&file).unwrap();
        for id in 0..5 {
            put(&database, &id.to_string(), NOW);
        }
        let written = sequence_numbers(&database);
        assert_eq!(written.len(), 5);

        let now = chrono::Utc::now().timestamp();
        streams.remove_old(now + 86_000).unwrap();
        assert_eq!(sequence_numbers(&database), written);

        streams.remove_old(now + 86_500).unwrap();
        assert_eq!(sequence_numbers(&database), Vec::<String>::new());

        // Sequence numbers continue.
        put(&database, "new", NOW);
        let [new] = sequence_numbers(&database).try_into().unwrap();
        assert!(new > written[4], "{new} after {written:?}");
    }

    #[test]
    fn the_last_sequence_number_is_found_without_reading_all_records() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let _database = EmbeddedDatabase::open(&file).unwrap();
        let streams = StreamRecords::open(&file).unwrap();

        // The engine's query.
        let plan: String = streams
            .0
            .conn()
            .query_row(
                "EXPLAIN QUERY PLAN SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 \
                 FROM _stream_records WHERE table_name = 'films'",
                (),
                |row| row.get("detail"),
            )
            .unwrap();
        assert!(plan.contains("dynadump_stream_sequence"), "{plan}");
    }
}
