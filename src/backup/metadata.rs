//! `table-metadata.json`: where, when and how a dump was made, and the checksums of its other
//! files.
//!
//! The last line of the document is the SHA-256 of all bytes before that line. To verify it: `sed
//! '$d' table-metadata.json | sha256sum`. Unknown fields are ignored. Metadata of older tools has
//! neither a version nor a digest; as much of it is read as is understood.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::format::FORMAT_VERSION;
use super::index::{Extent, Frame};
use super::sealed::{is_intact, to_sealed_json};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::TableBackup;

/// The content of `table-metadata.json`. [`DumpWriter::finish`](super::DumpWriter::finish) adds completeness, counts and checksums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The format's version; see [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the program that made the dump.
    pub tool_version: String,
    /// Name of the environment the table was read in.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// The table's ARN, if the endpoint reports one.
    pub table_arn: Option<String>,
    /// The table's ID, which changes when a table is deleted and recreated.
    pub table_id: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The endpoint; `None` for the region's default.
    pub endpoint: Option<String>,
    /// How the data was transferred: `scan`, `backup` or `export`.
    pub route: String,
    /// The on-demand backup that contains the data, for the route `backup`: the dump has no data file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<TableBackup>,
    /// When reading began.
    pub started_at: DateTime<Utc>,
    /// When reading ended.
    pub finished_at: DateTime<Utc>,
    /// Number of times the dump was resumed.
    #[serde(default)]
    pub resumed: u32,
    /// Whether the data file holds every item the table had.
    pub complete: bool,
    /// Reasons why it does not, with their values, such as `"limit": 100`.
    #[serde(default)]
    pub partial: BTreeMap<String, Value>,
    /// Whether items were transformed.
    pub transformed: bool,
    /// SHA-256 of the mask rules; `None` without a mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask_rules_sha256: Option<String>,
    /// Whether reads were strongly consistent.
    pub consistent_read: bool,
    /// Segments of the Scan.
    pub segments: u32,
    /// Items in the data file.
    pub items: u64,
    /// Bytes of item text, without separators and before compression.
    pub data_bytes: u64,
    /// Read units DynamoDB reports as consumed.
    pub consumed_read_units: f64,
    /// Number of items that the table had when reading began, by DynamoDB's own count, which is updated about every six hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_items: Option<u64>,
    /// For each index, the number of items that violate its key; `None` if they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_key_violations: Option<BTreeMap<String, u64>>,
    /// Settings of the table that could not be read, with the reason.
    #[serde(default)]
    pub not_captured: Vec<String>,
    /// Every other file of the dump, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// Metadata of one file of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Bytes on disk.
    pub bytes: u64,
    /// SHA-256 of those bytes, lower-case hex.
    pub sha256: String,
    /// The compressed file's frames in order. Absent for other files.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "line_by_line"
    )]
    pub frames: Option<Vec<Frame>>,
    /// The segments of a data file's items. Absent if there is one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "line_by_line"
    )]
    pub extents: Option<Vec<Extent>>,
}

/// Serializes an index with one entry per line instead of one number per line.
#[expect(
    clippy::ref_option,
    reason = "serde's serialize_with passes a reference to the field"
)]
fn line_by_line<T, const N: usize, S>(
    index: &Option<Vec<T>>,
    serializer: S,
) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<[u64; N]>,
    S: serde::Serializer,
{
    let lines: Vec<String> = index
        .iter()
        .flatten()
        .map(|entry| {
            let numbers: [u64; N] = (*entry).into();
            format!(
                "        [{}]",
                numbers.map(|number| number.to_string()).join(", ")
            )
        })
        .collect();

    let text = format!("[\n{}\n      ]", lines.join(",\n"));
    RawValue::from_string(text)
        .map_err(serde::ser::Error::custom)?
        .serialize(serializer)
}

