//! Runs a planned restore: table, items, verification, settings.

mod apply_boost;
mod apply_settings;
mod copied_backup;
pub(super) mod extra_items;
mod from_backup;
mod journal;
mod table;
mod transfer;
pub(super) mod transfer_totals;
mod verify;

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::ops::identity::table_id;
use crate::ops::journal::{Journal, RestoreJob};
use crate::ops::restore::plan::RestorePlan;
use crate::ops::restore::plan::boost::TemporaryBoost;
use crate::ops::restore::plan::settings::Settings;
use crate::ops::restore::table_items::has_items;
use crate::ops::restore::{
    BoostOutcome, RestoreSummary, SettingOutcome, TableOutcome, Verification, Verified, When,
};
use crate::ops::until_cancelled;
use crate::schema::TableSchema;
use crate::store::Writer;
use apply_boost::RevertReport;
use apply_settings::SettingsApplier;
use extra_items::{DeletedItems, delete_extra};
use table::{EnsuredTable, TargetTable, wait_interrupted};
use transfer::{ItemTransfer, TransferOutcome};
use transfer_totals::TransferTotals;

/// Restores as planned. Stops cleanly when `cancel` fires.
///
/// # Errors
/// The table cannot be created or does not become `ACTIVE`; writes make no progress for too long; the dump cannot be read to
/// its end; an item was rejected in strict mode; interrupted. Items written before remain in the table, and the restore can be
/// [resumed](crate::ops::restore::RestoreRequest::resume).
pub async fn run(
    store: &Writer,
    mut plan: RestorePlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary> {
    if let Some(restore) = plan.prepared.backup.take() {
        return Box::pin(from_backup::run(store, plan, restore, reporter, cancel)).await;
    }

    let started = Instant::now();
    let mut journal = plan.open_journal(&reporter)?;
    if let Some(units) = plan
        .max_read_units
        .as_ref()
        .and_then(|cap| cap.units(false))
    {
        store.reader().cap_reads(&plan.target.table, units);
    }

    // Nothing is changed before there is an item to write.
    let transfer = ItemTransfer::start(store, &mut plan, &reporter, &cancel).await?;
    let mut boost = plan.prepared.boost.take();
    let settings = std::mem::take(&mut plan.prepared.settings);
    if settings.follow_items() {
        journal.save_short_transfers();
    }

    let table_name = plan.target.table.clone();
    let table = TargetTable {
        store,
        name: &table_name,
        reporter: reporter.as_ref(),
        cancel: &cancel,
    };

    let ensured = ensure_table(&table, &plan, &mut journal, &settings, boost.as_ref()).await?;
    let table_outcome = ensured.outcome;
    let mut applier = SettingsApplier::new(&table);
    let written = Box::pin(async {
        let opened = (&mut plan, &mut journal);
        prepare_table(&mut applier, opened, &settings, ensured, &mut boost).await?;
        let written = write_items(store, &plan, &mut journal, transfer, &reporter, &cancel).await?;
        applier.check_not_recreated().await?;
        if written.verified.lacking() == 0 {
            let indexing = applier.apply_all(&settings.indexing, When::Indexing);
            indexing.await?;
        }

        Ok(written)
    })
    .await;

    // The boost costs money: it is reverted whether the items were written or not.
    let (boost, reverted) =
        revert_boost(boost, &applier, &plan, &mut journal, written.is_err()).await;
    let written = written
        .and_then(|written| reverted.map(|()| written))
        .inspect_err(|_| applier.report_failures())?;
    let is_incomplete = written.verified.lacking() > 0;
    apply_final_settings(&mut applier, &plan, &settings, is_incomplete).await?;

    let mut setting_outcomes = applier.outcomes;
    let choice = &plan.prepared.request.settings;
    let skipped = settings.skipped.into_iter();
    setting_outcomes.extend(skipped.map(|skipped| SettingOutcome::skipped(skipped, choice)));
    plan.end_journal(&mut journal, table_outcome, is_incomplete)
        .await?;

    Ok(written.summary(plan, table_outcome, boost, setting_outcomes, started))
}

/// Creates or replaces the table. Before a table is created, the journal records it.
async fn ensure_table(
    table: &TargetTable<'_>,
    plan: &RestorePlan,
    journal: &mut Journal,
    settings: &Settings,
    boost: Option<&TemporaryBoost>,
) -> Result<EnsuredTable> {
    if plan.action.creates() {
        plan.commit_start(journal, boost).await?;
    }

    let create = settings.create.clone();
    let create = create.map(|create| create.with_restoring_tag(&plan.restoring_tag()));
    match table.ensure(&plan.action, create.as_ref()).await {
        Ok(ensured) => Ok(ensured),
        Err(error) => Err(plan
            .creation_failed(table.store, journal, error, table.cancel)
            .await),
    }
}

/// Waits until the table is ready, updates the journal, boosts the table, and applies the settings that come before the items.
async fn prepare_table(
    applier: &mut SettingsApplier<'_>,
    (plan, journal): (&mut RestorePlan, &mut Journal),
    settings: &Settings,
    ensured: EnsuredTable,
    boost: &mut Option<TemporaryBoost>,
) -> Result<()> {
    let table = applier.table;
    if ensured.outcome != TableOutcome::Kept {
        let active_table = table.wait_until_ensured(&ensured).await?;
        if let Err(error) = plan.refuse_other_table(&active_table) {
            // The boost was planned for another table: do not touch this one.
            *boost = None;
            return Err(error);
        }

        if plan.action.creates() {
            plan.prepared.run_state.is_tagged = ensured.is_tagged;
            plan.lock_created(&active_table, journal)?;
            // The id proves later that the table is the one that this restore created.
            let id = table_id(&active_table);
            let progress = plan.prepared.run_state.start_progress.clone();
            plan.prepared.run_state.table_id.clone_from(&id);
            let created = |job: &mut RestoreJob| {
                job.table_id = id;
                job.progress = progress;
            };
            journal.commit(created).await?;
        } else {
            refuse_filled_table(table, plan, &active_table).await?;
            plan.commit_start(journal, boost.as_ref()).await?;
        }

        plan.prepared.run_state.is_table_changed =
            plan.action.creates() || boost.is_some() || !settings.before.is_empty();
        applier.active_table = Some(active_table);
    }

    let interrupted = || wait_interrupted(table.name, "described");
    until_cancelled(
        table.cancel,
        interrupted,
        applier.record_creation(settings, ensured.refused),
    )
    .await?;

    if let Some(boost) = boost {
        boost.start(applier).await?;
    }

    // The cap depends on whether the boost succeeded. No item has been written yet.
    let is_boosted = boost.as_ref().is_some_and(TemporaryBoost::is_in_force);
    let cap = plan.max_write_units.as_ref();
    if let Some(units) = cap.and_then(|cap| cap.units(is_boosted)) {
        table.store.cap_writes(table.name, units);
    }

    applier.apply_all(&settings.before, When::Before).await
}

/// Refuses a table that was empty when the restore was planned, and contains items now.
async fn refuse_filled_table(
    table: &TargetTable<'_>,
    plan: &RestorePlan,
    active_table: &TableSchema,
) -> Result<()> {
    let must_be_empty = plan.prepared.run_state.must_be_empty;
    if !must_be_empty || !has_items(table.store.reader(), active_table, table.name).await? {
        return Ok(());
    }

    Err(Error::failed(format!(
        "table {} was empty when this restore was planned, and contains items now",
        table.name
    ))
    .with_hint("run the same command again: it plans with the current state"))
}

/// Applies the settings that come after the items, and removes the tag of an unfinished restore. The verification comes before them,
/// because TTL may delete items while they are compared. If items are missing, the next run writes them again; consumers of a stream
/// need not see that, so nothing is applied.
async fn apply_final_settings(
    applier: &mut SettingsApplier<'_>,
    plan: &RestorePlan,
    settings: &Settings,
    is_incomplete: bool,
) -> Result<()> {
    if is_incomplete {
        for calls in [&settings.indexing, &settings.after] {
            applier.skip(calls, "the table lacks items; the next restore applies it");
        }

        return applier.confirm().await;
    }

    let result = applier.apply_all(&settings.after, When::After).await;
    let result = match result {
        Ok(()) => applier.confirm().await,
        Err(error) => Err(error),
    };
    result.inspect_err(|_| applier.report_failures())?;
    if !(settings.indexing.is_empty() && settings.after.is_empty()) {
        applier.check_not_recreated().await?;
    }

    // Before the journal is removed: a table with the tag and without a journal would look unfinished.
    if plan.prepared.run_state.is_tagged && !plan.prepared.keeps_journal {
        applier.remove_restoring_tag().await?;
    }

    Ok(())
}

/// Reverts the boost, and removes it from the journal. If an interruption prevents that, the journal keeps it, and that is the error.
async fn revert_boost(
    boost: Option<TemporaryBoost>,
    applier: &SettingsApplier<'_>,
    plan: &RestorePlan,
    journal: &mut Journal,
    is_failed: bool,
) -> (Option<BoostOutcome>, Result<()>) {
    let Some(boost) = boost else {
        return (None, Ok(()));
    };

    let RevertReport {
        outcome,
        unfinished,
    } = boost.revert(applier, &plan.target, is_failed).await;
    if let Some(unfinished) = unfinished {
        return (outcome, Err(unfinished));
    }

    let is_reverted = outcome
        .as_ref()
        .is_none_or(|outcome| outcome.not_reverted.is_none());
    if journal.is_committed()
        && is_reverted
        && let Err(error) = journal.commit(|job| job.boost = None).await
    {
        applier
            .table
            .reporter
            .report(Event::Warning(error.to_string()));
    }

    (outcome, Ok(()))
}

/// Totals and verification of the items.
#[derive(Debug)]
struct WrittenData {
    totals: TransferTotals,
    deleted: Option<DeletedItems>,
    verified: Verified,
}

/// Writes and verifies the items, if there are any.
async fn write_items(
    store: &Writer,
    plan: &RestorePlan,
    journal: &mut Journal,
    transfer: Option<ItemTransfer>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<WrittenData> {
    let Some(transfer) = transfer else {
        return Ok(WrittenData {
            totals: TransferTotals::default(),
            deleted: None,
            verified: Verified::None,
        });
    };

    let key = transfer.key().clone();
    let TransferOutcome { totals, result } =
        transfer.write_all(plan, journal, reporter, cancel).await?;
    if let Err(error) = result {
        let error = totals.describe_stop(&plan.prepared.request, &plan.source, error);
        let is_anything_changed = totals.is_sent || plan.prepared.run_state.is_table_changed;
        return Err(if is_anything_changed {
            error
        } else {
            plan.restore_previous_journal(journal, error).await
        });
    }

    check_stream_complete(plan, &totals, reporter.as_ref())?;
    totals.check(plan.source.items.map(|items| items + plan.unreadable()))?;
    plan.prepared.source.check_not_recreated().await?;
    let deleting = delete_extra(store, plan, &key, &totals, reporter, cancel);
    let deleted = Box::pin(deleting).await?;

    // If every item was rejected, skipped or filtered out, there is nothing to verify.
    let is_nothing_written = totals.counts.read > 0 && totals.counts.written == 0;
    let verified = match plan.verify {
        Verification::None => Verified::None,
        _ if is_nothing_written => Verified::None,
        Verification::Full => {
            let unwritten = totals.unwritten_files();
            verify::verify_all(store.reader(), plan, &key, unwritten, reporter, cancel).await?
        }
        Verification::Acknowledged => Verified::Acknowledged,
    };

    Ok(WrittenData {
        totals,
        deleted,
        verified,
    })
}

/// Checks that standard input is complete, which is known only at its end. If it is not, the journal remains.
fn check_stream_complete(
    plan: &RestorePlan,
    totals: &TransferTotals,
    reporter: &dyn Reporter,
) -> Result<()> {
    if !plan.prepared.source.is_stream() {
        return Ok(());
    }

    let warning = plan
        .prepared
        .source
        .accept_incomplete(plan.prepared.request.accept_incomplete)
        .map_err(|error| {
            error.with_details(vec![format!(
                "{} items were written; the restore counts as unfinished",
                totals.counts.written
            )])
        })?;
    if let Some(warning) = warning {
        reporter.report(Event::Warning(warning));
    }

    Ok(())
}

impl WrittenData {
    /// Number of items that a different item with the same key replaced. The items of an unmodified Scan are all different.
    fn overwritten(&self, plan: &RestorePlan) -> u64 {
        let TransferTotals {
            counts, collisions, ..
        } = &self.totals;
        if plan.prepared.source.is_unmodified_scan() {
            counts.superseded
        } else {
            counts.superseded.min(collisions.count)
        }
    }

    fn summary(
        self,
        plan: RestorePlan,
        table: TableOutcome,
        boost: Option<BoostOutcome>,
        settings: Vec<SettingOutcome>,
        started: Instant,
    ) -> RestoreSummary {
        let items_overwritten = self.overwritten(&plan);
        let TransferTotals {
            counts,
            is_sent: _,
            open: _,
            write_units,
            read_units,
            throttled_calls,
            rejects_file,
            conflicts_file,
            reject_reasons,
            rejected_by_index,
            collisions,
        } = self.totals;

        let is_source_complete =
            plan.source.complete && plan.prepared.source.incompleteness().is_none();
        let not_restored = plan.not_restored.iter();
        let not_restored =
            not_restored.map(|setting| format!("{}: {}", setting.setting, setting.reason));

        RestoreSummary {
            kept_because: plan.action.keep_reason(),
            source_read_units: plan.source.scan.as_ref().map(|_| read_units),
            source_noun: plan.source.noun(),
            deleted: self.deleted,
            source: plan.source.path,
            target: plan.target,
            restored_from: None,
            backup: None,
            table,
            items_read: counts.read,
            items_out: counts.out,
            items_changed: counts.changed,
            items_left_out: counts.filtered,
            collisions: collisions.count,
            collided: collisions.first,
            items_written: counts.written,
            items_already_there: counts.already_there,
            items_superseded: counts.superseded - items_overwritten,
            items_overwritten,
            items_rejected: counts.rejected,
            rejects_file,
            reject_reasons,
            rejected_by_index,
            items_skipped: counts.skipped,
            conflicts_file,
            resumed: plan.resumes,
            source_complete: is_source_complete,
            salvaged: plan.source.salvage,
            data_bytes: counts.bytes,
            consumed_write_units: write_units,
            throttled_calls,
            items_lost: self.verified.lacking(),
            verified: self.verified,
            boost,
            settings,
            not_restored: not_restored.collect(),
            seconds: started.elapsed().as_secs_f64(),
            table_id: plan.prepared.run_state.table_id,
        }
    }
}
