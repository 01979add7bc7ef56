//! Publishes a finished dump: at every moment, either the old dump or the new one can be read.
//!
//! There are four strategies, tried in this order where they apply. Each is a list of steps. The
//! first step fails without having changed anything if the file system does not support it.
//!
//! - *rename*: the target does not exist. One step.
//! - *exchange*: the two folders are exchanged atomically, then the old one is removed.
//! - *two renames*: the old dump is renamed to `<dump>.old`, then the new one to `<dump>`. After a
//!   crash in between, the finished new dump is in `<dump>.partial`.
//! - *move in*: for a folder that cannot be renamed (a mount point). Once the old metadata is
//!   removed, the finished dump in `.partial` counts. Then its files are moved one by one, metadata
//!   last.
//!
//! [`find_unpublished`] and [`find_unpublished_set`] find what was finished before a crash: readers
//! read it, and the next writer publishes it first.

use std::path::{Path, PathBuf};

use super::folder::{
    UnpublishedDump, UnpublishedSet, find_unpublished, find_unpublished_set, partial_folders,
};
use super::format::{METADATA_FILE, OLD_SUFFIX, dump_file_names};
use super::removal::remove_dump;
use super::set::manifest::SET_FILE;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::Access;
use crate::place::local::files::{
    create_folder, exchange, io_error, remove_file, rename, sync_folder,
};
use crate::place::local::folders::{entries, is_mount_point};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};

/// One change to the file system.
#[derive(Debug)]
enum PublishStep {
    Exchange(PathBuf, PathBuf),
    Rename(PathBuf, PathBuf),
    /// A missing file was moved by an earlier run.
    RenameIfExists(PathBuf, PathBuf),
    RemoveFile(PathBuf),
    RemoveDump(PathBuf),
    Sync(PathBuf),
}

impl PublishStep {
    fn run(&self) -> Result<()> {
        match self {
            Self::Exchange(one, other) => {
                exchange(one, other).map_err(|error| io_error("exchange", one, error))
            }
            Self::Rename(from, to) => rename(from, to),
            Self::RenameIfExists(from, to) if from.exists() => rename(from, to),
            Self::RenameIfExists(..) => Ok(()),
            Self::RemoveFile(path) => remove_file(path),
            Self::RemoveDump(folder) => remove_dump(folder),
            Self::Sync(folder) => sync_folder(folder),
        }
    }
}

/// A sequence of changes that publishes a dump.
#[derive(Debug)]
struct PublishStrategy {
    /// After these steps, the new dump is in place.
    steps: Vec<PublishStep>,
    /// Steps that remove the rest of the old dump.
    cleanup: Vec<PublishStep>,
}

/// Creates the folder in which a dump for `target` is written: next to it, or inside if the target
/// cannot be replaced.
pub(crate) fn create_partial_folder(target: &Path, access: Access) -> Result<PathBuf> {
    let inside = target.join(PARTIAL_SUFFIX);
    let next_to =
        sibling(target, PARTIAL_SUFFIX).filter(|_| !(target.is_dir() && is_mount_point(target)));
    if let Some(next_to) = next_to {
        // If that fails in a read-only parent folder, the dump can still be written inside the
        // target.
        match create_folder(&next_to, access) {
            Ok(()) => return Ok(next_to),
            Err(_) if target.is_dir() => {}
            Err(error) => return Err(io_error("create the folder", &next_to, error)),
        }
    }

    create_folder(&inside, access)
        .map_err(|error| io_error("create the folder", &inside, error))?;

    Ok(inside)
}

/// Publishes a dump or a set that a crashed run has finished. The caller holds the lock.
pub(crate) fn publish_finished(target: &Path) -> Result<()> {
    let strategy = if let Some(UnpublishedSet { partial, .. }) = find_unpublished_set(target) {
        rename_in(target, &partial)
    } else if let Some(UnpublishedDump { partial, metadata }) = find_unpublished(target) {
        let names: Vec<&str> = metadata.files.keys().map(String::as_str).collect();
        if target.exists() {
            move_in(target, &partial, &names)
        } else {
            rename_in(target, &partial)
        }
    } else {
        return Ok(());
    };

    strategy
        .steps
        .iter()
        .chain(&strategy.cleanup)
        .try_for_each(PublishStep::run)
}

/// Cleans up after a crashed run: publishes a finished dump, removes an unfinished one. The caller
/// holds the lock.
pub(crate) fn recover(target: &Path) -> Result<()> {
    publish_finished(target)?;

    for partial in partial_folders(target) {
        match std::fs::symlink_metadata(&partial) {
            Ok(found) if found.is_dir() => remove_dump(&partial)?,
            Ok(_) => {
                return Err(Error::failed(format!(
                    "`{}` blocks the dump: it is not a folder",
                    partial.display()
                ))
                .with_hint("move it elsewhere, then run the command again"));
            }
            Err(_) => {}
        }
    }

    Ok(())
}

/// Publishes the finished dump in `partial` at `target`. `names` are its files apart from the
/// metadata. Returns warnings about failed cleanup.
pub(crate) fn publish(target: &Path, partial: &Path, names: &[&str]) -> Result<Vec<String>> {
    run_first_possible(&strategies(target, partial, names), partial)
}

