//! Items that could not be written, kept with their reason in a file beside the dump that a later restore can read.

use std::path::{Path, PathBuf};

use crate::backup::LinesFile;
use crate::error::Result;
use crate::store::Refused;

/// The rejects of one run. The file appears with the first of them.
pub(super) struct Rejects {
    places: Vec<PathBuf>,
    file: Option<LinesFile>,
    count: u64,
}

impl Rejects {
    /// Rejects go to the first of `places` that can be written.
    pub(super) fn new(places: Vec<PathBuf>) -> Self {
        Self { places, file: None, count: 0 }
    }

    /// Keeps one item with its reason, as a line `{"reason":…,"item":…}`.
    pub(super) fn keep(&mut self, refused: &Refused) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(LinesFile::create_first(&self.places)?),
        };
        let reason = serde_json::Value::from(refused.reason.as_str()).to_string();
        file.append(&[br#"{"reason":"#, reason.as_bytes(), br#","item":"#, &refused.item, b"}"])?;
        self.count += 1;
        Ok(())
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Makes the file durable and says where it is.
    pub(super) fn finish(self) -> Result<Option<PathBuf>> {
        self.file.map(LinesFile::finish).transpose()
    }

    /// Where the rejects of a restore of `source` into `table` may stand.
    pub(super) fn places(source: Option<&Path>, state_dir: Option<&Path>, table: &str) -> Vec<PathBuf> {
        let name = format!("restore-{table}.rejects.jsonl");
        let beside = source.and_then(|source| crate::backup::beside(source, &name));
        beside.into_iter().chain(state_dir.map(|dir| dir.join(&name))).collect()
    }
}
