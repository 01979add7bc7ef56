//! The plan of a restore: opens and checks the dump, inspects the target, and collects warnings and questions. Changes nothing.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::backup_origin::{BackupRestore, check_target, take_origin};
use super::boost::TemporaryBoost;
use super::empty::needs_item;
use super::identity::restore_identity;
use super::index_violations::{postpone_indexes, violations};
use super::origin::Origin;
use super::reconcile::Reconciliation;
use super::settings::Settings;
use super::source_check::{DataCheck, open_dump};
use super::table_journal::TableJournal;
use super::target_state::TargetState;
use super::unit_caps::{UnitCaps, was_empty};
use super::verification::{Verification, verification};
use super::{
    ExistingTable, OnConflict, PlannedBoost, PlannedSetting, RestoreRequest, RestoreSource,
    ResumePoint, SourceFacts, TableAction,
};
use crate::backup::CheckSummary;
use crate::environment::{Approval, Environment};
use crate::error::Result;
use crate::event::Reporter;
use crate::field::Field;
use crate::item::KeySchema;
use crate::ops::cap::AppliedCap;
use crate::ops::cost::{WriteCost, WriteCostModel};
use crate::ops::guard::{self, CheckedSource, Connection, Fact, RestoreFacts};
use crate::ops::identity::table_id;
use crate::ops::journal::{RestoreIdentity, RestoreJob, RestoreProgress, WrittenItems};
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::prices::{Price, Prices};
use crate::ops::source::{ItemSource, ManagedBackup};
use crate::ops::table_location::TableLocation;
use crate::place::LockedJournal;
use crate::schema::{
    Difference, MissingSetting, SkippedSetting, TableOrigin, TableOutline, TableSchema,
};
use crate::store::Reader;

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

    /// The confirmation that [`run`](fn@super::run) requires.
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

/// Plans a restore: opens and checks the dump, and inspects the target. Changes nothing.
///
/// # Errors
/// The dump does not exist or is damaged; the target table is not named; its key differs from the dump's; it does not exist and may
/// not or cannot be created; another restore is writing it; deletion protection forbids to replace it; the target is in memory
/// (`embedded:` without a file).
pub async fn plan(
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let planning = plan_after(DataCheck::Whole, store, environment, request, reporter);
    Box::pin(planning).await
}

/// Plans a restore of a dump after this check of its data.
pub(crate) async fn plan_after(
    check: DataCheck,
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let connection = Connection::new(environment);
    guard::restore(&RestoreFacts::new(&request, &connection))?;

    let source = match &request.source {
        RestoreSource::Backup(choice) => {
            let backup = ManagedBackup::open(store, environment, choice).await?;
            ItemSource::Backup(Arc::new(backup))
        }
        _ => ItemSource::Dump(open_dump(request.dump()?, request.salvage, &reporter).await?),
    };

    let connection = (store, environment);
    Box::pin(plan_from(source, check, connection, request, reporter)).await
}

/// Plans to write the items of `source`.
///
/// # Errors
/// See [`plan`].
pub(crate) async fn plan_from(
    source: ItemSource,
    check: DataCheck,
    (store, environment): (&Reader, &Environment),
    mut request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let connection = Connection::new(environment);
    let origin = take_origin(&mut request, &source)?;
    let table = request.target_table(environment, &source)?;
    let violated = violations(source.index_key_violations(), None);
    postpone_indexes(&mut request, &violated);
    let target = (store, environment, &*table);
    let inspecting = TargetState::inspect(target, &request, &connection, source, origin.as_ref());
    let (source, mut state) = inspecting.await?;
    let source = check_target(origin.as_ref(), &request, &state, source)?;
    let mut reconciliation = Reconciliation::new(store, &request, &source, &mut state).await?;
    guard::restore(&table_facts(&request, &connection, &state, &reconciliation))?;

    let mut destination = ItemDestination::new(&mut request, &source, &reconciliation, &state)?;
    state.was_empty = was_empty(store, &state).await;
    let caps = UnitCaps::resolve(&request, &state, &reconciliation)?;
    reconciliation.complete(store, &request, &state).await;

    let backup =
        BackupRestore::plan(store, origin.clone(), &source, &reconciliation, &state).await?;

    // Last, because reading the whole dump may take long.
    let counter = reconciliation.item_counter(&request, &source, &state)?;
    let checked = check
        .run(&source, (&request, &state.action), counter, reporter)
        .await?;
    let facts = SourceFacts::new(&source, checked.as_ref());
    if state.action.creates() && postpone_indexes(&mut request, &facts.index_violations) {
        reconciliation = Reconciliation::new(store, &request, &source, &mut state).await?;
        reconciliation.complete(store, &request, &state).await;
    }

    destination.cost_model = cost_model(&reconciliation, &state, caps.write.as_ref());

    let known = (&request, &connection, &state, &reconciliation);
    let (found, approval) = findings(known, CheckedSource::new(&facts, &source), environment)?;
    let verify = verification(&request, &source, &state);

    Ok(RestorePlan {
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
        warnings: [read_warnings(&source, checked.as_ref()), &found].concat(),
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
    })
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

/// The facts for the guard once the changes to the table are planned.
fn table_facts<'a>(
    request: &'a RestoreRequest,
    connection: &'a Connection,
    state: &'a TargetState,
    reconciliation: &'a Reconciliation,
) -> RestoreFacts<'a> {
    RestoreFacts {
        target: Fact::Known(state.facts()),
        changes: Fact::Known(reconciliation.facts()),
        ..RestoreFacts::new(request, connection)
    }
}

