//! Do the settings of two tables agree? No item is read.

use super::LiveTable;
use super::live::refuse_itself;
use crate::error::Result;
use crate::ops::restore::SchemaDifferences;
use crate::ops::table_location::TableLocation;
use crate::schema::{Section, TableSchema};
use crate::store::ReadStore;

/// Compares keys, indexes and settings of two tables, as far as both tell them.
///
/// # Errors
/// A table is not named, does not exist or cannot be described; both are the same.
pub async fn schemas<S: ReadStore + Clone + 'static>(
    source: &LiveTable<'_, S>,
    target: &LiveTable<'_, S>,
) -> Result<SchemaDifferences> {
    let (source_name, source_schema) = source.look(None).await?;
    let (target_name, target_schema) = target.look(Some(&source_name)).await?;
    refuse_itself(
        (source.environment, &source_schema),
        (target.environment, &target_schema),
    )
    .await?;

    let (wanted, existing) = tokio::join!(
        whole(source.store, source_schema),
        whole(target.store, target_schema)
    );
    let environments = (source.environment.name(), target.environment.name());
    let sides = if environments.0 == environments.1 {
        [source_name.clone(), target_name.clone()]
    } else {
        [environments.0.to_owned(), environments.1.to_owned()]
    };

    let shown = format!("table {source_name} of environment {}", environments.0);
    let place = TableLocation::new(target.environment, &target_name, target.store.credentials())
        .with_description(&existing);
    Ok(SchemaDifferences::between(
        (shown, &wanted),
        (place, &existing),
        sides,
    ))
}

/// The schema with the settings that `DescribeTable` does not tell.
async fn whole(store: &impl ReadStore, schema: TableSchema) -> TableSchema {
    let sections = store.capture(&schema, &Section::ALL).await;
    schema.with_sections(sections)
}
