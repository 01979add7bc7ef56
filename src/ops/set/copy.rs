//! Copies of several tables: one plan, one confirmation, one copy for each table.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::grouping::grouped;
use super::mapping::MappedTable;
use super::reporter::{SetReporter, TableReporter};
use super::restore::{RestoredMember, RestoredTable};
use super::runner::{self, RunOptions, TableJob, TableOutcome};
use crate::environment::{Approval, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::layout::{counted, names};
use crate::ops::copy::{self, SourceStore};
use crate::ops::restore::{self, RestorePlan, RestoreRequest, RestoreSource, RestoreSummary};
use crate::ops::source::TableScan;
use crate::ops::table_location::TableLocation;
use crate::ops::until_cancelled;
use crate::store::{Reader, Writer};

/// The tables to copy, and the options for each.
#[derive(Debug, Clone)]
pub struct CopySetRequest {
    /// The tables with their targets.
    pub tables: Vec<MappedTable>,
    /// The options of the Scan of each table. Its name is not used.
    pub scan: TableScan,
    /// The options for each table. Its source and table are not used.
    pub each: RestoreRequest,
    /// How many tables are copied in parallel, and whether a failure stops the others.
    pub options: RunOptions,
}

/// The plan of copying several tables.
#[derive(Debug)]
pub struct CopySetPlan {
    /// Environment, account and endpoint of the sources.
    pub source: TableLocation,
    /// Environment, account and endpoint of the targets.
    pub target: TableLocation,
    /// The tables.
    pub tables: Vec<PlannedCopy>,
    /// Warnings before the copy. Equal warnings about several tables are one.
    pub warnings: Vec<String>,
    approval: Approval,
    options: RunOptions,
}

/// A table with its plan.
#[derive(Debug)]
pub struct PlannedCopy {
    /// The names of its source and its target.
    pub table: MappedTable,
    /// Its plan, or the reason why it cannot be copied.
    pub plan: Result<Box<RestorePlan>>,
}

/// Plans the copy of each table, a few at a time. Changes nothing.
///
/// # Errors
/// Interrupted. A table that cannot be copied is no error of the plan.
pub async fn plan(
    source: SourceStore<'_>,
    store: &Reader,
    environment: &Environment,
    request: CopySetRequest,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
) -> Result<CopySetPlan> {
    let place = TableLocation::find(store, environment, "", None).await;
    let source_place = TableLocation::find(source.store, source.environment, "", None).await;
    let shared = Arc::new(Shared {
        source_store: source.store.clone(),
        source_environment: source.environment.clone(),
        store: store.clone(),
        environment: environment.clone(),
        scan: request.scan,
        each: request.each,
        reporter,
    });
    let jobs = request.tables.iter().map(|table| TableJob {
        table: table.target.clone(),
        bytes: 0,
        work: table.clone(),
    });
    let start = |_: &str, table: MappedTable, cancel: CancellationToken| {
        let shared = Arc::clone(&shared);
        async move { Box::pin(shared.plan(&table, &cancel)).await }
    };
    let planned = runner::run(jobs.collect(), RunOptions::default(), cancel, start, |_| {}).await;
    if cancel.is_cancelled() {
        return Err(interrupted());
    }

    let tables: Vec<_> = request
        .tables
        .into_iter()
        .zip(planned)
        .map(|(table, planned)| PlannedCopy {
            table,
            plan: match planned.outcome {
                TableOutcome::Finished(plan) => Ok(plan),
                TableOutcome::Failed(error) => Err(error),
                TableOutcome::NotStarted => Err(interrupted()),
            },
        })
        .collect();
    let mut plan = CopySetPlan {
        source: source_place,
        target: place,
        warnings: grouped_warnings(&tables),
        tables,
        approval: Approval::nothing(),
        options: request.options,
    };
    if plan.has_work() {
        plan.approval = plan.approval_of_tables(environment);
    }

    Ok(plan)
}

/// Copies the tables as planned. `done` gets the name of each target and its result as soon as its copy has ended.
///
/// The results have the order of the plan. A table that fails does not stop the others, unless the plan says so.
pub async fn run(
    store: &Writer,
    plan: CopySetPlan,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
    done: impl FnMut(&runner::TableResult<Box<RestoreSummary>>),
) -> Vec<RestoredMember> {
    let has_work = plan.has_work();
    let mut jobs = Vec::new();
    let mut copied = Vec::new();
    for PlannedCopy { table, plan } in plan.tables {
        let MappedTable { source, target } = table;
        let result = match plan {
            Ok(plan) => {
                jobs.push(TableJob {
                    table: target.clone(),
                    bytes: plan.source.expected_bytes().unwrap_or(0),
                    work: plan,
                });
                RestoredTable::NotStarted
            }
            Err(error) => RestoredTable::Failed(error),
        };
        copied.push(RestoredMember {
            source,
            target,
            result,
        });
    }

    if !has_work {
        jobs.clear();
    }

    let start = |table: &str, plan: Box<RestorePlan>, cancel: CancellationToken| {
        let store = store.clone();
        let reporter: Arc<dyn Reporter> =
            Arc::new(TableReporter::new(table, Arc::clone(&reporter)));
        async move {
            let copying = restore::run(&store, *plan, reporter, cancel);
            Box::pin(copying).await.map(Box::new)
        }
    };
    let results = runner::run(jobs, plan.options, cancel, start, done).await;
    let open = copied
        .iter_mut()
        .filter(|member| matches!(member.result, RestoredTable::NotStarted));
    for (member, result) in open.zip(results) {
        member.result = match result.outcome {
            TableOutcome::Finished(summary) => RestoredTable::Restored(summary),
            TableOutcome::Failed(error) => RestoredTable::Failed(error),
            TableOutcome::NotStarted => RestoredTable::NotStarted,
        };
    }

    copied
}

impl CopySetPlan {
    /// The confirmation that [`run`](fn@run) requires: for all tables together.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Whether any table will be copied.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let is_stopped =
            self.options.fail_fast && self.tables.iter().any(|table| table.plan.is_err());

        !is_stopped && self.tables.iter().any(|table| table.plan.is_ok())
    }

    /// Whether an interrupted copy can be resumed.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        let mut plans = self
            .tables
            .iter()
            .filter_map(|table| table.plan.as_ref().ok());
        plans.any(|plan| plan.can_be_resumed())
    }

    /// The approval for all tables that are changed.
    fn approval_of_tables(&self, environment: &Environment) -> Approval {
        let changed = |table: &PlannedCopy| {
            let plan = table.plan.as_ref().ok()?;
            (!plan.action.keeps()).then(|| (table.table.target.clone(), plan.approval().clone()))
        };
        let (targets, approvals): (Vec<_>, Vec<_>) = self.tables.iter().filter_map(changed).unzip();
        let action = format!(
            "Copy {} from {} to {}: {}",
            counted(targets.len() as u64, "table"),
            place(&self.source),
            place(&self.target),
            names(&targets, false)
        );

        Approval::for_tables(environment, approvals, action)
    }
}

