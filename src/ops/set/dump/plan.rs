//! The plan of a dump of several tables, computed without reading items or creating files.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::SetDumpRequest;
use crate::backup::{DumpTarget, MemberDump, SetManifest, SetTarget, TargetContents};
use crate::environment::{Approval, Environment, Question};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::counted;
use crate::ops::dump::{self, DumpPlan, DumpRequest};
use crate::ops::guard;
use crate::ops::run_blocking;
use crate::ops::set::grouping::grouped;
use crate::ops::set::runner::{self, PARALLEL_TABLES, RunOptions, TableJob, TableOutcome};
use crate::ops::table_location::TableLocation;
use crate::place::digest::hex_sha256;
use crate::store::Reader;

/// The plan of a dump of several tables.
#[derive(Debug, Serialize)]
pub struct SetDumpPlan {
    /// The environment. Its field `table` is empty.
    #[serde(skip)]
    pub source: TableLocation,
    /// The folder of the set.
    pub target: String,
    /// Whether an existing set or dump is replaced.
    pub replaces: bool,
    /// Start of the interrupted run that is resumed.
    pub resumes: Option<DateTime<Utc>>,
    /// The tables, sorted by name.
    pub tables: Vec<PlannedTable>,
    /// Number of items of the tables that are read, by DynamoDB's count.
    pub items: u64,
    /// Size of these tables in bytes, by DynamoDB's count.
    pub bytes: u64,
    /// Estimated read units.
    pub read_units: f64,
    /// Cap on the read units per second of all tables together.
    pub max_total_read_units: Option<u32>,
    /// Minimum time for reading the settings of the tables in seconds: AWS limits these calls per second and account.
    pub lookup_seconds: u64,
    /// Maximum number of tables in parallel.
    pub parallel_tables: NonZeroUsize,
    /// Warnings to show before the dump.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(super) set: SetTarget,
    #[serde(skip)]
    pub(super) options_sha256: String,
    #[serde(skip)]
    pub(super) request: SetDumpRequest,
    #[serde(skip)]
    questions: Vec<Question>,
}

/// The plan of one table.
#[derive(Debug)]
pub struct PlannedTable {
    /// Name of the table.
    pub table: String,
    /// What will be done.
    pub state: TableState,
}

/// What will be done with one table.
#[derive(Debug)]
pub enum TableState {
    /// It is dumped.
    Dump(Box<DumpPlan>),
    /// The run that is resumed has dumped it.
    Finished(MemberDump),
    /// It cannot be dumped.
    Failed(Error),
}

impl Serialize for PlannedTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PlannedTable", 3)?;
        fields.serialize_field("table", &self.table)?;
        match &self.state {
            TableState::Dump(plan) => fields.serialize_field("plan", plan)?,
            TableState::Finished(dump) => fields.serialize_field("finished", dump)?,
            // The command adds the error, as it reports errors everywhere.
            TableState::Failed(_) => {}
        }

        fields.end()
    }
}

impl SetDumpPlan {
    /// The questions to be answered before [`run`](fn@super::run).
    #[must_use]
    pub fn approval(&self) -> Approval {
        let action = format!("Replace the dumps in {}", self.target);
        Approval::for_dump(action, self.questions.clone())
    }

    /// The plans of the tables that are read.
    pub fn dumps(&self) -> impl Iterator<Item = &DumpPlan> {
        self.tables.iter().filter_map(PlannedTable::dump)
    }
}

impl PlannedTable {
    /// The plan, if the table is read.
    #[must_use]
    pub fn dump(&self) -> Option<&DumpPlan> {
        match &self.state {
            TableState::Dump(plan) => Some(plan),
            TableState::Finished(_) | TableState::Failed(_) => None,
        }
    }
}

