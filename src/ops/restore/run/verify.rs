//! Full verification of a restore: all items of the source are compared with the table.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::compare::{CompareContext, DifferenceKind, SourceSide, TableSide, compare};
use crate::ops::restore::Verified;
use crate::ops::restore::plan::RestorePlan;
use crate::ops::scan_segments::segments_for;
use crate::ops::source::ItemSource;
use crate::store::Reader;

/// Maximum number of keys in the summary.
const MAX_EXAMPLES: usize = 10;

/// Pages of the table in memory. Few, because the allocator has not returned all memory of the restore.
const MAX_PAGES: usize = 6;

/// Compares the table with the source, except for the items in the files `rejected`, which the table does not have.
pub(crate) async fn verify_all(
    store: &Reader,
    plan: &RestorePlan,
    key: &KeySchema,
    rejected: Vec<PathBuf>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Verified> {
    reporter.report(Event::Phase {
        phase: Phase::Verifying,
        items: plan.source.expected_items(),
        bytes: plan.source.bytes,
    });

    let table = TableSide {
        store: store.clone(),
        table: plan.target.table.clone(),
        segments: segments_for(plan.source.expected_bytes().unwrap_or(0)),
        pages: MAX_PAGES,
        consistent_read: true,
    };

    let comparing = CompareContext {
        key: key.clone(),
        keys_only: false,
        sample: None,
        reporter: Arc::clone(reporter),
    };

    let work = async {
        match plan.prepared.source.clone() {
            ItemSource::Dump(dump) => {
                compare(source_side(dump, plan, rejected), table, &comparing).await
            }
            ItemSource::Table(scanned) => {
                compare(source_side(scanned, plan, rejected), table, &comparing).await
            }
            ItemSource::Backup(_) => Err(ItemSource::unreadable_items()),
        }
    };
    let found = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(interrupted()),
        found = work => found?,
    };

    // Items that were in the table before the restore are not errors.
    let lacking = found
        .examples
        .into_iter()
        .filter(|example| example.kind != DifferenceKind::Extra);
    Ok(Verified::Full {
        equal: found.equal,
        missing: found.missing,
        different: found.different,
        extra: found.extra,
        consumed_read_units: found.read_units,
        wire: found.wire,
        examples: lacking
            .map(|example| example.key)
            .take(MAX_EXAMPLES)
            .collect(),
    })
}

/// The items that the table is expected to have.
fn source_side<S>(source: S, plan: &RestorePlan, rejected: Vec<PathBuf>) -> SourceSide<S> {
    let request = &plan.prepared.request;

    SourceSide {
        source,
        transform: request.transform.clone(),
        limit: request.scan().and_then(|scan| scan.options.limit),
        rejected,
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted while comparing: every item is written",
    )
    .with_hint("run the same command again")
}
