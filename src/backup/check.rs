//! Is this dump whole? One pass over every file: sizes, SHA-256, counts, and every item by DynamoDB's rules.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::atomic::refused;
use super::format::{METADATA_FILE, SUMMARY_FILE, is_dump_file};
use super::input::{FileReader, Hashing, Seen, read_document};
use super::metadata::{FileEntry, Metadata};
use super::open::{OTHER_COPY, changed, verify_document, wrong_size};
use super::source::{Data, Source, SourceKind};
use crate::error::{Error, ErrorKind, Result};
use crate::item::validate;

/// Items between two reports of progress.
const PROGRESS_ITEMS: u64 = 1024;

/// What a check has found to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Items in the data file.
    pub items: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// What deserves attention, those of [`Source::warnings`] included.
    pub warnings: Vec<String>,
}

/// Reads all of a source and holds it against its metadata. `progress` is told of items and bytes of item text since it was last told.
///
/// # Errors
/// [`Damaged`](crate::error::ErrorKind::Damaged), naming file and line: something is missing, changed or cut, or an item is none that
/// DynamoDB could hold. A stream cannot be checked without using it up.
pub fn check(source: &Source, progress: &mut dyn FnMut(u64, u64)) -> Result<Checked> {
    let mut warnings = source.warnings().to_vec();
    if let Some(metadata) = source.metadata() {
        check_documents(source, metadata, &mut warnings)?;
    }
    let (items, text_bytes) = match &source.data {
        Data::File { file, path } => check_data(source, file, path, progress, &mut warnings)?,
        Data::None => (0, 0),
        Data::Stream(_) => return Err(Error::failed("items from a stream cannot be checked before they are used")),
    };
    if let Some(metadata) = source.metadata() {
        compare("items", items, metadata.items, source)?;
        compare("bytes of item text", text_bytes, metadata.data_bytes, source)?;
    }
    Ok(Checked { items, text_bytes, warnings })
}

fn compare(what: &str, found: u64, expected: u64, source: &Source) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::damaged(format!("{} holds {found} {what}, and its {METADATA_FILE} says {expected}", source.shown()))
        .with_hint(OTHER_COPY))
}

/// The schema was held against the metadata when it was opened.
fn check_documents(source: &Source, metadata: &Metadata, warnings: &mut Vec<String>) -> Result<()> {
    for (name, entry) in &metadata.files {
        if name == SUMMARY_FILE {
            check_summary(source, entry)?;
        } else if !is_dump_file(name.as_ref()) {
            warnings.push(format!("the metadata lists {name:?}, which this version does not know; it is not checked"));
        }
    }
    Ok(())
}

fn check_summary(source: &Source, entry: &FileEntry) -> Result<()> {
    for folder in &source.folders {
        let path = folder.join(SUMMARY_FILE);
        if let Some(document) = read_document(&path)? {
            return verify_document(&path, &document, entry);
        }
    }
    Err(Error::damaged(format!("the dump in {} is not whole: {SUMMARY_FILE} is missing", source.shown()))
        .with_hint(OTHER_COPY))
}

fn check_data(
    source: &Source,
    file: &Arc<File>,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
    warnings: &mut Vec<String>,
) -> Result<(u64, u64)> {
    let seen = Seen::default();
    let mut reader = source.hashed_items(file, &seen)?;
    let (mut items, mut text_bytes, mut told) = (0, 0, (0, 0));
    while let Some(item) = reader.next_item().map_err(|error| located(error, path))? {
        validate(&item.text).map_err(|error| {
            let what = format!("`{}` line {}: not an item: {error}", path.display(), item.line);
            Error::damaged(what).with_hint(OTHER_COPY)
        })?;
        items += 1;
        text_bytes += item.text.len() as u64;
        if items - told.0 == PROGRESS_ITEMS {
            progress(items - told.0, text_bytes - told.1);
            told = (items, text_bytes);
        }
    }
    progress(items - told.0, text_bytes - told.1);
    let tail = reader.tail();
    check_tail(source, items, tail.count, tail.continues, warnings)?;
    let entry = path.file_name().and_then(|name| source.metadata()?.files.get(name.to_str()?));
    if let Some(entry) = entry {
        check_digest(file, path, &seen, entry)?;
    }
    Ok((items, text_bytes))
}

/// What the document says behind its items. In an older tool's file it may have been edited by hand; there it is only worth a word.
fn check_tail(
    source: &Source,
    items: u64,
    count: Option<u64>,
    continues: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let mut findings = Vec::new();
    if let Some(count) = count.filter(|count| *count != items) {
        findings.push(format!("{} holds {items} items, and its `Count` says {count}", source.shown()));
    }
    if let Some(member) = continues {
        findings
            .push(format!("{} is a part of a Scan: its `{member}` says that the table had more items", source.shown()));
    }
    if let Some(noted) = source.foreign_metadata().and_then(|foreign| foreign.items).filter(|noted| *noted != items) {
        findings.push(format!("{} holds {items} items, and its {METADATA_FILE} says {noted}", source.shown()));
    }
    match findings.first() {
        Some(finding) if source.kind() == SourceKind::OwnDump => Err(Error::damaged(finding).with_hint(OTHER_COPY)),
        _ => {
            warnings.append(&mut findings);
            Ok(())
        }
    }
}

/// The reader of items may stop before the file does; the digest is of all of it.
fn check_digest(file: &Arc<File>, path: &Path, seen: &Seen, entry: &FileEntry) -> Result<()> {
    let mut rest = Hashing::new(FileReader::new(Arc::clone(file), seen.bytes()), seen.clone());
    io::copy(&mut rest.by_ref().take(entry.bytes), &mut io::sink()).map_err(|error| refused("read", path, error))?;
    if seen.bytes() != entry.bytes {
        return Err(wrong_size(path, seen.bytes(), entry.bytes));
    }
    if seen.sha256() == entry.sha256 { Ok(()) } else { Err(changed(path)) }
}

/// Names the file, and calls what the reader found in it damage.
fn located(error: Error, path: &Path) -> Error {
    let is_invalid = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof))
    };
    let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(&error);
    let kind = match error.kind() {
        ErrorKind::Failed if std::iter::successors(first, |cause| cause.source()).any(is_invalid) => ErrorKind::Damaged,
        other => other,
    };
    let hint = error.hint().unwrap_or(OTHER_COPY).to_owned();
    Error::new(kind, format!("`{}`: {error}", path.display())).with_hint(hint).with_source(error)
}

#[cfg(test)]
mod tests;
