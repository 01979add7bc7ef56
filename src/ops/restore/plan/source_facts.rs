//! Facts about the source for plan and summary: origin, contents and completeness.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::index_violations::violations;
use crate::backup::{CheckSummary, Metadata, Source};
use crate::item::read_units;
use crate::ops::source::{ItemSource, ManagedBackup, ScannedTable, SettingsOrigin};
use crate::ops::table_location::TableLocation;
use crate::ops::{AppliedCap, RouteAdvice, ScanCost};
use crate::schema::{TableOrigin, TableOutline, TableSchema, account_of};

/// Facts about the source.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFacts {
    /// Folder or file; `-` for standard input.
    pub path: String,
    /// Its kind: `dump`, `dump of another tool`, `items`.
    pub kind: &'static str,
    /// Environment of the dumped table, if known.
    pub environment: Option<String>,
    /// Name of the dumped table, if known.
    pub table: Option<String>,
    /// Account of the dumped table, if its ARN is one of AWS.
    pub account: Option<String>,
    /// Region of the dumped table, if known.
    pub region: Option<String>,
    /// Start of the dump.
    pub started_at: Option<DateTime<Utc>>,
    /// End of the dump.
    pub finished_at: Option<DateTime<Utc>>,
    /// Number of items; `None` for standard input, where it is only known at the end.
    pub items: Option<u64>,
    /// Bytes of item text.
    pub bytes: Option<u64>,
    /// Items that have expired by the TTL that the table will have; `None` if it will have none, or if they were not counted.
    pub expired_items: Option<u64>,
    /// Items that violate the key of an index, by index, as far as they were counted; without zeros.
    pub index_violations: BTreeMap<String, u64>,
    /// Whether the source says that it holds the whole table.
    pub complete: bool,
    /// Reasons why it does not: `limit 100`.
    pub partial: Vec<String>,
    /// Whether a transform was applied during the dump.
    pub transformed: bool,
    /// SHA-256 of the rules with which it was masked.
    pub mask_rules_sha256: Option<String>,
    /// The readable part of a damaged dump.
    pub salvage: Option<Salvage>,
    /// The Scan of a live table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan: Option<Box<ScanFacts>>,
    /// Where the settings come from if there is no dump of a backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings_origin: Option<SettingsOrigin>,
}

/// Facts about a live table that is read.
#[derive(Debug, Clone, Serialize)]
pub struct ScanFacts {
    /// The table.
    pub location: TableLocation,
    /// Description of the table: keys, indexes, billing.
    pub outline: TableOutline,
    /// Number of items by DynamoDB's count, which is updated about every six hours.
    pub items: u64,
    /// Size in bytes by DynamoDB's count.
    pub bytes: u64,
    /// Estimated read units of the scan.
    pub read_units: f64,
    /// Estimated time and price of the scan; `None` if DynamoDB has not counted the items.
    pub scan_cost: Option<ScanCost>,
    /// A route that would be faster or burden the table less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<RouteAdvice>,
    /// Number of scan segments.
    pub segments: u32,
    /// Maximum number of items.
    pub limit: Option<u64>,
    /// Filter expression.
    pub filter: Option<String>,
    /// Projection expression; `None` means all attributes.
    pub projection: Option<String>,
    /// Whether reads are strongly consistent.
    pub consistent_read: bool,
    /// Cap on read units per second: the requested one, or the default for a protected table.
    pub max_read_units: Option<AppliedCap>,
}

impl ScanFacts {
    fn new(table: &ScannedTable) -> Self {
        let description = table.schema.description();
        let bytes = description.table_size_bytes.unwrap_or(0);
        let selection = &table.scan.options.selection;
        let read_units = read_units(bytes, table.scan.options.consistent_read);
        // A limit ends the Scan early, at a point that is not known.
        let is_estimated = bytes > 0 && table.scan.options.limit.is_none();
        let cap = table.max_read_units.as_ref();

        Self {
            location: table.location.clone(),
            outline: table.schema.outline(),
            items: description.item_count.unwrap_or(0),
            bytes,
            read_units,
            scan_cost: is_estimated
                .then(|| ScanCost::new(&table.location, &table.schema, cap, read_units)),
            advice: None,
            segments: table.segments,
            limit: table.scan.options.limit,
            filter: selection.filter().map(ToOwned::to_owned),
            projection: selection.projection().map(ToOwned::to_owned),
            consistent_read: table.scan.options.consistent_read,
            max_read_units: table.max_read_units.clone(),
        }
    }
}

