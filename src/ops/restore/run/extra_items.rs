//! Deletion of the items of the target that the source does not have (`delete_extra`).
//!
//! After all items were written, the keys of both tables are read, the source with strongly consistent reads: what is not found there does
//! not exist. Nothing is deleted if an item was not written, because it may be in the source under another key.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::transfer_totals::TransferTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::limits::BATCH_WRITE_ITEMS;
use crate::ops::compare::{CompareContext, ExtraItems, SourceSide, TableSide};
use crate::ops::restore::plan::RestorePlan;
use crate::ops::scan_segments::segments_for;
use crate::ops::source::ItemSource;
use crate::store::Writer;

/// Pages of the target in memory.
const MAX_PAGES: usize = 6;

/// Calls in flight.
const MAX_CALLS: usize = 8;

/// Result of the deletion.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct DeletedItems {
    /// Number of items that were deleted.
    pub items: u64,
    /// Why no item was deleted although it was requested.
    pub prevented: Option<String>,
    /// Consumed write units.
    pub consumed_write_units: f64,
    /// Read units consumed in both tables to find the items.
    pub consumed_read_units: f64,
}

impl DeletedItems {
    fn prevented(reason: String) -> Self {
        Self {
            items: 0,
            prevented: Some(reason),
            consumed_write_units: 0.0,
            consumed_read_units: 0.0,
        }
    }
}

/// Deletes the items of the target that the source does not have; `None` if that was not requested.
///
/// # Errors
/// A table cannot be read completely; an item cannot be deleted; interrupted.
pub(crate) async fn delete_extra(
    store: &Writer,
    plan: &RestorePlan,
    key: &KeySchema,
    totals: &TransferTotals,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Option<DeletedItems>> {
    let request = &plan.prepared.request;
    let ItemSource::Table(source) = &plan.prepared.source else {
        return Ok(None);
    };

    // A table that was created has no other items.
    if !request.delete_extra || plan.action.creates() {
        return Ok(None);
    }

    if let Some(reason) = totals.unwritten_reason() {
        return Ok(Some(DeletedItems::prevented(reason)));
    }

    reporter.report(Event::Phase {
        phase: Phase::Verifying,
        items: plan.source.expected_items(),
        bytes: plan.source.bytes,
    });

    let source = SourceSide::new(
        Arc::new(source.with_consistent_reads()),
        request.transform.clone(),
    );
    let target = TableSide {
        store: store.reader().clone(),
        table: plan.target.table.clone(),
        segments: segments_for(plan.source.expected_bytes().unwrap_or(0)),
        pages: MAX_PAGES,
        consistent_read: true,
    };
    let context = CompareContext {
        key: key.clone(),
        keys_only: true,
        sample: None,
        reporter: Arc::clone(reporter),
    };

    let work = async {
        let extra = ExtraItems::find(source, target, context).await?;
        if extra.source_items == 0 && !request.allow_empty {
            let reason = "the source has no items".to_owned();
            return Ok(DeletedItems::prevented(reason));
        }

        // The source must still be the table that was copied.
        plan.prepared.source.check_not_recreated().await?;

        delete_all(store, &plan.target.table, key, extra).await
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        deleted = work => deleted.map(Some),
    }
}

async fn delete_all(
    store: &Writer,
    table: &str,
    key: &KeySchema,
    mut extra: ExtraItems,
) -> Result<DeletedItems> {
    let (mut items, mut write_units) = (0, 0.0);
    while let Some(found) = extra.next_items().await? {
        let batches: Vec<_> = found.chunks(BATCH_WRITE_ITEMS).map(<[_]>::to_vec).collect();
        let calls = batches
            .into_iter()
            .map(|batch| store.delete_items(table, key, batch));
        let outcomes: Vec<_> = stream::iter(calls)
            .buffer_unordered(MAX_CALLS)
            .try_collect()
            .await?;

        for outcome in outcomes {
            if let Some(refused) = outcome.rejected.first() {
                return Err(Error::failed(format!(
                    "an item that the source does not have could not be deleted: {}",
                    refused.reason
                )));
            }

            items += outcome.items;
            write_units += outcome.write_units;
        }
    }

    Ok(DeletedItems {
        items,
        prevented: None,
        consumed_write_units: write_units,
        consumed_read_units: extra.read_units,
    })
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted: every item is written, and not all items that the source does not have are deleted",
    )
    .with_hint("run the same command again")
}
