//! The state of the target: the table, what an unfinished restore left, and the planned action that follows from both.

use std::sync::Arc;

use super::boost::LeftoverBoost;
use super::marker::{MarkerContents, MarkerFile, WrittenItems};
use super::resume::{self, ResumeDecision};
use super::table::stuck;
use super::table_action::TableAction;
use super::{ExistingTable, RestoreRequest};
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::table_location::TableLocation;
use crate::schema::{Section, TableSchema};
use crate::store::{Reader, ScanRequest};

/// The state of the target before the restore.
pub(crate) struct TargetState {
    pub(crate) place: TableLocation,
    /// The table without the boost of an unfinished restore, with the settings that the plan needs.
    pub(crate) existing: Option<TableSchema>,
    /// Number of its on-demand backups, if it will be replaced and the endpoint lists them.
    pub(crate) backups: Option<usize>,
    pub(crate) leftover_boost: Option<LeftoverBoost>,
    /// `None` without a state directory.
    pub(crate) marker: Option<MarkerFile>,
    /// The contents of the marker, if they are about this table.
    pub(crate) marker_contents: Option<MarkerContents>,
    pub(crate) resume: ResumeDecision,
    pub(crate) action: TableAction,
    /// Whether this restore creates the table, or the unfinished one before it has created it.
    pub(crate) is_own: bool,
}

impl TargetState {
    /// Inspects the target. Returns `source` after use.
    ///
    /// # Errors
    /// Another restore is writing the table; marker or checkpoint cannot be read; the requested action is not possible.
    pub(crate) async fn inspect(
        store: &Reader,
        environment: &Environment,
        request: &RestoreRequest,
        source: Source,
        table: &str,
    ) -> Result<(Source, Self)> {
        let found = store.describe(table).await?;
        let place = locate(store, environment, table, found.as_ref()).await;
        let (existing, is_being_deleted) = match found {
            Some(found) if found.is_being_deleted() => (None, true),
            found => (found, false),
        };

        let marker = request
            .state_dir
            .as_deref()
            .map(|dir| MarkerFile::for_table(dir, environment, table));
        let found_marker = read_marker(store, marker.as_ref(), existing.as_ref(), table).await?;
        let marker_contents = found_marker.contents;
        let (source, found) = resume::find_checkpoint(
            marker.as_ref().filter(|_| found_marker.exists),
            marker_contents.as_ref(),
            source,
            request,
            &place,
            existing.as_ref(),
        )
        .await?;

        let resume = ResumeDecision::new(request, found)?;
        let (existing, leftover_boost) =
            without_boost(existing, marker.as_ref(), marker_contents.as_ref())?;
        let unfinished_creation = marker_contents.as_ref().filter(|contents| contents.created);
        let action = match table_action(request, existing.as_ref(), unfinished_creation, &resume)? {
            TableAction::Create if is_being_deleted => TableAction::CreateWhenDeleted,
            action => action,
        };

        let state = Self {
            place,
            is_own: action.creates() || unfinished_creation.is_some(),
            existing,
            backups: None,
            leftover_boost,
            marker,
            marker_contents,
            resume,
            action,
        };

        state.check(request, &source)?;

        Ok((source, Box::pin(state.with_settings(store)).await))
    }

