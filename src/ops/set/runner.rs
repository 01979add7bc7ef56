//! Runs one job per table, a limited number of them in parallel. A table that fails does not stop the others.
//!
//! Small tables never wait for a large one: large tables get only part of the places while small ones are left.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

/// Tables in parallel by default. Most of the time of a small table is spent waiting for responses.
pub const PARALLEL_TABLES: NonZeroUsize = NonZeroUsize::new(8).expect("the number is not zero");

/// Size in bytes from which a table is large: its Scan is split into segments, which use all in-flight requests.
const LARGE_TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// Size in bytes from which a table counts when the memory is divided: the items of a smaller one do not fill its buffers.
const BUFFERED_TABLE_BYTES: u64 = 1024 * 1024;

/// The work for one table.
#[derive(Debug, Clone)]
pub struct TableJob<W> {
    /// Name of the table, as results and messages show it.
    pub table: String,
    /// Approximate size of the table in bytes.
    pub bytes: u64,
    /// Input of the function that is run for the table.
    pub work: W,
}

/// Options for running the jobs of several tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// Maximum number of tables in parallel.
    pub parallel_tables: NonZeroUsize,
    /// Stop all tables when one has failed.
    pub fail_fast: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            parallel_tables: PARALLEL_TABLES,
            fail_fast: false,
        }
    }
}

/// The buffers of the work on a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableBuffers {
    /// Those of a dump or those of a restore.
    Single,
    /// Those of a dump and of a restore together, or of a dump whose threads compress.
    Double,
}

impl RunOptions {
    /// The number of tables that share the memory, if the tables have these sizes in bytes. Of several tables with double buffers, each
    /// counts twice.
    pub(crate) fn tables_in_memory(
        &self,
        sizes: impl Iterator<Item = u64>,
        buffers: TableBuffers,
    ) -> NonZeroUsize {
        const TWICE: NonZeroUsize = NonZeroUsize::new(2).expect("not zero");

        let buffered = sizes.filter(|bytes| *bytes >= BUFFERED_TABLE_BYTES).count();
        let tables = NonZeroUsize::new(buffered)
            .map_or(NonZeroUsize::MIN, |tables| tables.min(self.parallel_tables));

        match buffers {
            TableBuffers::Double if tables > NonZeroUsize::MIN => tables.saturating_mul(TWICE),
            TableBuffers::Double | TableBuffers::Single => tables,
        }
    }
}

/// The outcome for one table.
#[derive(Debug)]
pub struct TableResult<S> {
    /// Name of the table.
    pub table: String,
    /// Its outcome.
    pub outcome: TableOutcome<S>,
}

/// What happened to one table.
#[derive(Debug)]
pub enum TableOutcome<S> {
    /// The job ended without an error.
    Finished(S),
    /// The job failed. [`Interrupted`](ErrorKind::Interrupted) if it was stopped by the user, or because another table failed.
    Failed(Error),
    /// The job was not started: the run was interrupted, or another table failed.
    NotStarted,
}

/// Runs `start` for each job and returns the results in the order of `jobs`. `done` gets each result as soon as the job has ended.
///
/// When `cancel` fires, no more jobs are started. The token given to each job fires then, and also if another table has failed with
/// `fail_fast`. The jobs end by themselves.
pub async fn run<W, S, F>(
    jobs: Vec<TableJob<W>>,
    options: RunOptions,
    cancel: &CancellationToken,
    start: impl Fn(&str, W, CancellationToken) -> F,
    mut done: impl FnMut(&TableResult<S>),
) -> Vec<TableResult<S>>
where
    S: Send + 'static,
    F: Future<Output = Result<S>> + Send + 'static,
{
    let stop = cancel.child_token();
    let mut results: Vec<_> = jobs.iter().map(|job| not_started(&job.table)).collect();
    let mut queue = TableQueue::new(jobs, options.parallel_tables);
    let mut running = JoinSet::new();
    let mut places: HashMap<Id, Place> = HashMap::new();

    loop {
        while !stop.is_cancelled()
            && let Some((place, job)) = queue.next()
        {
            let task = running.spawn(start(&job.table, job.work, stop.clone()));
            places.insert(task.id(), place);
        }

        let Some(ended) = running.join_next_with_id().await else {
            return results;
        };
        let (id, outcome) = match ended {
            Ok((id, Ok(summary))) => (id, TableOutcome::Finished(summary)),
            Ok((id, Err(error))) => (id, TableOutcome::Failed(error)),
            Err(error) => (error.id(), TableOutcome::Failed(stopped(error))),
        };

        let is_failure = matches!(outcome, TableOutcome::Failed(_));
        if is_failure && options.fail_fast {
            stop.cancel();
        }

        let place = take_place(&mut places, id);
        queue.release(place);
        let result = &mut results[place.position];
        result.outcome = outcome;
        done(result);
    }
}

