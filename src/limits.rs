//! Limits of DynamoDB and of this program, each with its source.
//!
//! The values marked AWS are from the AWS documentation:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::thread;

/// Maximum number of items per `BatchWriteItem` call (AWS).
pub const BATCH_WRITE_ITEMS: usize = 25;

/// Maximum request body, in bytes (AWS: 16 MB per `BatchWriteItem`), less a reserve for the JSON
/// around the items.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024 - 64 * 1024;

/// Maximum size of one item as DynamoDB calculates it, in bytes: names and values, not their JSON
/// text (AWS: 400 KB).
pub const ITEM_BYTES: u64 = 400 * 1024;

/// Maximum nesting depth of one item (AWS: 32).
pub const NESTING_LEVELS: usize = 32;

/// Maximum length of the JSON text of one item, in bytes. The text is longer than the item size: a
/// list of empty strings takes about nine bytes of JSON per byte of item size, control characters
/// take six. No item of 400 KB reaches this limit.
pub const ITEM_TEXT_BYTES: usize = 16 * 1024 * 1024;

/// Maximum response body, in bytes. A Scan page contains at most 1 MB of items by item size; see
/// [`ITEM_TEXT_BYTES`] for why its text can be longer.
pub const RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// Maximum response to a request that writes or describes, in bytes. `BatchWriteItem` returns at
/// most what it was sent (AWS: 16 MB).
pub const WRITE_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Maximum error response, in bytes. AWS's have some hundred bytes; proxies send web pages.
pub const ERROR_RESPONSE_BYTES: usize = 1024 * 1024;

/// Maximum size of a schema or metadata file, in bytes. A table has at most 20 GSIs, 5 LSIs and 50
/// tags by default, which take some tens of KB.
pub const DOCUMENT_BYTES: u64 = 16 * 1024 * 1024;

/// Maximum size of an env file, in bytes.
pub const ENV_FILE_BYTES: u64 = 1024 * 1024;

/// Maximum number of segments of a parallel Scan (AWS: 1,000,000). More segments than in-flight
/// calls only cost memory.
pub const SCAN_SEGMENTS: u32 = 1_000_000;

/// Maximum size of a journal, in bytes: the start keys of all segments, an index of frames and the
/// items of one frame. A dump with too many segments for this limit continues without saving its
/// progress.
pub const JOURNAL_BYTES: usize = 128 * 1024 * 1024;

/// The number of cores that this process may use. Limits of a container count; they are read once, because that takes some twenty
/// system calls.
pub(crate) fn cores() -> NonZeroUsize {
    static CORES: LazyLock<NonZeroUsize> =
        LazyLock::new(|| thread::available_parallelism().unwrap_or(NonZeroUsize::MIN));

    *CORES
}

/// The part of the memory for items in transit that one of several parallel tables may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryShare(NonZeroUsize);

impl MemoryShare {
    /// All of it, for a single table.
    pub const WHOLE: Self = Self(NonZeroUsize::MIN);

    /// An equal share of this number of tables.
    #[must_use]
    pub fn one_of(tables: NonZeroUsize) -> Self {
        Self(tables)
    }

    /// The share of an amount, such as a number of bytes or of buffers; at least 1.
    #[must_use]
    pub fn of(self, amount: usize) -> usize {
        (amount / self.0).max(1)
    }

    /// The number of tables that share the memory.
    #[must_use]
    pub fn tables(self) -> NonZeroUsize {
        self.0
    }
}

impl Default for MemoryShare {
    fn default() -> Self {
        Self::WHOLE
    }
}