    /// Refuses a target into which the items cannot or must not be written.
    fn check(&self, request: &RestoreRequest, source: &Source) -> Result<()> {
        if let (TableAction::Add { .. }, Some(existing)) = (&self.action, &self.existing)
            && existing.is_stuck()
        {
            return Err(stuck(&self.place.table, existing));
        }

        if self.action != TableAction::Keep && request.content.includes_items() {
            source.check_has_items()?;
        }

        // `--if-missing` completes the table of an unfinished restore, but only with the items of that restore.
        match &self.marker_contents {
            Some(contents)
                if contents.created
                    && request.existing == ExistingTable::Keep
                    && self.resume.has_other_items =>
            {
                Err(created_by_other_restore(
                    &self.place.table,
                    contents,
                    self.resume.reason.as_deref(),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Reads the settings of an existing table that the plan needs.
    async fn with_settings(mut self, store: &Reader) -> Self {
        let Some(schema) = self.existing.take() else {
            return self;
        };

        let sections: &[Section] = match &self.action {
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Keep => &[],
            // The confirmation of a replacement mentions point-in-time recovery.
            TableAction::Replace { .. } => &[Section::ContinuousBackups],
            TableAction::Add { .. } => &Section::ALL,
        };

        let is_replaced = matches!(self.action, TableAction::Replace { .. });
        let table = &self.place.table;
        let backups = async {
            if is_replaced {
                store.backup_count(table).await
            } else {
                None
            }
        };

        let (sections, backups) = tokio::join!(store.capture(&schema, sections), backups);
        self.existing = Some(schema.with_sections(sections));
        self.backups = backups;

        self
    }
}

/// The location of the target. A table that does not exist will be in the account of the credentials. Local engines invent accounts.
async fn locate(
    store: &Reader,
    environment: &Environment,
    table: &str,
    found: Option<&TableSchema>,
) -> TableLocation {
    let place =
        TableLocation::new(environment, table, store.credentials()).with_proxy(store.proxy());
    match found {
        Some(schema) => place.with_description(schema),
        None if place.local || place.account.is_some() => place,
        None => TableLocation {
            account: store.account().await,
            ..place
        },
    }
}

/// A marker as it was found.
struct FoundMarker {
    exists: bool,
    /// Its contents, if they are about the existing table.
    contents: Option<MarkerContents>,
}

/// Reads the marker of an existing table.
///
/// # Errors
/// Another restore is writing the table; the marker cannot be read.
async fn read_marker(
    store: &Reader,
    marker: Option<&MarkerFile>,
    existing: Option<&TableSchema>,
    table: &str,
) -> Result<FoundMarker> {
    let mut contents = None;
    if let Some(marker) = marker {
        marker.check_unlocked()?;
        if existing.is_some() {
            contents = marker.read()?;
        }
    }

    Ok(FoundMarker {
        exists: contents.is_some(),
        contents: if_about(store, existing, table, contents).await?,
    })
}

/// The marker's contents, if they are about the existing table. A restore records the id of a table that it created before it writes
/// the first item, so a table with items whose id is not recorded was created by somebody else.
async fn if_about(
    store: &Reader,
    existing: Option<&TableSchema>,
    table: &str,
    contents: Option<MarkerContents>,
) -> Result<Option<MarkerContents>> {
    let (Some(existing), Some(contents)) = (existing, contents) else {
        return Ok(None);
    };

    let is_about_it = contents.applies_to(existing)
        && (!contents.created
            || contents.table_id.is_some()
            || has_no_item(store, existing, table).await?);
    Ok(is_about_it.then_some(contents))
}

/// Whether the table is empty. A table that is being created cannot be scanned, and is empty.
async fn has_no_item(store: &Reader, existing: &TableSchema, table: &str) -> Result<bool> {
    if existing.description().table_status.as_deref() == Some("CREATING") {
        return Ok(true);
    }

    let request = ScanRequest {
        table: table.to_owned(),
        segment: 0,
        total_segments: 1,
        consistent_read: true,
        limit: Some(1),
        start: None,
        selection: Arc::default(),
        key: Arc::new(existing.key_schema()?),
        previous_keys: Arc::default(),
    };

    Ok(store.scan(&request).await?.items.is_empty())
}

/// The error of `--if-missing` for a table that an unfinished restore of other items created.
fn created_by_other_restore(table: &str, contents: &MarkerContents, reason: Option<&str>) -> Error {
    let source = if contents.source.is_empty() {
        "an unknown source"
    } else {
        &contents.source
    };

    let reason = reason.unwrap_or("it was of another dump");
    let resume_hint = match &contents.wrote {
        WrittenItems::ItemsOf(_) => {
            format!("to finish it, restore {source} again, with the options it had and --resume; ")
        }
        WrittenItems::Nothing | WrittenItems::Unknown => String::new(),
    };

    Error::failed(format!(
        "table {table} was created by a restore of {source} that did not end; {reason}"
    ))
    .with_hint(format!(
        "{resume_hint}to start over with this source, pass --replace instead of --if-missing"
    ))
}

/// Separates the table from the boost that an unfinished restore left on it.
fn without_boost(
    existing: Option<TableSchema>,
    marker: Option<&MarkerFile>,
    contents: Option<&MarkerContents>,
) -> Result<(Option<TableSchema>, Option<LeftoverBoost>)> {
    let boost = marker.zip(contents.and_then(|contents| contents.boost.as_ref()));
    let leftover = match (&existing, boost) {
        (Some(existing), Some((marker, boost))) => LeftoverBoost::find(existing, boost)
            .map_err(|error| marker.read_error().with_source(error))?,
        _ => None,
    };

    let existing = match (&leftover, existing) {
        (Some(leftover), Some(existing)) => Some(leftover.removed_from(&existing)?),
        (_, existing) => existing,
    };

    Ok((existing, leftover))
}

/// The planned action. A resumed restore does not replace the table again: it already has.
fn table_action(
    request: &RestoreRequest,
    existing: Option<&TableSchema>,
    unfinished_creation: Option<&MarkerContents>,
    resume: &ResumeDecision,
) -> Result<TableAction> {
    let Some(table) = existing else {
        return Ok(TableAction::Create);
    };

    let items = table.description().item_count.unwrap_or(0);
    match request.existing {
        ExistingTable::Keep if unfinished_creation.is_none() => Ok(TableAction::Keep),
        ExistingTable::Add | ExistingTable::Keep => Ok(TableAction::Add { items }),
        ExistingTable::Replace if resume.checkpoint.is_some() => Ok(TableAction::Add { items }),
        ExistingTable::Replace if table.description().is_deletion_protected() => Err(Error::usage(
            "the target table has deletion protection, so it cannot be replaced",
        )
        .with_hint("lift it yourself if you are sure: `aws dynamodb update-table --no-deletion-protection-enabled`")),
        ExistingTable::Replace => Ok(TableAction::Replace { items }),
    }
}
