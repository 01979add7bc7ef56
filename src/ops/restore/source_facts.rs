//! The dump as a plan names it: where it is from, what it holds, and how far it can be trusted to be all of it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::backup::{CheckSummary, Metadata, Source};
use crate::schema::TableSchema;

/// The dump, as plans name it.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFacts {
    /// Folder or file; `-` for standard input.
    pub path: String,
    /// What it is: `dump`, `dump of an older tool`, `items`.
    pub kind: &'static str,
    /// Environment it was made from, where it says so.
    pub environment: Option<String>,
    /// Table it was made from, where it says so.
    pub table: Option<String>,
    /// Account and region it was made from, where its ARN is AWS's.
    pub account: Option<String>,
    /// See `account`.
    pub region: Option<String>,
    /// When reading of the table began.
    pub started_at: Option<DateTime<Utc>>,
    /// When reading of the table ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Items in it; `None` where that is only known at the end (standard input).
    pub items: Option<u64>,
    /// Bytes of item text in it.
    pub bytes: Option<u64>,
    /// Whether it holds the whole table, as far as it says.
    pub complete: bool,
    /// Why it does not: `limit 100`.
    pub partial: Vec<String>,
    /// Whether its items were changed when it was made.
    pub transformed: bool,
    /// SHA-256 of the rules by which it was masked.
    pub mask_rules_sha256: Option<String>,
    /// What is to be had of it, where it is damaged and salvaged.
    pub salvage: Option<Salvage>,
}

/// What is to be had of a damaged dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Salvage {
    /// Items that its metadata promises, where that can be read.
    pub promised: Option<u64>,
    /// Items that can be read.
    pub readable: u64,
    /// Lines, frames or ends of files that cannot.
    pub unreadable: u64,
}

/// Why a dump is of a part of the table.
fn partial(metadata: &Metadata) -> Vec<String> {
    let shown = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };

    metadata
        .partial
        .iter()
        .map(|(reason, value)| format!("{} {}", reason.replace('_', " "), shown(value)))
        .collect()
}

impl SourceFacts {
    pub(crate) fn of(source: &Source, checked: Option<&CheckSummary>) -> Self {
        let metadata = source.metadata();
        let schema = source.schema();
        let incompleteness = source.incompleteness();
        Self {
            path: source.to_string(),
            kind: source.kind().words(),
            environment: source.environment().map(ToOwned::to_owned),
            table: source.table_name().map(ToOwned::to_owned),
            account: schema.and_then(TableSchema::account).map(ToOwned::to_owned),
            region: metadata
                .and_then(|metadata| metadata.region.clone())
                .or_else(|| schema.and_then(TableSchema::region).map(ToOwned::to_owned)),
            started_at: metadata.map(|metadata| metadata.started_at),
            finished_at: metadata.map(|metadata| metadata.finished_at),
            items: checked
                .map(|checked| checked.items)
                .or_else(|| metadata.map(|metadata| metadata.items)),
            bytes: checked
                .map(|checked| checked.text_bytes)
                .or_else(|| metadata.map(|metadata| metadata.data_bytes)),
            complete: metadata.is_none_or(|metadata| metadata.complete) && incompleteness.is_none(),
            partial: metadata
                .map(partial)
                .unwrap_or_default()
                .into_iter()
                .chain(incompleteness)
                .collect(),
            transformed: metadata.is_some_and(|metadata| metadata.transformed),
            mask_rules_sha256: metadata.and_then(|metadata| metadata.mask_rules_sha256.clone()),
            salvage: checked
                .zip(source.damage())
                .map(|(checked, damage)| Salvage {
                    promised: damage.promised,
                    readable: checked.items,
                    unreadable: checked.unreadable,
                }),
        }
    }
}
