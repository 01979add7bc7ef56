//! Writes a set: a manifest that says which tables are missing, then the dump of each table, then the final manifest.
//!
//! The dumps are written in the folder of the set, where each replaces its predecessor on its own. If that folder contains a dump of
//! one table, they are written in `<set>.partial/`, which replaces the folder at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::manifest::{MemberDump, MemberStatus, SET_FILE, SetManifest, SetMember, assign_folders};
use crate::backup::folder::{TargetContents, inspect_target, partial_folders, resolve_path};
use crate::backup::format::FORMAT_VERSION;
use crate::backup::publish::{cannot_replace, publish_finished, publish_set, recover};
use crate::backup::removal::remove_dump;
use crate::backup::write::lock::lock_dump;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::local::files::{create_folders, replace_with, sync_folder, write_file};
use crate::place::local::folders::is_mount_point;
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::place::{Access, JournalFile, LockedJournal};

/// The folder of a set that is to be written. Inspecting it changes nothing.
#[derive(Debug, Clone)]
pub struct SetTarget {
    target: PathBuf,
    /// Where the dumps are written.
    base: PathBuf,
    replaced: TargetContents,
    /// The manifest in `base`.
    previous: Option<SetManifest>,
    folders: BTreeMap<String, String>,
}

/// What a run is about to write.
#[derive(Debug, Clone)]
pub struct SetDraft {
    /// Name of the environment.
    pub environment: String,
    /// The region.
    pub region: Option<String>,
    /// The endpoint; `None` for the region's default.
    pub endpoint: Option<String>,
    /// Start of the run, or of the one that it resumes.
    pub started_at: DateTime<Utc>,
    /// Digest of the options.
    pub options_sha256: String,
    /// The tables of the run.
    pub tables: Vec<String>,
}

/// The outcome of one table of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberOutcome {
    /// Dumped.
    Dumped,
    /// Could not be dumped, with the reason.
    Failed(String),
    /// Not reached.
    Pending,
}

impl SetTarget {
    /// Inspects the folder of a set of these tables. With `resume`, a set that was to replace a dump of one table is continued.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the folder contains other files than a set or a dump;
    /// [`Damaged`](crate::error::ErrorKind::Damaged): its manifest is damaged; I/O errors.
    pub fn inspect(path: &Path, tables: &[String], resume: bool) -> Result<Self> {
        let target = resolve_path(path)?;
        let replaced = match SetManifest::read(&target)? {
            Some(manifest) => TargetContents::Set(Box::new(manifest)),
            None => inspect_target(&target)?,
        };

        let partial = sibling(&target, PARTIAL_SUFFIX);
        let may_be_resumed = resume && !target.join(SET_FILE).exists();
        let (base, previous) = match (&replaced, partial) {
            (_, Some(partial)) if may_be_resumed && partial.join(SET_FILE).exists() => {
                let previous = SetManifest::read(&partial)?;
                (partial, previous)
            }
            (TargetContents::Set(manifest), _) => (target.clone(), Some((**manifest).clone())),
            (TargetContents::Dump(_), Some(partial)) if !is_mount_point(&target) => (partial, None),
            (TargetContents::Dump(_), _) => return Err(cannot_replace("dump", &target)),
            _ => (target.clone(), None),
        };

        let folders = assign_folders(previous.as_ref(), tables);
        Ok(Self {
            target,
            base,
            replaced,
            previous,
            folders,
        })
    }

    /// What the set replaces.
    #[must_use]
    pub fn replaced(&self) -> &TargetContents {
        &self.replaced
    }

    /// The manifest of an earlier run that was interrupted or could not dump all tables.
    #[must_use]
    pub fn interrupted(&self) -> Option<&SetManifest> {
        let is_unpublished = self.base != self.target;
        self.previous
            .as_ref()
            .filter(|previous| is_unpublished || previous.is_unfinished())
    }

