//! Verification of a source in one pass: file sizes, SHA-256, counts, and every item by DynamoDB's
//! rules.
//!
//! [`check`] stops at the first damage; [`inspect`] lists all damage and checks keys too.

pub(crate) mod results;

use std::path::Path;

use self::results::{CheckSummary, Inspection, InspectionDepth, PROGRESS_ITEMS};
use super::duplicate_keys::DuplicateKeyFinder;
use super::format::{DataFile, METADATA_FILE, SUMMARY_FILE, is_dump_file};
use super::item_counter::ItemCounter;
use super::layout::{LineCounts, count_lines};
use super::metadata::FileEntry;
use super::read::errors::{
    checksum_mismatch, damaged_hint, located, size_mismatch, verify_document,
};
use super::read::item_reader::{ContainerSummary, ItemReader, LocatedItem};
use super::read::open::{extra_file_warning, extra_files};
use super::read::salvage::check_salvaged;
use super::read::source::{Source, SourceKind, sha256_of_parts};
use crate::error::{Error, ErrorKind, Result};
use crate::field::Field;
use crate::item::validate;
use crate::place::hashing::StreamHash;
use crate::place::local::untrusted::read_document;
use crate::place::part::Part;
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
    counter: ItemCounter,
}

/// Reads a source completely and compares it with its metadata. `progress` receives the items and
/// bytes of item text since its last call. Valid items are passed to `counter`.
///
/// # Errors
/// [`Damaged`](crate::error::ErrorKind::Damaged), naming file and line: something is missing,
/// changed or truncated, or an item is not valid in DynamoDB. A stream cannot be checked without
/// using it up.
pub fn check(
    source: &Source,
    counter: ItemCounter,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckSummary> {
    if source.is_salvaged() {
        return check_salvaged(source, counter, progress);
    }

    let mut checker = SourceChecker::new(source, OnDamage::Fail, progress).counting(counter);
    checker.check_documents()?;
    checker.check_extra_files()?;
    checker.check_items(None)?;

    Ok(checker.into_summary())
}

/// Checks a source like [`check`], but counts the items of a dump of this format by lines if its
/// SHA-256 matches and there is nothing else to count. For callers that validate each item when they use it.
///
/// # Errors
/// Those of [`check`].
pub fn check_files(
    source: &Source,
    counter: ItemCounter,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckSummary> {
    if source.kind() != SourceKind::OwnDump {
        return check(source, counter, progress);
    }

    let mut checker = SourceChecker::new(source, OnDamage::Fail, progress).counting(counter);
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
        return Err(
            Error::usage("a stream cannot be checked: it can be read only once")
                .with_hint("save it to a file first"),
        );
    }

    if depth == InspectionDepth::Checksums && source.metadata().is_none() {
        return Err(
            Error::usage(format!("{} has no checksums", source.display_name())).with_hint(format!(
                "without {quick}, every item is checked",
                quick = Field::Quick
            )),
        );
    }

    let mut checker = SourceChecker::new(source, OnDamage::Collect, progress);
    checker.check_documents()?;
    checker.check_extra_files()?;

    if depth == InspectionDepth::Checksums {
        checker.check_checksums()?;
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
            .push("no schema: the keys of the items are not checked".to_owned());
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
            counter: ItemCounter::default(),
        }
    }

    fn counting(self, counter: ItemCounter) -> Self {
        Self { counter, ..self }
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
            expired: self.counter.expired(),
            index_violations: self.counter.index_violations(),
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
                    .push(format!("the metadata lists {name:?}, which this version does not support; it is not checked"));
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
            let hint = "remove the file if it does not belong to the dump, or use another copy of the dump";
            self.report(Err(Error::damaged(finding).with_hint(hint)))?;
        }

        Ok(())
    }

    /// Compares each part with its SHA-256, without decompressing it.
    fn check_checksums(&mut self) -> Result<()> {
        let mut sha256 = Vec::new();
        for part in self.source.parts() {
            sha256.push(self.check_sha256(part, &StreamHash::default())?);
        }

        self.inspection.data_sha256 = sha256_of_parts(&sha256);

        Ok(())
    }

    /// Counts items by lines. Data with another layout is read item by item, to report what is
    /// wrong.
    fn check_lines(&mut self) -> Result<()> {
        if self.counter.is_needed() {
            return self.check_items(None);
        }

        let mut sha256 = Vec::new();
        let mut totals = LineCounts::default();
        for part in self.source.parts() {
            let seen = StreamHash::default();
            let Some(counts) = self.count_part_lines(part, &seen)? else {
                return self.check_items(None);
            };

            totals += counts;
            sha256.push(self.check_sha256(part, &seen)?);
        }

        self.inspection.data_sha256 = sha256_of_parts(&sha256);

        self.check_counts(totals)
    }

    /// Counts the items of a part by lines. `None` if it has another layout, or damaged compression:
    /// reading item by item reports the position.
    fn count_part_lines(&mut self, part: &Part, seen: &StreamHash) -> Result<Option<LineCounts>> {
        let Some(kind) = DataFile::ALL
            .into_iter()
            .find(|kind| kind.name() == part.name())
        else {
            return Ok(None);
        };

        let text = part
            .hashed_text(seen)
            .map_err(|error| self.source.cannot_read(error))?;
        let (mut unreported, mut left) = (LineCounts::default(), PROGRESS_ITEMS);
        let each = |one: LineCounts| {
            unreported += one;
            left -= 1;
            if left == 0 {
                (self.progress)(unreported.items, unreported.text_bytes);
                (unreported, left) = (LineCounts::default(), PROGRESS_ITEMS);
            }
        };

        let counts = count_lines(text, kind.format, each).ok().flatten();
        if counts.is_some() {
            (self.progress)(unreported.items, unreported.text_bytes);
        }

        Ok(counts)
    }

    fn check_items(&mut self, mut keys: Option<&mut DuplicateKeyFinder>) -> Result<()> {
        if self.source.is_stream() {
            return Err(Error::failed(
                "a stream cannot be checked before it is restored",
            ));
        }

        let mut sha256 = Vec::new();
        let mut totals = LineCounts::default();
        let mut is_complete = true;
        for part in self.source.parts() {
            let seen = StreamHash::default();
            is_complete &= self.check_part(part, &seen, &mut totals, keys.as_deref_mut())?;

            // Before the counts: a wrong checksum explains a wrong count.
            sha256.push(self.check_sha256(part, &seen)?);
        }

        self.inspection.data_sha256 = sha256_of_parts(&sha256);
        if !is_complete {
            return Ok(());
        }

        self.compare_with_foreign_count(totals.items);
        self.check_counts(totals)
    }

    /// Checks the items of a part and adds them to `totals`. Returns whether it was read to its end.
    fn check_part(
        &mut self,
        part: &Part,
        seen: &StreamHash,
        totals: &mut LineCounts,
        mut keys: Option<&mut DuplicateKeyFinder>,
    ) -> Result<bool> {
        let text = part
            .hashed_text(seen)
            .map_err(|error| self.source.cannot_read(error))?;
        let mut reader = ItemReader::new(text).validating();
        let mut reported = *totals;
        let is_complete = loop {
            match reader
                .next_item()
                .map_err(|error| self.located(error, part.path()))
            {
                Ok(Some(item)) => {
                    self.check_item(part.path(), &item, totals.items, keys.as_deref_mut())?;
                    self.counter.count(&item.text);
                    totals.items += 1;
                    totals.text_bytes += item.text.len() as u64;
                }
                Ok(None) => break true,
                Err(error) => {
                    self.report(Err(error))?;
                    break false;
                }
            }

            if totals.items - reported.items == PROGRESS_ITEMS {
                self.report_progress(&mut reported, *totals);
            }
        };

        self.report_progress(&mut reported, *totals);
        if is_complete {
            let result = check_container(self.source, reader.summary());
            self.report(result)?;
        }

        Ok(is_complete)
    }

    /// Reports the items since the last report.
    fn report_progress(&mut self, reported: &mut LineCounts, totals: LineCounts) {
        (self.progress)(
            totals.items - reported.items,
            totals.text_bytes - reported.text_bytes,
        );

        *reported = totals;
    }

    /// Adds the path to an error. A dump of this program that reads like another format is damaged.
    fn located(&self, error: Error, path: &Path) -> Error {
        let error = located(error, path);
        if self.source.kind() == SourceKind::OwnDump {
            error.with_hint(damaged_hint())
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

            Err(Error::damaged(what).with_hint(damaged_hint()))
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

    /// Compares a part, of which `seen` may have seen the beginning, with its SHA-256. Returns the
    /// SHA-256.
    fn check_sha256(&mut self, part: &Part, seen: &StreamHash) -> Result<String> {
        // The item reader may stop before the end of the file.
        let sha256 = part.finish_sha256(seen)?;
        if let Some(expected) = part.expected_sha256() {
            self.report(check_digest(part, seen.bytes(), &sha256, expected))?;
        }

        Ok(sha256)
    }

    fn check_counts(&mut self, totals: LineCounts) -> Result<()> {
        let LineCounts { items, text_bytes } = totals;
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

    /// Warns if the metadata of an older tool has another count. It may be DynamoDB's estimate.
    fn compare_with_foreign_count(&mut self, items: u64) {
        let noted = self
            .source
            .foreign_metadata()
            .and_then(|foreign| foreign.items);
        if let Some(noted) = noted.filter(|noted| *noted != items) {
            self.inspection.warnings.push(format!(
                "{} contains {items} items, but {METADATA_FILE} says {noted}",
                self.source.display_name()
            ));
        }
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
        "{} contains {found} {what}, but {METADATA_FILE} says {expected}",
        source.display_name()
    ))
    .with_hint(damaged_hint()))
}