impl Metadata {
    /// Metadata of a table that is dumped now, without its content.
    #[must_use]
    pub fn new(environment: &str, table: &str) -> Self {
        let now = Utc::now();
        Self {
            format_version: FORMAT_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: environment.to_owned(),
            table: table.to_owned(),
            table_arn: None,
            table_id: None,
            region: None,
            endpoint: None,
            route: "scan".to_owned(),
            backup: None,
            started_at: now,
            finished_at: now,
            resumed: 0,
            complete: false,
            partial: BTreeMap::new(),
            transformed: false,
            mask_rules_sha256: None,
            consistent_read: false,
            segments: 0,
            items: 0,
            data_bytes: 0,
            consumed_read_units: 0.0,
            reported_items: None,
            index_key_violations: None,
            not_captured: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// The whole document, its digest included.
    ///
    /// # Errors
    /// None that data of these types can cause; serialisation's own error is passed on.
    pub(crate) fn to_document(&self) -> Result<Vec<u8>> {
        to_sealed_json(self)
    }
}

/// A parsed metadata file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MetadataFile {
    /// Of this format.
    Own(Box<Metadata>),
    /// Of an older tool.
    Foreign(ForeignMetadata),
    /// Of a newer version of the format.
    Newer(u64),
}

/// The error for a newer format.
pub(crate) fn newer_format(shown: &str, version: u64) -> Error {
    let what = format!(
        "`{shown}` has a newer format: version {version}; this program supports up to {FORMAT_VERSION}"
    );
    Error::damaged(what).with_hint("upgrade dynadump and run the command again")
}

/// Metadata of older tools, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignMetadata {
    /// The environment.
    pub environment: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// When the dump was made, as the tool wrote it.
    pub dumped_at: Option<String>,
    /// Items, by the tool's count.
    pub items: Option<u64>,
}

