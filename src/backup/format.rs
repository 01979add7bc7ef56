//! File names and constants of the dump format.
//!
//! `docs/FORMAT.md` is normative. File names are never taken from a dump's content: only the names
//! listed here are opened.

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use crate::place::Compression;

/// The version of the format that this program writes, and the highest it reads.
///
/// It rises when a reader of the former version would misread a dump; a field that such a reader
/// may ignore does not raise it.
///
/// - 1: data, schema, metadata and summary, each in one file; SHA-256 of each file and of the
///   metadata itself; an index of compression frames.
pub const FORMAT_VERSION: u32 = 1;

/// The table's schema: everything needed to recreate it except its items.
pub const SCHEMA_FILE: &str = "table-schema.json";

/// Metadata of the dump and checksums of its other files. Written last: a folder without it is
/// unfinished.
pub const METADATA_FILE: &str = "table-metadata.json";

/// A human-readable summary. It is never read back.
pub const SUMMARY_FILE: &str = "dump-summary.txt";

/// Suffix of the old dump while it is replaced, on file systems that cannot exchange two folders.
pub const OLD_SUFFIX: &str = ".old";

/// The first bytes of `table-data.json`.
pub(crate) const JSON_HEAD: &[u8] = b"{\"Items\":[\n";

/// Layout of the items in a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum DataFormat {
    /// One JSON document like a Scan response, one item per line
    #[default]
    Json,
    /// JSON Lines: one item per line
    Jsonl,
}

/// Layout and compression of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataFile {
    /// Layout of the items.
    pub format: DataFormat,
    /// Compression.
    pub compression: Compression,
}

impl DataFile {
    /// All kinds of data files.
    pub const ALL: [Self; 6] = [
        Self {
            format: DataFormat::Json,
            compression: Compression::None,
        },
        Self {
            format: DataFormat::Json,
            compression: Compression::Gzip,
        },
        Self {
            format: DataFormat::Json,
            compression: Compression::Zstd,
        },
        Self {
            format: DataFormat::Jsonl,
            compression: Compression::None,
        },
        Self {
            format: DataFormat::Jsonl,
            compression: Compression::Gzip,
        },
        Self {
            format: DataFormat::Jsonl,
            compression: Compression::Zstd,
        },
    ];

    /// The file's name in a dump.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.format, self.compression) {
            (DataFormat::Json, Compression::None) => "table-data.json",
            (DataFormat::Json, Compression::Gzip) => "table-data.json.gz",
            (DataFormat::Json, Compression::Zstd) => "table-data.json.zst",
            (DataFormat::Jsonl, Compression::None) => "table-data.jsonl",
            (DataFormat::Jsonl, Compression::Gzip) => "table-data.jsonl.gz",
            (DataFormat::Jsonl, Compression::Zstd) => "table-data.jsonl.zst",
        }
    }

    /// The kind for a single file of items, from its name: `*.jsonl`, `*.jsonl.gz` or
    /// `*.jsonl.zst`.
    #[must_use]
    pub fn for_item_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let compression = [
            (".jsonl", Compression::None),
            (".jsonl.gz", Compression::Gzip),
            (".jsonl.zst", Compression::Zstd),
        ];

        compression
            .into_iter()
            .find(|(ending, _)| name.ends_with(ending))
            .map(|(_, compression)| Self {
                format: DataFormat::Jsonl,
                compression,
            })
    }
}

/// Names of all files that a dump can have.
pub(crate) fn dump_file_names() -> impl Iterator<Item = &'static str> {
    DataFile::ALL
        .into_iter()
        .map(DataFile::name)
        .chain([SCHEMA_FILE, SUMMARY_FILE, METADATA_FILE])
}

/// Whether this is the name of a dump's file.
pub(crate) fn is_dump_file(name: &std::ffi::OsStr) -> bool {
    dump_file_names().any(|known| name == known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_data_file_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = dump_file_names().collect();
        assert_eq!(names.len(), DataFile::ALL.len() + 3);
    }

    #[test]
    fn item_files_are_known_by_their_ending() {
        let kind = |name: &str| DataFile::for_item_file(Path::new(name)).map(DataFile::name);
        assert_eq!(kind("a/b.jsonl"), Some("table-data.jsonl"));
        assert_eq!(kind("b.jsonl.gz"), Some("table-data.jsonl.gz"));
        assert_eq!(kind("b.jsonl.zst"), Some("table-data.jsonl.zst"));

        for other in ["b.json", "b", "b.jsonl/", "b.jsonl.bz2", "jsonl"] {
            assert!(kind(other).is_none() || other == "b.jsonl/", "{other}");
        }
    }
}
