//! Copies of several tables: one plan, one confirmation, one copy for each table.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::grouping::grouped;
use super::interrupted::InterruptedSet;
use super::journal::{FinishedTable, OpenSetJournal, SetJournal, SetKind, SetWork};
use super::mapping::MappedTable;
use super::reporter::{SetReporter, TableReporter};
use super::restore::{RestoredMember, RestoredTable};
use super::runner::{self, RunOptions, TableBuffers, TableJob, TableOutcome};
use super::selection::TableSelection;
use super::trial::{self, TableTrial, TrialOptions};
use crate::environment::{Approval, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{counted, names};
use crate::ops::copy::{self, SourceStore};
use crate::ops::identity::{StateKey, table_id};
use crate::ops::restore::{self, RestorePlan, RestoreRequest, RestoreSource, RestoreSummary};
use crate::ops::source::TableScan;
use crate::ops::table_location::TableLocation;
use crate::ops::until_cancelled;
use crate::store::{MemoryDivision, Reader, Writer};

/// The tables to copy, and the options for each.
#[derive(Debug, Clone)]
pub struct CopySetRequest {
    /// The tables with their targets.
    pub tables: Vec<MappedTable>,
    /// The selection of the tables, by which an interrupted copy is found.
    pub selection: TableSelection,
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
    /// The cap on the read units per second of all sources together.
    pub max_total_read_units: Option<u32>,
    /// The cap on the write units per second of all targets together.
    pub max_total_write_units: Option<u32>,
    /// Warnings before the copy. Equal warnings about several tables are one.
    pub warnings: Vec<String>,
    approval: Approval,
    options: RunOptions,
    journal: Option<Arc<SetJournal>>,
    /// The division of the memory of source and target among the tables.
    memory: Vec<MemoryDivision>,
}

/// A table with its plan.
#[derive(Debug)]
pub struct PlannedCopy {
    /// The names of its source and its target.
    pub table: MappedTable,
    /// Its plan.
    pub plan: CopyPlan,
}

/// The plan for one table.
#[derive(Debug)]
pub enum CopyPlan {
    /// It will be copied.
    Copy(Box<RestorePlan>),
    /// The interrupted run that is resumed has copied it.
    Finished(FinishedTable),
    /// It cannot be copied.
    Refused(Error),
}

impl PlannedCopy {
    /// The plan, if the table will be copied.
    #[must_use]
    pub fn copy(&self) -> Option<&RestorePlan> {
        match &self.plan {
            CopyPlan::Copy(plan) => Some(plan),
            CopyPlan::Finished(_) | CopyPlan::Refused(_) => None,
        }
    }

    /// Why the table cannot be copied.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.plan {
            CopyPlan::Refused(error) => Some(error),
            CopyPlan::Copy(_) | CopyPlan::Finished(_) => None,
        }
    }
}

/// Plans the copy of each table, a few at a time. Changes nothing.
///
/// # Errors
/// The journal cannot be read; interrupted. A table that cannot be copied is no error of the plan.
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
    let journal = find_journal(source, store, environment, &request).await?;
    let journal = journal.map(Arc::new);
    let shared = Arc::new(Shared {
        source_store: source.store.clone(),
        source_environment: source.environment.clone(),
        store: store.clone(),
        environment: environment.clone(),
        scan: request.scan,
        each: request.each,
        reporter,
        journal: journal.clone(),
    });
    let tables = plan_tables(&shared, request.tables, cancel).await?;
    let mut warnings = grouped_warnings(&tables);
    let discarded = journal.as_ref().and_then(|journal| journal.discarded());
    warnings.extend(discarded.map(ToOwned::to_owned));
    let plans = || tables.iter().filter_map(PlannedCopy::copy);
    let sources = plans().filter_map(|plan| Some(&plan.source.scan.as_ref()?.location));
    let mut plan = CopySetPlan {
        source: source_place.with_account_of(sources),
        target: place.with_account_of(plans().map(|plan| &plan.target)),
        max_total_read_units: source.store.max_total_read_units(),
        max_total_write_units: store.max_total_write_units(),
        warnings,
        tables,
        approval: Approval::nothing(),
        options: request.options,
        journal,
        memory: Vec::new(),
    };
    if plan.has_work() {
        plan.approval = plan.approval_of_tables(environment);
    }

    plan.share_memory([source.store, store]);

    Ok(plan)
}

