//! Files of items that were not written, each with its reason: rejects, and conflicts with items in the table. They are next to
//! the dump, and a later restore can read them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::Utc;
use serde::{Deserialize, Serialize};

use super::ledger::{RejectEntry, RejectFileKind, RejectedEntry};
use crate::backup::Unreadable;
use crate::error::Result;
use crate::item::KeySchema;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::table_location::TableLocation;
use crate::place::{
    LazyLinesFile, check_lines_file, frequent_reasons, short_file_name, side_path,
    side_path_in_state,
};
use crate::store::RejectedItem;

/// One of the two files.
struct ListFile {
    lines: LazyLinesFile,
    count: u64,
}

/// Size of a file of lines. A journal records it without the path: the path follows from source and target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RejectFileSize {
    pub(crate) bytes: u64,
    pub(crate) count: u64,
}

/// Paths of the files that were written.
pub(crate) struct RejectFilePaths {
    pub(crate) rejects: Option<PathBuf>,
    pub(crate) conflicts: Option<PathBuf>,
    /// The most frequent reasons in the rejects file, each with its number of items.
    pub(crate) reject_reasons: Vec<(String, u64)>,
    /// The number of rejected items by the index that refused them, in this run.
    pub(crate) rejected_by_index: BTreeMap<String, u64>,
}

/// The rejects file and the conflicts file of one restore.
pub(crate) struct RejectFiles {
    rejected: ListFile,
    conflicts: ListFile,
    formatter: ItemFormatter,
    rejected_by_index: BTreeMap<String, u64>,
}

/// Syncs a file to disk.
type SyncFn = Box<dyn FnOnce() -> Result<()> + Send>;

/// The sizes of both files after a flush.
pub(crate) struct FlushedRejects {
    pub(crate) rejects: Option<RejectFileSize>,
    pub(crate) conflicts: Option<RejectFileSize>,
    /// Sync both files; may run on another thread.
    pub(crate) syncs: Vec<SyncFn>,
}

impl ListFile {
    /// The file at the first of `paths` that can be written, cut to its size in the journal.
    fn open(paths: Vec<PathBuf>, saved: Option<&RejectFileSize>) -> Result<Self> {
        let lines = LazyLinesFile::open(paths, saved.map_or(0, |saved| saved.bytes))?;
        Ok(Self {
            lines,
            count: saved.map_or(0, |saved| saved.count),
        })
    }

    /// Appends one item with its reason.
    fn append(
        &mut self,
        refused: &RejectedItem,
        outputs: &[Bytes],
        formatter: &ItemFormatter,
    ) -> Result<()> {
        formatter.append_rejected(&mut self.lines, &refused.reason, &refused.item, outputs)?;
        self.count += 1;
        Ok(())
    }

    fn size(&self) -> Option<RejectFileSize> {
        let file = self.lines.file()?;
        Some(RejectFileSize {
            bytes: file.bytes(),
            count: self.count,
        })
    }
}

/// Possible paths of both files, the preferred one first.
pub(crate) struct RejectPaths {
    rejects: Vec<PathBuf>,
    conflicts: Vec<PathBuf>,
}

impl RejectPaths {
    /// The paths for a restore of `source` into `target`. File names include the environment, because the same table in another
    /// environment may reject other items.
    pub(crate) fn new(
        source: Option<&Path>,
        state_dir: Option<&Path>,
        target: &TableLocation,
    ) -> Self {
        let paths = |what: &str| {
            let name = format!(
                "restore-{}.{}.{what}.jsonl",
                short_file_name(&target.table),
                target.environment
            );

            let next_to_source = source.and_then(|source| side_path(source, &name));
            let in_state_dir = state_dir.map(|dir| match source {
                Some(source) => side_path_in_state(dir, source, &name),
                // Standard input cannot be read again, so each run needs a file of its own.
                None => dir.join(format!(
                    "stdin-{}.{name}",
                    Utc::now().format("%Y%m%dT%H%M%S%.3fZ")
                )),
            });

            next_to_source.into_iter().chain(in_state_dir).collect()
        };

        Self {
            rejects: paths("rejects"),
            conflicts: paths("conflicts"),
        }
    }