fn not_started<S>(table: &str) -> TableResult<S> {
    TableResult {
        table: table.to_owned(),
        outcome: TableOutcome::NotStarted,
    }
}

fn take_place(places: &mut HashMap<Id, Place>, task: Id) -> Place {
    places.remove(&task).expect("each task has a place")
}

fn stopped(error: JoinError) -> Error {
    Error::failed("the work on this table stopped unexpectedly").with_source(error)
}

impl<S> TableResult<S> {
    /// Whether the table was not processed to its end because the run was stopped.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        match &self.outcome {
            TableOutcome::Finished(_) => false,
            TableOutcome::Failed(error) => error.kind() == ErrorKind::Interrupted,
            TableOutcome::NotStarted => true,
        }
    }
}

/// The place of a running job.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Position of the job in the list of all jobs.
    position: usize,
    is_large: bool,
}

/// Jobs that have not started, and the number of those that run.
struct TableQueue<W> {
    /// In the order of their size, the smallest first.
    small: VecDeque<(usize, TableJob<W>)>,
    /// The largest first, because it takes longest.
    large: VecDeque<(usize, TableJob<W>)>,
    places: usize,
    places_for_large: usize,
    running: usize,
    running_large: usize,
}

impl<W> TableQueue<W> {
    fn new(jobs: Vec<TableJob<W>>, parallel_tables: NonZeroUsize) -> Self {
        let mut jobs: Vec<_> = jobs.into_iter().enumerate().collect();
        jobs.sort_by_key(|(_, job)| job.bytes);
        let large = jobs.split_off(jobs.partition_point(|(_, job)| job.bytes < LARGE_TABLE_BYTES));
        let places = parallel_tables.get();

        Self {
            small: jobs.into(),
            large: large.into_iter().rev().collect(),
            places,
            places_for_large: places / 2,
            running: 0,
            running_large: 0,
        }
    }

    /// The next job to start; `None` if no place is free for one.
    fn next(&mut self) -> Option<(Place, TableJob<W>)> {
        if self.running == self.places {
            return None;
        }

        let large_may_start = self.small.is_empty() || self.running_large < self.places_for_large;
        let next_large = if large_may_start {
            self.large.pop_front()
        } else {
            None
        };

        let is_large = next_large.is_some();
        let (position, job) = next_large.or_else(|| self.small.pop_front())?;
        self.running += 1;
        self.running_large += usize::from(is_large);

        Some((Place { position, is_large }, job))
    }

