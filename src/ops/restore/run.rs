//! Carries a restore out: table, items, check, settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::apply::Applying;
use super::boost::{Boosting, Ended};
use super::checkpoint::is_scan;
use super::ledger::Counts;
use super::marker::{Mark, Marker, Wrote, table_id};
use super::moving::Moving;
use super::plan::{Own, RestorePlan, TableAction};
use super::settings::Settings;
use super::writing::Moved;
use super::{
    BoostOutcome, RestoreSummary, SettingOutcome, TableOutcome, Verification, Verified, When,
    table, verify,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::ops::{recreated, until_cancelled};
use crate::place::FileLock;
use crate::schema::{Setting, TableSchema};
use crate::store::WriteStore;

/// Restores as planned. Stops cleanly when `cancel` fires.
///
/// # Errors
/// The table cannot be created or does not become `ACTIVE`; writes make no progress for too long; the dump cannot be read to
/// its end; an item was rejected and the run was to stop there; interrupted. What was written until then stays, and
/// [`resume`](super::RestoreRequest::resume) goes on from there.
pub async fn run<S>(
    store: &S,
    mut plan: RestorePlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary>
where
    S: WriteStore + Clone + 'static,
{
    let started = Instant::now();
    let _lock = plan.lock()?;
    if let Some(units) = plan.max_write_units {
        store.cap_writes(units);
    }

    // Nothing is changed before there is an item to write.
    let moving = Moving::start(store, &mut plan, &reporter, &cancel).await?;
    let mut boost = plan.parts.boost.take();
    if plan.action.creates() {
        plan.mark(boost.as_ref())?;
    }

    let (outcome, refused) = match table::ensure(store, &plan, reporter.as_ref(), &cancel).await {
        Ok(ensured) => ensured,
        Err(error) => return Err(plan.not_ensured(store, error, &cancel).await),
    };
    let settings = std::mem::take(&mut plan.parts.settings);
    let table = plan.target.table.clone();
    let mut applying = Applying {
        store,
        table: &table,
        reporter: reporter.as_ref(),
        cancel: &cancel,
        ready: None,
        outcomes: Vec::new(),
    };

    let data = async {
        prepare(
            &mut applying,
            &mut plan,
            &settings,
            (outcome, refused),
            &mut boost,
        )
        .await?;

        let data = match moving {
            Some(moving) => data(store, &plan, moving, &reporter, &cancel).await?,
            None => Data {
                moved: Moved::default(),
                verified: Verified::None,
            },
        };

        applying.check_not_recreated().await?;
        Ok(data)
    }
    .await;

    let (boost, reverted) = end(boost, &applying, &plan, data.is_err()).await;
    let data = data
        .and_then(|data| reverted.map(|()| data))
        .inspect_err(|_| applying.tell_failures())?;
    let lost = data.lost();

    // The check comes first: TTL may delete items while they are compared. And what is not all there is written again by the next
    // run, which a stream's consumers need not see.
    if lost > 0 {
        applying.leave(
            &settings.after,
            "the table lacks items; the next run applies it",
        );
    } else {
        let made = applying.make(&settings.after, When::After).await;
        made.inspect_err(|_| applying.tell_failures())?;
        if !settings.after.is_empty() {
            applying.check_not_recreated().await?;
        }
    }

    let mut outcomes = applying.outcomes;
    outcomes.extend(settings.skipped.into_iter().map(SettingOutcome::skipped));
    plan.end_marker(outcome, lost > 0)?;
    Ok(RestoreSummary {
        boost,
        ..data.summary(plan, outcome, outcomes, started)
    })
}

/// Makes the table ready for the items.
async fn prepare<S: WriteStore>(
    applying: &mut Applying<'_, S>,
    plan: &mut RestorePlan,
    settings: &Settings,
    (outcome, refused): (TableOutcome, Vec<(Setting, String)>),
    boost: &mut Option<Boosting>,
) -> Result<()> {
    if outcome != TableOutcome::Kept {
        let table = table::until_active(
            applying.store,
            applying.table,
            applying.reporter,
            applying.cancel,
        )
        .await?;

        if let Err(error) = plan.refuse_other_table(&table) {
            // It is another table than the one that was to be boosted.
            *boost = None;
            return Err(error);
        }

        if plan.action.creates() {
            plan.parts.own.table_id = table_id(&table);
            plan.leave_marker(boost.as_ref())?;
        } else {
            plan.mark(boost.as_ref())?;
        }

        plan.parts.own.is_changed =
            plan.action.creates() || boost.is_some() || !settings.before.is_empty();
        applying.ready = Some(table);
    }

    let interrupted = || table::stopped(applying.table, "described");
    until_cancelled(
        applying.cancel,
        interrupted,
        applying.note_creation(settings, refused),
    )
    .await?;

    if let Some(boost) = boost {
        boost.raise(applying).await?;
    }

    applying.make(&settings.before, When::Before).await
}

/// Reverts the boost, whether the items were written or not. The marker forgets a boost that was reverted; what an interruption left
/// unfinished stays recorded, and is the error.
async fn end<S: WriteStore>(
    boost: Option<Boosting>,
    applying: &Applying<'_, S>,
    plan: &RestorePlan,
    is_failed: bool,
) -> (Option<BoostOutcome>, Result<()>) {
    let Some(boost) = boost else {
        return (None, Ok(()));
    };

    let Ended {
        outcome,
        unfinished,
    } = boost.end(applying, &plan.target, is_failed).await;
    if let Some(unfinished) = unfinished {
        return (outcome, Err(unfinished));
    }

    if plan.parts.own.is_marked
        && outcome
            .as_ref()
            .is_none_or(|outcome| outcome.not_taken_back.is_none())
        && let Err(error) = plan.leave_marker(None)
    {
        applying.reporter.report(Event::Warning(error.to_string()));
    }

    (outcome, Ok(()))
}

impl RestorePlan {
    /// Keeps other restores from the table, where a marker is kept.
    fn lock(&self) -> Result<Option<FileLock>> {
        self.parts
            .marker
            .as_ref()
            .filter(|_| self.action != TableAction::Keep)
            .map(Marker::lock)
            .transpose()
    }

    /// Marks the table as one whose restore has not ended. From here on, no later run continues from an earlier checkpoint, unless
    /// this one does.
    fn mark(&mut self, boost: Option<&Boosting>) -> Result<()> {
        self.forget_checkpoint()?;
        self.leave_marker(boost)?;
        self.parts.own.is_marked = true;

        Ok(())
    }

    /// Writes the marker of a restore that has not ended, with the boost that is to be reverted.
    fn leave_marker(&self, boost: Option<&Boosting>) -> Result<()> {
        let marker = self
            .parts
            .marker
            .as_ref()
            .filter(|_| self.action != TableAction::Keep);

        let Some(marker) = marker else { return Ok(()) };
        let boost = boost
            .map(|boost| boost.marked(&self.target.table))
            .transpose()?;
        let Own {
            created,
            table_id,
            earlier,
            ..
        } = &self.parts.own;

        let wrote = match &self.parts.identity {
            _ if !self.parts.request.content.includes_items() => Wrote::Nothing,
            Some(identity) => Wrote::ItemsOf(Box::new(identity.clone())),
            None => Wrote::Unknown,
        };

        let earlier = earlier.as_ref().filter(|_| !self.action.creates());
        let wrote = earlier.map_or(wrote.clone(), |earlier| earlier.wrote.clone().and(wrote));
        let (source, created, table_id) = (self.source.path.clone(), *created, table_id.clone());
        marker.leave(
            &self.target,
            &Mark {
                source,
                created,
                wrote,
                table_id,
                boost,
            },
        )
    }

    /// Restores the marker of before, for a run that has changed nothing.
    fn unmark(&self, error: Error) -> Error {
        let Some(marker) = self
            .parts
            .marker
            .as_ref()
            .filter(|_| self.parts.own.is_marked)
        else {
            return error;
        };

        let unmarked = match &self.parts.own.earlier {
            Some(earlier) => marker
                .remove_checkpoint()
                .and_then(|()| marker.leave(&self.target, earlier)),
            None => marker.remove(),
        };

        match unmarked {
            Ok(()) => error,
            Err(other) => error.with_details(vec![other.to_string()]),
        }
    }

    /// If creation failed, restores the previous marker: a table that appears later is not this restore's. If it is not known whether the
    /// request took effect, the marker stays.
    async fn not_ensured(
        &self,
        store: &impl WriteStore,
        error: Error,
        cancel: &CancellationToken,
    ) -> Error {
        if error.kind() == ErrorKind::Interrupted {
            return error;
        }

        let found = until_cancelled(
            cancel,
            || table::stopped(&self.target.table, "described"),
            store.describe(&self.target.table),
        );

        match (
            found.await,
            self.parts
                .marker
                .as_ref()
                .filter(|_| self.parts.own.is_marked),
        ) {
            (Err(_), _) | (_, None) => error,
            (Ok(Some(_)), _) => self.unmark(error),
            (Ok(None), Some(marker)) => match marker.remove() {
                Ok(()) => error,
                Err(other) => error.with_details(vec![other.to_string()]),
            },
        }
    }

    /// Between the plan and the first write, a table can be deleted and created again. With another key, items would overwrite
    /// each other.
    fn refuse_other_table(&self, table: &TableSchema) -> Result<()> {
        let found = table.key_schema()?;
        match &self.parts.bound.key {
            Some(key) if *key != found => {
                let what = format!(
                    "table {} has another key now than when this restore was planned",
                    self.target.table
                );
                Err(Error::schema_mismatch(what)
                    .with_hint("run the same command again: it looks anew at what is there"))
            }
            _ if self.is_another(table) => Err(recreated::recreated_error(&self.target.table)),
            _ => Ok(()),
        }
    }

    /// Whether `table` is not the one that was planned for.
    fn is_another(&self, table: &TableSchema) -> bool {
        let planned = self
            .parts
            .own
            .table_id
            .as_ref()
            .filter(|_| !self.action.creates());

        planned
            .zip(table_id(table))
            .is_some_and(|(planned, found)| *planned != found)
    }

    /// Of a stream, it is known only at its end whether it is complete. If it is not, the table stays marked as unfinished.
    fn judge_stream(&self, moved: &Moved, reporter: &dyn Reporter) -> Result<()> {
        if !self.parts.source.is_stream() {
            return Ok(());
        }

        let written = || {
            vec![format!(
                "{} items were written; the restore counts as unfinished",
                moved.counts.written
            )]
        };

        let accepted = self
            .parts
            .source
            .accept_incomplete(self.parts.request.accept_incomplete);
        if let Some(warning) = accepted.map_err(|error| error.with_details(written()))? {
            reporter.report(Event::Warning(warning));
        }

        Ok(())
    }

    /// Pieces of a damaged dump that are rejected without being read as items.
    pub(crate) fn unreadable(&self) -> u64 {
        self.source.salvage.map_or(0, |salvage| salvage.unreadable)
    }

    /// Sees that nobody goes on from where another restore has stopped, unless this one does.
    fn forget_checkpoint(&self) -> Result<()> {
        let begins = self.action != TableAction::Keep
            && self.parts.request.content.includes_items()
            && self.resumes.is_none();
        match self.parts.marker.as_ref().filter(|_| begins) {
            Some(marker) => marker.remove_checkpoint(),
            None => Ok(()),
        }
    }

    /// Removes the marker of a restore that has ended. Where the table lacks items it stays, and the next run writes all of them.
    fn end_marker(&self, outcome: TableOutcome, is_lacking: bool) -> Result<()> {
        let Some(marker) = self
            .parts
            .marker
            .as_ref()
            .filter(|_| outcome != TableOutcome::Kept)
        else {
            return Ok(());
        };

        match (is_lacking, self.parts.keeps_marker) {
            (true, _) => marker.remove_checkpoint(),
            (false, false) => marker.remove(),
            (false, true) => Ok(()),
        }
    }
}

/// What the data phase did.
#[derive(Debug)]
struct Data {
    moved: Moved,
    verified: Verified,
}

/// Writes the items and checks them.
async fn data<S>(
    store: &S,
    plan: &RestorePlan,
    moving: Moving<S>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Data>
where
    S: WriteStore + Clone + 'static,
{
    let key = moving.key.clone();
    let (moved, done) = moving.all(plan, reporter).await?;
    if let Err(error) = done {
        let error = moved.stopped(error);
        return Err(if moved.is_sent || plan.parts.own.is_changed {
            error
        } else {
            plan.unmark(error)
        });
    }

    plan.judge_stream(&moved, reporter.as_ref())?;
    moved.check(plan.source.items.map(|items| items + plan.unreadable()))?;

    // If every item was rejected, skipped or left out, there is nothing to verify.
    let is_nothing_written = moved.counts.read > 0 && moved.counts.written == 0;
    let verified = match plan.verify {
        Verification::None => Verified::None,
        _ if is_nothing_written => Verified::None,
        Verification::Full => {
            verify::full(store, plan, &key, moved.unwritten_files(), reporter, cancel).await?
        }
        Verification::Acknowledged => Verified::Acknowledged,
    };

    Ok(Data { moved, verified })
}

impl Data {
    /// Acknowledged items that are missing in the table or have other contents there.
    fn lost(&self) -> u64 {
        self.verified.lacking()
    }

    /// Items that a different item with the same key replaced. The items of a Scan are all different.
    fn overwritten(&self, plan: &RestorePlan) -> u64 {
        let Moved {
            counts, collisions, ..
        } = &self.moved;
        if is_scan(&plan.parts.source) {
            counts.superseded
        } else {
            counts.superseded.min(collisions.count)
        }
    }

    fn summary(
        self,
        plan: RestorePlan,
        table: TableOutcome,
        settings: Vec<SettingOutcome>,
        started: Instant,
    ) -> RestoreSummary {
        let (items_lost, items_overwritten) = (self.lost(), self.overwritten(&plan));
        let Moved {
            counts,
            is_sent: _,
            open: _,
            write_units,
            throttled_calls,
            rejects_file,
            conflicts_file,
            collisions,
        } = self.moved;

        let not_restored = plan
            .not_restored
            .iter()
            .map(|setting| format!("{}: {}", setting.setting, setting.reason));
        RestoreSummary {
            not_restored: not_restored.collect(),
            source: plan.source.path,
            target: plan.target,
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
            items_skipped: counts.skipped,
            conflicts_file,
            resumed: plan.resumes,
            source_complete: plan.source.complete && plan.parts.source.incompleteness().is_none(),
            salvaged: plan.source.salvage,
            data_bytes: counts.bytes,
            consumed_write_units: write_units,
            throttled_calls,
            items_lost,
            verified: self.verified,
            boost: None,
            settings,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

impl Moved {
    /// What was read must be what the check had counted, and of all of it must be known what became of it.
    fn check(&self, expected: Option<u64>) -> Result<()> {
        let Counts { read, out, .. } = self.counts;
        let accounted = self.counts.accounted();
        if out != accounted || self.open > 0 {
            let what = format!(
                "{} items were to be written, and {accounted} are accounted for",
                out + self.open as u64
            );
            return Err(Error::failed(what)
                .with_hint("compare dump and table with verifydb; this should be reported"));
        }

        match expected {
            Some(expected) if expected != read => {
                let what =
                    format!("the dump changed: {expected} items were checked, {read} were read");
                Err(Error::damaged(what).with_hint("run the same command again"))
            }
            _ => Ok(()),
        }
    }

    /// A failure, with what was done before it.
    pub(crate) fn stopped(&self, error: Error) -> Error {
        let done = format!(
            "{} of {} items read were written before",
            self.counts.written,
            self.read_at_all()
        );

        if error.kind() == ErrorKind::Interrupted {
            return Error::new(ErrorKind::Interrupted, format!("interrupted: {done}"))
                .with_hint("run the same command again: items already written are written again, to the same effect");
        }

        let stopped = Error::new(error.kind(), format!("the restore stopped: {done}"));
        let hint = error
            .hint()
            .unwrap_or("run it again when the cause is gone")
            .to_owned();

        stopped.with_hint(hint).with_source(error)
    }

    /// The files of items that were rejected or skipped.
    fn unwritten_files(&self) -> Vec<PathBuf> {
        [&self.rejects_file, &self.conflicts_file]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn read_at_all(&self) -> u64 {
        self.counts.read + self.open as u64
    }
}
