//! Documents of a dump folder: schema, summary and metadata, in writing order.

use std::collections::BTreeMap;
use std::path::Path;

use super::encoder::EncodedDataFile;
use crate::backup::format::{FORMAT_VERSION, METADATA_FILE, SCHEMA_FILE, SUMMARY_FILE};
use crate::backup::metadata::{FileEntry, Metadata, MetadataDraft};
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

pub(crate) fn complete_metadata(
    mut draft: MetadataDraft,
    encoded: Option<EncodedDataFile>,
    data_name: &str,
) -> Metadata {
    if encoded.is_none() && draft.backup.is_none() {
        draft.partial.insert("schema_only".to_owned(), true.into());
    }

    let (items, data_bytes) = encoded
        .as_ref()
        .map_or((0, 0), |encoded| (encoded.items, encoded.text_bytes));
    let entry = encoded.map(|EncodedDataFile { file, extents, .. }| {
        (
            data_name.to_owned(),
            FileEntry {
                bytes: file.bytes,
                sha256: file.sha256,
                frames: file.frames,
                extents,
            },
        )
    });

    Metadata {
        format_version: FORMAT_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: draft.environment,
        table: draft.table,
        table_arn: draft.table_arn,
        table_id: draft.table_id,
        region: draft.region,
        endpoint: draft.endpoint,
        route: draft.route,
        backup: draft.backup,
        started_at: draft.started_at,
        finished_at: draft.finished_at,
        resumed: draft.resumed,
        complete: draft.partial.is_empty(),
        partial: draft.partial,
        transformed: draft.transformed,
        mask_rules_sha256: draft.mask_rules_sha256,
        consistent_read: draft.consistent_read,
        segments: draft.segments,
        items,
        data_bytes,
        // JSON has no NaN or infinity.
        consumed_read_units: if draft.consumed_read_units.is_finite() {
            draft.consumed_read_units
        } else {
            0.0
        },
        reported_items: draft.reported_items,
        index_key_violations: draft.index_key_violations,
        not_captured: draft.not_captured,
        files: entry.into_iter().collect::<BTreeMap<_, _>>(),
    }
}
