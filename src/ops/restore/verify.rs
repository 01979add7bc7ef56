//! The full check of a restore: every item of the dump is compared with what the table now holds.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Verified;
use super::plan::RestorePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::compare::{CompareContext, DifferenceKind, DumpSide, TableSide, compare};
use crate::ops::scan_segments::segments_for;
use crate::store::ReadStore;

/// Keys shown of items that are missing or differ.
const EXAMPLES: usize = 10;

/// Pages of the table on their way. Few, for what the restore took is not all given back.
const PAGES: usize = 6;

/// Compares the table with the dump, except for the items in the files `rejected`: the table does not have them.
pub(crate) async fn full<S>(
    store: &S,
    plan: &RestorePlan,
    key: &KeySchema,
    rejected: Vec<PathBuf>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Verified>
where
    S: ReadStore + Clone + 'static,
{
    reporter.report(Event::Phase {
        phase: Phase::Verifying,
        items: plan.source.items,
        bytes: plan.source.bytes,
    });

    if let Some(units) = plan.max_read_units {
        store.cap_reads(units);
    }

    let transform = plan.parts.request.transform.clone();
    let dump = DumpSide {
        source: Arc::clone(&plan.parts.source),
        transform,
        rejected,
    };

    let table = TableSide {
        store: store.clone(),
        table: plan.target.table.clone(),
        segments: segments_for(plan.source.bytes.unwrap_or(0)),
        pages: PAGES,
        consistent_read: true,
    };

    let comparing = CompareContext {
        key: key.clone(),
        keys_only: false,
        sample: None,
        reporter: Arc::clone(reporter),
    };

    let found = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(interrupted()),
        found = compare(dump, table, &comparing) => found?,
    };

    // Items that the table held before are not part of this restore.
    let lacking = found
        .examples
        .into_iter()
        .filter(|example| example.fault != DifferenceKind::Extra);
    Ok(Verified::Full {
        equal: found.equal,
        missing: found.missing,
        different: found.different,
        extra: found.extra,
        consumed_read_units: found.read_units,
        wire: found.wire,
        examples: lacking.map(|example| example.key).take(EXAMPLES).collect(),
    })
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted while comparing: every item is written",
    )
    .with_hint("run the same command again")
}
