//! What a restore is going to do: the dump opened and checked, the target described, the questions collected. Nothing is
//! changed here.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::boost::Boosting;
use super::caps::Caps;
use super::checkpoint::{Checkpoint, Identity};
use super::empty::{needs_item, nothing_to_write};
use super::marker::{Mark, Marker, Wrote, table_id};
use super::reconcile::{Aim, Settled, wanted_schema};
use super::resume::Interrupted;
use super::settings::Settings;
use super::source_facts::SourceFacts;
use super::standing::Standing;
use super::warnings_and_questions::Concerns;
use super::{PlannedBoost, PlannedSetting, RestoreRequest, Verification, VerifyMode};
use crate::backup::{self, CheckSummary, Source, SourceSpec};
use crate::environment::{Approval, Endpoint, Environment, Question};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::cost::{WriteCost, WriteCostModel};
use crate::ops::identity::is_dumped_table;
use crate::ops::run_blocking;
use crate::ops::table_location::TableLocation;
use crate::schema::{Difference, NotRecreated, Section, SkippedSetting, TableSchema};
use crate::store::ReadStore;

/// What a restore is going to do.
#[derive(Debug, Serialize)]
pub struct RestorePlan {
    /// The dump.
    pub source: SourceFacts,
    /// The table that will be written.
    pub target: TableLocation,
    /// What happens to the table itself.
    pub action: TableAction,
    /// The table that will be created, in words: keys, indexes, billing. Empty when none is created.
    pub table: Vec<(String, String)>,
    /// Settings in which an existing table differs from the dump. They stay as they are.
    pub differences: Vec<Difference>,
    /// What is done about a temporary boost.
    pub boost: Option<PlannedBoost>,
    /// Settings that will be brought back, in the order in which they are applied.
    pub settings: Vec<PlannedSetting>,
    /// Settings that are left out, and why.
    pub skipped: Vec<SkippedSetting>,
    /// What the overrides change in the schema, each in words.
    pub notes: Vec<String>,
    /// Whatever else of the schema the table will not have: fields this version does not know, settings the target lacks.
    pub not_restored: Vec<NotRecreated>,
    /// What happens to items on the way, a line for each step.
    pub transform: Vec<String>,
    /// Where an interrupted restore is taken up.
    pub resumes: Option<Interrupted>,
    /// Cap of consumed write units per second.
    pub max_write_units: Option<u32>,
    /// What the writes cost at most, by the number of items and their bytes; `None` where that is not known beforehand, or none is
    /// written.
    pub write_cost_at_most: Option<WriteCost>,
    /// How the result will be checked.
    pub verify: Verification,
    /// Cap of consumed read units per second while every item is read back, given or set for a protected table.
    pub max_read_units: Option<u32>,
    /// What deserves attention before the restore.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) parts: Parts,
    #[serde(skip)]
    approval: Approval,
}

/// What the plan holds ready for the run.
pub(crate) struct Parts {
    pub(crate) request: RestoreRequest,
    pub(crate) source: Arc<Source>,
    pub(crate) settings: Settings,
    pub(crate) boost: Option<Boosting>,
    pub(crate) bound: Bound,
    /// The marker of a restore that has not ended yet.
    pub(crate) marker: Option<Marker>,
    pub(crate) own: Own,
    /// What a checkpoint of this restore must agree in; `None` where none is kept.
    pub(crate) identity: Option<Identity>,
    /// Where to go on.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Whether the marker is of a restore of items, and this is none.
    pub(crate) keeps_marker: bool,
}

/// What the marker is to say of the table, and what it says.
pub(crate) struct Own {
    /// Whether the table is this restore's own: made by it, or by the run that did not end before it.
    pub(crate) created: bool,
    /// What the table is known by; `None` until it is there.
    pub(crate) table_id: Option<String>,
    /// What an earlier run has left.
    pub(crate) earlier: Option<Mark>,
    /// Whether the marker is this run's.
    pub(crate) is_marked: bool,
    /// Whether the table may have been changed before the first item is written.
    pub(crate) is_changed: bool,
}

