//! Dry runs of transforms on several tables, a few at a time.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::reporter::{SetReporter, TableReporter};
use super::runner::{self, RunOptions, TableJob, TableResult};
use crate::error::Result;
use crate::event::Reporter;
use crate::ops::dry_run::{DryRunReport, PreviewOptions};

/// The result for one table; `None` if no item of it would be read.
pub type TableTrial = TableResult<Option<Box<DryRunReport>>>;

/// What the dry runs of all tables share.
pub struct TrialOptions<'a> {
    /// Which items of each table are kept to show them.
    pub preview: PreviewOptions,
    /// Receives the events.
    pub reporter: Arc<dyn SetReporter>,
    /// Stops the dry runs.
    pub cancel: &'a CancellationToken,
}

/// Calls `start` for each table with its work, a reporter and the token that stops it. `done` gets each result as soon as it is known.
pub(super) async fn run<W, F>(
    jobs: Vec<TableJob<W>>,
    run_options: RunOptions,
    options: &TrialOptions<'_>,
    start: impl Fn(W, Arc<dyn Reporter>, CancellationToken) -> F,
    done: impl FnMut(&TableTrial),
) -> Vec<TableTrial>
where
    F: Future<Output = Result<Option<DryRunReport>>> + Send + 'static,
{
    let start = |table: &str, work: W, cancel: CancellationToken| {
        let reporter = TableReporter::new(table, Arc::clone(&options.reporter));
        let trying = Box::pin(start(work, Arc::new(reporter), cancel));
        async move { Ok(trying.await?.map(Box::new)) }
    };

    runner::run(jobs, run_options, options.cancel, start, done).await
}
