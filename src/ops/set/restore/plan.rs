//! The plan of restoring a set. Changes nothing.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::member::{MemberPlan, PlannedMember};
use crate::backup::{DumpSet, SourceSpec};
use crate::environment::{Approval, Environment};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, counted};
use crate::ops::restore::{self, RestoreRequest};
use crate::ops::set::InterruptedSet;
use crate::ops::set::grouping::grouped;
use crate::ops::set::journal::{SetJournal, SetKind, SetWork};
use crate::ops::set::mapping::{MappedTable, TableMapping};
use crate::ops::set::members;
use crate::ops::set::pattern::TablePattern;
use crate::ops::set::reporter::{SetReporter, TableReporter};
use crate::ops::set::runner::{self, RunOptions, TableJob, TableOutcome, TableResult};
use crate::ops::table_location::TableLocation;
use crate::ops::until_cancelled;
use crate::store::Reader;

/// Source, targets and options of restoring a set.
#[derive(Debug, Clone)]
pub struct RestoreSetRequest {
    /// Folder of the set.
    pub source: PathBuf,
    /// Patterns of the names of the dumped tables; without any, all are restored.
    pub from_tables: Vec<TablePattern>,
    /// The names of the target tables.
    pub mapping: TableMapping,
    /// The options for each table. Its source and table are not used.
    pub each: RestoreRequest,
    /// How many tables are restored in parallel, and whether a failure stops the others.
    pub options: RunOptions,
}

/// The plan of restoring a set.
#[derive(Debug)]
pub struct RestoreSetPlan {
    /// The set.
    pub source: SetFacts,
    /// Environment, account and endpoint of the tables.
    pub target: TableLocation,
    /// The tables, by the name of the dumped table.
    pub tables: Vec<PlannedMember>,
    /// Warnings before the restore. Equal warnings about several tables are one.
    pub warnings: Vec<String>,
    approval: Approval,
    pub(super) options: RunOptions,
    pub(super) journal: Option<Arc<SetJournal>>,
    pub(super) shared: Arc<Shared>,
}

/// Facts about a set.
#[derive(Debug, Clone, Serialize)]
pub struct SetFacts {
    /// Its folder.
    pub path: String,
    /// Environment of the dumped tables.
    pub environment: String,
    /// Account of the dumped tables, if their ARNs are those of AWS.
    pub account: Option<String>,
    /// Region of the dumped tables, if known.
    pub region: Option<String>,
    /// Start of the run that wrote it.
    pub started_at: DateTime<Utc>,
    /// End of that run, unless it was interrupted.
    pub finished_at: Option<DateTime<Utc>>,
    /// Number of its tables.
    pub tables: usize,
}

/// What the restores of all tables share.
pub(super) struct Shared {
    pub(super) store: Reader,
    pub(super) environment: Environment,
    pub(super) set: DumpSet,
    pub(super) each: RestoreRequest,
    pub(super) reporter: Arc<dyn SetReporter>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("set", &self.set)
            .finish_non_exhaustive()
    }
}

/// Plans the restore of a set. The data of the dumps is not read.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound): there is no set in the folder, or no table of it matches a pattern. The mapping is not valid; the
/// journal cannot be read; interrupted. A table that cannot be restored is no error of the plan.
pub async fn plan(
    store: &Reader,
    environment: &Environment,
    request: RestoreSetRequest,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
) -> Result<RestoreSetPlan> {
    let set = members::open_set(&request.source)?;
    let selected = members::select(&set, &request.from_tables)?;
    let mapped = request.mapping.targets(&selected)?;

    let place = TableLocation::find(store, environment, "", None).await;
    let journal = SetJournal::find(environment, &place, work(&set), &request.each).await?;
    let source = SetFacts::new(&set);
    let shared = Arc::new(Shared {
        store: store.clone(),
        environment: environment.clone(),
        set,
        each: request.each,
        reporter,
    });

    let journal = journal.map(Arc::new);
    let tables = preview_tables(&shared, mapped, journal.as_ref(), cancel).await?;
    let mut warnings: Vec<_> = shared
        .set
        .warning()
        .map(ToOwned::to_owned)
        .into_iter()
        .collect();
    warnings.extend(grouped_warnings(&tables));
    let discarded = journal.as_ref().and_then(|journal| journal.discarded());
    warnings.extend(discarded.map(ToOwned::to_owned));

    let targets = tables.iter().filter_map(PlannedMember::preview);
    let place = place.with_account_of(targets.map(|preview| &preview.target));
    let mut plan = RestoreSetPlan {
        source: source.with_place_of(&tables),
        target: place,
        tables,
        warnings,
        approval: Approval::nothing(),
        options: request.options,
        journal,
        shared,
    };
    if plan.has_work() {
        plan.approval = plan.approval_of_tables(environment);
    }

    Ok(plan)
}

