//! Dry run of a dump of several tables with a transform.

use super::plan::{SetDumpPlan, TableState};
use crate::ops::dump;
use crate::ops::set::runner::{RunOptions, TableBuffers, TableJob};
use crate::ops::set::trial::{self, TableTrial, TrialOptions};
use crate::store::Reader;

/// Reads the tables of a plan and applies its transform. Writes nothing. `done` gets each result as soon as it is known.
pub async fn dry_run(
    store: &Reader,
    plan: SetDumpPlan,
    options: &TrialOptions<'_>,
    done: impl FnMut(&TableTrial),
) -> Vec<TableTrial> {
    let run_options = RunOptions {
        parallel_tables: plan.parallel_tables,
        fail_fast: plan.request.fail_fast,
    };
    let jobs: Vec<_> = plan
        .tables
        .into_iter()
        .filter_map(|table| match table.state {
            TableState::Dump(plan) => Some(TableJob {
                table: table.table,
                bytes: plan.bytes,
                work: plan,
            }),
            TableState::Finished(_) | TableState::Failed(_) => None,
        })
        .collect();
    let tables =
        run_options.tables_in_memory(jobs.iter().map(|job| job.bytes), TableBuffers::Single);
    let _memory = store.share_memory(tables);

    let preview = options.preview;
    let start = |mut plan: Box<dump::DumpPlan>, reporter, cancel| {
        let store = store.clone();
        async move {
            let trying = dump::dry_run(&store, &mut plan, preview, &reporter, &cancel);
            Box::pin(trying).await
        }
    };

    trial::run(jobs, run_options, options, start, done).await
}
