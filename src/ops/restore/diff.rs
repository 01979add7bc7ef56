//! What differs between a dump's schema and a live table. Looks, and changes nothing.

use serde::Serialize;

use super::RestoreRequest;
use super::plan::target_table;
use super::reconcile::wanted_schema;
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::describe_existing;
use crate::ops::table_location::TableLocation;
use crate::schema::{Difference, Section, TableSchema, differences};
use crate::store::ReadStore;

/// What differs between a dump's schema and a table, or between two tables.
#[derive(Debug, Clone, Serialize)]
pub struct SchemaDifferences {
    /// The dump, or the file that stands in for its schema, or the first table.
    pub source: String,
    /// The table.
    pub target: TableLocation,
    /// What the two sides are called where they stand side by side: `dump` and `table`, or the names of two tables.
    #[serde(skip)]
    pub sides: [String; 2],
    /// Each setting that differs, the key first. Of two tables, the first is called `dump` here.
    pub differences: Vec<Difference>,
    /// Settings that could not be compared.
    pub not_compared: Vec<NotCompared>,
}

/// A setting that one side does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// The section of the schema: `TimeToLive`, `Tags`, …
    pub setting: String,
    /// Why, and on which side.
    pub reason: String,
}

/// Compares the schema that a restore would bring, overrides included, with the table it would go to. Keys, indexes and all that
/// `DescribeTable` tells are compared, and of the other settings those that both sides tell.
///
/// # Errors
/// The dump is absent or damaged, or has no schema; the table is not named or does not exist; an override cannot be followed.
pub async fn diff(
    store: &impl ReadStore,
    environment: &Environment,
    request: &RestoreRequest,
) -> Result<SchemaDifferences> {
    let source = Source::open(&request.source)?;
    let table = target_table(request, environment, &source)?;
    let wanted = wanted_schema(request, &source)?.ok_or_else(|| {
        Error::schema_mismatch(format!("{source} has no schema to compare"))
            .with_hint("pass --schema FILE (what `aws dynamodb describe-table` prints)")
    })?;
    let existing = describe_existing(store, environment, &table).await?;
    let sections = store.capture(&existing, &Section::ALL).await;
    let existing = existing.with_sections(sections);
    let shown = request
        .schema
        .as_ref()
        .map_or_else(|| source.to_string(), |file| file.display().to_string());
    let target =
        TableLocation::new(environment, &table, store.credentials()).with_description(&existing);
    let sides = ["dump", "table"].map(ToOwned::to_owned);
    Ok(SchemaDifferences::between(
        (shown, &wanted.schema),
        (target, &existing),
        sides,
    ))
}

impl SchemaDifferences {
    /// What differs between two schemas.
    pub(crate) fn between(
        (source, wanted): (String, &TableSchema),
        (target, existing): (TableLocation, &TableSchema),
        sides: [String; 2],
    ) -> Self {
        let found = differences(wanted, existing);
        let of_key = found.key.map(|key| key.differences()).unwrap_or_default();
        let not_compared = not_compared(wanted, existing, [&sides[0], &sides[1]]);
        let differences = of_key.into_iter().chain(found.settings).collect();
        Self {
            source,
            target,
            sides,
            differences,
            not_compared,
        }
    }
}

fn not_compared(dump: &TableSchema, table: &TableSchema, sides: [&str; 2]) -> Vec<NotCompared> {
    let (lost_by_dump, lost_by_table) = (dump.not_captured(), table.not_captured());
    let is_told = |section: &Section| dump.section(*section).is_some();
    if lost_by_dump.is_empty() && !Section::ALL.iter().any(is_told) {
        let reason = "the schema holds only what DescribeTable tells".to_owned();
        return vec![NotCompared {
            setting: "TTL, tags and the like".to_owned(),
            reason,
        }];
    }

    let of = |side: &str, lost: Vec<(String, String)>| -> Vec<_> {
        let told = |(setting, reason)| NotCompared {
            setting,
            reason: format!("not told by {side}: {reason}"),
        };
        lost.into_iter().map(told).collect()
    };

    let article = |side: &str| {
        if matches!(side, "dump" | "table") {
            format!("the {side}")
        } else {
            side.to_owned()
        }
    };

    let mut found = of(&article(sides[0]), lost_by_dump);
    let of_table = of(&article(sides[1]), lost_by_table)
        .into_iter()
        .filter(|lost| !found.iter().any(|other| other.setting == lost.setting));
    let of_table: Vec<_> = of_table.collect();
    found.extend(of_table);

    found
}
