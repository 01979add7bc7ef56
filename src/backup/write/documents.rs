//! Documents of a dump folder: schema, summary and metadata, in writing order.

use std::path::Path;

use super::encoder::EncodedDataFile;
use crate::backup::format::{METADATA_FILE, SCHEMA_FILE, SUMMARY_FILE};
use crate::backup::metadata::{FileEntry, Metadata};
use crate::backup::summary;
use crate::error::Result;
use crate::place::Access;
use crate::place::digest::hex_sha256;
use crate::place::local::files::{sync_folder, write_file};
use crate::schema::TableSchema;

/// Writer of the documents of a dump folder.
pub(crate) struct FolderDocuments<'a> {
    pub(crate) partial: &'a Path,
    pub(crate) access: Access,
    pub(crate) metadata: Metadata,
}

impl FolderDocuments<'_> {
    pub(crate) fn write(&mut self, schema: Option<&TableSchema>) -> Result<()> {
        if let Some(schema) = schema {
            self.add(SCHEMA_FILE, &schema.to_document())?;
        }

        let summary = summary::render(&self.metadata);
        self.add(SUMMARY_FILE, summary.as_bytes())?;

        // Sync the data and the other documents before the metadata, which marks the dump as
        // complete.
        sync_folder(self.partial)?;
        write_file(
            &self.partial.join(METADATA_FILE),
            &self.metadata.to_document()?,
            self.access,
        )?;

        sync_folder(self.partial)
    }

    fn add(&mut self, name: &str, document: &[u8]) -> Result<()> {
        write_file(&self.partial.join(name), document, self.access)?;
        let entry = FileEntry {
            bytes: document.len() as u64,
            sha256: hex_sha256(document),
            frames: None,
            extents: None,
        };

        self.metadata.files.insert(name.to_owned(), entry);

        Ok(())
    }
}

/// Adds to the metadata of a dump what its data file consists of.
pub(crate) fn complete_metadata(
    mut metadata: Metadata,
    encoded: Option<EncodedDataFile>,
    data_name: &str,
) -> Metadata {
    if encoded.is_none() && metadata.backup.is_none() {
        let partial = &mut metadata.partial;
        partial.insert("schema_only".to_owned(), true.into());
    }
    metadata.complete = metadata.partial.is_empty();

    // JSON has no NaN or infinity.
    if !metadata.consumed_read_units.is_finite() {
        metadata.consumed_read_units = 0.0;
    }

    if let Some(encoded) = encoded {
        (metadata.items, metadata.data_bytes) = (encoded.items, encoded.text_bytes);
        let entry = FileEntry {
            bytes: encoded.file.bytes,
            sha256: encoded.file.sha256,
            frames: encoded.file.frames,
            extents: encoded.extents,
        };
        metadata.files.insert(data_name.to_owned(), entry);
    }

    metadata
}
