//! DynamoDB's limits and this program's own bounds, each with its source.
//!
//! AWS's figures are from the "Quotas in Amazon DynamoDB" and API reference pages
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).

/// Items in one `BatchWriteItem` call (AWS).
pub const BATCH_WRITE_ITEMS: usize = 25;

/// Bytes in one request body (AWS: 16 MB per `BatchWriteItem`). A little is left for the frame around the items.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024 - 64 * 1024;

/// DynamoDB's size of one item, in bytes: names and values, not their JSON text (AWS: 400 KB).
pub const ITEM_BYTES: u64 = 400 * 1024;

/// Levels of nesting in one item (AWS: 32).
pub const NESTING_LEVELS: usize = 32;

/// Bytes of the JSON text of one item. The text is longer than DynamoDB's size of the item: a list of empty strings takes
/// about nine bytes of JSON for each byte that counts, control characters take six. No item of 400 KB reaches this bound.
pub const ITEM_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of one response body. A Scan page holds at most 1 MB of items by DynamoDB's size; see [`ITEM_TEXT_BYTES`] for
/// why its text can be longer.
pub const RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of a schema or metadata file. A table has at most 20 GSIs, 5 LSIs and 50 tags by default: some tens of KB.
pub const DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Bytes of an env file.
pub const ENV_FILE_BYTES: u64 = 1024 * 1024;

/// Segments of a parallel Scan (AWS: 1,000,000); far more than calls in flight would only cost memory.
pub const SCAN_SEGMENTS: u32 = 1_000_000;

/// Bytes of a checkpoint: the start keys of all segments, an index of frames and one frame's worth of items. With more segments than
/// fit here a dump goes on without checkpoints.
pub const CHECKPOINT_BYTES: usize = 128 * 1024 * 1024;
