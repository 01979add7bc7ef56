//! Outcomes of items: each item of a finished call is recorded as written, superseded, rejected or skipped.

use super::OnConflict;
use super::batch::{Batch, BatchItem, PendingItem};
use super::ledger::{ItemOutcome, Ticket};
use super::sink::TableSink;
use crate::error::{Error, Result};
use crate::store::{RejectedItem, WriteOutcome};

impl<P: Clone + Send> TableSink<P> {
    /// Records the outcome of every item of a batch.
    pub(super) fn settle_batch(&mut self, batch: Batch, written: WriteOutcome) -> Result<()> {
        let outcomes = written.items + (written.rejected.len() + written.conflicts.len()) as u64;
        if outcomes != batch.items.len() as u64 {
            let message = format!(
                "the response to a request with {} items names other items",
                batch.items.len()
            );
            return Err(Error::failed(message)
                .with_hint("run the same command again; if it happens again, report it"));
        }

        let Batch {
            items, mut earlier, ..
        } = batch;
        let mut refused = self.by_key(written.rejected);
        let mut conflicts = self.by_key(written.conflicts);
        for item in items {
            let earlier_versions: Vec<_> = earlier
                .extract_if(.., |other| other.key == item.key)
                .collect();

            if let Some(refused) = take_of_key(&mut refused, item.key) {
                self.settle_refused(item.ticket, refused, earlier_versions)?;
                continue;
            }

            self.refusals.set_any_accepted();
            match take_of_key(&mut conflicts, item.key) {
                Some(refused) => self.settle_conflict(item.ticket, refused)?,
                None => self.settle_written(&item, written.already_present > 0)?,
            }

            for superseded in earlier_versions {
                self.settle(superseded.ticket, ItemOutcome::Superseded)?;
            }
        }

        Ok(())
    }

    /// Rejects an item that DynamoDB refused. Its earlier versions are written after all, as if the items had been sent one by one.
    fn settle_refused(
        &mut self,
        ticket: Ticket,
        refused: RejectedItem,
        earlier_versions: Vec<BatchItem>,
    ) -> Result<()> {
        // The item is listed before the error for too many refusals is returned.
        let counted = self.refusals.add(&refused.reason);
        self.reject(ticket, refused)?;
        counted?;

        // Before all others, the oldest first.
        for earlier in earlier_versions.into_iter().rev() {
            self.waiting.push_front(PendingItem {
                text: earlier.text,
                ticket: earlier.ticket,
                key: Some(earlier.key),
            });
        }

        Ok(())
    }

    /// Skips or rejects an item because the table has another item with its key.
    fn settle_conflict(&mut self, ticket: Ticket, refused: RejectedItem) -> Result<()> {
        if self.options.on_conflict == OnConflict::Fail {
            self.reject(ticket, refused)
        } else {
            self.settle(ticket, ItemOutcome::Skipped(refused))
        }
    }

    fn settle_written(&mut self, item: &BatchItem, is_already_there: bool) -> Result<()> {
        let bytes = u32::try_from(item.bytes).unwrap_or(u32::MAX);
        self.acknowledged.add(item.key, is_already_there)?;
        let outcome = if is_already_there {
            ItemOutcome::AlreadyThere { bytes }
        } else {
            ItemOutcome::Written { bytes }
        };

        self.settle(item.ticket, outcome)
    }

    /// Items that were not written, with the hashes of their keys.
    fn by_key(&self, refused: Vec<RejectedItem>) -> Vec<(Option<u128>, RejectedItem)> {
        refused
            .into_iter()
            .map(|refused| (self.batcher.key_of(&refused.item), refused))
            .collect()
    }

    /// Records the outcome of one item to write.
    pub(super) fn settle(&mut self, ticket: Ticket, outcome: ItemOutcome) -> Result<()> {
        self.ledger.settle(ticket, outcome);
        self.append_rejects()
    }
}

/// Removes and returns the item with this key.
fn take_of_key(items: &mut Vec<(Option<u128>, RejectedItem)>, key: u128) -> Option<RejectedItem> {
    let index = items.iter().position(|(other, _)| *other == Some(key))?;
    Some(items.swap_remove(index).1)
}
