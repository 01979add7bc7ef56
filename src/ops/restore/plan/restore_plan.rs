//! The plan of a restore, as it is shown and as it is executed.

use std::fmt;

use serde::Serialize;

use super::backup_origin::BackupRestore;
use super::boost::{PlannedBoost, TemporaryBoost};
use super::destination::ItemDestination;
use super::origin::Origin;
use super::reconcile::Reconciliation;
use super::settings::{PlannedSetting, Settings};
use super::source_facts::SourceFacts;
use super::table_action::TableAction;
use super::target_state::TargetState;
use super::unit_caps::UnitCaps;
use super::verification::{Verification, verification};
use crate::backup::CheckSummary;
use crate::environment::Approval;
use crate::field::Field;
use crate::ops::cap::AppliedCap;
use crate::ops::cost::WriteCost;
use crate::ops::identity::table_id;
use crate::ops::journal::{RestoreIdentity, RestoreJob, RestoreProgress, WrittenItems};
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::prices::{Price, Prices};
use crate::ops::restore::empty_source::needs_item;
use crate::ops::restore::resume::ResumePoint;
use crate::ops::restore::resume::identity::restore_identity;
use crate::ops::restore::resume::table_journal::TableJournal;
use crate::ops::restore::{ExistingTable, OnConflict, RestoreRequest};
use crate::ops::source::ItemSource;
use crate::ops::table_location::TableLocation;
use crate::place::LockedJournal;
use crate::schema::{
    Difference, MissingSetting, SkippedSetting, TableOrigin, TableOutline, TableSchema,
};

/// The plan of a restore.
#[derive(Debug, Serialize)]
pub struct RestorePlan {
    /// The dump.
    pub source: SourceFacts,
    /// The target table.
    pub target: TableLocation,
    /// What DynamoDB restores the table from, together with its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<TableOrigin>,
    /// The on-demand backup of a copy, from which DynamoDB restores the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<PlannedBackup>,
    /// The action on the table itself.
    pub action: TableAction,
    /// Keys, indexes and billing of the table that will be created; `None` if none is created.
    #[serde(rename = "table")]
    pub outline: Option<TableOutline>,
    /// Settings of an existing table that differ from the dump and are not changed.
    pub differences: Vec<Difference>,
    /// The temporary boost.
    pub boost: Option<PlannedBoost>,
    /// Settings that will be restored, in the order in which they are applied.
    pub settings: Vec<PlannedSetting>,
    /// Settings that are not restored, with the reason.
    pub skipped: Vec<SkippedSetting>,
    /// Descriptions of the changes that the overrides make to the schema.
    pub notes: Vec<String>,
    /// Everything else in the schema that the table will lack: fields unknown to this version, settings that the target does not support.
    pub not_restored: Vec<MissingSetting>,
    /// Descriptions of the transform's steps.
    pub transform: Vec<String>,
    /// Where an interrupted restore is resumed.
    pub resumes: Option<ResumePoint>,
    /// Limit of consumed write units per second: requested, or the default for a protected table that held items before.
    pub max_write_units: Option<AppliedCap>,
    /// Upper bound of the write cost; `None` if it is not known beforehand, or nothing is written.
    pub write_cost_at_most: Option<WriteCost>,
    /// Price of the restore by DynamoDB; `None` if it restores nothing, or the size of the backup is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_price: Option<Price>,
    /// How the result will be verified.
    pub verify: Verification,
    /// Limit of consumed read units per second, for verification and for existing items that conflict: requested, or the default for a
    /// protected table that held items before.
    pub max_read_units: Option<AppliedCap>,
    /// Warnings before the restore.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) prepared: PreparedRestore,
    #[serde(skip)]
    approval: Approval,
}

/// The part of a plan that only its execution needs.
pub(crate) struct PreparedRestore {
    pub(crate) request: RestoreRequest,
    pub(crate) source: ItemSource,
    pub(crate) settings: Settings,
    pub(crate) boost: Option<TemporaryBoost>,
    /// If DynamoDB restores the table together with its items.
    pub(crate) backup: Option<BackupRestore>,
    pub(crate) destination: ItemDestination,
    /// `None` without a state directory.
    pub(crate) journal: Option<TableJournal>,
    pub(crate) run_state: RunState,
    /// Identity for the journal; `None` if the restore cannot be resumed.
    pub(crate) identity: Option<RestoreIdentity>,
    /// The progress to resume at.
    pub(crate) progress: Option<RestoreProgress>,
    /// Whether the journal remains at the end: it is about items, and this restore writes none.
    pub(crate) keeps_journal: bool,
}