/// Publishes a finished set in `partial` at `target`, which is absent or has a dump of one table.
pub(crate) fn publish_set(target: &Path, partial: &Path) -> Result<Vec<String>> {
    let strategies = if target.exists() {
        replacements(target, partial)
    } else {
        vec![rename_in(target, partial)]
    };

    run_first_possible(&strategies, partial)
}

/// Publishes with the first strategy that the file system supports.
fn run_first_possible(strategies: &[PublishStrategy], partial: &Path) -> Result<Vec<String>> {
    let last = strategies.len() - 1;
    for (position, strategy) in strategies.iter().enumerate() {
        let (first, rest) = strategy
            .steps
            .split_first()
            .expect("every strategy has steps");
        match first.run() {
            // Nothing was changed yet: try the next strategy.
            Err(_) if position < last => {}
            Err(error) => return Err(left_in_partial(error, partial)),
            Ok(()) => {
                rest.iter()
                    .try_for_each(PublishStep::run)
                    .map_err(|error| left_in_partial(error, partial))?;
                let left = strategy.cleanup.iter().try_for_each(PublishStep::run).err();
                return Ok(left
                    .map(|error| format!("the dump is in place, but {error}"))
                    .into_iter()
                    .collect());
            }
        }
    }

    unreachable!("the last strategy either succeeds or returns its error")
}

/// The error for a folder that cannot be replaced as a whole. `found` is its content: a set or a dump.
pub(crate) fn cannot_replace(found: &str, target: &Path) -> Error {
    Error::usage(format!(
        "`{}` contains a {found} and is a mount point, which cannot be replaced atomically",
        target.display()
    ))
    .with_hint(format!(
        "choose another {target}, such as a folder in it; nothing was changed",
        target = Field::Target
    ))
}

fn left_in_partial(error: Error, partial: &Path) -> Error {
    let hint = format!(
        "the finished dump is in `{}` and can be restored from there",
        partial.display()
    );
    Error::new(error.kind(), error.to_string())
        .with_source(error)
        .with_hint(hint)
}

fn strategies(target: &Path, partial: &Path, names: &[&str]) -> Vec<PublishStrategy> {
    let is_inside = partial.parent() == Some(target);
    let is_free = entries(target).map_or(true, |mut entries| entries.next().is_none());
    match (is_inside, sibling(target, OLD_SUFFIX)) {
        (true, _) | (_, None) => vec![move_in(target, partial, names)],
        (false, _) if !target.exists() => vec![rename_in(target, partial)],
        (false, _) if is_free => vec![rename_in(target, partial), move_in(target, partial, names)],
        // The files of a dump do not replace those of a set.
        (false, Some(_)) if target.join(SET_FILE).exists() => replacements(target, partial),
        (false, Some(_)) => {
            let mut strategies = replacements(target, partial);
            strategies.push(move_in(target, partial, names));
            strategies
        }
    }
}

/// Strategies that replace a folder by another.
fn replacements(target: &Path, partial: &Path) -> Vec<PublishStrategy> {
    let renames = sibling(target, OLD_SUFFIX).map(|old| two_renames(target, partial, &old));

    std::iter::once(exchange_with(target, partial))
        .chain(renames)
        .collect()
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

fn rename_in(target: &Path, partial: &Path) -> PublishStrategy {
    let steps = vec![
        PublishStep::Rename(partial.into(), target.into()),
        PublishStep::Sync(parent(target)),
    ];
    PublishStrategy {
        steps,
        cleanup: Vec::new(),
    }
}

fn exchange_with(target: &Path, partial: &Path) -> PublishStrategy {
    let steps = vec![
        PublishStep::Exchange(partial.into(), target.into()),
        PublishStep::Sync(parent(target)),
    ];
    PublishStrategy {
        steps,
        cleanup: vec![
            PublishStep::RemoveDump(partial.into()),
            PublishStep::Sync(parent(target)),
        ],
    }
}

fn two_renames(target: &Path, partial: &Path, old: &Path) -> PublishStrategy {
    let steps = vec![
        PublishStep::Rename(target.into(), old.into()),
        PublishStep::Rename(partial.into(), target.into()),
        PublishStep::Sync(parent(target)),
    ];

    PublishStrategy {
        steps,
        cleanup: vec![
            PublishStep::RemoveDump(old.into()),
            PublishStep::Sync(parent(target)),
        ],
    }
}

fn move_in(target: &Path, partial: &Path, names: &[&str]) -> PublishStrategy {
    let mut steps = vec![
        PublishStep::RemoveFile(target.join(METADATA_FILE)),
        PublishStep::Sync(target.into()),
    ];
    let outdated = dump_file_names().filter(|name| *name != METADATA_FILE && !names.contains(name));
    steps.extend(outdated.map(|name| PublishStep::RemoveFile(target.join(name))));
    let known = dump_file_names().filter(|name| names.contains(name));
    steps.extend(
        known.map(|name| PublishStep::RenameIfExists(partial.join(name), target.join(name))),
    );
    steps.push(PublishStep::Sync(target.into()));
    steps.push(PublishStep::Rename(
        partial.join(METADATA_FILE),
        target.join(METADATA_FILE),
    ));
    steps.push(PublishStep::Sync(target.into()));
    PublishStrategy {
        steps,
        cleanup: vec![
            PublishStep::RemoveDump(partial.into()),
            PublishStep::Sync(target.into()),
        ],
    }
}

#[cfg(test)]
mod tests;