fn grouped_warnings(tables: &[PlannedCopy]) -> Vec<String> {
    grouped(tables.iter().flat_map(|table| {
        let warnings = table.plan.iter().flat_map(|plan| &plan.warnings);
        warnings.map(|warning| (&table.table.target, warning.clone()))
    }))
}

/// An environment, and where it is if that is not on this machine.
fn place(location: &TableLocation) -> String {
    if location.local {
        location.environment.clone()
    } else {
        format!("{} ({})", location.environment, location.location())
    }
}

/// What the copies of all tables share.
struct Shared {
    source_store: Reader,
    source_environment: Environment,
    store: Reader,
    environment: Environment,
    scan: TableScan,
    each: RestoreRequest,
    reporter: Arc<dyn SetReporter>,
}

impl Shared {
    async fn plan(
        &self,
        table: &MappedTable,
        cancel: &CancellationToken,
    ) -> Result<Box<RestorePlan>> {
        let request = RestoreRequest {
            source: RestoreSource::Table(TableScan {
                table: table.source.clone(),
                ..self.scan.clone()
            }),
            table: Some(table.target.clone()),
            ..self.each.clone()
        };
        let source = SourceStore {
            environment: &self.source_environment,
            store: &self.source_store,
        };
        let reporter = TableReporter::new(table.target.clone(), Arc::clone(&self.reporter));
        let planning = copy::plan(
            source,
            &self.store,
            &self.environment,
            request,
            Arc::new(reporter),
        );

        let plan = until_cancelled(cancel, interrupted, Box::pin(planning)).await?;

        Ok(Box::new(plan))
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted while the copy was planned: nothing was changed",
    )
    .with_hint("run the same command again")
}
