//! Dry run of restoring a set with a transform.

use std::sync::Arc;

use super::member::MemberPlan;
use super::plan::{RestoreSetPlan, interrupted};
use crate::ops::restore;
use crate::ops::set::mapping::MappedTable;
use crate::ops::set::runner::{TableBuffers, TableJob};
use crate::ops::set::trial::{self, TableTrial, TrialOptions};
use crate::ops::until_cancelled;

/// Reads the dumps of a plan and applies its transform. Each is checked, as before its restore. Writes nothing. `done` gets each result,
/// by the name of the target, as soon as it is known.
pub async fn dry_run(
    plan: RestoreSetPlan,
    options: &TrialOptions<'_>,
    done: impl FnMut(&TableTrial),
) -> Vec<TableTrial> {
    let jobs: Vec<_> = plan
        .tables
        .into_iter()
        .filter_map(|table| match table.plan {
            MemberPlan::Restore(preview) => Some(TableJob {
                table: table.target.clone(),
                bytes: preview.source.bytes.unwrap_or(0),
                work: MappedTable {
                    source: table.source,
                    target: table.target,
                },
            }),
            MemberPlan::Finished(_) | MemberPlan::Refused(_) => None,
        })
        .collect();
    let (run_options, shared) = (plan.options, plan.shared);
    let tables =
        run_options.tables_in_memory(jobs.iter().map(|job| job.bytes), TableBuffers::Single);
    let _memory = shared.store.share_memory(tables);

    let preview = options.preview;
    let start = |table: MappedTable, reporter, cancel| {
        let shared = Arc::clone(&shared);
        async move {
            let request = shared.request(&table)?;
            let (store, environment) = (&shared.store, &shared.environment);
            let planning = restore::plan(store, environment, request, Arc::clone(&reporter));
            let planning = Box::pin(planning);
            let plan = until_cancelled(&cancel, || interrupted("read"), planning).await?;

            Box::pin(restore::dry_run(&plan, preview, &reporter, &cancel)).await
        }
    };

    trial::run(jobs, run_options, options, start, done).await
}