impl Own {
    fn of(created: bool, table: Option<&TableSchema>, earlier: Option<Mark>) -> Self {
        Self {
            created,
            table_id: table.and_then(table_id),
            earlier,
            is_marked: false,
            is_changed: false,
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// What happens to the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum TableAction {
    /// It is missing and will be created.
    Create,
    /// It is being deleted; it will be created when it is gone.
    CreateWhenDeleted,
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

impl TableAction {
    /// Whether the table is made by the restore.
    pub(crate) fn creates(&self) -> bool {
        matches!(
            self,
            Self::Create | Self::CreateWhenDeleted | Self::Replace { .. }
        )
    }
}

impl RestorePlan {
    /// What must be agreed to before [`run`](fn@super::run).
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Whether [`resume`](RestoreRequest::resume) can go on from where this restore stops.
    #[must_use]
    pub fn can_be_resumed(&self) -> bool {
        self.parts.identity.is_some() && self.parts.marker.is_some()
    }
}

/// Opens and checks the dump, describes the target, and works out what a restore would do.
///
/// # Errors
/// The dump is absent or damaged; the target table is not named; its key schema differs from the dump's; it is missing and
/// may not or cannot be created; another restore is writing it; its deletion protection forbids to replace it; the target would
/// vanish (`embedded:` without a file).
pub async fn plan(
    store: &impl ReadStore,
    environment: &Environment,
    mut request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let source = opened(environment, &request, &reporter).await?;
    let table = target_table(&request, environment, &source)?;
    let (
        source,
        Standing {
            existing,
            left,
            marker,
            mark,
            taken,
            action,
            is_own,
        },
    ) = Standing::look(store, environment, &request, source, &table).await?;

    let applies = action != TableAction::Keep
        && request.content.includes_schema()
        && (is_own || request.apply_settings);
    let Target {
        place: target,
        table: existing,
        backups,
    } = Target::look(
        store,
        TableLocation::new(environment, &table, store.credentials()),
        existing,
        &action,
    )
    .await;

    let wanted = wanted_schema(&request, &source)?;
    let same_table =
        is_dumped_table(store, &source, wanted.as_ref(), existing.as_ref(), &target).await;
    let aim = Aim {
        request: &request,
        table: &table,
        applies,
        same_table,
    };

    let mut settled = Settled::of(
        &aim,
        &action,
        wanted.as_ref(),
        existing.as_ref(),
        environment,
    )?;

    let (boost, planned_boost) =
        settled.boost(&aim, &action, wanted.as_ref(), existing.as_ref(), left)?;
    let becomes = if action.creates() {
        wanted.as_ref().map(|wanted| &wanted.schema)
    } else {
        existing.as_ref()
    };

    let bound = Bound::of(&mut request, &source, settled.key, becomes)?;
    let caps = Caps::of(
        &request,
        &target,
        existing.as_ref(),
        wanted.as_ref().map(|wanted| &wanted.schema),
    )?;

    let settings = settled.settings.without_what_lacks(store, &table).await;
    let (source, checked) = checked(source, &request, &action, &table, reporter).await?;
    let facts = SourceFacts::of(&source, checked.as_ref());
    let concerns = Concerns {
        action: &action,
        existing: existing.as_ref(),
        target: &target,
        facts: &facts,
    };

    let mut warnings = checked
        .as_ref()
        .map_or(source.warnings(), |checked| &checked.warnings)
        .to_vec();
    warnings.extend(concerns.warnings(&request, mark.as_ref().map(|_| &taken), backups));
    warnings.extend(concerns.further_warnings(
        boost.as_ref(),
        marker.is_some(),
        wanted.as_ref().filter(|_| !applies),
    ));

    warnings.extend(settings.warning_of_encryption(target.local));
    let changes = boost.is_some() || changes(&action, &request, &settings);
    let verify = verify_mode(
        &request,
        &source,
        &target,
        taken.checkpoint.is_some(),
        &mut warnings,
    );

    let parts = Parts {
        identity: checked
            .and_then(|checked| Some(Identity::of(&source, &request, checked.data_sha256?))),
        checkpoint: taken.checkpoint,
        keeps_marker: mark
            .as_ref()
            .is_some_and(|mark| mark.wrote != Wrote::Nothing)
            && !request.content.includes_items(),
        source: Arc::new(source),
        settings,
        bound: bound.charged(
            boost.as_ref().map(Boosting::raised).or(becomes),
            caps.write,
            &action,
            target.local,
        ),
        boost,
        marker,
        own: Own::of(
            is_own,
            existing.as_ref().filter(|_| !action.creates()),
            mark,
        ),
        request,
    };

    Ok(RestorePlan {
        transform: parts.request.transform.descriptions().collect(),
        resumes: parts.checkpoint.as_ref().map(Checkpoint::interrupted),
        notes: wanted
            .as_ref()
            .filter(|_| applies)
            .map(|wanted| wanted.notes.clone())
            .unwrap_or_default(),
        table: wanted
            .filter(|_| action.creates())
            .map(|wanted| wanted.schema.shape_lines())
            .unwrap_or_default(),
        differences: settled.differences,
        settings: parts.settings.planned(),
        skipped: parts.settings.skipped.clone(),
        not_restored: parts.settings.not_restored.clone(),
        max_write_units: caps.write,
        write_cost_at_most: parts
            .bound
            .cost_at_most(&facts, &parts.request)
            .filter(|_| action != TableAction::Keep),
        verify,
        max_read_units: caps.read.filter(|_| verify == Verification::Full),
        warnings,
        approval: approval(
            environment,
            &table,
            changes.then(|| concerns.questions(backups, &parts.source)),
        ),
        boost: planned_boost,
        source: facts,
        parts,
        target,
        action,
    })
}

/// What items are bound for.
pub(crate) struct Bound {
    /// The key that they have in the dump, where it says so.
    pub(crate) source_key: Option<KeySchema>,
    /// The key that they must have.
    pub(crate) key: Option<KeySchema>,
    /// What it costs to write them.
    pub(crate) tariff: WriteCostModel,
}

impl Bound {
    /// Tells the transform of the request between which keys it stands.
    fn of(
        request: &mut RestoreRequest,
        source: &Source,
        key: Option<KeySchema>,
        table: Option<&TableSchema>,
    ) -> Result<Self> {
        let source_key = source.schema().and_then(|schema| schema.key_schema().ok());
        if let Some(to) = key.as_ref().filter(|_| !request.transform.is_empty()) {
            let index_keys = table.map(TableSchema::index_keys).unwrap_or_default();
            let transform = std::mem::take(&mut request.transform);
            request.transform =
                transform.between_tables(source_key.as_ref().unwrap_or(to), to, &index_keys)?;
        }

        Ok(Self {
            source_key,
            key,
            tariff: WriteCostModel::default(),
        })
    }

    /// Knows what the table charges as it is while items are written.
    fn charged(
        self,
        table: Option<&TableSchema>,
        cap: Option<u32>,
        action: &TableAction,
        local: bool,
    ) -> Self {
        Self {
            tariff: table
                .map(WriteCostModel::new)
                .unwrap_or_default()
                .with_cap(cap)
                .with_may_overwrite(!action.creates())
                .with_local(local),
            ..self
        }
    }

    /// What the items cost at most, where the dump tells it and nothing changes them.
    fn cost_at_most(&self, source: &SourceFacts, request: &RestoreRequest) -> Option<WriteCost> {
        let is_as_it_is = request.content.includes_items() && request.transform.is_empty();
        let (items, bytes) = source.items.zip(source.bytes).filter(|_| is_as_it_is)?;
        Some(self.tariff.upper_bound(items, bytes))
    }
}

/// The target as it is.
struct Target {
    place: TableLocation,
    table: Option<TableSchema>,
    /// Its on-demand backups, where it is to be replaced and the endpoint tells.
    backups: Option<usize>,
}

impl Target {
    /// Looks at as much of an existing table's settings as the plan speaks of.
    async fn look(
        store: &impl ReadStore,
        place: TableLocation,
        existing: Option<TableSchema>,
        action: &TableAction,
    ) -> Self {
        let Some(schema) = existing else {
            return Self {
                place,
                table: None,
                backups: None,
            };
        };

        let sections: &[Section] = match action {
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Keep => &[],
            TableAction::Replace { .. } => &[Section::ContinuousBackups],
            TableAction::Add { .. } => &Section::ALL,
        };

        let replaced = matches!(action, TableAction::Replace { .. });
        let backups = async {
            if replaced {
                store.backup_count(&place.table).await
            } else {
                None
            }
        };

        let (sections, backups) = tokio::join!(store.capture(&schema, sections), backups);
        Self {
            place: place.with_description(&schema),
            table: Some(schema.with_sections(sections)),
            backups,
        }
    }
}

/// What must be agreed to: nothing where nothing is changed.
fn approval(environment: &Environment, table: &str, questions: Option<Vec<Question>>) -> Approval {
    match questions {
        Some(questions) => Approval::for_table(environment, table, questions),
        None => Approval::for_dump(Vec::new()),
    }
}

/// Whether anything in the environment will be changed.
fn changes(action: &TableAction, request: &RestoreRequest, settings: &Settings) -> bool {
    match action {
        TableAction::Keep => false,
        TableAction::Add { .. } => {
            request.content.includes_items()
                || !settings.before.is_empty()
                || !settings.after.is_empty()
        }
        TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Replace { .. } => true,
    }
}

fn refuse_vanishing_target(environment: &Environment) -> Result<()> {
    match environment.endpoint() {
        Endpoint::Embedded { file: None, .. } => Err(Error::usage(
            "a restore into embedded: without a file would vanish when it ends",
        )
        .with_hint("name a file: LOCAL_AWS_ENDPOINT=embedded:local.db")),
        _ => Ok(()),
    }
}

fn refuse_stream(request: &RestoreRequest) -> Result<()> {
    let flag = if request.resume {
        "--resume"
    } else {
        "--salvage"
    };

    if request.source == SourceSpec::Stdin && (request.resume || request.salvage) {
        return Err(Error::usage(format!(
            "{flag} needs a file: standard input can be read only once"
        ))
        .with_hint("save the items in a file first"));
    }

    Ok(())
}

pub(crate) fn target_table(
    request: &RestoreRequest,
    environment: &Environment,
    source: &Source,
) -> Result<String> {
    let named = request
        .table
        .clone()
        .or_else(|| source.table_name().map(ToOwned::to_owned));
    named.ok_or_else(|| {
        Error::usage("the dump does not say which table it was, and no target table is named")
            .with_hint(format!(
                "pass --table, or set DYNAMODB_TABLE in the env file of {}",
                environment.name()
            ))
    })
}

/// Opens the dump; a damaged one to read what is readable of it, where that is asked for.
async fn opened(
    environment: &Environment,
    request: &RestoreRequest,
    reporter: &Arc<dyn Reporter>,
) -> Result<Source> {
    refuse_vanishing_target(environment)?;
    refuse_stream(request)?;
    let source = Source::open(&request.source);
    if !request.salvage {
        return source;
    }

    let checked = match source {
        Ok(source) => check(source, true, Arc::clone(reporter))
            .await
            .map(|(source, _)| source),
        Err(error) => Err(error),
    };

    match checked {
        Err(failure) if failure.kind() == ErrorKind::Damaged => {
            Source::salvage(&request.source, &failure)
        }
        checked => checked,
    }
}

/// The source, checked if its items are to be written. One without items is refused where the table would be created; so are incomplete
/// items, unless they are accepted. A stream is read only once: whether it is complete is known at its end.
async fn checked(
    source: Source,
    request: &RestoreRequest,
    action: &TableAction,
    table: &str,
    reporter: Arc<dyn Reporter>,
) -> Result<(Source, Option<CheckSummary>)> {
    if *action == TableAction::Keep || !request.content.includes_items() {
        return Ok((source, None));
    }

    let (source, mut checked) = check(
        source,
        matches!(action, TableAction::Replace { .. }),
        reporter,
    )
    .await?;

    let warning = source.accept_incomplete(request.accept_incomplete)?;
    if let Some(checked) = &mut checked {
        checked.warnings.extend(warning);
    }

    if needs_item(request, action, &source)
        && checked.as_ref().is_some_and(|checked| checked.items == 0)
    {
        return Err(nothing_to_write(&source, table, None));
    }

    Ok((source, checked))
}

/// Reads the whole dump once before anything is touched. Without `values`, the items of a dump of ours whose checksum matches are not
/// parsed: each is proven to be one item when it is sent. Before a table is deleted, they are. Standard input cannot be read twice and
/// goes unchecked.
async fn check(
    source: Source,
    values: bool,
    reporter: Arc<dyn Reporter>,
) -> Result<(Source, Option<CheckSummary>)> {
    if source.is_stream() {
        return Ok((source, None));
    }

    let (items, bytes) = source.metadata().map_or((None, None), |metadata| {
        (Some(metadata.items), Some(metadata.data_bytes))
    });
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items,
        bytes,
    });

    run_blocking("the check", move || {
        let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
        let check = if values {
            backup::check
        } else {
            backup::check_files
        };

        let checked = check(&source, &mut progress)?;
        Ok((source, Some(checked)))
    })
    .await
}

/// How the result will be checked. A stream cannot be read twice, so it cannot be compared.
fn verify_mode(
    request: &RestoreRequest,
    source: &Source,
    target: &TableLocation,
    resumes: bool,
    warnings: &mut Vec<String>,
) -> Verification {
    let is_repeatable =
        !request.transform.has_commands() && (!resumes || request.transform.is_empty());
    if request.verify == VerifyMode::Full && !is_repeatable {
        warnings
            .push("the comparison transforms the dump once more: what does not come out the same twice differs".into());
    }

    match request.verify {
        _ if !request.content.includes_items() => Verification::None,
        VerifyMode::None => Verification::None,
        VerifyMode::Full if source.is_stream() => {
            warnings
                .push("Standard input cannot be read twice: items will not be read back.".into());
            Verification::Acknowledged
        }
        VerifyMode::Full => Verification::Full,
        // A program, or the time in a filter, may give another item the next time.
        VerifyMode::Auto if is_repeatable && target.local && !source.is_stream() => {
            Verification::Full
        }
        VerifyMode::Auto => Verification::Acknowledged,
    }
}
