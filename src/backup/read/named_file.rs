//! Documents in files that the command line names: schemas, overrides, mask rules.

use std::fs;
use std::path::Path;

use super::errors::parse_schema;
use crate::error::{Error, Result};
use crate::place::local::untrusted::read_document;
use crate::schema::TableSchema;

/// Reads a schema file.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound); what [`TableSchema::parse`] finds, with the
/// file's name.
pub fn read_schema(path: &Path) -> Result<TableSchema> {
    let document = read_named(
        path,
        "name a schema file, such as the table-schema.json of a dump",
    )?;
    parse_schema(path, &document)
}

/// Reads a text file that does not belong to a dump, such as overrides. At most
/// [`DOCUMENT_BYTES`](crate::limits::DOCUMENT_BYTES).
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound); too large; not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let text = read_named(path, "name an existing file")?;
    String::from_utf8(text).map_err(|error| {
        Error::usage(format!("`{}` is not a text file", path.display()))
            .with_hint("save it as UTF-8")
            .with_source(error)
    })
}

/// Reads a file named on the command line. Symbolic links are followed.
fn read_named(path: &Path, hint: &str) -> Result<Vec<u8>> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    read_document(&real)?.ok_or_else(|| {
        Error::not_found(format!("`{}` does not exist", path.display())).with_hint(hint)
    })
}
