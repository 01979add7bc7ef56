//! Items that were not written, kept with their reason in files beside the dump that a later restore can read: rejects, and
//! conflicts with what the table had.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::Utc;

use super::checkpoint::Lines;
use super::ledger::{File, Listed};
use crate::backup::UnreadablePiece;
use crate::error::Result;
use crate::item::KeySchema;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::table_location::TableLocation;
use crate::place::{
    LazyLinesFile, check_lines_file, short_file_name, side_path, side_path_in_state,
};
use crate::store::RejectedItem;

/// One of the files.
struct List {
    lines: LazyLinesFile,
    count: u64,
}

/// The files of one restore.
pub(crate) struct Rejects {
    rejected: List,
    conflicts: List,
    naming: ItemFormatter,
}

/// What makes lines durable that were handed to the system.
type Sync = Box<dyn FnOnce() -> Result<()> + Send>;

/// Both files as they are now.
pub(crate) struct Flushed {
    pub(crate) rejects: Option<Lines>,
    pub(crate) conflicts: Option<Lines>,
    /// Puts them on disk.
    pub(crate) syncs: Vec<Sync>,
}

impl List {
    /// A file at the first of `places` that can be written, or where an earlier run left it.
    fn open(places: Vec<PathBuf>, left: Option<&Lines>) -> Result<Self> {
        let lines = LazyLinesFile::open(places, left.map_or(0, |left| left.bytes))?;
        Ok(Self {
            lines,
            count: left.map_or(0, |left| left.count),
        })
    }

    /// Keeps one item with its reason.
    fn keep(
        &mut self,
        refused: &RejectedItem,
        outputs: &[Bytes],
        naming: &ItemFormatter,
    ) -> Result<()> {
        naming.append_rejected(&mut self.lines, &refused.reason, &refused.item, outputs)?;
        self.count += 1;
        Ok(())
    }

    fn lines(&self) -> Option<Lines> {
        let file = self.lines.file()?;
        Some(Lines {
            bytes: file.bytes(),
            count: self.count,
        })
    }
}

/// Where the files of a restore may be.
pub(crate) struct RejectPlaces {
    rejects: Vec<PathBuf>,
    conflicts: Vec<PathBuf>,
}

impl RejectPlaces {
    /// Those of a restore of `source` to `target`, whose environment they name: the same table in another environment refuses other
    /// items.
    pub(crate) fn of(
        source: Option<&Path>,
        state_dir: Option<&Path>,
        target: &TableLocation,
    ) -> Self {
        let places = |what: &str| {
            let name = format!(
                "restore-{}.{}.{what}.jsonl",
                short_file_name(&target.table),
                target.environment
            );

            let next_to = source.and_then(|source| side_path(source, &name));
            let stated = state_dir.map(|dir| match source {
                Some(source) => side_path_in_state(dir, source, &name),
                // Standard input is there once: what was refused of it is nowhere else.
                None => dir.join(format!(
                    "stdin-{}.{name}",
                    Utc::now().format("%Y%m%dT%H%M%S%.3fZ")
                )),
            });

            next_to.into_iter().chain(stated).collect()
        };

        Self {
            rejects: places("rejects"),
            conflicts: places("conflicts"),
        }
    }

    /// Checks that what an earlier run left of the files is still there.
    ///
    /// # Errors
    /// One is missing or shorter.
    pub(crate) fn check(&self, rejects: Option<&Lines>, conflicts: Option<&Lines>) -> Result<()> {
        check_lines_file(&self.rejects, rejects.map_or(0, |left| left.bytes))?;
        check_lines_file(&self.conflicts, conflicts.map_or(0, |left| left.bytes))
    }
}

impl Rejects {
    /// The files at these places. `left` is what an earlier run has left of them.
    pub(crate) fn open(
        places: RejectPlaces,
        left: (Option<&Lines>, Option<&Lines>),
        naming: ItemFormatter,
    ) -> Result<Self> {
        let RejectPlaces { rejects, conflicts } = places;
        Ok(Self {
            rejected: List::open(rejects, left.0)?,
            conflicts: List::open(conflicts, left.1)?,
            naming,
        })
    }

    /// Keeps one item with its reason.
    pub(crate) fn keep(
        &mut self,
        Listed {
            file,
            refused,
            outputs,
        }: &Listed,
    ) -> Result<()> {
        let list = match file {
            File::Rejects => &mut self.rejected,
            File::Conflicts => &mut self.conflicts,
        };
        list.keep(refused, outputs, &self.naming)
    }

    /// Keeps a piece that is not an item, as a line `{"reason":…,"unreadable":"…"}`: bytes that are not UTF-8 are replaced.
    pub(crate) fn keep_unreadable(&mut self, piece: &UnreadablePiece) -> Result<()> {
        let text = self.naming.format_invalid(&piece.text);
        self.rejected.lines.append_with_reason(
            &piece.reason,
            "unreadable",
            text.as_bytes(),
            None,
        )?;

        self.rejected.count += 1;

        Ok(())
    }

    /// Names an item that has this key, for an error.
    pub(crate) fn name(&self, item: &[u8], key: &KeySchema) -> String {
        self.naming.label(item, key)
    }

    /// Where rejects and conflicts are and how long, with what puts them on disk: a checkpoint must not count lines that are not.
    pub(crate) fn flush_to_sync(&mut self) -> Result<Flushed> {
        let mut syncs: Vec<Sync> = Vec::new();
        for list in [&mut self.rejected, &mut self.conflicts] {
            if let Some(file) = list.lines.file_mut() {
                syncs.push(Box::new(file.flush_to_sync()?));
            }
        }

        Ok(Flushed {
            rejects: self.rejected.lines(),
            conflicts: self.conflicts.lines(),
            syncs,
        })
    }

    /// Makes both files durable and says where they are.
    pub(crate) fn finish(self) -> Result<(Option<PathBuf>, Option<PathBuf>)> {
        Ok((
            self.rejected.lines.finish()?,
            self.conflicts.lines.finish()?,
        ))
    }
}
