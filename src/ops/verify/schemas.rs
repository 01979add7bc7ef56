//! Comparison of the schemas and settings of two tables. No item is read.

use super::LiveTable;
use super::live::refuse_same_table;
use crate::error::Result;
use crate::ops::restore::SchemaDifferences;
use crate::ops::table_location::TableLocation;
use crate::schema::{Section, TableSchema};
use crate::store::Reader;

/// Compares keys, indexes and settings of two tables, except settings that are unknown for one of them.
///
/// # Errors
/// A table is not named, does not exist or cannot be described; both are the same table.
pub async fn schemas(source: &LiveTable<'_>, target: &LiveTable<'_>) -> Result<SchemaDifferences> {
    let source_table = source.describe(None).await?;
    let target_table = target.describe(Some(&source_table.name)).await?;
    refuse_same_table(&source_table, &target_table).await?;

    let source_environment = source_table.environment.name();
    let target_environment = target_table.environment.name();

    // Name the sides by what distinguishes them: within one environment the tables, otherwise the environments.
    let sides = if source_environment == target_environment {
        [source_table.name.clone(), target_table.name.clone()]
    } else {
        [source_environment.to_owned(), target_environment.to_owned()]
    };

    let label = format!(
        "table {} of environment {source_environment}",
        source_table.name
    );
    let (source_schema, target_schema) = tokio::join!(
        with_settings(source.store, source_table.schema),
        with_settings(target.store, target_table.schema)
    );
    let location = TableLocation::new(
        target_table.environment,
        &target_table.name,
        target.store.credentials(),
    )
    .with_description(&target_schema);

    let names = sides.clone();
    Ok(SchemaDifferences::between(
        (label, &source_schema),
        (location, &target_schema),
        sides,
        [&names[0], &names[1]],
    ))
}

/// The schema with the settings that `DescribeTable` does not return.
async fn with_settings(store: &Reader, schema: TableSchema) -> TableSchema {
    let sections = store.capture(&schema, &Section::all()).await;
    schema.with_sections(sections)
}
