//! Plans a restore: opens and checks the source, inspects the target, and collects warnings and questions. Changes nothing.
//!
//! Each step is a file: the source (`source_check`, `source_facts`), the target (`target_state`, `table_action`), what is changed
//! (`reconcile`, with `settings`, `boost`, `index_violations` and `table_ttl`), at which cost (`destination`, `unit_caps`), and how the
//! result is verified. `restore_plan` is the result.

pub(super) mod backup_origin;
pub(super) mod boost;
mod destination;
mod index_violations;
pub(super) mod origin;
pub(super) mod reconcile;
mod restore_plan;
pub(super) mod settings;
pub(super) mod source_check;
pub(super) mod source_facts;
pub(super) mod table_action;
pub(super) mod table_ttl;
mod target_state;
mod unit_caps;
pub(super) mod verification;

use std::sync::Arc;

pub use restore_plan::RestorePlan;
pub(super) use restore_plan::RunState;

use backup_origin::{BackupRestore, check_target, take_origin};
use destination::{ItemDestination, cost_model};
use index_violations::{postpone_indexes, violations};
use reconcile::Reconciliation;
use restore_plan::Planned;
use source_check::{DataCheck, open_dump};
use source_facts::SourceFacts;
use target_state::TargetState;
use unit_caps::{UnitCaps, was_empty};

use crate::environment::{Approval, Environment};
use crate::error::Result;
use crate::event::Reporter;
use crate::ops::guard::{self, CheckedSource, Connection, Fact, RestoreFacts};
use crate::ops::restore::{RestoreRequest, RestoreSource};
use crate::ops::source::{ItemSource, ManagedBackup};
use crate::store::Reader;

/// Plans a restore: opens and checks the dump, and inspects the target. Changes nothing.
///
/// # Errors
/// The dump does not exist or is damaged; the target table is not named; its key differs from the dump's; it does not exist and may
/// not or cannot be created; another restore is writing it; deletion protection forbids to replace it; the target is in memory
/// (`embedded:` without a file).
pub async fn plan(
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let planning = plan_after(DataCheck::Whole, store, environment, request, reporter);
    Box::pin(planning).await
}

/// Plans a restore of a dump after this check of its data.
pub(crate) async fn plan_after(
    check: DataCheck,
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let connection = Connection::new(environment);
    guard::restore(&RestoreFacts::new(&request, &connection))?;

    let source = match &request.source {
        RestoreSource::Backup(choice) => {
            let backup = ManagedBackup::open(store, environment, choice).await?;
            ItemSource::Backup(Arc::new(backup))
        }
        _ => ItemSource::Dump(open_dump(request.dump()?, request.salvage, &reporter).await?),
    };

    let connection = (store, environment);
    Box::pin(plan_from(source, check, connection, request, reporter)).await
}

/// Plans to write the items of `source`.
///
/// # Errors
/// See [`plan`].
pub(crate) async fn plan_from(
    source: ItemSource,
    check: DataCheck,
    (store, environment): (&Reader, &Environment),
    mut request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let connection = Connection::new(environment);
    let origin = take_origin(&mut request, &source)?;
    let table = request.target_table(environment, &source)?;
    let violated = violations(source.index_key_violations(), None);
    postpone_indexes(&mut request, &violated);
    let target = (store, environment, &*table);
    let inspecting = TargetState::inspect(target, &request, &connection, source, origin.as_ref());
    let (source, mut state) = inspecting.await?;
    let source = check_target(origin.as_ref(), &request, &state, source)?;
    let mut reconciliation = Reconciliation::new(store, &request, &source, &mut state).await?;
    guard::restore(&table_facts(&request, &connection, &state, &reconciliation))?;

    let mut destination = ItemDestination::new(&mut request, &source, &reconciliation, &state)?;
    state.was_empty = was_empty(store, &state).await;
    let caps = UnitCaps::resolve(&request, &state, &reconciliation)?;
    reconciliation.complete(store, &request, &state).await;

    let backup =
        BackupRestore::plan(store, origin.clone(), &source, &reconciliation, &state).await?;

    // Last, because reading the whole dump may take long.
    let counter = reconciliation.item_counter(&request, &source, &state)?;
    let checked = check
        .run(&source, (&request, &state.action), counter, reporter)
        .await?;
    let facts = SourceFacts::new(&source, checked.as_ref());
    if state.action.creates() && postpone_indexes(&mut request, &facts.index_violations) {
        reconciliation = Reconciliation::new(store, &request, &source, &mut state).await?;
        reconciliation.complete(store, &request, &state).await;
    }

    destination.cost_model = cost_model(&reconciliation, &state, caps.write.as_ref());

    let known = (&request, &connection, &state, &reconciliation);
    let (found, approval) = findings(known, CheckedSource::new(&facts, &source), environment)?;
    let planned = Planned {
        request,
        source,
        origin,
        state,
        reconciliation,
        destination,
        caps,
        backup,
        checked,
        facts,
    };

    Ok(planned.into_plan(&found, approval))
}

/// The facts for the guard once the changes to the table are planned.
fn table_facts<'a>(
    request: &'a RestoreRequest,
    connection: &'a Connection,
    state: &'a TargetState,
    reconciliation: &'a Reconciliation,
) -> RestoreFacts<'a> {
    RestoreFacts {
        target: Fact::Known(state.facts()),
        changes: Fact::Known(reconciliation.facts()),
        ..RestoreFacts::new(request, connection)
    }
}

/// The warnings of the guard, and the required confirmation: none if nothing is changed.
fn findings(
    (request, connection, state, reconciliation): (
        &RestoreRequest,
        &Connection,
        &TargetState,
        &Reconciliation,
    ),
    source: CheckedSource<'_>,
    environment: &Environment,
) -> Result<(Vec<String>, Approval)> {
    let table = &state.place.table;
    let facts = RestoreFacts {
        source: Fact::Known(source),
        ..table_facts(request, connection, state, reconciliation)
    };
    let findings = guard::restore(&facts)?;
    let approval = match findings.action {
        Some(action) => Approval::for_table(environment, table, action, findings.questions),
        None => Approval::nothing(),
    };

    Ok((findings.warnings, approval))
}
