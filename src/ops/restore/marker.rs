//! The marker of a restore that has not ended yet: while it stands, the table may hold half a dump. Kept in the state directory,
//! one per table and environment.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::boost::Marked;
use crate::backup;
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::place::Place;

/// The marker of one table.
#[derive(Debug)]
pub(super) struct Marker(PathBuf);

/// What a marker says. What people may want to know of it is written and never read.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Mark {
    /// Whether the table was made by the restore: its settings are then the restore's to finish.
    pub(super) created: bool,
    /// What the table was raised to while items were written, and what it is to have again.
    pub(super) boost: Option<Marked>,
}

impl Marker {
    pub(super) fn of(state_dir: &Path, environment: &Environment, table: &str) -> Self {
        let region = environment.region().map_or("", |region| region.value.as_str());
        let account = environment.account().map_or("", |account| account.value.as_str());
        let identity = [&environment.endpoint().to_string(), region, account, environment.name(), table].join("\n");
        let hash = xxhash_rust::xxh3::xxh3_128(identity.as_bytes());
        Self(state_dir.join(format!("unfinished-restore-{hash:032x}.json")))
    }

    /// What it says, if it stands. One that cannot be read stands all the same.
    pub(super) fn read(&self) -> Option<Mark> {
        if !self.0.exists() {
            return None;
        }
        let text = backup::read_text(&self.0).unwrap_or_default();
        Some(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Leaves it, in place of a former one.
    pub(super) fn leave(&self, source: &str, target: &Place, mark: &Mark) -> Result<()> {
        let text = serde_json::json!({
            "source": source,
            "table": target.table,
            "environment": target.environment,
            "endpoint": target.endpoint,
            "since": chrono::Utc::now(),
            "created": mark.created,
            "boost": mark.boost,
        });
        backup::leave_mark(&self.0, text.to_string().as_bytes())
    }

    /// Where the checkpoint of the restore is kept.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.0.with_extension("checkpoint.json")
    }

    pub(super) fn has_checkpoint(&self) -> bool {
        self.checkpoint().exists()
    }

    /// Sees that the next run begins anew.
    pub(super) fn remove_checkpoint(&self) -> Result<()> {
        backup::remove_mark(&self.checkpoint())
    }

    /// Removes it and the checkpoint, that one first: without a marker a checkpoint means nothing.
    pub(super) fn remove(&self) -> Result<()> {
        self.remove_checkpoint()?;
        backup::remove_mark(&self.0)
    }
}