/// Finds an interrupted copy that `request` can resume. Errors count as "not found": the plan reports them.
pub async fn find_interrupted(
    source: SourceStore<'_>,
    store: &Reader,
    environment: &Environment,
    request: &CopySetRequest,
) -> Option<InterruptedSet> {
    let journal = find_journal(source, store, environment, request).await;

    journal.ok()??.interrupted(&request.tables)
}

async fn find_journal(
    source: SourceStore<'_>,
    store: &Reader,
    environment: &Environment,
    request: &CopySetRequest,
) -> Result<Option<SetJournal>> {
    let source_place = TableLocation::find(source.store, source.environment, "", None).await;
    let target_place = TableLocation::find(store, environment, "", None).await;
    let work = work(source.environment, &source_place, request).await;

    SetJournal::find(environment, &target_place, work, &request.each).await
}

/// Plans the copy of each table.
async fn plan_tables(
    shared: &Arc<Shared>,
    tables: Vec<MappedTable>,
    cancel: &CancellationToken,
) -> Result<Vec<PlannedCopy>> {
    let jobs = tables.iter().map(|table| TableJob {
        table: table.target.clone(),
        bytes: 0,
        work: table.clone(),
    });
    let start = |_: &str, table: MappedTable, cancel: CancellationToken| {
        let shared = Arc::clone(shared);
        async move { Box::pin(shared.plan(&table, &cancel)).await }
    };
    let planned = runner::run(jobs.collect(), RunOptions::default(), cancel, start, |_| {}).await;
    if cancel.is_cancelled() {
        return Err(interrupted());
    }

    Ok(tables
        .into_iter()
        .zip(planned)
        .map(|(table, planned)| PlannedCopy {
            table,
            plan: match planned.outcome {
                TableOutcome::Finished(plan) => plan,
                TableOutcome::Failed(error) => CopyPlan::Refused(error),
                TableOutcome::NotStarted => CopyPlan::Refused(interrupted()),
            },
        })
        .collect())
}