/// Computes the plan of a dump of several tables. A table that cannot be dumped is a part of the plan.
///
/// # Errors
/// The target is not a folder, or contains other files; it cannot be resumed with these options.
pub async fn plan(
    store: &Reader,
    environment: &Environment,
    mut request: SetDumpRequest,
    cancel: &CancellationToken,
) -> Result<SetDumpPlan> {
    request.tables.sort_unstable();
    request.tables.dedup();
    let source = location(store, environment);
    let options_sha256 = options_digest(&request.options, &source)?;
    let target = folder(&request)?.display().to_string();
    let set = inspect(&request, request.options.resume).await?;
    let resumes = resumed_run(&set, &request.options, &options_sha256)?;
    let tables = plan_tables(store, environment, &request, &set, resumes, cancel).await;

    let mut warnings = guard::check_connection(environment)?;
    warnings.extend(not_resumed(&set, resumes));
    warnings.extend(table_warnings(&tables, &warnings));
    let mut questions = set_questions(&set, &source);
    questions.extend(table_questions(&tables));
    let parallel_tables = request.parallel_tables.unwrap_or(PARALLEL_TABLES);

    let mut plan = SetDumpPlan {
        source,
        target,
        replaces: !matches!(
            set.replaced(),
            TargetContents::Absent | TargetContents::Empty
        ),
        resumes,
        warnings,
        tables,
        items: 0,
        bytes: 0,
        read_units: 0.0,
        max_total_read_units: store.max_total_read_units(),
        lookup_seconds: 0,
        parallel_tables,
        set,
        options_sha256,
        request,
        questions,
    };

    plan.items = plan.dumps().map(|dump| dump.items).sum();
    plan.bytes = plan.dumps().map(|dump| dump.bytes).sum();
    plan.read_units = plan.dumps().map(|dump| dump.read_units).sum();
    if plan.request.options.content.includes_schema() {
        plan.lookup_seconds = store.lookup_time(plan.dumps().count()).as_secs();
    }

    Ok(plan)
}

/// The environment of the tables.
pub(super) fn location(store: &Reader, environment: &Environment) -> TableLocation {
    TableLocation::new(environment, "", store.credentials()).with_proxy(store.proxy())
}

/// The folder of the set.
fn folder(request: &SetDumpRequest) -> Result<&Path> {
    match &request.options.target {
        DumpTarget::Folder(path) => Ok(path),
        DumpTarget::File(_) | DumpTarget::Stdout => {
            Err(Error::usage("several tables need a folder")
                .with_hint(format!("name a folder with {}", Field::Target)))
        }
    }
}

/// Inspects the folder of the set.
pub(super) async fn inspect(request: &SetDumpRequest, resume: bool) -> Result<SetTarget> {
    let (path, tables) = (folder(request)?.to_owned(), request.tables.clone());

    run_blocking("inspecting the target", move || {
        SetTarget::inspect(&path, &tables, resume)
    })
    .await
}

/// Identifies the options that decide the contents of the dumps, and the environment.
pub(super) fn options_digest(options: &DumpRequest, source: &TableLocation) -> Result<String> {
    let identity = (
        (&source.environment, &source.region, &source.endpoint),
        (options.format, options.compression),
        (
            options.content.includes_schema(),
            options.content.includes_items(),
        ),
        (
            options.scan.segments,
            options.scan.limit,
            options.scan.consistent_read,
        ),
        options.transform.identity(),
        options.scan.selection.filter_identity(),
        options.scan.selection.projection_identity(),
    );
    let text = serde_json::to_vec(&identity)
        .map_err(|error| Error::failed("the options cannot be compared").with_source(error))?;

    Ok(hex_sha256(&text))
}

/// Start of the interrupted run, if it is resumed.
fn resumed_run(
    set: &SetTarget,
    options: &DumpRequest,
    options_sha256: &str,
) -> Result<Option<DateTime<Utc>>> {
    let Some(interrupted) = set.interrupted().filter(|_| options.resume) else {
        return Ok(None);
    };

    if interrupted.options_sha256 != options_sha256 {
        return Err(Error::usage(
            "the interrupted dump is of another environment or was started with other options",
        )
        .with_hint(format!(
            "give the same options again, or omit {} to start over",
            Field::Resume
        )));
    }

    Ok(Some(interrupted.started_at))
}

