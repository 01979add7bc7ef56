//! Executes the plan of a dump of several tables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::plan::{PlannedTable, SetDumpPlan, TableState};
use super::{DumpedMember, SetDumpSummary};
use crate::backup::{Compression, MemberOutcome, SetDraft, SetWriter};
use crate::error::{ErrorKind, Result};
use crate::event::Reporter;
use crate::ops::dump::{self, DumpPlan};
use crate::ops::run_blocking;
use crate::ops::set::reporter::{SetReporter, TableReporter};
use crate::ops::set::runner::{
    self, RunOptions, TableBuffers, TableJob, TableOutcome, TableResult,
};
use crate::store::Reader;

/// Dumps the tables of a plan. `done` gets the result of each table as soon as it is known. When `cancel` fires, the tables stop
/// cleanly: a later run can resume them.
///
/// # Errors
/// The set is being written by another run; its manifest cannot be written. Failures of tables are results.
pub async fn run(
    store: &Reader,
    mut plan: SetDumpPlan,
    reporter: Arc<dyn SetReporter>,
    mut done: impl FnMut(&TableResult<DumpedMember>),
    cancel: &CancellationToken,
) -> Result<SetDumpSummary> {
    let started = Instant::now();
    let mut summary = SetDumpSummary {
        target: plan.target.clone(),
        tables: Vec::new(),
        is_published: false,
        is_interrupted: false,
        warnings: Vec::new(),
        seconds: 0.0,
    };
    let (jobs, mut results) = known_results(std::mem::take(&mut plan.tables), &mut done);

    // If no table can be dumped, nothing is changed.
    let is_dumped = |result: &TableResult<_>| matches!(result.outcome, TableOutcome::Finished(_));
    if jobs.is_empty() && !results.values().any(is_dumped) {
        summary.tables = results.into_values().collect();
        return Ok(summary);
    }

    let options = RunOptions {
        parallel_tables: plan.parallel_tables,
        fail_fast: plan.request.fail_fast,
    };
    let buffers = match plan.request.options.compression {
        Compression::None => TableBuffers::Single,
        Compression::Gzip | Compression::Zstd => TableBuffers::Double,
    };
    let tables = options.tables_in_memory(jobs.iter().map(|job| job.bytes), buffers);
    let _memory = store.share_memory(tables);
    let writer = begin(plan).await?;
    let start = |table: &str, dump, stop| {
        let reporter = TableReporter::new(table, Arc::clone(&reporter));
        dump_table(store.clone(), dump, Arc::new(reporter), stop)
    };
    let ended = runner::run(jobs, options, cancel, start, &mut done).await;
    let ended = ended.into_iter();
    results.extend(ended.map(|result| (result.table.clone(), result)));

    let outcomes: BTreeMap<_, _> = results.iter().map(member_outcome).collect();
    let is_pending = |outcome: &MemberOutcome| *outcome == MemberOutcome::Pending;
    let is_interrupted = cancel.is_cancelled() && outcomes.values().any(is_pending);
    let finished = run_blocking("writing the list of tables", move || {
        writer.finish(&outcomes, is_interrupted)
    })
    .await?;

    Ok(SetDumpSummary {
        tables: results.into_values().collect(),
        is_published: finished.is_published,
        is_interrupted,
        warnings: finished.warnings,
        seconds: started.elapsed().as_secs_f64(),
        ..summary
    })
}

type Results = BTreeMap<String, TableResult<DumpedMember>>;

/// The tables to dump, and the results of those whose outcome the plan knows.
fn known_results(
    planned: Vec<PlannedTable>,
    done: &mut impl FnMut(&TableResult<DumpedMember>),
) -> (Vec<TableJob<Box<DumpPlan>>>, Results) {
    let (mut jobs, mut results) = (Vec::new(), BTreeMap::new());
    for PlannedTable { table, state } in planned {
        let outcome = match state {
            TableState::Dump(dump) => {
                jobs.push(job(table, dump));
                continue;
            }
            TableState::Finished(dump) => TableOutcome::Finished(DumpedMember::Before(dump)),
            TableState::Failed(error) => TableOutcome::Failed(error),
        };

        let result = TableResult {
            table: table.clone(),
            outcome,
        };
        done(&result);
        results.insert(table, result);
    }

    (jobs, results)
}

fn job(table: String, plan: Box<DumpPlan>) -> TableJob<Box<DumpPlan>> {
    TableJob {
        table,
        bytes: plan.bytes,
        work: plan,
    }
}

/// Locks the set, and lists its tables as pending.
async fn begin(plan: SetDumpPlan) -> Result<SetWriter> {
    let access = dump::file_access(&plan.source);
    let draft = SetDraft {
        environment: plan.source.environment,
        region: plan.source.region,
        endpoint: plan.source.endpoint,
        started_at: plan.resumes.unwrap_or_else(Utc::now),
        options_sha256: plan.options_sha256,
        tables: plan.request.tables,
    };
    let (set, state_dir) = (plan.set, plan.request.options.state_dir);

    run_blocking("preparing the target", move || {
        set.begin(draft, access, state_dir.as_deref())
    })
    .await
}

async fn dump_table(
    store: Reader,
    plan: Box<DumpPlan>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpedMember> {
    let table = plan.source.table.clone();
    let dumped = dump::run(&store, *plan, reporter, cancel).await;
    store.forget(&table);

    Ok(DumpedMember::Now(Box::new(dumped?)))
}

/// The outcome of a table as the manifest lists it. A table that was stopped is pending: a resumed run dumps it.
fn member_outcome(
    (table, result): (&String, &TableResult<DumpedMember>),
) -> (String, MemberOutcome) {
    let outcome = match &result.outcome {
        TableOutcome::Finished(_) => MemberOutcome::Dumped,
        TableOutcome::Failed(error) if error.kind() != ErrorKind::Interrupted => {
            MemberOutcome::Failed(error.to_string())
        }
        TableOutcome::Failed(_) | TableOutcome::NotStarted => MemberOutcome::Pending,
    };

    (table.clone(), outcome)
}