    /// The folder of a table.
    ///
    /// # Errors
    /// It is a symbolic link, which could lead anywhere.
    pub fn member(&self, table: &str) -> Result<PathBuf> {
        let folder = self.base.join(&self.folders[table]);
        if fs::symlink_metadata(&folder).is_ok_and(|found| found.is_symlink()) {
            return Err(
                Error::usage(format!("`{}` is a symbolic link", folder.display())).with_hint(
                    format!(
                        "replace it with the folder itself, or choose another {target}",
                        target = Field::Target
                    ),
                ),
            );
        }

        Ok(folder)
    }

    /// The dump of a table, if it was started at `since` or later.
    #[must_use]
    pub fn member_since(&self, table: &str, since: DateTime<Utc>) -> Option<MemberDump> {
        let folder = self.member(table).ok()?;
        let (dump, metadata) = MemberDump::read(&folder, table)?;

        (metadata.started_at >= since).then_some(dump)
    }

    /// Locks the folder, and writes a manifest in which the tables of this run are pending.
    ///
    /// # Errors
    /// Another run writes the set, or has written it since it was inspected; I/O errors.
    pub fn begin(
        self,
        draft: SetDraft,
        access: Access,
        state_dir: Option<&Path>,
    ) -> Result<SetWriter> {
        if let Some(parent) = self.target.parent() {
            create_folders(parent, Access::Shared)?;
        }

        let target = resolve_path(&self.target)?;
        let lock = lock_dump(&target, JournalFile::of_dump(&target, state_dir))?;

        // A set that is resumed in `.partial` is published at the end.
        let resume = self.base != self.target && self.previous.is_some();
        if !resume {
            publish_finished(&target)?;
        }

        // Inspect again under the lock: another process may have written there in the meantime.
        let now = Self::inspect(&target, &draft.tables, resume)?;
        if (&now.base, &now.previous, &now.replaced) != (&self.base, &self.previous, &self.replaced)
        {
            return Err(Error::failed(format!(
                "another run wrote to `{}` in the meantime",
                target.display()
            ))
            .with_hint("run the same command again"));
        }

        // Remains of a dump of one table, or of a set that is started over.
        if self.previous.is_none() || self.base == target {
            discard_unfinished(&target, &lock)?;
        }

        create_folders(&self.base, access)?;
        let writer = SetWriter {
            manifest: self.pending_manifest(&draft),
            target,
            base: self.base,
            access,
            selected: draft.tables,
            state_dir: state_dir.map(Path::to_path_buf),
            _lock: lock,
        };
        writer.write_manifest()?;

        Ok(writer)
    }

    /// The manifest at the start of a run.
    fn pending_manifest(&self, draft: &SetDraft) -> SetManifest {
        let previous = self.previous.as_ref();
        let member = |(table, folder): (&String, &String)| {
            let before = previous.and_then(|previous| previous.tables.get(table));
            let is_selected = draft.tables.contains(table);
            let status = match before {
                _ if is_selected => MemberStatus::Pending,
                // A table that an earlier run did not reach may have been dumped nevertheless.
                Some(before) if before.is_pending() => MemberStatus::Pending,
                _ => MemberStatus::NotSelected,
            };
            let member = SetMember {
                folder: folder.clone(),
                status,
                error: None,
                dump: before.and_then(|before| before.dump.clone()),
            };

            (table.clone(), member)
        };

        SetManifest {
            format_version: FORMAT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: draft.environment.clone(),
            region: draft.region.clone(),
            endpoint: draft.endpoint.clone(),
            started_at: draft.started_at,
            finished_at: None,
            options_sha256: draft.options_sha256.clone(),
            tables: self.folders.iter().map(member).collect(),
        }
    }
}

/// Removes what an interrupted run has left for a new run to replace.
fn discard_unfinished(target: &Path, lock: &LockedJournal) -> Result<()> {
    lock.remove()?;
    partial_folders(target)
        .filter(|partial| fs::symlink_metadata(partial).is_ok())
        .try_for_each(|partial| remove_dump(&partial))
}

/// Removes what a killed run left next to the dump in `folder`, unless another run is writing there.
fn discard_leftovers_of(folder: &Path, state_dir: Option<&Path>) -> Result<()> {
    let journal = JournalFile::of_dump(folder, state_dir);
    let is_left = journal.exists()
        || partial_folders(folder).any(|partial| fs::symlink_metadata(partial).is_ok());
    if !is_left || journal.holder().is_some() {
        return Ok(());
    }

    let lock = lock_dump(folder, journal)?;
    recover(folder)?;

    lock.remove()
}

