//! The items of a source: read by a blocking thread and sent through the transform, if there is one.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::lane_readers::{ItemPosition, LaneReaders, ReadChunk};
use super::ledger::ItemOutput;
use crate::backup::{KeyCollisions, Source};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::KeySchema;
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::invalid_item::InvalidItem;
use crate::ops::source::lanes::LanePositions;
use crate::ops::transform_stream::transform_stream;
use crate::store::RejectedItem;
use crate::transform::{Outcome, Transform, TransformedChunk};

/// An item of the source after the transform.
#[derive(Debug)]
pub(crate) struct ReadItem {
    pub(crate) output: ItemOutput,
    /// The items to write.
    pub(crate) texts: SmallVec<[Bytes; 1]>,
    pub(crate) position: ItemPosition,
}

/// The transform between source and table, with a check for key collisions.
#[derive(Clone)]
pub(crate) struct ItemPipeline {
    pub(crate) transform: Transform,
    /// The key of the items in the source.
    pub(crate) source_key: KeySchema,
    /// The key of the target table.
    pub(crate) target_key: KeySchema,
    /// Whether the source is an unmodified Scan, whose items have different keys.
    pub(crate) is_scan: bool,
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Items with the same key after the transform; set when all items were read.
    pub(crate) collisions: Arc<OnceLock<KeyCollisions>>,
}

/// Receiver of the items from the reading thread.
pub(crate) struct ItemStream {
    messages: mpsc::Receiver<Result<ReadMessage>>,
    has_ended: bool,
}

/// A message from the reading thread.
enum ReadMessage {
    Chunk(Vec<ReadItem>),
    /// All items were read. A thread that ends without this message has failed.
    End,
}

impl ItemStream {
    /// Starts to read each lane at its mark.
    pub(crate) fn start(
        source: &Arc<Source>,
        lanes: &LanePositions,
        pipeline: ItemPipeline,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        // If the key changes, its hash in the source is useless for the table.
        let key = (pipeline.source_key == pipeline.target_key).then(|| pipeline.target_key.clone());
        let readers = LaneReaders::open(source, lanes, key.as_ref())?;
        Ok(Self::spawn_reader(
            move |sink| pipeline.run(readers.chunks(), sink),
            cancel,
        ))
    }

    /// Starts the reading thread. It stops when the sink returns `false`.
    fn spawn_reader(
        read: impl FnOnce(&mut ChunkSink<'_>) -> Result<()> + Send + 'static,
        cancel: &CancellationToken,
    ) -> Self {
        // A small buffer: it only has to hide the latency between the threads.
        let (send, receive) = mpsc::channel(2);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || {
            let done = read(&mut |items| {
                send.blocking_send(Ok(ReadMessage::Chunk(items))).is_ok() && !cancel.is_cancelled()
            });
            let is_stopped = done.is_ok() && cancel.is_cancelled();
            if !is_stopped {
                // There is no receiver if the restore has failed in the meantime.
                let _ = send.blocking_send(done.map(|()| ReadMessage::End));
            }
        });

        Self {
            messages: receive,
            has_ended: false,
        }
    }

    /// The next items; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<Result<Vec<ReadItem>>> {
        if self.has_ended {
            return None;
        }

        match self.messages.recv().await {
            Some(Ok(ReadMessage::Chunk(items))) => Some(Ok(items)),
            Some(Ok(ReadMessage::End)) => {
                self.has_ended = true;
                None
            }
            Some(Err(error)) => Some(Err(error)),
            None => Some(Err(Error::failed(
                "reading the source ended unexpectedly; this is a bug",
            ))),
        }
    }
}

/// Function that takes items. Returns whether it accepts more.
type ChunkSink<'a> = dyn FnMut(Vec<ReadItem>) -> bool + 'a;

/// Sends the items unchanged. Returns whether all of them were accepted.
fn send_unchanged(
    chunks: impl Iterator<Item = Result<ReadChunk>>,
    collisions: &mut Option<CollisionDetector>,
    sink: &mut ChunkSink<'_>,
) -> Result<bool> {
    for chunk in chunks {
        let (items, positions) = chunk?;
        if let Some(collisions) = collisions {
            items
                .iter()
                .try_for_each(|item| collisions.add(item, &Outcome::Unchanged))?;
        }

        let read_item = |(text, position)| ReadItem {
            output: ItemOutput::Unchanged,
            texts: smallvec![text],
            position,
        };

        if !sink(items.into_iter().zip(positions).map(read_item).collect()) {
            return Ok(false);
        }
    }

    Ok(true)
}

impl ItemPipeline {
    /// Whether different items may have the same key afterwards: the transform changes them, or the table has another key.
    pub(crate) fn may_collide(&self) -> bool {
        self.transform.changes_items() || self.source_key != self.target_key
    }

    fn collision_check(&self) -> Result<CollisionDetector> {
        CollisionDetector::new(
            self.source_key.clone(),
            self.target_key.clone(),
            self.is_scan,
        )
    }

    /// Reads the whole source again, in file order, and finds different items with the same key.
    pub(crate) fn find_collisions(&self, source: &Source) -> Result<KeyCollisions> {
        let mut collisions = self.collision_check()?;
        let chunks = LaneReaders::open(source, &LanePositions::Whole { mark: 0 }, None)?.chunks();
        for chunk in transform_stream(&self.transform, &self.reporter, chunks)? {
            let TransformedChunk {
                items, outcomes, ..
            } = chunk?;
            items
                .iter()
                .zip(&outcomes)
                .try_for_each(|(item, outcome)| collisions.add(item, outcome))?;
        }

        collisions.find()
    }

