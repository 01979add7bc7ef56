//! The schema of a dump: the table as described, with the settings that `DescribeTable` does not return.

use tokio::task::JoinSet;

use super::NotCaptured;
use super::plan::DumpPlan;
use crate::backup::DumpTarget;
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::ops::recreated;
use crate::schema::{Captured, RESTORING_TAG, Section, TableSchema};
use crate::store::Reader;

/// Starts to read the settings that `DescribeTable` does not return, concurrently with the items.
pub(super) fn spawn_capture(store: &Reader, plan: &DumpPlan) -> JoinSet<Vec<(Section, Captured)>> {
    let mut capturing = JoinSet::new();
    let has_schema_file = matches!(plan.request.target, DumpTarget::Folder(_))
        && plan.request.content.includes_schema();
    if has_schema_file {
        let (store, schema) = (store.clone(), plan.schema.clone());
        capturing.spawn(async move { store.capture(&schema, &Section::all()).await });
    }

    capturing
}

/// A schema with all settings, and those that could not be read.
pub(super) type CapturedSchema = (TableSchema, Vec<NotCaptured>);

/// The schema with all settings, after a check that the table was not recreated.
pub(super) async fn final_schema(
    store: &Reader,
    plan: &DumpPlan,
    capturing: JoinSet<Vec<(Section, Captured)>>,
) -> Result<CapturedSchema> {
    let schema = schema_with_settings(plan, capturing).await?;
    recreated::check_not_recreated(store, &plan.source.table, &plan.schema).await?;
    Ok(schema)
}

/// The schema with all settings.
async fn schema_with_settings(
    plan: &DumpPlan,
    mut capturing: JoinSet<Vec<(Section, Captured)>>,
) -> Result<CapturedSchema> {
    let schema = plan.schema.clone();
    match capturing.join_next().await {
        None => Ok((schema, Vec::new())),
        Some(Ok(sections)) => {
            let not_captured = not_captured(&sections);
            Ok((schema.with_sections(sections), not_captured))
        }
        Some(Err(error)) => Err(
            Error::failed("reading the table's settings stopped unexpectedly").with_source(error),
        ),
    }
}

/// The schema without the tag of an unfinished restore, which is reported.
pub(super) fn without_restoring_tag(
    schema: TableSchema,
    plan: &DumpPlan,
    reporter: &dyn Reporter,
) -> TableSchema {
    let Some(value) = schema.restoring_tag() else {
        return schema;
    };

    reporter.report(Event::Warning(format!(
        "A restore of table {} has not finished ({RESTORING_TAG}: {value}): the dump may lack items. The tag is not part of the dump.",
        plan.source.table
    )));

    schema.without_restoring_tag()
}

fn not_captured(sections: &[(Section, Captured)]) -> Vec<NotCaptured> {
    let sections = sections.iter();
    let not_captured = sections.filter_map(|(section, captured)| match captured {
        Captured::NotCaptured {
            reason,
            is_unsupported,
            ..
        } => Some(NotCaptured {
            setting: section.label().to_owned(),
            reason: reason.clone(),
            is_unsupported: *is_unsupported,
        }),
        Captured::Nothing | Captured::Document(_) => None,
    });

    not_captured.collect()
}

/// Settings and reasons for the metadata.
pub(super) fn in_words(not_captured: &[NotCaptured]) -> Vec<String> {
    let settings = not_captured.iter();
    settings
        .map(
            |NotCaptured {
                 setting, reason, ..
             }| format!("{setting}: {reason}"),
        )
        .collect()
}
