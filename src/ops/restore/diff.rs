//! Differences between the schema of a dump and a live table.

use std::sync::Arc;

use serde::Serialize;

use super::RestoreRequest;
use super::plan::reconcile::wanted_schema;
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::describe_existing;
use crate::ops::source::ItemSource;
use crate::ops::table_location::TableLocation;
use crate::schema::{Difference, MissingSetting, Section, TableSchema, differences};
use crate::store::Reader;

/// Differences between the schema of a dump and a table, or between two tables.
#[derive(Debug, Clone, Serialize)]
pub struct SchemaDifferences {
    /// The dump, the schema file, or the first table.
    pub source: String,
    /// The table, or the second table.
    pub target: TableLocation,
    /// Column titles for both sides: `dump` and `table`, or the names of two tables.
    #[serde(skip)]
    pub sides: [String; 2],
    /// Settings that differ, the key first. For two tables, the first is called `dump` here.
    pub differences: Vec<Difference>,
    /// Settings that could not be compared.
    pub not_compared: Vec<MissingSetting>,
}

/// Compares the schema that a restore would use, with overrides, with its target table: keys, indexes and everything in `DescribeTable`,
/// and the other settings that are known on both sides.
///
/// # Errors
/// The dump is absent or damaged, or has no schema; the table is not named or does not exist; an override cannot be applied.
pub async fn diff(
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
) -> Result<SchemaDifferences> {
    let source = ItemSource::Dump(Arc::new(Source::open(request.dump()?)?));
    let table = request.target_table(environment, &source)?;
    let wanted = wanted_schema(request, &source)?.ok_or_else(|| {
        Error::schema_mismatch(format!("{source} has no schema to compare")).with_hint(format!(
            "pass {schema} FILE (what `aws dynamodb describe-table` prints)",
            schema = Field::Schema
        ))
    })?;
    let existing = describe_existing(store, environment, &table).await?;
    let sections = store.capture(&existing, &Section::all()).await;
    let existing = existing.with_sections(sections);
    let source_name = request
        .schema
        .as_ref()
        .map_or_else(|| source.to_string(), |file| file.display().to_string());
    let target =
        TableLocation::new(environment, &table, store.credentials()).with_description(&existing);
    let sides = ["dump", "table"].map(ToOwned::to_owned);
    Ok(SchemaDifferences::between(
        (source_name, &wanted.schema),
        (target, &existing),
        sides,
        ["the dump", "the table"],
    ))
}

impl SchemaDifferences {
    /// Compares two schemas. `sides` are column titles, `names` stand for the sides within a sentence.
    pub(crate) fn between(
        (source, wanted): (String, &TableSchema),
        (target, existing): (TableLocation, &TableSchema),
        sides: [String; 2],
        names: [&str; 2],
    ) -> Self {
        let found = differences(wanted, existing);
        let key_differences = found.key.map(|key| key.differences()).unwrap_or_default();
        let not_compared = not_compared(wanted, existing, names);
        let differences = key_differences.into_iter().chain(found.settings).collect();
        Self {
            source,
            target,
            sides,
            differences,
            not_compared,
        }
    }
}

/// The settings that are unknown on one side. `names` are those of the sides within a sentence.
fn not_compared(dump: &TableSchema, table: &TableSchema, names: [&str; 2]) -> Vec<MissingSetting> {
    let (missing_in_dump, missing_in_table) = (dump.not_captured(), table.not_captured());
    let is_known = |section: &Section| dump.section(*section).is_some();
    if missing_in_dump.is_empty() && !Section::all().iter().any(is_known) {
        let reason = "the schema contains only the response of DescribeTable".to_owned();
        return vec![MissingSetting {
            setting: "TTL, tags and the like".to_owned(),
            reason,
        }];
    }

    let side_not_compared = |side: &str, missing: Vec<MissingSetting>| -> Vec<_> {
        let entry = |MissingSetting { setting, reason }| MissingSetting {
            setting,
            reason: format!("not reported by {side}: {reason}"),
        };
        missing.into_iter().map(entry).collect()
    };

    let mut found = side_not_compared(names[0], missing_in_dump);
    let of_table = side_not_compared(names[1], missing_in_table)
        .into_iter()
        .filter(|entry| !found.iter().any(|other| other.setting == entry.setting));
    let of_table: Vec<_> = of_table.collect();
    found.extend(of_table);

    found
}