    /// Checks that the files still have the contents that a journal counts.
    ///
    /// # Errors
    /// A file is missing or shorter.
    pub(crate) fn check(
        &self,
        rejects: Option<&RejectFileSize>,
        conflicts: Option<&RejectFileSize>,
    ) -> Result<()> {
        check_lines_file(&self.rejects, rejects.map_or(0, |size| size.bytes))?;
        check_lines_file(&self.conflicts, conflicts.map_or(0, |size| size.bytes))
    }
}

impl RejectFiles {
    /// Opens both files; `rejects_size` and `conflicts_size` are their sizes in the journal.
    pub(crate) fn open(
        paths: RejectPaths,
        rejects_size: Option<&RejectFileSize>,
        conflicts_size: Option<&RejectFileSize>,
        formatter: ItemFormatter,
    ) -> Result<Self> {
        let RejectPaths { rejects, conflicts } = paths;
        Ok(Self {
            rejected: ListFile::open(rejects, rejects_size)?,
            conflicts: ListFile::open(conflicts, conflicts_size)?,
            formatter,
            rejected_by_index: BTreeMap::new(),
        })
    }

    /// Appends an entry with its reason.
    pub(crate) fn append(&mut self, entry: &RejectEntry) -> Result<()> {
        let RejectedEntry {
            file,
            refused,
            outputs,
        } = match entry {
            RejectEntry::Item(entry) => entry,
            RejectEntry::Unreadable(unreadable) => return self.append_unreadable(unreadable),
        };

        let list = match file {
            RejectFileKind::Rejects => {
                if let Some(index) = refused.index() {
                    *self.rejected_by_index.entry(index.to_owned()).or_default() += 1;
                }

                &mut self.rejected
            }
            RejectFileKind::Conflicts => &mut self.conflicts,
        };
        list.append(refused, outputs, &self.formatter)
    }

    /// Appends text that is not an item as a line `{"reason":…,"unreadable":"…"}`. Bytes that are not UTF-8 are replaced.
    fn append_unreadable(&mut self, unreadable: &Unreadable) -> Result<()> {
        let text = self.formatter.format_invalid(&unreadable.bytes);
        self.rejected.lines.append_with_reason(
            &unreadable.reason,
            "unreadable",
            text.as_bytes(),
            None,
        )?;

        self.rejected.count += 1;

        Ok(())
    }

    /// Describes an item for an error message.
    pub(crate) fn name(&self, item: &[u8], key: &KeySchema) -> String {
        self.formatter.label(item, key)
    }

    /// Flushes both files and returns their sizes. The journal must be written after the syncs, so that it never counts lines that
    /// may be lost.
    pub(crate) fn flush_to_sync(&mut self) -> Result<FlushedRejects> {
        let mut syncs: Vec<SyncFn> = Vec::new();
        for list in [&mut self.rejected, &mut self.conflicts] {
            if let Some(file) = list.lines.file_mut() {
                syncs.push(Box::new(file.flush_to_sync()?));
            }
        }

        Ok(FlushedRejects {
            rejects: self.rejected.size(),
            conflicts: self.conflicts.size(),
            syncs,
        })
    }

    /// Syncs both files and returns their paths, if they exist.
    pub(crate) fn finish(self) -> Result<RejectFilePaths> {
        let rejects = self.rejected.lines.finish()?;
        // The lines are on disk: if they cannot be read now, the file is named without its reasons.
        let reasons = rejects.as_deref().map(frequent_reasons);

        Ok(RejectFilePaths {
            reject_reasons: reasons.transpose().unwrap_or_default().unwrap_or_default(),
            rejects,
            conflicts: self.conflicts.lines.finish()?,
            rejected_by_index: self.rejected_by_index,
        })
    }
}