/// A set that is being written, locked until this is dropped.
#[derive(Debug)]
pub struct SetWriter {
    target: PathBuf,
    base: PathBuf,
    manifest: SetManifest,
    access: Access,
    selected: Vec<String>,
    state_dir: Option<PathBuf>,
    _lock: LockedJournal,
}

/// A set whose run has ended.
#[derive(Debug)]
pub struct FinishedSet {
    /// Whether the set is in place. Otherwise it would have replaced a dump of one table, but lacks a table.
    pub is_published: bool,
    /// Problems after the set was in place.
    pub warnings: Vec<String>,
}

impl SetWriter {
    /// Writes the final manifest, or after an interruption one that says what is pending, and publishes the set.
    ///
    /// # Errors
    /// I/O errors.
    pub fn finish(
        mut self,
        outcomes: &BTreeMap<String, MemberOutcome>,
        is_interrupted: bool,
    ) -> Result<FinishedSet> {
        let mut warnings = self.discard_leftovers(outcomes);
        let tables = std::mem::take(&mut self.manifest.tables);
        for (table, member) in tables {
            let member = self.finished_member(&table, member, outcomes.get(&table));
            self.manifest
                .tables
                .extend(member.map(|member| (table, member)));
        }

        self.manifest.finished_at = (!is_interrupted).then(Utc::now);
        self.write_manifest()?;

        let is_complete = outcomes
            .values()
            .all(|outcome| *outcome == MemberOutcome::Dumped);
        let is_published = self.base == self.target || (is_complete && !is_interrupted);
        if is_published && self.base != self.target {
            warnings.extend(publish_set(&self.target, &self.base)?);
        }

        Ok(FinishedSet {
            is_published,
            warnings,
        })
    }

    /// Removes the files that a run left next to a dump when it was killed after publishing the dump. A run that resumes it does not
    /// dump that table again. Returns the problems.
    fn discard_leftovers(&self, outcomes: &BTreeMap<String, MemberOutcome>) -> Vec<String> {
        let mut problems = Vec::new();
        for (table, member) in &self.manifest.tables {
            if outcomes.get(table) == Some(&MemberOutcome::Dumped) {
                let folder = self.base.join(&member.folder);
                let discarded = discard_leftovers_of(&folder, self.state_dir.as_deref());
                problems.extend(discarded.err().map(|error| error.to_string()));
            }
        }

        problems
    }

    /// The final entry of a table; `None` if it has no dump and was not selected.
    fn finished_member(
        &self,
        table: &str,
        member: SetMember,
        outcome: Option<&MemberOutcome>,
    ) -> Option<SetMember> {
        let on_disk = || {
            let found = MemberDump::read(&self.base.join(&member.folder), table);
            found.map(|(dump, _)| dump)
        };
        let (status, error, dump) = match outcome {
            Some(MemberOutcome::Dumped) => (MemberStatus::Dumped, None, on_disk()),
            Some(MemberOutcome::Failed(error)) => {
                (MemberStatus::Failed, Some(error.clone()), on_disk())
            }
            Some(MemberOutcome::Pending) => (MemberStatus::Pending, None, on_disk()),
            None if member.is_pending() => (MemberStatus::NotSelected, None, on_disk()),
            None => (member.status, None, member.dump.clone()),
        };

        let is_listed = dump.is_some() || self.selected.iter().any(|name| name == table);
        is_listed.then_some(SetMember {
            folder: member.folder,
            status,
            error,
            dump,
        })
    }

    fn write_manifest(&self) -> Result<()> {
        let document = self.manifest.to_document()?;
        let path = self.base.join(SET_FILE);
        let partial = self.base.join(format!("{SET_FILE}{PARTIAL_SUFFIX}"));
        replace_with(&partial, &path, |partial| {
            write_file(partial, &document, self.access)
        })?;

        sync_folder(self.base.parent().unwrap_or(&self.base))
    }
}

#[cfg(test)]
mod tests;