fn check_summary(source: &Source, entry: &FileEntry) -> Result<()> {
    for folder in &source.folders {
        let path = folder.join(SUMMARY_FILE);
        if let Some(document) = read_document(&path)? {
            return verify_document(&path, &document, entry);
        }
    }

    Err(Error::damaged(format!(
        "the dump in {} is incomplete: {SUMMARY_FILE} is missing",
        source.display_name()
    ))
    .with_hint(damaged_hint()))
}

/// Compares counts and markers around the items of a part with the items. A mismatch in a dump of
/// this format is damage; for others see [`Source::accept_incomplete`].
fn check_container(source: &Source, summary: &ContainerSummary) -> Result<()> {
    if source.kind() != SourceKind::OwnDump {
        source.note_container(summary);
        return Ok(());
    }

    let found = summary.incompleteness(&source.display_name());
    found.map_or(Ok(()), |what| {
        Err(Error::damaged(what).with_hint(damaged_hint()))
    })
}

fn check_digest(part: &Part, bytes: u64, sha256: &str, expected: &str) -> Result<()> {
    if bytes != part.bytes() {
        return Err(size_mismatch(part.path(), bytes, part.bytes()));
    }

    if sha256 == expected {
        Ok(())
    } else {
        Err(checksum_mismatch(part.path()))
    }
}

#[cfg(test)]
mod tests;
