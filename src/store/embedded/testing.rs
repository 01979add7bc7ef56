//! What tests read from a database through the engine.

use dynoxide::Database;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A request or an item of the engine.
pub(super) fn from_json<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn field(value: &impl Serialize, pointer: &str) -> Value {
    let value = serde_json::to_value(value).unwrap();
    value.pointer(pointer).cloned().unwrap()
}

/// The items that a Scan with these parameters returns.
pub(super) fn scanned(database: &Database, request: Value) -> Value {
    field(&database.scan(from_json(request)).unwrap(), "/Items")
}

/// The records of the only stream.
pub(super) fn stream_records(database: &Database) -> Vec<Value> {
    let streams = database.list_streams(from_json(json!({}))).unwrap();
    let stream = field(&streams, "/Streams/0/StreamArn");
    let described = database.describe_stream(from_json(json!({ "StreamArn": stream })));
    let shard = field(&described.unwrap(), "/StreamDescription/Shards/0/ShardId");

    let start =
        json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = database.get_shard_iterator(from_json(start)).unwrap();
    let request = json!({ "ShardIterator": field(&iterator, "/ShardIterator") });
    let found = database.get_records(from_json(request)).unwrap();

    from_json(field(&found, "/Records"))
}