/// Copies the tables as planned. `done` gets the name of each target and its result as soon as its copy has ended.
///
/// The results have the order of the plan. A table that fails does not stop the others, unless the plan says so.
///
/// # Errors
/// Another run copies these tables; the journal cannot be locked.
pub async fn run(
    store: &Writer,
    plan: CopySetPlan,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
    done: impl FnMut(&runner::TableResult<Box<RestoreSummary>>),
) -> Result<Vec<RestoredMember>> {
    let has_work = plan.has_work();
    let of_set = TableReporter::new(&plan.source.environment, Arc::clone(&reporter));
    let journal = match &plan.journal {
        Some(journal) if has_work => journal.open(&of_set)?,
        _ => None,
    };
    let running = Arc::new(Running {
        store: store.clone(),
        reporter,
        journal,
    });
    let mut jobs = Vec::new();
    let mut copied = Vec::new();
    for PlannedCopy { table, plan } in plan.tables {
        let result = match plan {
            CopyPlan::Copy(plan) => {
                jobs.push(TableJob {
                    table: table.target.clone(),
                    bytes: plan.source.expected_bytes().unwrap_or(0),
                    work: (table.clone(), plan),
                });
                RestoredTable::NotStarted
            }
            CopyPlan::Finished(before) => RestoredTable::Finished(before),
            CopyPlan::Refused(error) => RestoredTable::Failed(error),
        };
        let MappedTable { source, target } = table;
        copied.push(RestoredMember {
            source,
            target,
            result,
        });
    }

    if !has_work {
        jobs.clear();
    }

    let start = |_: &str, (table, plan): (MappedTable, Box<RestorePlan>), cancel| {
        let running = Arc::clone(&running);
        async move { Box::pin(running.copy(&table, plan, cancel)).await }
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

    if let Some(journal) = &running.journal {
        let is_done = copied.iter().all(|member| member.result.is_done());
        journal.end(is_done, &of_set);
    }

    Ok(copied)
}

/// Reads the tables of a plan and applies its transform. Writes nothing. `done` gets each result, by the name of the target, as soon as it
/// is known.
pub async fn dry_run(
    plan: CopySetPlan,
    options: &TrialOptions<'_>,
    done: impl FnMut(&TableTrial),
) -> Vec<TableTrial> {
    let jobs = plan
        .tables
        .into_iter()
        .filter_map(|table| match table.plan {
            CopyPlan::Copy(plan) => Some(TableJob {
                table: table.table.target,
                bytes: plan.source.expected_bytes().unwrap_or(0),
                work: plan,
            }),
            CopyPlan::Finished(_) | CopyPlan::Refused(_) => None,
        });

    let preview = options.preview;
    let start = |plan: Box<RestorePlan>, reporter, cancel| async move {
        Box::pin(restore::dry_run(&plan, preview, &reporter, &cancel)).await
    };

    trial::run(jobs.collect(), plan.options, options, start, done).await
}

/// What the copies of all tables share while they run.
struct Running {
    store: Writer,
    reporter: Arc<dyn SetReporter>,
    journal: Option<OpenSetJournal>,
}

impl Running {
    async fn copy(
        &self,
        table: &MappedTable,
        mut plan: Box<RestorePlan>,
        cancel: CancellationToken,
    ) -> Result<Box<RestoreSummary>> {
        if self.journal.is_some() {
            plan.joins_set();
        }

        let reporter = TableReporter::new(&table.target, Arc::clone(&self.reporter));
        let reporter = Arc::new(reporter);
        let source_id = plan.scanned_table_id();
        let copying = restore::run(&self.store, *plan, Arc::clone(&reporter) as _, cancel);
        let summary = Box::new(Box::pin(copying).await?);
        if let Some(journal) = &self.journal {
            journal
                .record(table, source_id.as_deref(), &summary, reporter.as_ref())
                .await;
        }

        Ok(summary)
    }
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
        let is_refused = |table: &PlannedCopy| table.error().is_some();
        let is_stopped = self.options.fail_fast && self.tables.iter().any(is_refused);

        !is_stopped && self.tables_to_copy() > 0
    }

    /// Number of tables that will be copied.
    #[must_use]
    pub fn tables_to_copy(&self) -> u64 {
        self.tables.iter().filter_map(PlannedCopy::copy).count() as u64
    }

    /// Whether an interrupted copy can be resumed.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        self.journal.is_some()
    }

    /// Divides the memory among the tables.
    fn share_memory(&mut self, stores: [&Reader; 2]) {
        let plans = self.tables.iter().filter_map(PlannedCopy::copy);
        let sizes = plans.map(|plan| plan.source.expected_bytes().unwrap_or(0));
        let tables = self.options.tables_in_memory(sizes, TableBuffers::Double);
        let shared = stores.map(|store| store.share_memory(tables));
        self.memory.extend(shared);
    }

    /// The approval for all tables that are changed.
    fn approval_of_tables(&self, environment: &Environment) -> Approval {
        let changed = |table: &PlannedCopy| {
            let plan = table.copy()?;
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
        let warnings = table.copy().into_iter().flat_map(|plan| &plan.warnings);
        warnings.map(|warning| (&table.table.target, warning.clone()))
    }))
}

/// The source and the selection of its tables, as the journal identifies them.
async fn work(
    environment: &Environment,
    location: &TableLocation,
    request: &CopySetRequest,
) -> SetWork {
    let source = StateKey::new(environment, location).await;
    let scan = &request.scan;

    SetWork {
        kind: SetKind::Copy,
        source: format!("environment {}", environment.name()),
        identity: format!("{source}\n{}", request.selection.identity()),
        options: format!(
            "{:?} {:?} {:?} ",
            scan.options.limit,
            scan.options.selection.filter_identity(),
            scan.options.selection.projection_identity()
        ),
    }
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
    journal: Option<Arc<SetJournal>>,
}

impl Shared {
    /// Plans the copy of a table, unless an interrupted run has finished it.
    async fn plan(&self, table: &MappedTable, cancel: &CancellationToken) -> Result<CopyPlan> {
        let finding = Box::pin(self.find_finished(table));
        if let Some(before) = until_cancelled(cancel, interrupted, finding).await? {
            return Ok(CopyPlan::Finished(before));
        }

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

        Ok(CopyPlan::Copy(Box::new(plan)))
    }

    /// The record of the table, if an interrupted run has finished it, and neither it nor its source was recreated.
    async fn find_finished(&self, table: &MappedTable) -> Result<Option<FinishedTable>> {
        let journal = self.journal.as_deref();
        let Some(journal) = journal.filter(|journal| journal.has_finished(table)) else {
            return Ok(None);
        };

        let source = self.source_store.describe(&table.source).await?;
        let target = self.store.describe(&table.target).await?;
        let source_id = source.and_then(|source| table_id(&source));

        Ok(journal
            .finished_table(table, source_id.as_deref(), target.as_ref())
            .cloned())
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted while the copy was planned: nothing was changed",
    )
    .with_hint("run the same command again")
}
