//! JSON documents that contain a digest of themselves: the last line has the SHA-256 of all bytes before it.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::place::digest::hex_sha256;

/// The document with its digest as its last member, on a line of its own.
///
/// # Errors
/// None that plain data can cause; an error of the serializer is passed on.
pub(crate) fn to_sealed_json(content: &impl Serialize) -> Result<Vec<u8>> {
    let mut document = serde_json::to_vec_pretty(content).map_err(|error| {
        Error::failed("cannot write the dump's metadata as JSON").with_source(error)
    })?;

    // Reopen the object.
    document.truncate(document.len() - b"\n}".len());
    document.extend_from_slice(b",\n");
    let last_line = digest_line(&document);
    document.extend_from_slice(last_line.as_bytes());

    Ok(document)
}

/// Whether the last line is the digest of the lines before it.
pub(crate) fn is_intact(document: &[u8]) -> bool {
    let body = document.strip_suffix(b"\n").unwrap_or(document);
    let last_line = memchr::memrchr(b'\n', body).map_or(0, |newline| newline + 1);

    document[last_line..] == *digest_line(&document[..last_line]).as_bytes()
}

fn digest_line(document: &[u8]) -> String {
    format!("  \"digest\": \"{}\"}}\n", hex_sha256(document))
}
