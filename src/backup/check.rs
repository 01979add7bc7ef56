//! Verification of a source in one pass: file sizes, SHA-256, counts, and every item by DynamoDB's
//! rules.
//!
//! [`check`] stops at the first damage; [`inspect`] lists all damage and checks keys too.

pub(crate) mod results;
mod set_digest;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use self::results::{CheckSummary, Inspection, InspectionDepth, PROGRESS_ITEMS};
use self::set_digest::SetDigestCheck;
use super::duplicate_keys::DuplicateKeyFinder;
use super::format::{DataFile, METADATA_FILE, SUMMARY_FILE, is_dump_file};
use super::layout::{LineCounts, count_lines};
use super::metadata::FileEntry;
use super::read::errors::{DAMAGED_HINT, checksum_mismatch, size_mismatch, verify_document};
use super::read::input::{FileReader, HashingReader, StreamHash, read_document};
use super::read::item_reader::{ContainerSummary, LocatedItem};
use super::read::open::{extra_file_warning, extra_files};
use super::read::salvage::check_salvaged;
use super::read::source::{Source, SourceData, SourceKind};
use crate::error::{Error, ErrorKind, Result};
use crate::item::validate;
use crate::place::local::files::io_error;
use crate::schema::TableSchema;

/// Reaction to damage: fail immediately, or collect it as a finding.
enum OnDamage {
    Fail,
    Collect,
}

/// One pass over a source.
struct SourceChecker<'a> {
    source: &'a Source,
    on_damage: OnDamage,
    inspection: Inspection,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Reads a source completely and compares it with its metadata. `progress` receives the items and
