//! What a restore is going to do: the dump opened and checked, the target described, the questions collected. Nothing is
//! changed here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ExistingTable, RestoreRequest, VerifyMode};
use crate::backup::{self, Checked, Source};
use crate::environment::{Approval, Endpoint, Environment, Question};
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::place::Place;
use crate::schema::{CreateTable, Difference, KeyMismatch, NotRecreated, TableSchema, differences};
use crate::store::ReadStore;

/// What a restore is going to do.
#[derive(Debug, Serialize)]
pub struct RestorePlan {
    /// The dump.
    pub source: SourceFacts,
    /// The table that will be written.
    pub target: Place,
    /// What happens to the table itself.
    pub action: TableAction,
    /// The table that will be created, in words: keys, indexes, billing. Empty when none is created.
    pub table: Vec<(String, String)>,
    /// Settings in which an existing table differs from the dump. They stay as they are.
    pub differences: Vec<Difference>,
    /// Settings of the dump that the new table will not have.
    pub not_restored: Vec<NotRecreated>,
    /// How the result will be checked.
    pub verify: VerifyMode,
    /// What deserves attention before the restore.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(super) parts: Parts,
    #[serde(skip)]
    approval: Approval,
}

/// What the plan holds ready for the run.
pub(super) struct Parts {
    pub(super) request: RestoreRequest,
    pub(super) source: Arc<Source>,
    pub(super) create: Option<CreateTable>,
    /// The key schema items must fit.
    pub(super) key: Option<KeySchema>,
    /// The marker of a restore that has not ended yet.
    pub(super) marker: Option<PathBuf>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The dump, as plans name it.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFacts {
    /// Folder or file; `-` for standard input.
    pub path: String,
    /// What it is: `dump`, `dump of an older tool`, `items`.
    pub kind: &'static str,
    /// Environment it was made from, where it says so.
    pub environment: Option<String>,
    /// Table it was made from, where it says so.
    pub table: Option<String>,
    /// Account and region it was made from, where its ARN is AWS's.
    pub account: Option<String>,
    /// See `account`.
    pub region: Option<String>,
    /// When reading of the table began.
    pub started_at: Option<DateTime<Utc>>,
    /// When reading of the table ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Items in it; `None` where that is only known at the end (standard input).
    pub items: Option<u64>,
    /// Bytes of item text in it.
    pub bytes: Option<u64>,
    /// Whether it holds the whole table, as far as it says.
    pub complete: bool,
}

/// What happens to the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum TableAction {
    /// It is missing and will be created.
    Create,
    /// It exists and the items are added to it.
    Add {
        /// Items it holds, by DynamoDB's own count.
        items: u64,
    },
    /// It is deleted with all it holds and created anew.
    Replace {
        /// Items that die with it, by DynamoDB's own count.
        items: u64,
    },
    /// It exists and is left as it is.
    Keep,
}

impl RestorePlan {
    /// What must be agreed to before [`run`](fn@super::run).
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }
}

/// Opens and checks the dump, describes the target, and works out what a restore would do.
///
/// # Errors
/// The dump is absent or damaged; the target table is not named; its key schema differs from the dump's; it is missing and
/// may not or cannot be created; its deletion protection forbids to replace it; the target would vanish (`embedded:` without
/// a file).
pub async fn plan(
    store: &impl ReadStore,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    refuse_vanishing_target(environment)?;
    let source = Source::open(&request.source)?;
    let table = target_table(&request, environment, &source)?;
    let existing = store.describe(&table).await?;
    let marker = request.state_dir.as_deref().map(|dir| marker_of(dir, environment, &table));
    let unfinished = existing.is_some() && marker.as_deref().is_some_and(Path::exists);
    let action = action(&request, existing.as_ref(), unfinished)?;
    let target = match &existing {
        Some(schema) => Place::of(environment, &table).described(schema),
        None => Place::of(environment, &table),
    };
    let wanted = wanted_schema(&request, &source)?;
    let settled = Settled::of(&action, &request, wanted.as_ref(), existing.as_ref(), &table, environment)?;
    let (source, checked) = if action == TableAction::Keep || !request.content.data() {
        (source, None)
    } else {
        check(source, reporter).await?
    };
    let mut warnings = checked.as_ref().map_or(source.warnings(), |checked| &checked.warnings).to_vec();
    let facts = SourceFacts::of(&source, checked.as_ref());
    warn_of_target(&mut warnings, &action, existing.as_ref(), &request, unfinished);
    warn_of_source(&mut warnings, &facts);
    let approval = if changes(&action, &request) {
        Approval::of_table(environment, &table, questions(&facts, &target, &action, existing.as_ref()))
    } else {
        Approval::of_dump(Vec::new())
    };
    Ok(RestorePlan {
        source: facts,
        table: if settled.create.is_some() {
            wanted.as_ref().map(TableSchema::summary_lines).unwrap_or_default()
        } else {
            Vec::new()
        },
        differences: settled.differences,
        not_restored: settled.create.as_ref().map(|create| create.not_recreated.clone()).unwrap_or_default(),
        verify: verify_mode(&request, &source, &target, &mut warnings),
        warnings,
        approval,
        parts: Parts { source: Arc::new(source), create: settled.create, key: settled.key, marker, request },
        target,
        action,
    })
}

