//! The state of the target: the table, what an unfinished restore left, and the planned action that follows from both.

use super::boost::LeftoverBoost;
use super::origin::Origin;
use super::table_action::{KeepReason, TableAction};
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::guard::{self, Connection, Fact, RestoreFacts, Resume, Target};
use crate::ops::identity::table_id;
use crate::ops::journal::{RestoreJob, WrittenItems};
use crate::ops::restore::resume::table_journal::TableJournal;
use crate::ops::restore::resume::{self, ResumeDecision, SavedRestore};
use crate::ops::restore::table_items::has_items;
use crate::ops::restore::{ExistingTable, RestoreRequest};
use crate::ops::source::ItemSource;
use crate::ops::table_location::TableLocation;
use crate::schema::{Section, TableSchema};
use crate::store::Reader;

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
    /// Whether the table exists and held no items, as far as that is known: see [`was_empty`](super::unit_caps::was_empty).
    pub(crate) was_empty: bool,
}

impl TargetState {
    /// Inspects the target. Returns `source` after use.
    ///
    /// # Errors
    /// Another restore is writing the table; the journal cannot be read; the guard refuses the restore.
    pub(crate) async fn inspect(
        (store, environment, table): (&Reader, &Environment, &str),
        request: &RestoreRequest,
        connection: &Connection,
        source: ItemSource,
        origin: Option<&Origin>,
    ) -> Result<(ItemSource, Self)> {
        let found = store.describe(table).await?;
        let place = TableLocation::find(store, environment, table, found.as_ref()).await;
        let (existing, is_being_deleted) = match found {
            Some(found) if found.is_being_deleted() => (None, true),
            found => (found, false),
        };

        let journal = match request.state_dir.as_deref() {
            Some(dir) => {
                let journal = TableJournal::find(dir, environment, &place, existing.as_ref());
                Some(journal.await)
            }
            None => None,
        };
        let saved = read_journal(store, journal.as_ref(), existing.as_ref(), table).await?;
        let (source, found) =
            resume::find_progress(saved.as_ref(), source, request, &place, existing.as_ref())
                .await?;

        let resume = ResumeDecision::new(request, found);
        let unfinished = saved
            .filter(|saved| saved.is_of_table)
            .map(|saved| saved.job);
        let (existing, leftover_boost) =
            without_boost(existing, journal.as_ref(), unfinished.as_ref())?;
        let unfinished_creation = unfinished.as_ref().filter(|job| job.created);
        let was_empty = match fillable_table(request, existing.as_ref(), unfinished.as_ref()) {
            Some(existing) => Some(!has_items(store, existing, table).await?),
            None => None,
        };
        let is_continued = is_continued(origin, request, existing.as_ref(), unfinished.as_ref());
        let action = match table_action(request, existing.as_ref(), unfinished.as_ref(), &resume) {
            _ if is_continued => TableAction::Add { items: 0 },
            TableAction::Create if is_being_deleted => TableAction::CreateWhenDeleted,
            _ if was_empty == Some(false) => TableAction::Keep {
                reason: KeepReason::HasItems,
            },
            action => action,
        };

        let state = Self {
            place,
            is_own: action.creates() || unfinished_creation.is_some() || is_continued,
            was_empty: was_empty == Some(true),
            existing,
            backups: None,
            leftover_boost,
            journal,
            unfinished,
            resume,
            action,
        };

        guard::restore(&RestoreFacts {
            target: Fact::Known(state.facts()),
            ..RestoreFacts::new(request, connection)
        })?;

        if !state.action.keeps() && request.content.includes_items() {
            source.check_has_items()?;
        }

        Ok((source, Box::pin(state.with_settings(store)).await))
    }

    /// The facts for the guard.
    pub(crate) fn facts(&self) -> Target<'_> {
        Target {
            place: &self.place,
            existing: self.existing.as_ref(),
            backups: self.backups,
            action: &self.action,
            unfinished: self.unfinished.as_ref(),
            resume: Resume {
                is_resumed: self.resume.progress.is_some(),
                items_done: self.resume.point().map_or(0, |point| point.items),
                reason: self.resume.reason.as_deref(),
                has_other_items: self.resume.has_other_items,
            },
            has_journal: self.journal.is_some(),
        }
    }

    /// Reads the settings of an existing table that the plan needs.
    async fn with_settings(mut self, store: &Reader) -> Self {
        let Some(schema) = self.existing.take() else {
            return self;
        };

        let sections = match &self.action {
            TableAction::Create | TableAction::CreateWhenDeleted => Vec::new(),
            TableAction::Keep { .. } => vec![TableSchema::restoring_tag_section()],
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
/// so a table with items whose ID is not recorded was created by someone else.
async fn is_of_table(
    store: &Reader,
    existing: &TableSchema,
    table: &str,
    job: &RestoreJob,
) -> Result<bool> {
    match (&job.table_id, &job.backup_arn) {
        (Some(_), _) => Ok(job.table_id == table_id(existing)),
        // DynamoDB creates it with items.
        (None, Some(arn)) => Ok(existing.is_restored_from(arn)),
        (None, None) if job.created => Ok(!has_items(store, existing, table).await?),
        (None, None) => Ok(true),
    }
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

/// The existing table, if it is only to be filled if it is empty. An unfinished restore has filled it partly, and is resumed.
fn fillable_table<'a>(
    request: &RestoreRequest,
    existing: Option<&'a TableSchema>,
    unfinished: Option<&RestoreJob>,
) -> Option<&'a TableSchema> {
    let has_own_items = unfinished.is_some_and(|job| job.wrote != WrittenItems::Nothing);
    existing.filter(|_| request.existing == ExistingTable::Fill && !has_own_items)
}

/// Whether DynamoDB restores the existing table from the origin for an interrupted run.
fn is_continued(
    origin: Option<&Origin>,
    request: &RestoreRequest,
    existing: Option<&TableSchema>,
    unfinished: Option<&RestoreJob>,
) -> bool {
    let mut found = origin.into_iter().zip(existing);
    found.any(|(origin, existing)| origin.is_continued(request, existing, unfinished))
}

/// The planned action. A resumed restore does not replace the table again: it already has.
fn table_action(
    request: &RestoreRequest,
    existing: Option<&TableSchema>,
    unfinished: Option<&RestoreJob>,
    resume: &ResumeDecision,
) -> TableAction {
    let Some(table) = existing else {
        return TableAction::Create;
    };

    let items = table.description().item_count.unwrap_or(0);
    match request.existing {
        ExistingTable::Keep if !unfinished.is_some_and(|job| job.created) => TableAction::Keep {
            reason: KeepReason::Exists,
        },
        ExistingTable::Add | ExistingTable::Keep | ExistingTable::Fill => {
            TableAction::Add { items }
        }
        ExistingTable::Replace if resume.progress.is_some() => TableAction::Add { items },
        ExistingTable::Replace => TableAction::Replace { items },
    }
}