/// Finds an interrupted restore that `request` can resume. Errors count as "not found": the plan reports them.
pub async fn find_interrupted(
    store: &Reader,
    environment: &Environment,
    request: &RestoreSetRequest,
) -> Option<InterruptedSet> {
    let set = members::open_set(&request.source).ok()?;
    let selected = members::select(&set, &request.from_tables).ok()?;
    let mapped = request.mapping.targets(&selected).ok()?;
    let place = TableLocation::find(store, environment, "", None).await;
    let journal = SetJournal::find(environment, &place, work(&set), &request.each).await;

    journal.ok()??.interrupted(&mapped)
}

impl RestoreSetPlan {
    /// The confirmation that [`run`](fn@super::run) requires: for all tables together.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// The cap on the write units per second of all tables together.
    #[must_use]
    pub fn max_total_write_units(&self) -> Option<u32> {
        self.shared.store.max_total_write_units()
    }

    /// Number of tables that will be restored.
    #[must_use]
    pub fn tables_to_restore(&self) -> u64 {
        let is_work = |table: &&PlannedMember| matches!(table.plan, MemberPlan::Restore(_));
        self.tables.iter().filter(is_work).count() as u64
    }

    /// Whether any table will be restored.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let is_refused = |table: &PlannedMember| matches!(table.plan, MemberPlan::Refused(_));
        let is_stopped = self.options.fail_fast && self.tables.iter().any(is_refused);

        !is_stopped && self.tables_to_restore() > 0
    }

    /// The approval for all tables that are changed.
    fn approval_of_tables(&self, environment: &Environment) -> Approval {
        let changed = |table: &PlannedMember| match &table.plan {
            MemberPlan::Restore(preview) if !preview.action.keeps() => {
                Some((table.target.clone(), preview.approval().clone()))
            }
            _ => None,
        };
        let (targets, approvals): (Vec<_>, Vec<_>) = self.tables.iter().filter_map(changed).unzip();
        let place = if self.target.local {
            self.target.environment.clone()
        } else {
            format!("{}, {}", self.target.environment, self.target.location())
        };
        let action = format!(
            "Restore {} ({place}): {}",
            counted(targets.len() as u64, "table"),
            layout::names(&targets, false)
        );

        Approval::for_tables(environment, approvals, action)
    }

    /// Whether an interrupted run can be resumed.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        self.journal.is_some()
    }
}

impl SetFacts {
    /// The facts in the manifest.
    fn new(set: &DumpSet) -> Self {
        let manifest = set.manifest();
        Self {
            path: set.path().display().to_string(),
            environment: manifest.environment.clone(),
            account: None,
            region: None,
            started_at: manifest.started_at,
            finished_at: manifest.finished_at,
            tables: manifest.tables.len(),
        }
    }

    /// Adds account and region, which only the dumps of the tables contain.
    fn with_place_of(mut self, tables: &[PlannedMember]) -> Self {
        let mut previews = tables.iter().filter_map(PlannedMember::preview);
        if let Some(preview) = previews.find(|preview| preview.source.region.is_some()) {
            self.account.clone_from(&preview.source.account);
            self.region.clone_from(&preview.source.region);
        }

        self
    }
}