/// bytes of item text since its last call.
///
/// # Errors
/// [`Damaged`](crate::error::ErrorKind::Damaged), naming file and line: something is missing,
/// changed or truncated, or an item is not valid in DynamoDB. A stream cannot be checked without
/// using it up.
pub fn check(source: &Source, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckSummary> {
    if source.is_salvaged() {
        return check_salvaged(source, progress);
    }

    let mut checker = SourceChecker::new(source, OnDamage::Fail, progress);
    checker.check_documents()?;
    checker.check_extra_files()?;
    checker.check_items(None)?;

    Ok(checker.into_summary())
}

/// Checks a source like [`check`], but counts the items of a dump of this format by lines if its
/// SHA-256 matches. For callers that validate each item when they use it.
///
/// # Errors
/// Those of [`check`].
pub fn check_files(source: &Source, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckSummary> {
    if source.kind() != SourceKind::OwnDump {
        return check(source, progress);
    }

    let mut checker = SourceChecker::new(source, OnDamage::Fail, progress);
    checker.check_documents()?;
    checker.check_extra_files()?;
    checker.check_lines()?;

    Ok(checker.into_summary())
}

/// Reads a source completely and lists all damage. Also checks that keys have the schema's types
/// and are unique, which takes 24 bytes per item in the system's temporary folder; memory is
/// bounded.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): a stream, or checksums of a source that has none. I/O
/// errors.
pub fn inspect(
    source: &Source,
    depth: InspectionDepth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Inspection> {
    if source.is_stream() {
        return Err(Error::usage(
            "items from a stream cannot be checked: each could be read only once",
        )
        .with_hint("save them in a file first"));
    }

    if depth == InspectionDepth::Checksums && source.metadata().is_none() {
        return Err(
            Error::usage(format!("{} has no checksums", source.display_name()))
                .with_hint("leave out --quick: every item is read instead"),
        );
    }

    let mut checker = SourceChecker::new(source, OnDamage::Collect, progress);
    checker.check_documents()?;
    checker.check_extra_files()?;

    // An empty hash state: the whole file is hashed without decompression.
    if depth == InspectionDepth::Checksums {
        checker.check_data_checksum(&StreamHash::default())?;
        return Ok(checker.inspection);
    }

    let mut keys = match source.schema().map(TableSchema::key_schema).transpose() {
        Ok(key) => key.map(DuplicateKeyFinder::new).transpose()?,
        Err(error) => {
            checker.report(Err(error))?;
            None
        }
    };

    if source.schema().is_none() {
        checker
            .inspection
            .warnings
            .push("there is no schema: the items' keys are not checked".to_owned());
    }

    checker.check_items(keys.as_mut())?;

    // Last, because naming the duplicates reads the items a second time.
    if let Some(keys) = keys {
        keys.finish(source, &mut checker.inspection)?;
    }

    Ok(checker.inspection)
}

impl<'a> SourceChecker<'a> {
    fn new(source: &'a Source, on_damage: OnDamage, progress: &'a mut dyn FnMut(u64, u64)) -> Self {
        let inspection = Inspection {
            warnings: source.warnings().to_vec(),
            ..Inspection::default()
        };
        Self {
            source,
            on_damage,
            inspection,
            progress,
        }
    }

    fn into_summary(self) -> CheckSummary {
        let Inspection {
            items,
            text_bytes,
            data_sha256,
            warnings,
            ..
        } = self.inspection;

        let (items, text_bytes) = (items.unwrap_or(0), text_bytes.unwrap_or(0));
        CheckSummary {
            items,
            text_bytes,
            unreadable: 0,
            data_sha256,
            warnings,
        }
    }

    /// Returns an error, or records damage as a finding in an inspection.
    fn report(&mut self, result: Result<()>) -> Result<()> {
        match (result, &self.on_damage) {
            (Err(error), OnDamage::Collect)
                if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::SchemaMismatch) =>
            {
                self.inspection.add_finding(in_one_line(&error));
                Ok(())
            }
            (result, _) => result,
        }
    }

    /// Checks the summary. The schema was verified when the source was opened.
    fn check_documents(&mut self) -> Result<()> {
        let Some(metadata) = self.source.metadata() else {
            return Ok(());
        };

        for (name, entry) in &metadata.files {
            if name == SUMMARY_FILE {
                self.report(check_summary(self.source, entry))?;
            } else if !is_dump_file(name.as_ref()) {
                self.inspection
                    .warnings
                    .push(format!("the metadata lists {name:?}, which this version does not know; it is not checked"));
            }
        }

        Ok(())
    }

    /// Reports files with names of a dump's files that the metadata does not list: they could be
    /// mistaken for a part of the dump.
    fn check_extra_files(&mut self) -> Result<()> {
        let Some(metadata) = self.source.metadata() else {
            return Ok(());
        };

        for path in extra_files(&self.source.folders, metadata) {
            let finding = extra_file_warning(&path);
            self.inspection
                .warnings
                .retain(|warning| *warning != finding);
            let hint =
                "remove that file if it is none of this dump's, or use another copy of the dump";
            self.report(Err(Error::damaged(finding).with_hint(hint)))?;
        }

        Ok(())
    }

    /// Counts items by lines. A file with another layout is read item by item, to report what is
    /// wrong.
    fn check_lines(&mut self) -> Result<()> {
        let SourceData::File { file, path } = &self.source.data else {
            return self.check_items(None);
        };

        let kind = DataFile::ALL
            .into_iter()
            .find(|kind| path.file_name().is_some_and(|name| name == kind.name()));
        let has_digest = self
            .source
            .metadata()
            .is_some_and(|metadata| metadata.set_digest.is_some());
        let Some(kind) = kind else {
            return self.check_items(None);
        };

        // A digest of the items can only be verified by parsing each of them.
        if has_digest {
            return self.check_items(None);
        }

        let seen = StreamHash::default();
        let bytes = self.source.hashed_bytes(file, &seen)?;
        let (mut unreported, mut left) = (LineCounts::default(), PROGRESS_ITEMS);
        let each = |one: LineCounts| {
            unreported = LineCounts {
                items: unreported.items + one.items,
                text_bytes: unreported.text_bytes + one.text_bytes,
            };
            left -= 1;
            if left == 0 {
                (self.progress)(unreported.items, unreported.text_bytes);
                (unreported, left) = (LineCounts::default(), PROGRESS_ITEMS);
            }
        };

        // Another layout, or damaged compression: reading item by item reports the position.
        let Ok(Some(counts)) = count_lines(bytes, kind.format, each) else {
            return self.check_items(None);
        };

        (self.progress)(unreported.items, unreported.text_bytes);
        self.check_data_checksum(&seen)?;

        self.check_counts(counts.items, counts.text_bytes)
    }

    fn check_items(&mut self, mut keys: Option<&mut DuplicateKeyFinder>) -> Result<()> {
        let (file, path) = match &self.source.data {
            SourceData::File { file, path } => (file, path),
            SourceData::None => return self.check_counts(0, 0),
            SourceData::Stream(_) => {
                return Err(Error::failed(
                    "items from a stream cannot be checked before they are used",
                ));
            }
        };

        let seen = StreamHash::default();
        let mut reader = self.source.hashed_items(file, &seen)?.validating();
        let (mut items, mut text_bytes) = (0, 0);
        let (mut reported_items, mut reported_bytes) = (0, 0);
        let mut digest = self
            .source
            .metadata()
            .and_then(|metadata| metadata.set_digest.clone())
            .map(SetDigestCheck::new);

        let whole = loop {
            match reader
                .next_item()
                .map_err(|error| self.located(error, path))
            {
                Ok(Some(item)) => {
                    self.check_item(path, &item, items, keys.as_deref_mut())?;
                    if let Some(digest) = &mut digest {
                        digest.add(&item.text);
                    }

                    items += 1;
                    text_bytes += item.text.len() as u64;
                }
                Ok(None) => break true,
                Err(error) => {
                    self.report(Err(error))?;
                    break false;
                }
            }

            if items - reported_items == PROGRESS_ITEMS {
                (self.progress)(items - reported_items, text_bytes - reported_bytes);
                (reported_items, reported_bytes) = (items, text_bytes);
            }
        };

        (self.progress)(items - reported_items, text_bytes - reported_bytes);

        if whole {
            let result = check_container(
                self.source,
                items,
                reader.summary(),
                &mut self.inspection.warnings,
            );

            self.report(result)?;
        }

        // Before the counts: a wrong checksum explains a wrong count.
        self.check_data_checksum(&seen)?;

        if whole {
            self.check_counts(items, text_bytes)?;
            let result = digest.map_or(Ok(()), |digest| digest.finish(self.source));
            self.report(result)?;
        }

        Ok(())
    }

    /// Adds the path to an error. A dump of this program that reads like another format is damaged.
    fn located(&self, error: Error, path: &Path) -> Error {
        let error = located(error, path);
        if self.source.kind() == SourceKind::OwnDump {
            error.with_hint(DAMAGED_HINT)
        } else {
            error
        }
    }

    /// Checks one item. `ordinal` counts from 0.
    fn check_item(
        &mut self,
        path: &Path,
        item: &LocatedItem,
        ordinal: u64,
        keys: Option<&mut DuplicateKeyFinder>,
    ) -> Result<()> {
        let not_an_item = |error: &dyn std::fmt::Display| {
            let what = format!(
                "`{}` line {}: not an item: {error}",
                path.display(),
                item.line
            );

            Err(Error::damaged(what).with_hint(DAMAGED_HINT))
        };

        // The slow validation runs only for items that the fast path did not recognize.
        if !item.is_valid
            && let Err(error) = validate(&item.text)
        {
            return self.report(not_an_item(&error));
        }

        match keys.map(|keys| keys.add(&item.text, ordinal)) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => {
                let what = format!(
                    "`{}` line {}: not an item of this table: {error}",
                    path.display(),
                    item.line
                );

                self.report(Err(Error::damaged(what)))
            }
            Some(Err(error)) => Err(error),
        }
    }

    fn check_data_checksum(&mut self, seen: &StreamHash) -> Result<()> {
        let SourceData::File { file, path } = &self.source.data else {
            return Ok(());
        };

        let entry = path
            .file_name()
            .and_then(|name| self.source.metadata()?.files.get(name.to_str()?));
        read_rest(
            file,
            path,
            seen,
            entry.map_or(u64::MAX, |entry| entry.bytes),
        )?;

        let sha256 = seen
            .sha256()
            .map_err(|error| io_error("read", path, error))?;
        let result = entry.map_or(Ok(()), |entry| {
            check_digest(path, seen.bytes(), &sha256, entry)
        });
        self.inspection.data_sha256 = Some(sha256);

        self.report(result)
    }

    fn check_counts(&mut self, items: u64, text_bytes: u64) -> Result<()> {
        (self.inspection.items, self.inspection.text_bytes) = (Some(items), Some(text_bytes));
        let Some(metadata) = self.source.metadata() else {
            return Ok(());
        };

        let result = compare_count("items", items, metadata.items, self.source);
        self.report(result)?;
        let result = compare_count(
            "bytes of item text",
            text_bytes,
            metadata.data_bytes,
            self.source,
        );

        self.report(result)
    }
}

/// The message of an error and of those causes that add to it.
fn in_one_line(error: &Error) -> String {
    error.causes().fold(error.to_string(), |message, cause| {
        if message.contains(&cause) {
            message
        } else {
            format!("{message}: {cause}")
        }
    })
}

fn compare_count(what: &str, found: u64, expected: u64, source: &Source) -> Result<()> {
    if found == expected {
        return Ok(());
    }

    Err(Error::damaged(format!(
        "{} holds {found} {what}, and its {METADATA_FILE} says {expected}",
        source.display_name()
    ))
    .with_hint(DAMAGED_HINT))
}

fn check_summary(source: &Source, entry: &FileEntry) -> Result<()> {
    for folder in &source.folders {
        let path = folder.join(SUMMARY_FILE);
        if let Some(document) = read_document(&path)? {
            return verify_document(&path, &document, entry);
        }
    }

    Err(Error::damaged(format!(
        "the dump in {} is not whole: {SUMMARY_FILE} is missing",
        source.display_name()
    ))
    .with_hint(DAMAGED_HINT))
}

/// Compares counts and markers around the items with the items. A mismatch in a dump of this format
/// is damage; for others see [`Source::accept_incomplete`]. The item count in an older tool's
/// metadata may be DynamoDB's estimate.
fn check_container(
    source: &Source,
    items: u64,
    summary: &ContainerSummary,
    warnings: &mut Vec<String>,
) -> Result<()> {
    if source.kind() == SourceKind::OwnDump {
        let found = summary.incompleteness(&source.display_name());
        return found.map_or(Ok(()), |what| {
            Err(Error::damaged(what).with_hint(DAMAGED_HINT))
        });
    }

    if let Some(noted) = source
        .foreign_metadata()
        .and_then(|foreign| foreign.items)
        .filter(|noted| *noted != items)
    {
        warnings.push(format!(
            "{} holds {items} items, and its {METADATA_FILE} says {noted}",
            source.display_name()
        ));
    }

    Ok(())
}

/// Hashes the rest of the file: the item reader may stop before its end.
fn read_rest(file: &Arc<File>, path: &Path, seen: &StreamHash, most: u64) -> Result<()> {
    let rest = HashingReader::new(
        FileReader::new(Arc::clone(file), seen.bytes()),
        seen.clone(),
    );
    io::copy(&mut rest.take(most), &mut io::sink())
        .map(drop)
        .map_err(|error| io_error("read", path, error))
}

fn check_digest(path: &Path, bytes: u64, sha256: &str, entry: &FileEntry) -> Result<()> {
    if bytes != entry.bytes {
        return Err(size_mismatch(path, bytes, entry.bytes));
    }

    if sha256 == entry.sha256 {
        Ok(())
    } else {
        Err(checksum_mismatch(path))
    }
}

/// Adds the path to an error, and classifies invalid data as damage.
fn located(error: Error, path: &Path) -> Error {
    let is_invalid = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        })
    };

    let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    let kind = match error.kind() {
        ErrorKind::Failed
            if std::iter::successors(first, |cause| cause.source()).any(is_invalid) =>
        {
            ErrorKind::Damaged
        }
        other => other,
    };

    let hint = error.hint().unwrap_or(DAMAGED_HINT).to_owned();
    Error::new(kind, format!("`{}`: {error}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

#[cfg(test)]
mod tests;