    fn release(&mut self, place: Place) {
        self.running -= 1;
        self.running_large -= usize::from(place.is_large);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    const MB: u64 = 1024 * 1024;

    /// A table of this size, whose job takes this long.
    fn job(table: &str, bytes: u64, seconds: u64) -> TableJob<Duration> {
        TableJob {
            table: table.to_owned(),
            bytes,
            work: Duration::from_secs(seconds),
        }
    }

    fn options(parallel_tables: usize) -> RunOptions {
        RunOptions {
            parallel_tables: NonZeroUsize::new(parallel_tables).unwrap(),
            fail_fast: false,
        }
    }

    fn interrupted() -> Error {
        Error::new(ErrorKind::Interrupted, "interrupted")
    }

    /// Runs jobs that take their time, and returns the results and the tables in the order in which they ended. A table named `bad…`
    /// fails at its end.
    async fn run_jobs(
        jobs: Vec<TableJob<Duration>>,
        options: RunOptions,
        cancel: &CancellationToken,
    ) -> (Vec<TableResult<String>>, Vec<String>) {
        let mut ended = Vec::new();
        let start = |table: &str, time, stop: CancellationToken| {
            let table = table.to_owned();
            async move {
                tokio::select! {
                    () = stop.cancelled() => return Err(interrupted()),
                    () = sleep(time) => {}
                }

                if table.starts_with("bad") {
                    Err(Error::not_found(format!("{table} does not exist")))
                } else {
                    Ok(table)
                }
            }
        };
        let results = run(jobs, options, cancel, start, |result| {
            ended.push(result.table.clone());
        })
        .await;

        (results, ended)
    }

    /// `table: outcome` of each result.
    fn outcomes(results: &[TableResult<String>]) -> Vec<String> {
        let outcome = |result: &TableResult<String>| match &result.outcome {
            TableOutcome::Finished(table) => {
                assert_eq!(*table, result.table);
                format!("{table}: finished")
            }
            TableOutcome::Failed(error) => format!("{}: {error}", result.table),
            TableOutcome::NotStarted => format!("{}: not started", result.table),
        };

        results.iter().map(outcome).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_fails_does_not_stop_the_others() {
        let jobs = vec![job("a", 1, 3), job("bad", 2, 1), job("c", 3, 2)];
        let (results, ended) = run_jobs(jobs, options(2), &CancellationToken::new()).await;
        assert_eq!(
            outcomes(&results),
            ["a: finished", "bad: bad does not exist", "c: finished"]
        );
        assert_eq!(ended, ["bad", "a", "c"]);
        assert!(results.iter().all(|result| !result.was_stopped()));
    }

    #[tokio::test(start_paused = true)]
    async fn fail_fast_stops_the_running_tables_and_starts_no_more() {
        let jobs = vec![
            job("bad", 1, 1),
            job("b", 2, 9),
            job("c", 3, 9),
            job("d", 4, 9),
        ];
        let options = RunOptions {
            fail_fast: true,
            ..options(2)
        };
        let cancel = CancellationToken::new();
        let (results, _) = run_jobs(jobs, options, &cancel).await;
        assert_eq!(
            outcomes(&results),
            [
                "bad: bad does not exist",
                "b: interrupted",
                "c: not started",
                "d: not started"
            ]
        );
        assert!(!cancel.is_cancelled());
        assert!(results[1].was_stopped() && results[3].was_stopped());
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_the_running_tables_and_starts_no_more() {
        let cancel = CancellationToken::new();
        let interrupt = cancel.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(1500)).await;
            interrupt.cancel();
        });
        let jobs = vec![job("a", 1, 1), job("b", 2, 1), job("c", 3, 1)];
        let (results, _) = run_jobs(jobs, options(1), &cancel).await;
        assert_eq!(
            outcomes(&results),
            ["a: finished", "b: interrupted", "c: not started"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn small_tables_do_not_wait_for_large_ones() {
        let large = (0..4).map(|at| job(&format!("large{at}"), (100 + at) * MB, 1000));
        let small = (0..20).map(|at| job(&format!("small{at}"), at, 1));
        let jobs = large.chain(small).collect();
        let started = tokio::time::Instant::now();
        let last_small = Arc::new(Mutex::new(Duration::ZERO));
        let seen = Arc::clone(&last_small);
        let start = |_: &str, time, _: CancellationToken| async move {
            sleep(time).await;
            Ok(())
        };
        run(
            jobs,
            options(4),
            &CancellationToken::new(),
            start,
            |result| {
                if result.table.starts_with("small") {
                    *seen.lock().unwrap() = started.elapsed();
                }
            },
        )
        .await;
        // Two of four places are for small tables: 20 of them take 10 seconds. The four large tables then use all places.
        assert_eq!(last_small.lock().unwrap().as_secs(), 10);
        assert_eq!(started.elapsed().as_secs(), 1010);
    }

    #[tokio::test(start_paused = true)]
    async fn one_place_is_used_for_small_tables_first_and_then_for_the_largest() {
        let jobs = vec![
            job("large", 100 * MB, 1),
            job("b", 20, 1),
            job("larger", 200 * MB, 1),
            job("a", 10, 1),
        ];
        let (_, ended) = run_jobs(jobs, options(1), &CancellationToken::new()).await;
        assert_eq!(ended, ["a", "b", "larger", "large"]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_tables_than_allowed_run_in_parallel() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);

        let jobs = (0..30).map(|at| job(&at.to_string(), at * 10 * MB, 1 + at % 3));
        let start = |_: &str, time, _: CancellationToken| async move {
            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(time).await;
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        };
        let cancel = CancellationToken::new();
        let results = run(jobs.collect(), options(5), &cancel, start, |_| {}).await;
        assert_eq!((results.len(), MOST.load(Ordering::SeqCst)), (30, 5));
    }

    #[test]
    fn the_memory_is_divided_among_the_tables_that_can_fill_it() {
        let shared = |sizes: &[u64], buffers| {
            let sizes = sizes.iter().copied();
            options(8).tables_in_memory(sizes, buffers).get()
        };
        let shared_by = |sizes: &[u64]| shared(sizes, TableBuffers::Single);

        assert_eq!(shared_by(&[]), 1);
        assert_eq!(shared_by(&[0; 1000]), 1);
        assert_eq!(shared_by(&[100, 1000 * MB, 200, MB - 1]), 1);
        assert_eq!(shared_by(&[1000 * MB, 20, 2 * MB, MB]), 3);
        assert_eq!(shared_by(&[100 * MB; 40]), 8);

        assert_eq!(shared(&[100 * MB], TableBuffers::Double), 1);
        assert_eq!(shared(&[100 * MB; 3], TableBuffers::Double), 6);
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_table_only() {
        let jobs = vec![job("a", 0, 0), job("b", 0, 0)];
        let start = |table: &str, _, _: CancellationToken| {
            let is_bad = table == "a";
            async move {
                assert!(!is_bad, "a bug");
                Ok(())
            }
        };
        let cancel = CancellationToken::new();
        let results = run(jobs, options(1), &cancel, start, |_| {}).await;
        assert!(matches!(&results[0].outcome, TableOutcome::Failed(error)
            if error.to_string() == "the work on this table stopped unexpectedly"));
        assert!(matches!(results[1].outcome, TableOutcome::Finished(())));
    }
}