/// The state of the table during a restore.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
pub(crate) struct RunState {
    /// Whether this restore, or the unfinished one before it, created the table.
    pub(crate) created: bool,
    /// Whether the table exists and held no items before this restore, and before the unfinished ones that it follows.
    pub(crate) was_empty: bool,
    /// `None` until the table exists.
    pub(crate) table_id: Option<String>,
    /// The record that an unfinished restore of this table left.
    pub(crate) previous: Option<RestoreJob>,
    /// The progress before this run writes the first item; `None` if a later run cannot continue.
    pub(crate) start_progress: Option<RestoreProgress>,
    /// Whether the table may have been changed before the first item is written.
    pub(crate) is_table_changed: bool,
    /// Whether the table has the tag of an unfinished restore, which is this one.
    pub(crate) is_tagged: bool,
    /// Whether the table must not contain items before the first is written.
    pub(crate) must_be_empty: bool,
    /// The lock of the table by its ID.
    pub(crate) id_lock: Option<LockedJournal>,
    /// Whether several tables are restored, and the removal of their journals becomes durable at the end. Until then, a power failure
    /// has the same effect as one just before the removal.
    pub(crate) is_of_set: bool,
}

impl fmt::Debug for PreparedRestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRestore")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl RestorePlan {
    /// ID of the source, if it is a live table.
    pub(crate) fn scanned_table_id(&self) -> Option<String> {
        match &self.prepared.source {
            ItemSource::Table(table) => table_id(&table.schema),
            ItemSource::Dump(_) | ItemSource::Backup(_) => None,
        }
    }

    /// The confirmation that [`run`](fn@crate::ops::restore::run) requires.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Makes this one of several restores. The caller syncs the folder of the journals before it reports that they have ended.
    pub(crate) fn joins_set(&mut self) {
        self.prepared.run_state.is_of_set = true;
    }

    /// Whether the restore can be [resumed](RestoreRequest::resume) after an interruption.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        self.prepared.identity.is_some() && self.prepared.journal.is_some()
    }

    /// Whether items of the table are deleted that the source does not have.
    #[must_use]
    pub fn deletes_extra(&self) -> bool {
        self.prepared.request.delete_extra && !self.action.creates() && !self.action.keeps()
    }

    /// Number of unreadable pieces of a damaged dump, which are rejected.
    pub(crate) fn unreadable(&self) -> u64 {
        self.source.salvage.map_or(0, |salvage| salvage.unreadable)
    }

    /// Whether the table may only be changed after an item that can be written was read.
    pub(crate) fn needs_item(&self) -> bool {
        let is_of_empty_table = self.prepared.source.is_of_empty_table();
        needs_item(&self.prepared.request, &self.action, is_of_empty_table)
    }

    /// Whether the table may be created without items, after this number of items was read and filtered out: the source was empty, or a
    /// sample has selected none of its items. An empty sample does not replace a table.
    pub(crate) fn allows_no_items(&self, read: u64, filtered: u64) -> bool {
        let mut selections = self.prepared.request.transform.selections();
        let is_sampled = selections.any(|(field, _)| field == Field::Sample);
        let is_replaced = matches!(self.action, TableAction::Replace { .. });
        let is_empty_sample = is_sampled && !is_replaced && read > 0 && filtered == read;

        !self.needs_item() || self.prepared.source.was_empty(read) || is_empty_sample
    }
}

/// What the steps of planning have found out.
pub(super) struct Planned {
    pub(super) request: RestoreRequest,
    pub(super) source: ItemSource,
    /// What DynamoDB restores the table from, together with its items.
    pub(super) origin: Option<Origin>,
    pub(super) state: TargetState,
    pub(super) reconciliation: Reconciliation,
    pub(super) destination: ItemDestination,
    pub(super) caps: UnitCaps,
    pub(super) backup: Option<BackupRestore>,
    /// Result of the check of the source.
    pub(super) checked: Option<CheckSummary>,
    pub(super) facts: SourceFacts,
}

