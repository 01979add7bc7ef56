//! A chunk of which some items are in batches: the next one to write.

use bytes::Bytes;
use smallvec::SmallVec;

use super::batch::PendingItem;
use super::ledger::{ChunkTicket, Ticket};
use crate::ops::chunk::Chunk;
use crate::transform::Outcome;

/// A chunk and the next of its items to write.
#[derive(Debug)]
pub(super) struct ChunkCursor<P> {
    chunk: Chunk<P>,
    ticket: ChunkTicket,
    /// Index of the item of the source.
    item: usize,
    /// Index among its outputs.
    output: usize,
}

impl<P> ChunkCursor<P> {
    pub(super) fn new(chunk: Chunk<P>, ticket: ChunkTicket) -> Self {
        Self {
            chunk,
            ticket,
            item: 0,
            output: 0,
        }
    }

    /// The ticket of the current item of the source.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            chunk: self.ticket,
            item: self.item,
        }
    }

    /// All items to write of the current item of the source; `None` at the end of the chunk.
    pub(super) fn outputs(&self) -> Option<SmallVec<[Bytes; 1]>> {
        let item = self.chunk.items.get(self.item)?;
        let outputs = self.chunk.outcome(self.item).items(&item);

        Some(SmallVec::from(outputs))
    }

    /// Moves to the next item of the source.
    pub(super) fn skip_item(&mut self) {
        self.item += 1;
        self.output = 0;
    }

    /// The next item to write; `None` at the end of the chunk.
    pub(super) fn next(&mut self) -> Option<PendingItem> {
        loop {
            let item = self.chunk.items.get(self.item)?;
            let ticket = self.ticket();
            let outcome = self.chunk.outcome(self.item);

            if matches!(outcome, Outcome::Unchanged) {
                // The hash applies to the item as it was read, not to the output of a transform.
                let key = self.chunk.key_hash(self.item);
                self.skip_item();
                return Some(PendingItem {
                    text: item,
                    ticket,
                    key,
                });
            }

            let outputs = outcome.items(&item);
            let text = outputs.get(self.output).cloned();
            let is_last = self.output + 1 >= outputs.len();
            if is_last {
                self.skip_item();
            } else {
                self.output += 1;
            }

            if let Some(text) = text {
                return Some(PendingItem {
                    text,
                    ticket,
                    key: None,
                });
            }
        }
    }
}
