//! Bulk writes into an embedded database: batches that wait at the same time share one transaction.
//!
//! `BatchWriteItem` commits each item separately. An import commits before the write is acknowledged as well, so a killed
//! process has lost nothing that it counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dynoxide::types::{MAX_ITEM_SIZE, item_size};
use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use tokio::sync::oneshot;

/// Batches that a transaction should contain. Fewer write the same pages of the primary key more often: its index is in random order.
pub(crate) const BULK_BATCHES: usize = 128;

/// Bytes of an item for one write unit.
const WRITE_UNIT: usize = 1024;

/// Writes batches into a database without HTTP. Clones share the queue.
#[derive(Clone)]
pub(crate) struct BulkWriter {
    database: Database,
    queue: Arc<Mutex<Vec<Batch>>>,
    /// Held by whoever imports the queue.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Items of one table, waiting to be imported.
struct Batch {
    table: String,
    items: Vec<Item>,
    /// Dropped without a message if the items were not written.
    written: oneshot::Sender<()>,
}

impl BulkWriter {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            queue: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Writes items with different keys into a table, and returns the write units for the table, without its indexes. `None`: nothing was
    /// written, and `BatchWriteItem` has to say why not, or to write the items that are valid.
    pub(crate) async fn write(&self, table: &str, items: &[Bytes]) -> Option<f64> {
        let (items, write_units) = parse(items)?;
        let (written, mut outcome) = oneshot::channel();
        self.queue().push(Batch {
            table: table.to_owned(),
            items,
            written,
        });

        // Meanwhile, others add their batches to the queue. Whoever has the turn next imports them all.
        let turn = self.turn.lock().await;
        let batches = std::mem::take(&mut *self.queue());
        if !batches.is_empty() {
            let database = self.database.clone();
            // A panic drops the batches, which are then written one by one.
            let _ = tokio::task::spawn_blocking(move || import(&database, batches)).await;
        }
        drop(turn);

        outcome.try_recv().ok().map(|()| write_units)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Imports the batches of each table in one transaction.
fn import(database: &Database, batches: Vec<Batch>) {
    let mut tables: BTreeMap<String, (Vec<Item>, Vec<oneshot::Sender<()>>)> = BTreeMap::new();
    for batch in batches {
        let (items, waiting) = tables.entry(batch.table).or_default();
        items.extend(batch.items);
        waiting.push(batch.written);
    }

    for (table, (items, waiting)) in tables {
        let options = ImportOptions {
            record_streams: true,
            ..ImportOptions::default()
        };

        if checks_imports(database, &table) && database.import_items(&table, items, options).is_ok()
        {
            for written in waiting {
                // The writer may have been cancelled.
                let _ = written.send(());
            }
        }
    }
}

/// Whether an import checks the items of this table as `BatchWriteItem` does: it does not check vectors.
fn checks_imports(database: &Database, table: &str) -> bool {
    let found = database.get_table_metadata(table);
    matches!(found, Ok(Some(found)) if found.vector_index_definitions.is_none())
}

/// The items and their write units; `None` if an import would not reject an item that `BatchWriteItem` does.
fn parse(texts: &[Bytes]) -> Option<(Vec<Item>, f64)> {
    let mut units = 0;
    let mut items = Vec::with_capacity(texts.len());
    for text in texts {
        let item: Item = serde_json::from_slice(text).ok()?;
        let size = item_size(&item);
        if size > MAX_ITEM_SIZE || has_empty_name(&item) {
            return None;
        }

        units += size.div_ceil(WRITE_UNIT).max(1);
        items.push(item);
    }

    // A batch has 25 items of at most 400 units.
    let units = u32::try_from(units).ok()?;
    Some((items, units.into()))
}

fn has_empty_name(attributes: &Item) -> bool {
    attributes
        .iter()
        .any(|(name, value)| name.is_empty() || contains_empty_name(value))
}

fn contains_empty_name(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::M(attributes) => has_empty_name(attributes),
        AttributeValue::L(elements) => elements.iter().any(contains_empty_name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{from_json, scanned, stream_records};
    use super::*;
    use crate::store::write::batch_body;

    fn database() -> Database {
        let database = Database::memory().unwrap();
        let table = json!({
            "TableName": "films",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "id", "AttributeType": "S" },
                { "AttributeName": "year", "AttributeType": "N" },
            ],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "GlobalSecondaryIndexes": [{
                "IndexName": "years",
                "KeySchema": [{ "AttributeName": "year", "KeyType": "HASH" }],
                "Projection": { "ProjectionType": "ALL" },
            }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
        });
        database.create_table(from_json(table)).unwrap();

        database
    }

    fn texts(items: &[Value]) -> Vec<Bytes> {
        items.iter().map(|item| item.to_string().into()).collect()
    }

    /// Everything in the table, its index and its stream, apart from what differs in every run.
    fn content(database: &Database) -> [Value; 3] {
        let mut records = stream_records(database);
        for record in &mut records {
            record["eventID"] = Value::Null;
            record["dynamodb"]["SequenceNumber"] = Value::Null;
            record["dynamodb"]["ApproximateCreationDateTime"] = Value::Null;
        }

        [
            scanned(database, json!({ "TableName": "films" })),
            scanned(
                database,
                json!({ "TableName": "films", "IndexName": "years" }),
            ),
            records.into(),
        ]
    }

    fn items() -> [Vec<Value>; 2] {
        let every_type = json!({
            "id": { "S": "a" },
            "year": { "N": "1.50" },
            "extreme": { "N": "-12345678901234567890123456789012345678E-125" },
            "types": { "L": [
                { "M": { "empty": { "S": "" } } }, { "B": "AAEC" }, { "BOOL": true }, { "NULL": true },
                { "SS": ["b", "a"] }, { "NS": ["2", "1.0"] }, { "BS": ["AQ==", "Ag=="] },
            ] },
        });
        let first = vec![
            every_type,
            json!({ "id": { "S": "b" }, "year": { "N": "7" } }),
        ];
        // Replaces an item and moves it out of the index.
        let second = vec![
            json!({ "id": { "S": "b" }, "text": { "S": "x".repeat(3000) } }),
            json!({ "id": { "S": "c" }, "year": { "N": "7" } }),
        ];

        [first, second]
    }

    #[tokio::test]
    async fn a_bulk_write_has_the_same_result_as_batch_write_item() {
        let (bulk, single) = (database(), database());
        let writer = BulkWriter::new(bulk.clone());
        let mut units = Vec::new();
        for batch in items() {
            units.push(writer.write("films", &texts(&batch)).await);
            let request = serde_json::from_slice(&batch_body("films", &texts(&batch))).unwrap();
            single.batch_write_item(request).unwrap();
        }

        assert_eq!(units, [Some(2.0), Some(4.0)]);
        assert_eq!(content(&bulk), content(&single));
    }

    #[tokio::test]
    async fn batches_that_wait_are_written_together_and_each_is_acknowledged() {
        let database = database();
        let writer = BulkWriter::new(database.clone());
        let turn = Arc::clone(&writer.turn).lock_owned().await;

        let mut tasks = Vec::new();
        for id in 0..3 {
            let item = json!({ "id": { "S": id.to_string() } });
            let writer = writer.clone();
            tasks.push(tokio::spawn(async move {
                writer.write("films", &texts(&[item])).await
            }));
        }
        while writer.queue().len() < tasks.len() {
            tokio::task::yield_now().await;
        }

        drop(turn);
        for task in tasks {
            assert_eq!(task.await.unwrap(), Some(1.0));
        }
        assert_eq!(content(&database)[0].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_batch_write_item_rejects_is_not_written() {
        let database = database();
        let writer = BulkWriter::new(database.clone());
        let valid = json!({ "id": { "S": "valid" } });
        for invalid in [
            json!({ "id": { "S": "" } }),
            json!({ "id": { "N": "1" } }),
            json!({ "year": { "N": "1" } }),
            json!({ "id": { "S": "a" }, "year": { "S": "no number" } }),
            json!({ "id": { "S": "a" }, "": { "S": "x" } }),
            json!({ "id": { "S": "a" }, "nested": { "L": [{ "M": { "": { "S": "x" } } }] } }),
            json!({ "id": { "S": "a" }, "large": { "S": "x".repeat(MAX_ITEM_SIZE) } }),
            json!({ "id": { "S": "a" }, "number": { "N": "1E126" } }),
            json!({ "id": { "S": "a" }, "set": { "SS": [] } }),
            json!({ "id": { "S": "a" }, "set": { "SS": ["a", "a"] } }),
            json!({ "id": { "S": "a" }, "two": { "S": "a", "N": "1" } }),
            json!({ "id": { "S": "a" }, "unknown": { "X": "a" } }),
        ] {
            let batch = texts(&[valid.clone(), invalid.clone()]);
            assert_eq!(writer.write("films", &batch).await, None, "{invalid}");
            let request = serde_json::from_slice(&batch_body("films", &batch));
            assert!(
                request.map_or(true, |request| database.batch_write_item(request).is_err()),
                "{invalid}"
            );
        }
        assert_eq!(writer.write("absent", &texts(&[valid])).await, None);
        assert_eq!(content(&database)[0], json!([]));
    }
}
