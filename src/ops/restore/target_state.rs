//! The state of the target: the table, what an unfinished restore left, and the planned action that follows from both.

use std::sync::Arc;

use super::boost::LeftoverBoost;
use super::identity::table_id;
use super::resume::{self, ResumeDecision, SavedRestore};
use super::table::stuck;
use super::table_action::TableAction;
use super::table_journal::TableJournal;
use super::{ExistingTable, RestoreRequest};
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::journal::{RestoreJob, WrittenItems};
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
    pub(crate) journal: Option<TableJournal>,
    /// The record of an unfinished restore, if it is about this table.
    pub(crate) unfinished: Option<RestoreJob>,
    pub(crate) resume: ResumeDecision,
    pub(crate) action: TableAction,
    /// Whether this restore creates the table, or the unfinished one before it has created it.
    pub(crate) is_own: bool,
}

impl TargetState {
    /// Inspects the target. Returns `source` after use.
    ///
    /// # Errors
    /// Another restore is writing the table; the journal cannot be read; the requested action is not possible.
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

        let journal = request
            .state_dir
            .as_deref()
            .map(|dir| TableJournal::for_table(dir, environment, table));
        let saved = read_journal(store, journal.as_ref(), existing.as_ref(), table).await?;
        let (source, found) =
            resume::find_progress(saved.as_ref(), source, request, &place, existing.as_ref())
                .await?;

        let resume = ResumeDecision::new(request, found)?;
        let unfinished = saved
            .filter(|saved| saved.is_of_table)
            .map(|saved| saved.job);
        let (existing, leftover_boost) =
            without_boost(existing, journal.as_ref(), unfinished.as_ref())?;
        let unfinished_creation = unfinished.as_ref().filter(|job| job.created);
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
            journal,
            unfinished,
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
        match &self.unfinished {
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

        let sections = match &self.action {
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Keep => Vec::new(),
            // The confirmation of a replacement mentions point-in-time recovery.
            TableAction::Replace { .. } => {
                vec![TableSchema::point_in_time_recovery_section()]
            }
            TableAction::Add { .. } => Section::all(),
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

        let (sections, backups) = tokio::join!(store.capture(&schema, &sections), backups);
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

/// Reads the journal of an existing table.
///
/// # Errors
/// Another restore is writing the table; the journal cannot be read.
async fn read_journal(
    store: &Reader,
    journal: Option<&TableJournal>,
    existing: Option<&TableSchema>,
    table: &str,
) -> Result<Option<SavedRestore>> {
    let Some(journal) = journal else {
        return Ok(None);
    };

    journal.check_unlocked()?;
    let Some(existing) = existing else {
        return Ok(None);
    };

    let Some(job) = journal.read()? else {
        return Ok(None);
    };

    Ok(Some(SavedRestore {
        is_of_table: is_of_table(store, existing, table, &job).await?,
        job,
    }))
}

/// Whether a journal is about the existing table. A restore records the ID of a table that it created before it writes the first item,
/// so a table with items whose ID is not recorded was created by somebody else.
async fn is_of_table(
    store: &Reader,
    existing: &TableSchema,
    table: &str,
    job: &RestoreJob,
) -> Result<bool> {
    match &job.table_id {
        Some(_) => Ok(job.table_id == table_id(existing)),
        None if job.created => has_no_item(store, existing, table).await,
        None => Ok(true),
    }
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
fn created_by_other_restore(table: &str, job: &RestoreJob, reason: Option<&str>) -> Error {
    let source = &job.source;
    let reason = reason.unwrap_or("it was of another dump");
    let resume_hint = match &job.wrote {
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
    journal: Option<&TableJournal>,
    unfinished: Option<&RestoreJob>,
) -> Result<(Option<TableSchema>, Option<LeftoverBoost>)> {
    let boost = journal.zip(unfinished.and_then(|job| job.boost.as_ref()));
    let leftover = match (&existing, boost) {
        (Some(existing), Some((journal, boost))) => LeftoverBoost::find(existing, boost)
            .map_err(|error| journal.read_error().with_source(error))?,
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
    unfinished_creation: Option<&RestoreJob>,
    resume: &ResumeDecision,
) -> Result<TableAction> {
    let Some(table) = existing else {
        return Ok(TableAction::Create);
    };

    let items = table.description().item_count.unwrap_or(0);
    match request.existing {
        ExistingTable::Keep if unfinished_creation.is_none() => Ok(TableAction::Keep),
        ExistingTable::Add | ExistingTable::Keep => Ok(TableAction::Add { items }),
        ExistingTable::Replace if resume.progress.is_some() => Ok(TableAction::Add { items }),
        ExistingTable::Replace if table.description().is_deletion_protected() => Err(Error::usage(
            "the target table has deletion protection, so it cannot be replaced",
        )
        .with_hint("lift it yourself if you are sure: `aws dynamodb update-table --no-deletion-protection-enabled`")),
        ExistingTable::Replace => Ok(TableAction::Replace { items }),
    }
}
