//! Errors about damaged files of a dump, and the comparisons that find them.

use std::io;
use std::path::Path;

use crate::backup::metadata::FileEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::field::Field;
use crate::place::digest::hex_sha256;
use crate::schema::TableSchema;

/// Hint for a damaged dump.
pub(crate) fn damaged_hint() -> String {
    format!(
        "use another copy of the dump or dump the table again; restoredb {} restores the readable items",
        Field::Salvage
    )
}

/// Parses a schema; errors name its file.
pub(crate) fn parse_schema(path: &Path, document: &[u8]) -> Result<TableSchema> {
    TableSchema::parse(document).map_err(|error| {
        let located = Error::new(error.kind(), format!("`{}`: {error}", path.display()));
        let hint = error.hint().map_or_else(damaged_hint, ToOwned::to_owned);
        located.with_hint(hint).with_source(error)
    })
}

/// Compares a document with its size and SHA-256 in the metadata.
pub(crate) fn verify_document(path: &Path, document: &[u8], entry: &FileEntry) -> Result<()> {
    if document.len() as u64 != entry.bytes {
        return Err(size_mismatch(path, document.len() as u64, entry.bytes));
    }

    if hex_sha256(document) == entry.sha256 {
        Ok(())
    } else {
        Err(checksum_mismatch(path))
    }
}

/// The error for a file with the wrong SHA-256.
pub(crate) fn checksum_mismatch(path: &Path) -> Error {
    Error::damaged(format!(
        "`{}` was changed after it was written: SHA-256 mismatch",
        path.display()
    ))
    .with_hint(damaged_hint())
}

/// The error for a file with the wrong size.
pub(crate) fn size_mismatch(path: &Path, found: u64, expected: u64) -> Error {
    let what = if found < expected {
        "is truncated"
    } else {
        "is too long"
    };

    Error::damaged(format!(
        "`{}` {what}: {found} bytes instead of {expected}",
        path.display()
    ))
    .with_hint(damaged_hint())
}

/// Adds the path to an error, and classifies invalid data as damage.
pub(crate) fn located(error: Error, path: &Path) -> Error {
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

    let hint = error.hint().map_or_else(damaged_hint, ToOwned::to_owned);
    Error::new(kind, format!("`{}`: {error}", path.display()))
        .with_hint(hint)
        .with_source(error)
}
