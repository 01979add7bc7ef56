//! `copy`: writes the items of a live table into another table. It is a [restore](super::restore) whose source is the Scan of a table:
//! plan, confirmation, settings, boost, journal and verification are the same.
//!
//! ```text
//! plan: describe the source and read its settings ─► plan of a restore       (changes nothing)
//! run:  N segment scans ─► small raw pages ─► transform ─► batches ─► table
//! ```
//!
//! The source is a store that can only read. With the route `backup`, DynamoDB makes a backup of it and restores the target from that.

mod backup;

use std::sync::Arc;

use super::guard;
use super::identity::TableIdentity;
use super::restore::{
    DataCheck, RestorePlan, RestoreRequest, ResumePoint, TableAction, find_interrupted_from,
    plan_from,
};
use super::route::Route;
use super::route_advice::RouteAdvice;
use super::source::{ItemSource, ScannedTable};
use super::table_location::TableLocation;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::field::Field;
use crate::ops::ContentScope;
use crate::store::Reader;

pub use super::source::TableScan;

/// A connection to the environment of the source.
#[derive(Clone, Copy)]
pub struct SourceStore<'a> {
    /// The environment.
    pub environment: &'a Environment,
    /// Its store.
    pub store: &'a Reader,
}

/// Plans a copy: describes both tables and reads the settings of the source. Changes nothing.
/// [`restore::run`](super::restore::run) runs the plan.
///
/// # Errors
/// The source does not exist or cannot be read; both tables are the same; those of [`restore::plan`](super::restore::plan).
pub async fn plan(
    source: SourceStore<'_>,
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePlan> {
    let connection_warnings = guard::check_connection(source.environment)?;
    let mut table = open(source, &request).await?;
    refuse_same_table(&source, &table, store, environment, &request).await?;
    let target = (store, environment);
    table.backup = backup::plan_backup(source, &table, target, &request).await?;

    let planning = plan_from(
        ItemSource::Table(Arc::new(table)),
        DataCheck::Whole,
        (store, environment),
        request,
        reporter,
    );
    let mut plan = Box::pin(planning).await?;
    plan.warnings.splice(0..0, connection_warnings);
    advise(&mut plan);

    Ok(plan)
}

/// Names the route by backup, if it is better and can make the copy.
fn advise(plan: &mut RestorePlan) {
    let (ItemSource::Table(table), Some(scan)) = (&plan.prepared.source, &mut plan.source.scan)
    else {
        return;
    };

    let is_whole = plan.source.complete
        && plan.transform.is_empty()
        && plan.prepared.request.content == ContentScope::All
        && plan.prepared.request.route == Route::Scan;
    let can_copy = is_whole && can_restore_there(&scan.location, &plan.target, &plan.action);
    let advice = RouteAdvice::new(
        &scan.location,
        &table.schema,
        scan.scan_cost.as_ref(),
        can_copy,
    );
    scan.advice = advice.map(|advice| advice.with_restore(&scan.location, &table.schema));
}

/// Whether DynamoDB can restore a backup of the table at `from` as the table at `to`: in the same account and region, and as a new table.
fn can_restore_there(from: &TableLocation, to: &TableLocation, action: &TableAction) -> bool {
    let place = |location: &TableLocation| location.account.clone().zip(location.region.clone());

    action.creates() && place(from).is_some() && place(from) == place(to)
}

/// Finds an interrupted copy that `request` can resume. Errors count as "not found": the plan reports them.
pub async fn find_interrupted(
    source: SourceStore<'_>,
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
) -> Option<ResumePoint> {
    // A copy by backup writes no items itself.
    if !request.content.includes_items() || request.route.backup().is_some() {
        return None;
    }

    let table = ItemSource::Table(Arc::new(open(source, request).await.ok()?));
    Box::pin(find_interrupted_from(store, environment, request, table)).await
}

async fn open(source: SourceStore<'_>, request: &RestoreRequest) -> Result<ScannedTable> {
    let scan = request.scan().cloned().ok_or_else(|| {
        Error::usage("no table to copy is named").with_hint(format!("pass {} NAME", Field::Table))
    })?;

    ScannedTable::open(source.store, source.environment, scan).await
}

/// Refuses to copy a table to itself.
async fn refuse_same_table(
    source: &SourceStore<'_>,
    table: &ScannedTable,
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
) -> Result<()> {
    let Some(name) = &request.table else {
        return Ok(());
    };

    let Some(target) = store.describe(name).await? else {
        return Ok(());
    };

    let source_identity = TableIdentity::new(source.environment, &table.schema);
    let target_identity = TableIdentity::new(environment, &target);
    if !source_identity.is_same(&target_identity).await {
        return Ok(());
    }

    let (place, target) = (&table.location, environment.name());
    let hint = match request.route {
        Route::Backup(_) => format!("copy to another name with {}", Field::TargetTable),
        Route::Scan if place.environment != target => format!(
            "environments {} and {target} are the same place: check their credentials, regions and endpoints, or copy to another name with {}",
            place.environment,
            Field::TargetTable
        ),
        Route::Scan => format!(
            "copy to another environment with {}, or to another name with {}",
            Field::TargetEnvironment,
            Field::TargetTable
        ),
    };

    Err(Error::usage(format!(
        "source and target are the same table: {name} ({target}, {})",
        place.location()
    ))
    .with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::aws_location;

    #[test]
    fn a_backup_makes_only_new_tables_in_its_account_and_region() {
        let here = aws_location("eu-west-1");
        let other_account = TableLocation {
            account: Some("999999999999".to_owned()),
            ..here.clone()
        };
        let unknown_account = TableLocation {
            account: None,
            ..here.clone()
        };
        let (new, replaced) = (TableAction::Create, TableAction::Replace { items: 1 });
        let existing = TableAction::Add { items: 1 };
        for (case, to, action, expected) in [
            ("a new table", &here, &new, true),
            ("a replaced table", &here, &replaced, true),
            ("an existing table", &here, &existing, false),
            ("another region", &aws_location("eu-west-2"), &new, false),
            ("another account", &other_account, &new, false),
            ("an unknown account", &unknown_account, &new, false),
        ] {
            assert_eq!(can_restore_there(&here, to, action), expected, "{case}");
        }

        let unknown = can_restore_there(&unknown_account, &unknown_account, &new);
        assert!(!unknown, "both accounts are unknown");
    }
}
