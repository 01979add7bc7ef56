//! Options for opening a store.

use std::sync::Arc;
use std::time::Duration;

use super::compression::WireCompression;
#[cfg(feature = "embedded")]
use super::embedded::EmbeddedDatabase;
use crate::event::{Reporter, SilentReporter};

/// Options of a store.
pub struct StoreOptions {
    /// Fail when no call has succeeded for this long.
    pub give_up_after: Duration,
    /// Wait up to this long for an endpoint that is starting.
    pub wait: Option<Duration>,
    /// Maximum number of in-flight requests per direction. Fewer are used if more would not be
    /// faster.
    pub concurrency: Option<usize>,
    /// Cap on the read units per second of all tables together, in addition to the cap of each table.
    pub max_total_read_units: Option<u32>,
    /// Cap on the write units per second of all tables together.
    pub max_total_write_units: Option<u32>,
    /// Whether Scan pages are requested compressed.
    pub wire_compression: WireCompression,
    /// How to handle a missing database file of the embedded engine.
    pub missing_database: MissingDatabase,
    /// An open database to use instead of opening the one that the environment's `embedded:` endpoint names. With
    /// [`MissingDatabase::InMemory`], it stands in for a missing file.
    #[cfg(feature = "embedded")]
    pub database: Option<EmbeddedDatabase>,
    /// Whether hints name the diagnosis of the environment; a diagnosis does not refer to itself.
    pub refers_to_diagnosis: bool,
    /// Receives retries and warnings.
    pub reporter: Arc<dyn Reporter>,
}

/// How to handle a missing database file of the embedded engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingDatabase {
    /// Fail: there is nothing to read.
    #[default]
    Refuse,
    /// Create the file.
    Create,
    /// Use a temporary database in memory, for plans that must not change anything.
    InMemory,
}

impl Default for StoreOptions {
    /// Gives up after five minutes without success; does not wait for the endpoint, creates no
    /// database and reports nothing.
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_mins(5),
            wait: None,
            concurrency: None,
            max_total_read_units: None,
            max_total_write_units: None,
            wire_compression: WireCompression::default(),
            missing_database: MissingDatabase::default(),
            #[cfg(feature = "embedded")]
            database: None,
            refers_to_diagnosis: true,
            reporter: Arc::new(SilentReporter),
        }
    }
}