/// The readable part of a damaged dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Salvage {
    /// Number of items according to the metadata, if that is readable.
    pub promised: Option<u64>,
    /// Readable items.
    pub readable: u64,
    /// Unreadable lines, frames or ends of files.
    pub unreadable: u64,
}

/// The reasons why a dump holds only part of the table.
pub(crate) fn partial_reasons(metadata: &Metadata) -> Vec<String> {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    };

    metadata
        .partial
        .iter()
        .map(|(reason, value)| format!("{} {}", reason.replace('_', " "), text(value)))
        .collect()
}

impl SourceFacts {
    /// Collects the facts; `checked` is the result of the check, if there was one.
    pub(crate) fn new(source: &ItemSource, checked: Option<&CheckSummary>) -> Self {
        match source {
            ItemSource::Dump(dump) => Self::of_dump(dump, checked),
            ItemSource::Table(table) => Self::of_table(table),
            ItemSource::Backup(backup) => Self::of_backup(backup),
        }
    }

    /// The source in sentences.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        if self.scan.is_some() {
            "source table"
        } else if self.settings_origin.is_some() {
            "backup"
        } else {
            "dump"
        }
    }

    /// Number of items: exact for a dump, DynamoDB's count for a live table.
    pub(crate) fn expected_items(&self) -> Option<u64> {
        let counted = || Some(self.scan.as_ref()?.items).filter(|items| *items > 0);
        self.items.or_else(counted)
    }

    /// Bytes of item text, or by DynamoDB's count.
    pub(crate) fn expected_bytes(&self) -> Option<u64> {
        let counted = || Some(self.scan.as_ref()?.bytes).filter(|bytes| *bytes > 0);
        self.bytes.or_else(counted)
    }

    fn of_table(table: &ScannedTable) -> Self {
        let partial = table.partial_reasons();

        Self {
            path: table.to_string(),
            kind: "table",
            environment: Some(table.location.environment.clone()),
            table: Some(table.location.table.clone()),
            account: table.schema.account().map(ToOwned::to_owned),
            region: table.location.region.clone(),
            started_at: None,
            finished_at: None,
            items: None,
            bytes: None,
            expired_items: None,
            index_violations: BTreeMap::new(),
            complete: partial.is_empty(),
            partial,
            transformed: false,
            mask_rules_sha256: None,
            salvage: None,
            scan: Some(Box::new(ScanFacts::new(table))),
            settings_origin: None,
        }
    }

    fn of_backup(backup: &ManagedBackup) -> Self {
        Self {
            path: backup.to_string(),
            kind: match backup.origin {
                TableOrigin::Backup { .. } => "on-demand backup",
                TableOrigin::PointInTime { .. } => "point in time",
            },
            environment: Some(backup.environment.clone()),
            table: Some(backup.table.clone()),
            account: account_of(backup.origin.arn()).map(ToOwned::to_owned),
            region: backup.origin.region().map(ToOwned::to_owned),
            started_at: backup.time(),
            finished_at: None,
            items: None,
            bytes: None,
            expired_items: None,
            index_violations: BTreeMap::new(),
            complete: true,
            partial: Vec::new(),
            transformed: false,
            mask_rules_sha256: None,
            salvage: None,
            scan: None,
            settings_origin: Some(backup.settings_origin),
        }
    }

    fn of_dump(source: &Source, checked: Option<&CheckSummary>) -> Self {
        let metadata = source.metadata();
        let schema = source.schema();
        let incompleteness = source.incompleteness();
        Self {
            path: source.to_string(),
            kind: source.kind().words(),
            environment: source.environment().map(ToOwned::to_owned),
            table: source.table_name().map(ToOwned::to_owned),
            account: metadata
                .and_then(|metadata| account_of(metadata.table_arn.as_deref()?))
                .or_else(|| schema.and_then(TableSchema::account))
                .map(ToOwned::to_owned),
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
            expired_items: checked.and_then(|checked| checked.expired),
            index_violations: violations(
                metadata.and_then(|metadata| metadata.index_key_violations.clone()),
                checked,
            ),
            complete: metadata.is_none_or(|metadata| metadata.complete) && incompleteness.is_none(),
            partial: metadata
                .map(partial_reasons)
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
            scan: None,
            settings_origin: None,
        }
    }
}