/// The warnings of the guard, and the required confirmation: none if nothing is changed.
fn findings(
    (request, connection, state, reconciliation): (
        &RestoreRequest,
        &Connection,
        &TargetState,
        &Reconciliation,
    ),
    source: CheckedSource<'_>,
    environment: &Environment,
) -> Result<(Vec<String>, Approval)> {
    let table = &state.place.table;
    let facts = RestoreFacts {
        source: Fact::Known(source),
        ..table_facts(request, connection, state, reconciliation)
    };
    let findings = guard::restore(&facts)?;
    let approval = match findings.action {
        Some(action) => Approval::for_table(environment, table, action, findings.questions),
        None => Approval::nothing(),
    };

    Ok((findings.warnings, approval))
}

/// Whether the restore reads items of the table: all of them to verify it, or those that conflict.
fn reads_items(request: &RestoreRequest, verify: Verification) -> bool {
    verify == Verification::Full || request.write.on_conflict != OnConflict::Overwrite
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

/// Keys and cost model of the items to write.
pub(crate) struct ItemDestination {
    /// The key of the items in the dump, if known.
    pub(crate) source_key: Option<KeySchema>,
    /// The key of the target table.
    pub(crate) key: Option<KeySchema>,
    pub(crate) cost_model: WriteCostModel,
}

impl ItemDestination {
    /// Also sets source and target key of the request's transform.
    fn new(
        request: &mut RestoreRequest,
        source: &ItemSource,
        reconciliation: &Reconciliation,
        state: &TargetState,
    ) -> Result<Self> {
        let key = reconciliation.key.clone();
        let source_key = source.schema().and_then(|schema| schema.key_schema().ok());
        if let Some(target_key) = &key
            && !request.transform.is_empty()
        {
            let index_keys = reconciliation
                .resulting_table(state)
                .map(TableSchema::index_keys)
                .unwrap_or_default();
            let transform = std::mem::take(&mut request.transform);
            request.transform = transform.between_tables(
                source_key.as_ref().unwrap_or(target_key),
                target_key,
                &index_keys,
            )?;
        }

        Ok(Self {
            source_key,
            key,
            cost_model: WriteCostModel::default(),
        })
    }

    /// Upper bound of the write cost, if items are written, the dump says how many it has, and no transform changes them.
    fn cost_at_most(
        &self,
        source: &SourceFacts,
        request: &RestoreRequest,
        state: &TargetState,
    ) -> Option<WriteCost> {
        let writes_items = !state.action.keeps() && request.content.includes_items();
        if !writes_items || !request.transform.is_empty() {
            return None;
        }

        let (items, bytes) = source.expected_items().zip(source.expected_bytes())?;
        Some(self.cost_model.upper_bound(items, bytes))
    }
}

/// The cost model of the table while items are written, including a boost.
fn cost_model(
    reconciliation: &Reconciliation,
    state: &TargetState,
    write_cap: Option<&AppliedCap>,
) -> WriteCostModel {
    let boosted = reconciliation.boost.as_ref().map(|boost| &boost.boosted);
    let table = boosted.or_else(|| reconciliation.resulting_table(state));

    // A new table gets its replicas after the items.
    let existing = state.existing.as_ref().filter(|_| !state.action.creates());
    let replicas = existing.map_or(0, |table| table.replica_regions().len());
    let on_demand = table.filter(|table| !table.description().is_provisioned());

    table
        .map(WriteCostModel::new)
        .unwrap_or_default()
        .with_cap(write_cap.and_then(|cap| cap.units(boosted.is_some())))
        .with_may_overwrite(!state.action.creates())
        .with_replicas(replicas)
        .with_prices(on_demand.map(|table| Prices::of(&state.place, table)))
        .with_local(state.place.local)
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