/// Whether anything in the environment will be changed.
fn changes(action: &TableAction, request: &RestoreRequest) -> bool {
    match action {
        TableAction::Keep => false,
        TableAction::Add { .. } => request.content.data(),
        TableAction::Create | TableAction::Replace { .. } => true,
    }
}

fn refuse_vanishing_target(environment: &Environment) -> Result<()> {
    match environment.endpoint() {
        Endpoint::Embedded { file: None, .. } => {
            Err(Error::usage("a restore into embedded: without a file would vanish when it ends")
                .with_hint("name a file: LOCAL_AWS_ENDPOINT=embedded:local.db"))
        }
        _ => Ok(()),
    }
}

fn target_table(request: &RestoreRequest, environment: &Environment, source: &Source) -> Result<String> {
    let named = request.table.clone().or_else(|| source.table_name().map(ToOwned::to_owned));
    named.ok_or_else(|| {
        Error::usage("the dump does not say which table it was, and no target table is named")
            .with_hint(format!("pass --table, or set DYNAMODB_TABLE in the env file of {}", environment.name()))
    })
}

/// The marker of an unfinished restore into a table: while it stands, the table may hold half a dump.
fn marker_of(state_dir: &Path, environment: &Environment, table: &str) -> PathBuf {
    let region = environment.region().map_or("", |region| region.value.as_str());
    let account = environment.account().map_or("", |account| account.value.as_str());
    let identity = [&environment.endpoint().to_string(), region, account, environment.name(), table].join("\n");
    let hash = xxhash_rust::xxh3::xxh3_128(identity.as_bytes());
    state_dir.join(format!("unfinished-restore-{hash:032x}.json"))
}

fn action(request: &RestoreRequest, existing: Option<&TableSchema>, unfinished: bool) -> Result<TableAction> {
    let Some(table) = existing else { return Ok(TableAction::Create) };
    let items = table.description().item_count.unwrap_or(0);
    match request.existing {
        ExistingTable::Keep if !unfinished => Ok(TableAction::Keep),
        ExistingTable::Add | ExistingTable::Keep => Ok(TableAction::Add { items }),
        ExistingTable::Replace if table.description().is_deletion_protected() => Err(Error::usage(
            "the target table has deletion protection, so it cannot be replaced",
        )
        .with_hint("lift it yourself if you are sure: `aws dynamodb update-table --no-deletion-protection-enabled`")),
        ExistingTable::Replace => Ok(TableAction::Replace { items }),
    }
}

fn wanted_schema(request: &RestoreRequest, source: &Source) -> Result<Option<TableSchema>> {
    match &request.schema {
        Some(file) => backup::read_schema(file).map(Some),
        None => Ok(source.schema().cloned()),
    }
}

/// What follows from the dump's schema and the table that exists.
struct Settled {
    create: Option<CreateTable>,
    key: Option<KeySchema>,
    differences: Vec<Difference>,
}

impl Settled {
    fn of(
        action: &TableAction,
        request: &RestoreRequest,
        wanted: Option<&TableSchema>,
        existing: Option<&TableSchema>,
        table: &str,
        environment: &Environment,
    ) -> Result<Self> {
        match (action, existing) {
            (TableAction::Keep, _) => Ok(Self { create: None, key: None, differences: Vec::new() }),
            (TableAction::Add { .. }, Some(existing)) => Self::added(wanted, existing, table),
            _ => Self::created(request, wanted, table, environment),
        }
    }

    fn added(wanted: Option<&TableSchema>, existing: &TableSchema, table: &str) -> Result<Self> {
        let found = wanted.map(|wanted| differences(wanted, existing)).unwrap_or_default();
        if let Some(key) = found.key {
            return Err(Error::schema_mismatch(format!("the key schema of table {table} is not the dump's"))
                .with_details(side_by_side(&key))
                .with_hint("restore under another name with --table, or replace the table with --replace"));
        }
        Ok(Self { create: None, key: Some(existing.key_schema()?), differences: found.settings })
    }

    fn created(
        request: &RestoreRequest,
        wanted: Option<&TableSchema>,
        table: &str,
        environment: &Environment,
    ) -> Result<Self> {
        if !request.create || !request.content.schema() {
            let flag = if request.create { "--data-only" } else { "--no-create" };
            return Err(Error::not_found(format!(
                "table {table} does not exist in environment {}",
                environment.name()
            ))
            .with_hint(format!("create it first, or leave out {flag}")));
        }
        let Some(schema) = wanted else {
            return Err(Error::schema_mismatch(format!(
                "table {table} does not exist in environment {}, and the source has no schema to create it from",
                environment.name()
            ))
            .with_hint("pass --schema FILE (what `aws dynamodb describe-table` prints), or create the table first"));
        };
        let create = schema.create_table_request(table)?;
        Ok(Self { create: Some(create), key: Some(schema.key_schema()?), differences: Vec::new() })
    }
}