impl Planned {
    /// The plan, with the warnings of the guard and the confirmation that it requires.
    pub(super) fn into_plan(self, found: &[String], approval: Approval) -> RestorePlan {
        let Self {
            request,
            source,
            origin,
            state,
            mut reconciliation,
            destination,
            caps,
            backup,
            checked,
            facts,
        } = self;
        let verify = verification(&request, &source, &state);

        RestorePlan {
            transform: request.transform.descriptions().collect(),
            resumes: state.resume.point(),
            notes: notes(&reconciliation),
            outline: outline_of_new_table(&reconciliation, &state, &source),
            differences: std::mem::take(&mut reconciliation.differences),
            settings: reconciliation.settings.planned(),
            skipped: reconciliation.settings.skipped.clone(),
            not_restored: reconciliation.settings.not_restored.clone(),
            max_write_units: caps.write,
            write_cost_at_most: destination.cost_at_most(&facts, &request, &state),
            restore_price: restore_price(backup.as_ref(), &state),
            verify,
            max_read_units: caps.read.filter(|_| reads_items(&request, verify)),
            warnings: [read_warnings(&source, checked.as_ref()), found].concat(),
            approval,
            boost: reconciliation.planned_boost.take(),
            source: facts,
            target: state.place.clone(),
            action: state.action.clone(),
            restored_from: origin.as_ref().and_then(Origin::known),
            backup: origin.as_ref().and_then(Origin::planned).cloned(),
            prepared: PreparedRestore {
                backup,
                ..PreparedRestore::new(request, source, checked, destination, state, reconciliation)
            },
        }
    }
}

impl PreparedRestore {
    fn new(
        request: RestoreRequest,
        source: ItemSource,
        checked: Option<CheckSummary>,
        destination: ItemDestination,
        state: TargetState,
        reconciliation: Reconciliation,
    ) -> Self {
        let content_sha256 = match &source {
            ItemSource::Dump(_) => checked.and_then(|checked| checked.data_sha256),
            ItemSource::Backup(_) => None,
            // The positions of a Scan contain keys, which the journal must not if they are masked.
            ItemSource::Table(table) => {
                let masks_key = table
                    .schema
                    .key_schema()
                    .is_ok_and(|key| request.transform.masks_key(&key));
                (!masks_key).then(|| table.content_sha256())
            }
        };
        let identity = content_sha256.map(|sha256| restore_identity(&source, &request, sha256));
        let has_unfinished_items = state
            .unfinished
            .as_ref()
            .is_some_and(|job| job.wrote != WrittenItems::Nothing);
        let has_own_tag = |existing: &TableSchema| existing.restoring_tag().is_some();
        let is_tagged = state.is_own && state.existing.as_ref().is_some_and(has_own_tag);
        let is_filled = request.existing == ExistingTable::Fill && !state.action.creates();
        // The id of a table that will be created is not known yet.
        let table_id = match &state.existing {
            Some(existing) if !state.action.creates() => table_id(existing),
            _ => None,
        };

        Self {
            identity,
            progress: state.resume.progress,
            keeps_journal: has_unfinished_items && !request.content.includes_items(),
            source,
            settings: reconciliation.settings,
            boost: reconciliation.boost,
            backup: None,
            destination,
            journal: state.journal,
            run_state: RunState {
                created: state.is_own,
                was_empty: state.was_empty,
                table_id,
                previous: state.unfinished,
                start_progress: None,
                is_table_changed: false,
                is_tagged,
                must_be_empty: is_filled && !has_unfinished_items,
                id_lock: None,
                is_of_set: false,
            },
            request,
        }
    }
}

/// The price of the restore of a backup, by its size.
fn restore_price(found: Option<&BackupRestore>, state: &TargetState) -> Option<Price> {
    let found = found?;
    let bytes = found.backup.as_ref()?.bytes?;

    Prices::of(&state.place, &found.wanted).restore(bytes)
}

/// Warnings of whoever read the source last.
fn read_warnings<'a>(source: &'a ItemSource, checked: Option<&'a CheckSummary>) -> &'a [String] {
    checked.map_or(source.warnings(), |checked| &checked.warnings)
}

/// Whether the restore reads items of the table: all of them to verify it, or those that conflict.
fn reads_items(request: &RestoreRequest, verify: Verification) -> bool {
    verify == Verification::Full || request.write.on_conflict != OnConflict::Overwrite
}

/// Descriptions of the overrides, if the restore applies them.
fn notes(reconciliation: &Reconciliation) -> Vec<String> {
    match &reconciliation.wanted {
        Some(wanted) if reconciliation.applies_settings => wanted.notes.clone(),
        _ => Vec::new(),
    }
}

/// The outline of the table that will be created, without its settings, which are planned separately.
fn outline_of_new_table(
    reconciliation: &Reconciliation,
    state: &TargetState,
    source: &ItemSource,
) -> Option<TableOutline> {
    let wanted = reconciliation.wanted_schema();
    let is_known = state.action.creates() && !source.has_guessed_key_types();
    let created = wanted.filter(|_| is_known)?;
    Some(TableOutline {
        settings: Vec::new(),
        ..created.outline()
    })
}