/// Plans each table, several in parallel.
async fn plan_tables(
    store: &Reader,
    environment: &Environment,
    request: &SetDumpRequest,
    set: &SetTarget,
    resumes: Option<DateTime<Utc>>,
    cancel: &CancellationToken,
) -> Vec<PlannedTable> {
    let job = |table: &String| TableJob {
        table: table.clone(),
        bytes: 0,
        work: (),
    };
    let context = Arc::new((store.clone(), environment.clone(), set.clone()));
    let start = |table: &str, (), _| {
        let (context, table, options) = (
            Arc::clone(&context),
            table.to_owned(),
            request.options.clone(),
        );
        async move {
            let (store, environment, set) = &*context;
            plan_table(store, environment, set, table, options, resumes).await
        }
    };

    let jobs = request.tables.iter().map(job).collect();
    let results = runner::run(jobs, RunOptions::default(), cancel, start, |_| {}).await;
    let planned = results.into_iter().map(|result| PlannedTable {
        table: result.table,
        state: match result.outcome {
            TableOutcome::Finished(state) => state,
            TableOutcome::Failed(error) => TableState::Failed(error),
            TableOutcome::NotStarted => TableState::Failed(dump::interrupted()),
        },
    });

    planned.collect()
}

async fn plan_table(
    store: &Reader,
    environment: &Environment,
    set: &SetTarget,
    table: String,
    options: DumpRequest,
    resumes: Option<DateTime<Utc>>,
) -> Result<TableState> {
    if let Some(since) = resumes
        && let Some(finished) = set.member_since(&table, since)
    {
        return Ok(TableState::Finished(finished));
    }

    let request = DumpRequest {
        target: DumpTarget::Folder(set.member(&table)?),
        table: Some(table),
        resume: resumes.is_some(),
        ..options
    };
    let plan = dump::plan(store, environment, request).await?;

    Ok(TableState::Dump(Box::new(plan)))
}

/// Questions about the folder of the set.
fn set_questions(set: &SetTarget, source: &TableLocation) -> Vec<Question> {
    let risk = match set.replaced() {
        TargetContents::Absent | TargetContents::Empty => None,
        TargetContents::Dump(Some(old)) => Some(format!(
            "the existing dump of table {} would be replaced by a set",
            old.table
        )),
        TargetContents::Dump(None) => {
            Some("the existing dump would be replaced by a set".to_owned())
        }
        TargetContents::Set(old) => is_of_another_environment(old, source),
    };

    risk.map(Question::OtherRisk).into_iter().collect()
}

fn is_of_another_environment(old: &SetManifest, source: &TableLocation) -> Option<String> {
    (old.environment != source.environment).then(|| {
        format!(
            "the existing set of {} is of environment {}, not {}",
            counted(old.tables.len() as u64, "table"),
            old.environment,
            source.environment
        )
    })
}

/// The questions of the tables; equal ones are asked once.
fn table_questions(tables: &[PlannedTable]) -> Vec<Question> {
    let questions = tables.iter().flat_map(|table| {
        let approval = table.dump().map(DumpPlan::approval);
        let questions = approval.map(|approval| approval.questions());
        let questions = questions.into_iter().flatten();
        questions.map(|question| (&table.table, question.text(true)))
    });

    let questions = grouped(questions).into_iter();
    questions.map(Question::OtherRisk).collect()
}

/// The warning that an interrupted run is not resumed.
fn not_resumed(set: &SetTarget, resumes: Option<DateTime<Utc>>) -> Option<String> {
    let interrupted = set.interrupted().filter(|_| resumes.is_none())?;

    Some(format!(
        "the run started at {} did not dump all tables and is not resumed: all tables are read again; {} reads only the missing ones",
        interrupted
            .started_at
            .to_rfc3339_opts(SecondsFormat::Secs, true),
        Field::Resume
    ))
}

/// The warnings of the tables, except those that are `known` already; equal ones are shown once.
fn table_warnings(tables: &[PlannedTable], known: &[String]) -> Vec<String> {
    let warnings = tables.iter().flat_map(|table| {
        let plan = table.dump();
        let warnings = plan.map_or(&[][..], |plan| &plan.warnings);
        let discarded = plan.and_then(DumpPlan::discard_warning);
        let warnings = warnings.iter().cloned().chain(discarded);
        let warnings = warnings.filter(|warning| !known.contains(warning));
        warnings.map(|warning| (&table.table, warning))
    });

    grouped(warnings)
}