fn side_by_side(key: &KeyMismatch) -> Vec<String> {
    let width = key.dump.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(4) + 4;
    let row = |dump: &str, table: &str| format!("{dump:width$}{table}");
    let rows = key.dump.iter().zip(&key.table).map(|(dump, table)| row(dump, table));
    std::iter::once(row("dump", "table")).chain(rows).collect()
}

/// Reads the whole dump once before anything is touched. Standard input cannot be read twice and goes unchecked.
async fn check(source: Source, reporter: Arc<dyn Reporter>) -> Result<(Source, Option<Checked>)> {
    if source.is_stream() {
        return Ok((source, None));
    }
    let (items, bytes) =
        source.metadata().map_or((None, None), |metadata| (Some(metadata.items), Some(metadata.data_bytes)));
    reporter.report(Event::Phase { phase: Phase::Checking, items, bytes });
    let work = move || {
        let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
        let checked = backup::check(&source, &mut progress)?;
        Ok((source, Some(checked)))
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::failed("the check was cut off").with_source(error))?
}

fn warn_of_target(
    warnings: &mut Vec<String>,
    action: &TableAction,
    existing: Option<&TableSchema>,
    request: &RestoreRequest,
    unfinished: bool,
) {
    let Some(existing) = existing.filter(|_| *action != TableAction::Keep) else { return };
    if unfinished {
        warnings.push("an earlier restore into this table did not end; every item is written again".into());
    }
    if let (TableAction::Add { .. }, true) = (action, request.content.data()) {
        if existing.description().stream().is_some() {
            warnings.push("the table has a live stream: its consumers will see every restored item".into());
        }
        if existing.description().item_count.unwrap_or(0) > 0 && !unfinished {
            warnings.push("items with the same key are overwritten, newer ones too".into());
        }
    }
}

fn warn_of_source(warnings: &mut Vec<String>, facts: &SourceFacts) {
    if !facts.complete {
        warnings.push("the dump is not a whole table".into());
    }
}

fn questions(
    facts: &SourceFacts,
    target: &Place,
    action: &TableAction,
    existing: Option<&TableSchema>,
) -> Vec<Question> {
    let mut questions = Vec::new();
    if let Some((source, target)) = crossing(facts, target) {
        questions.push(Question::CrossEnvironment { source, target });
    }
    if let (TableAction::Replace { .. }, Some(existing)) = (action, existing) {
        let mut losses = vec!["its settings, tags and point-in-time history".to_owned()];
        if existing.description().stream().is_some() {
            losses.push("its stream, with every record not read yet".to_owned());
        }
        questions.push(Question::ReplaceTable { table: target.table.clone(), losses });
    }
    questions
}

/// The two sides of a restore that leaves its environment. One name can stand for two places (`no-env` always can), so account
/// and region count too, where both sides tell them.
fn crossing(facts: &SourceFacts, target: &Place) -> Option<(String, String)> {
    let source = facts.environment.as_ref()?;
    if *source != target.environment {
        return Some((source.clone(), target.environment.clone()));
    }
    let differs = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
    let elsewhere = differs(&facts.account, &target.account) || differs(&facts.region, &target.region);
    elsewhere.then(|| {
        let label = |account: &Option<String>, region: &Option<String>| {
            let parts = [account.as_deref(), region.as_deref()];
            format!("{source} ({})", parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
        };
        (label(&facts.account, &facts.region), label(&target.account, &target.region))
    })
}

/// What `auto` means here. A stream cannot be read a second time, so it cannot be compared.
fn verify_mode(request: &RestoreRequest, source: &Source, target: &Place, warnings: &mut Vec<String>) -> VerifyMode {
    let mode = match request.verify {
        _ if !request.content.data() => VerifyMode::None,
        VerifyMode::Auto if target.local && !source.is_stream() => VerifyMode::Full,
        VerifyMode::Auto => VerifyMode::Count,
        mode => mode,
    };
    if mode == VerifyMode::Full && source.is_stream() {
        warnings.push("standard input cannot be read a second time: only the counts are compared".into());
        return VerifyMode::Count;
    }
    mode
}

impl SourceFacts {
    fn of(source: &Source, checked: Option<&Checked>) -> Self {
        let metadata = source.metadata();
        let schema = source.schema();
        Self {
            path: source.to_string(),
            kind: source.kind().words(),
            environment: source.environment().map(ToOwned::to_owned),
            table: source.table_name().map(ToOwned::to_owned),
            account: schema.and_then(TableSchema::account).map(ToOwned::to_owned),
            region: metadata
                .and_then(|metadata| metadata.region.clone())
                .or_else(|| schema.and_then(TableSchema::region).map(ToOwned::to_owned)),
            started_at: metadata.map(|metadata| metadata.started_at),
            finished_at: metadata.map(|metadata| metadata.finished_at),
            items: checked.map(|checked| checked.items).or_else(|| metadata.map(|metadata| metadata.items)),
            bytes: checked.map(|checked| checked.text_bytes).or_else(|| metadata.map(|metadata| metadata.data_bytes)),
            complete: metadata.is_none_or(|metadata| metadata.complete),
        }
    }
}