    /// Reads, transforms and sends all chunks. Blocks.
    fn run(
        &self,
        chunks: impl Iterator<Item = Result<ReadChunk>> + Send + 'static,
        sink: &mut ChunkSink<'_>,
    ) -> Result<()> {
        let mut collisions = if self.may_collide() {
            Some(self.collision_check()?)
        } else {
            None
        };

        let is_complete = if self.transform.is_empty() {
            send_unchanged(chunks, &mut collisions, sink)?
        } else {
            self.send_transformed(chunks, &mut collisions, sink)?
        };

        if let Some(collisions) = collisions
            && is_complete
        {
            // The pipeline runs once, so the value is not set yet.
            let _ = self.collisions.set(collisions.find()?);
        }

        Ok(())
    }

    /// Sends the items through the transform. Returns whether all of them were accepted.
    fn send_transformed(
        &self,
        chunks: impl Iterator<Item = Result<ReadChunk>> + Send + 'static,
        collisions: &mut Option<CollisionDetector>,
        sink: &mut ChunkSink<'_>,
    ) -> Result<bool> {
        for chunk in transform_stream(&self.transform, &self.reporter, chunks)? {
            let TransformedChunk {
                tag,
                items,
                outcomes,
            } = chunk?;

            let mut chunk = Vec::with_capacity(items.len());
            for ((item, outcome), position) in items.into_iter().zip(outcomes).zip(tag) {
                let outcome = reject_misfits(outcome, &self.target_key);
                if let Some(collisions) = collisions {
                    collisions.add(&item, &outcome)?;
                }

                chunk.push(read_item(item, outcome, position));
            }

            if !sink(chunk) {
                return Ok(false);
            }
        }

        Ok(true)
    }
}

/// The outcome of a transform, or a rejection if a table with this key cannot store all of its items.
fn reject_misfits(outcome: Outcome, key: &KeySchema) -> Outcome {
    match InvalidItem::check_outputs(&outcome, key) {
        Some(misfit) => Outcome::Rejected(misfit.reject_reason()),
        None => outcome,
    }
}

fn read_item(item: Bytes, outcome: Outcome, position: ItemPosition) -> ReadItem {
    let replaced = |texts: SmallVec<[Bytes; 1]>, item| {
        let count = u32::try_from(texts.len()).expect("a filter gives far fewer items");
        ReadItem {
            output: ItemOutput::Replaced {
                count,
                original: item,
            },
            texts,
            position,
        }
    };

    match outcome {
        Outcome::Unchanged => ReadItem {
            output: ItemOutput::Unchanged,
            texts: smallvec![item],
            position,
        },
        Outcome::Changed(changed) => replaced(smallvec![changed], item),
        Outcome::Several(several) => replaced(several.into_iter().collect(), item),
        Outcome::Skipped => replaced(SmallVec::new(), Bytes::new()),
        Outcome::Rejected(reason) => {
            let refused = RejectedItem {
                item,
                reason: reason.to_string(),
            };
            ReadItem {
                output: ItemOutput::Rejected(Box::new(refused)),
                texts: SmallVec::new(),
                position,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Vec<ReadItem> {
        vec![ReadItem {
            output: ItemOutput::Unchanged,
            texts: SmallVec::new(),
            position: ItemPosition {
                lane: 0,
                end: 1,
                key_hash: None,
            },
        }]
    }

    #[tokio::test]
    async fn a_reader_that_ends_without_saying_so_has_failed() {
        type Read = fn(&mut ChunkSink<'_>) -> Result<()>;
        let ends: [(Read, Option<&str>); 3] = [
            (
                |sink| {
                    if sink(chunk()) {
                        Ok(())
                    } else {
                        Err(Error::failed("nobody listens"))
                    }
                },
                None,
            ),
            (
                |sink| Err(Error::failed(format!("provoked: {}", sink(chunk())))),
                Some("provoked: true"),
            ),
            (
                |sink| panic!("provoked: {}", sink(chunk())),
                Some("reading the source ended unexpectedly; this is a bug"),
            ),
        ];

        for (read, expected) in ends {
            let mut items = ItemStream::spawn_reader(read, &CancellationToken::new());
            assert_eq!(items.next().await.unwrap().unwrap().len(), 1);
            let end = items
                .next()
                .await
                .map(|end| end.map(|_| ()).unwrap_err().to_string());
            assert_eq!(end.as_deref(), expected);
            assert_eq!(
                items.next().await.is_none(),
                expected.is_none(),
                "both an end and a failure are final"
            );
        }
    }

    #[tokio::test]
    async fn a_reader_stops_when_the_stream_is_dropped() {
        let (sender, stopped) = tokio::sync::oneshot::channel();
        let read = move |sink: &mut ChunkSink<'_>| {
            while sink(chunk()) {}
            sender.send(()).unwrap();
            Ok(())
        };

        let mut items = ItemStream::spawn_reader(read, &CancellationToken::new());
        assert!(items.next().await.is_some());
        drop(items);
        tokio::time::timeout(crate::ops::testing::DEADLINE, stopped)
            .await
            .unwrap()
            .unwrap();
    }
}
