//! Restores the tables of a set, a few at a time.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::member::{MemberPlan, PlannedMember, RestoredMember, RestoredTable};
use super::plan::{RestoreSetPlan, Shared, interrupted};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::ops::restore::{self, RestorePlan, RestorePreview, RestoreSummary};
use crate::ops::set::journal::OpenSetJournal;
use crate::ops::set::mapping::MappedTable;
use crate::ops::set::reporter::{SetReporter, TableReporter};
use crate::ops::set::runner::{self, TableBuffers, TableJob, TableOutcome, TableResult};
use crate::ops::until_cancelled;
use crate::store::Writer;

/// Restores the tables of a set as planned. Each table is planned again when its restore starts: its dump is checked then, and the table
/// may have changed since the plan. `done` gets the result of each restore as soon as it has ended.
///
/// The results have the order of the plan. A table that fails does not stop the others, unless the plan says so.
///
/// # Errors
/// Another run restores the set; its journal cannot be locked.
pub async fn run(
    store: &Writer,
    plan: RestoreSetPlan,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
    done: impl FnMut(&TableResult<Box<RestoreSummary>>),
) -> Result<Vec<RestoredMember>> {
    let has_work = plan.has_work();
    let of_set = TableReporter::new(&plan.source.path, Arc::clone(&reporter));
    let journal = match plan.journal {
        Some(journal) if has_work => journal.open(&of_set)?,
        _ => None,
    };
    let running = Arc::new(Running {
        store: store.clone(),
        shared: plan.shared,
        reporter,
        journal,
    });

    let mut jobs = Vec::new();
    let mut members = Vec::new();
    for table in plan.tables {
        let (member, job) = split(table);
        members.push(member);
        jobs.extend(job.filter(|_| has_work));
    }

    let tables = plan
        .options
        .tables_in_memory(jobs.iter().map(|job| job.bytes), TableBuffers::Single);
    let _memory = store.reader().share_memory(tables);

    let start = |_: &str, work: TableWork, cancel: CancellationToken| {
        let running = Arc::clone(&running);
        async move {
            let restored = Box::pin(running.restore(&work, &cancel)).await;
            running.store.reader().forget(&work.table.target);

            restored
        }
    };
    let results = runner::run(jobs, plan.options, cancel, start, done).await;
    for (member, result) in unfinished(&mut members).zip(results) {
        member.result = match result.outcome {
            TableOutcome::Finished(summary) => RestoredTable::Restored(summary),
            TableOutcome::Failed(error) => RestoredTable::Failed(error),
            TableOutcome::NotStarted => RestoredTable::NotStarted,
        };
    }

    if let Some(journal) = &running.journal {
        let is_done = members.iter().all(|member| member.result.is_done());
        journal.end(is_done, &of_set);
    }

    Ok(members)
}

/// The members whose result is not known yet.
fn unfinished(members: &mut [RestoredMember]) -> impl Iterator<Item = &mut RestoredMember> {
    let members = members.iter_mut();
    members.filter(|member| matches!(member.result, RestoredTable::NotStarted))
}

/// A planned table as the result that it has so far, and its job if it will be restored.
fn split(table: PlannedMember) -> (RestoredMember, Option<TableJob<TableWork>>) {
    let PlannedMember {
        source,
        target,
        plan,
    } = table;
    let (result, job) = match plan {
        MemberPlan::Finished(before) => (RestoredTable::Finished(before), None),
        MemberPlan::Refused(error) => (RestoredTable::Failed(error), None),
        MemberPlan::Restore(preview) => {
            let job = TableJob {
                table: target.clone(),
                bytes: preview.source.bytes.unwrap_or(0),
                work: TableWork {
                    table: MappedTable {
                        source: source.clone(),
                        target: target.clone(),
                    },
                    preview,
                },
            };
            (RestoredTable::NotStarted, Some(job))
        }
    };

    let member = RestoredMember {
        source,
        target,
        result,
    };
    (member, job)
}

/// A table that will be restored, and the preview that was confirmed.
struct TableWork {
    table: MappedTable,
    preview: Box<RestorePreview>,
}

/// What the restores of all tables share.
struct Running {
    store: Writer,
    shared: Arc<Shared>,
    reporter: Arc<dyn SetReporter>,
    journal: Option<OpenSetJournal>,
}

impl Running {
    async fn restore(
        &self,
        work: &TableWork,
        cancel: &CancellationToken,
    ) -> Result<Box<RestoreSummary>> {
        let table = &work.table;
        let reporter = TableReporter::new(&table.target, Arc::clone(&self.reporter));
        let reporter = Arc::new(reporter);
        let request = self.shared.request(table)?;
        let planning = restore::plan(
            self.store.reader(),
            &self.shared.environment,
            request,
            Arc::clone(&reporter) as Arc<dyn Reporter>,
        );
        let planning = Box::pin(planning);
        let mut plan = until_cancelled(cancel, || interrupted("restored"), planning).await?;
        self.check_confirmed(&plan, &work.preview)?;
        if self.journal.is_some() {
            plan.joins_set();
        }

        report_more_warnings(&plan, &work.preview, &reporter);

        let restoring = restore::run(
            &self.store,
            plan,
            Arc::clone(&reporter) as _,
            cancel.clone(),
        );
        let summary = Box::new(Box::pin(restoring).await?);
        if let Some(journal) = &self.journal {
            let source_id = self.shared.source_id(table);
            journal
                .record(table, source_id, &summary, reporter.as_ref())
                .await;
        }

        Ok(summary)
    }

    /// Refuses a plan that differs from the one that was confirmed.
    fn check_confirmed(&self, plan: &RestorePlan, preview: &RestorePreview) -> Result<()> {
        let is_confirmed = self.store.confirmation().covers_approval(plan.approval());
        if is_confirmed && preview.agrees_with(plan) {
            return Ok(());
        }

        Err(Error::not_confirmed(format!(
            "table {} or its dump has changed since the restore was confirmed",
            plan.target.table
        ))
        .with_hint("run the same command again: it plans with the current state"))
    }
}

/// Reports the warnings that the check of the data has added.
fn report_more_warnings(plan: &RestorePlan, preview: &RestorePreview, reporter: &TableReporter) {
    let more = plan
        .warnings
        .iter()
        .filter(|warning| !preview.warnings.contains(warning));
    for warning in more {
        reporter.report(Event::Warning(warning.clone()));
    }
}