/// Reads a metadata file. `shown` is its path as messages name it.
///
/// # Errors
/// [`Damaged`](crate::error::ErrorKind::Damaged): not JSON, or changed since it was written.
pub(crate) fn parse(document: &[u8], shown: &str) -> Result<MetadataFile> {
    let fields: Value = serde_json::from_slice(document).map_err(|error| {
        damaged(format!(
            "`{shown}` is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
        .with_source(error)
    })?;

    let version = fields.get("format_version");
    if version.is_none() && fields.get("digest").is_none() {
        return Ok(MetadataFile::Foreign(ForeignMetadata::read(&fields)));
    }

    match version.and_then(Value::as_u64) {
        Some(newer) if newer > u64::from(FORMAT_VERSION) => Ok(MetadataFile::Newer(newer)),
        Some(known) if known == u64::from(FORMAT_VERSION) => parse_own(document, shown),
        _ => Err(damaged(format!("`{shown}` has no valid `format_version`"))),
    }
}

fn parse_own(document: &[u8], shown: &str) -> Result<MetadataFile> {
    if !is_intact(document) {
        return Err(damaged(format!(
            "`{shown}` was changed after it was written: its digest does not match"
        )));
    }

    serde_json::from_slice(document)
        .map(|metadata| MetadataFile::Own(Box::new(metadata)))
        .map_err(|error| {
            damaged(format!(
                "`{shown}` is not valid metadata of a dump: {error}"
            ))
            .with_source(error)
        })
}

fn damaged(what: String) -> Error {
    Error::damaged(what).with_hint(format!(
        "use another copy of the dump; restoredb {salvage} restores the readable items",
        salvage = Field::Salvage
    ))
}

impl ForeignMetadata {
    pub(crate) fn read(fields: &Value) -> Self {
        Self {
            environment: text(fields, &["environment", "env", "source_environment"]),
            table: text(fields, &["table_name", "table", "tableName", "TableName"]),
            dumped_at: text(
                fields,
                &[
                    "dump_date",
                    "timestamp",
                    "dumped_at",
                    "dump_timestamp",
                    "date",
                    "created_at",
                ],
            ),
            items: number(
                fields,
                &["item_count", "items", "itemCount", "total_items", "count"],
            ),
        }
    }
}

fn text(fields: &Value, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|name| fields.get(name)?.as_str())
        .map(str::to_owned)
}

/// Shell scripts often write numbers as strings.
fn number(fields: &Value, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| {
        let value = fields.get(name)?;
        value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok())
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::place::digest::hex_sha256;

    /// Metadata before a dump is finished.
    pub(crate) fn unfinished() -> Metadata {
        let at = |second: i64| DateTime::from_timestamp(1_780_000_000 + second, 0).unwrap();
        Metadata {
            table_arn: Some("arn:aws:dynamodb:eu-west-1:123456789012:table/music".into()),
            table_id: Some("0f0e0d0c".into()),
            region: Some("eu-west-1".into()),
            started_at: at(0),
            finished_at: at(7),
            segments: 1,
            consumed_read_units: 12.5,
            reported_items: Some(3),
            not_captured: vec!["tags: access denied".into()],
            ..Metadata::new("prod", "music")
        }
    }

    pub(crate) fn metadata() -> Metadata {
        let frames = vec![
            Frame {
                bytes: 30,
                compressed: 20,
                items: 2,
            },
            Frame {
                bytes: 15,
                compressed: 12,
                items: 1,
            },
        ];

        let entry = FileEntry {
            bytes: 32,
            sha256: "00".repeat(32),
            frames: Some(frames),
            extents: Some(vec![
                Extent {
                    segment: 1,
                    bytes: 30,
                },
                Extent {
                    segment: 0,
                    bytes: 15,
                },
            ]),
        };

        Metadata {
            tool_version: "0.1.0".into(),
            partial: BTreeMap::from([("limit".into(), 3.into())]),
            items: 3,
            data_bytes: 40,
            files: BTreeMap::from([("table-data.jsonl.zst".into(), entry)]),
            ..unfinished()
        }
    }

    fn kind(document: &[u8]) -> ErrorKind {
        parse(document, "m").unwrap_err().kind()
    }

    #[test]
    fn a_document_reads_back_as_it_was() {
        let document = metadata().to_document().unwrap();
        assert_eq!(
            parse(&document, "m").unwrap(),
            MetadataFile::Own(Box::new(metadata()))
        );
        let text = String::from_utf8(document).unwrap();
        assert!(
            text.contains("\"started_at\": \"2026-05-28T20:26:40Z\""),
            "{text}"
        );
        assert!(
            text.contains("\n        [30, 20, 2],\n        [15, 12, 1]\n      ],\n")
                && text.contains("\n        [1, 30],\n        [0, 15]\n      ]\n"),
            "{text}"
        );
    }

    #[test]
    fn the_digest_covers_all_but_the_last_line() {
        let document = metadata().to_document().unwrap();
        let lines: Vec<&[u8]> = document.split_inclusive(|byte| *byte == b'\n').collect();
        let (last, before) = lines.split_last().unwrap();
        assert_eq!(
            *last,
            format!("  \"digest\": \"{}\"}}\n", hex_sha256(&before.concat())).as_bytes()
        );
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let document = String::from_utf8(metadata().to_document().unwrap()).unwrap();
        let body = document[..document.rfind("  \"digest\"").unwrap()].to_owned()
            + "  \"colour\": {\"a\": [1]},\n";
        let later = format!(
            "{body}  \"digest\": \"{}\"}}\n",
            hex_sha256(body.as_bytes())
        );
        assert_eq!(
            parse(later.as_bytes(), "m").unwrap(),
            MetadataFile::Own(Box::new(metadata()))
        );
    }

    #[test]
    fn a_newer_format_is_refused_with_a_hint() {
        assert_eq!(
            parse(br#"{"format_version": 2, "anything": 1}"#, "m").unwrap(),
            MetadataFile::Newer(2)
        );
        let error = newer_format("m", 2);
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("newer format: version 2"));
        assert!(error.hint().unwrap().contains("upgrade"));
    }

    #[test]
    fn what_is_neither_own_nor_foreign_is_damaged() {
        for document in [
            "",
            "x",
            "{\"format_version\": \"1\"}",
            "{\"format_version\": 0}",
            "{\"digest\": 1}",
            "{\"format_version\":1}",
        ] {
            assert_eq!(kind(document.as_bytes()), ErrorKind::Damaged, "{document}");
        }
    }

    #[test]
    fn older_tools_metadata_is_read_as_far_as_it_is_understood() {
        let document = br#"{"environment":"prod","table_name":"music","dump_date":"2024-05-01T10:00:00Z","item_count":"42","x":1}"#;
        let expected = ForeignMetadata {
            environment: Some("prod".into()),
            table: Some("music".into()),
            dumped_at: Some("2024-05-01T10:00:00Z".into()),
            items: Some(42),
        };

        assert_eq!(
            parse(document, "m").unwrap(),
            MetadataFile::Foreign(expected)
        );
        assert_eq!(
            parse(b"[1]", "m").unwrap(),
            MetadataFile::Foreign(ForeignMetadata::default())
        );
    }
}