/// The set and what is done with it, as the journal identifies them.
fn work(set: &DumpSet) -> SetWork {
    let path = fs::canonicalize(set.path()).unwrap_or_else(|_| set.path().to_owned());

    SetWork {
        kind: SetKind::Restore,
        source: set.path().display().to_string(),
        identity: path.display().to_string(),
        options: String::new(),
    }
}

/// Previews the restore of each table, a few at a time.
async fn preview_tables(
    shared: &Arc<Shared>,
    mapped: Vec<MappedTable>,
    journal: Option<&Arc<SetJournal>>,
    cancel: &CancellationToken,
) -> Result<Vec<PlannedMember>> {
    let jobs = mapped.iter().map(|table| TableJob {
        table: table.target.clone(),
        bytes: 0,
        work: table.clone(),
    });
    let start = |_: &str, table: MappedTable, cancel: CancellationToken| {
        let (shared, journal) = (Arc::clone(shared), journal.cloned());
        async move { Box::pin(preview_table(&shared, &table, journal.as_deref(), &cancel)).await }
    };
    let previews = runner::run(jobs.collect(), RunOptions::default(), cancel, start, |_| {}).await;
    if cancel.is_cancelled() {
        return Err(interrupted("planned"));
    }

    Ok(mapped
        .into_iter()
        .zip(previews)
        .map(|(MappedTable { source, target }, preview)| PlannedMember {
            source,
            target,
            plan: preview_outcome(preview),
        })
        .collect())
}

fn preview_outcome(preview: TableResult<MemberPlan>) -> MemberPlan {
    match preview.outcome {
        TableOutcome::Finished(plan) => plan,
        TableOutcome::Failed(error) => MemberPlan::Refused(error),
        TableOutcome::NotStarted => MemberPlan::Refused(interrupted("planned")),
    }
}

async fn preview_table(
    shared: &Shared,
    table: &MappedTable,
    journal: Option<&SetJournal>,
    cancel: &CancellationToken,
) -> Result<MemberPlan> {
    let preview = async {
        if let Some(journal) = journal.filter(|journal| journal.has_finished(table)) {
            let existing = shared.store.describe(&table.target).await?;
            let source_id = shared.source_id(table);
            if let Some(before) = journal.finished_table(table, source_id, existing.as_ref()) {
                return Ok(MemberPlan::Finished(before.clone()));
            }
        }

        let request = shared.request(table)?;
        let reporter = TableReporter::new(&table.target, Arc::clone(&shared.reporter));
        let reporter = Arc::new(reporter);
        let preview = restore::preview(&shared.store, &shared.environment, request, reporter);
        Ok(MemberPlan::Restore(Box::new(Box::pin(preview).await?)))
    };

    let plan = until_cancelled(cancel, || interrupted("planned"), preview).await;
    // The table is described again when it is restored, which may be much later.
    shared.store.forget(&table.target);

    plan
}

impl Shared {
    /// Identity of the dump of a table.
    pub(super) fn source_id(&self, table: &MappedTable) -> Option<&str> {
        let member = self.set.manifest().tables.get(&table.source)?;
        let dump = member.dump.as_ref()?;

        Some(&dump.metadata_sha256)
    }

    /// The request for one table.
    ///
    /// # Errors
    /// Its dump is missing or is not the one that the set lists.
    pub(super) fn request(&self, table: &MappedTable) -> Result<RestoreRequest> {
        Ok(RestoreRequest {
            source: SourceSpec::Path(self.set.member(&table.source)?).into(),
            table: Some(table.target.clone()),
            ..self.each.clone()
        })
    }
}

/// The error for a table that was not restored because of an interruption.
pub(super) fn interrupted(what: &str) -> Error {
    Error::new(
        ErrorKind::Interrupted,
        format!("interrupted before the table was {what}"),
    )
    .with_hint("run the same command again")
}

/// The warnings of all previews, with the tables that they are about.
fn grouped_warnings(tables: &[PlannedMember]) -> Vec<String> {
    let warnings = tables.iter().flat_map(|table| {
        let warnings = table
            .preview()
            .into_iter()
            .flat_map(|preview| &preview.warnings);
        warnings.map(|warning| (&table.target, warning.clone()))
    });

    grouped(warnings)
}
