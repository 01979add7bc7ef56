//! Stored items as a source: the data file of a dump, a file of another tool, or standard input.
//!
//! One thread reads. From a Scan's file, it takes a few items of each lane in turn: the lanes hold different partitions, so the writes
//! are spread over the table. A lane whose partition is slow is passed over until its items are written.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lanes::LanePositions;
use super::stream::{ChunkSender, ChunkStream};
use crate::backup::{
    ItemReader, LaneItem, LaneReader, SalvagePiece, SalvageReader, Source, Unreadable,
};
use crate::error::{Error, Result};
use crate::item::{ItemError, ItemsBuilder, KeySchema, SplitError, check_object};
use crate::limits::{self, MemoryShare};
use crate::ops::chunk::Chunk;
use crate::ops::lane_permit::{LanePermit, LanePermits};
use crate::store::KeyRange;

/// Small chunks: positions are exact to a few items.
const SMALL_CHUNKS: ChunkLimits = ChunkLimits {
    items: 16,
    bytes: 64 * 1024,
    queued: 16,
};

/// Chunks of lanes: the items of one `BatchWriteItem` call.
const BATCH_CHUNKS: ChunkLimits = ChunkLimits {
    items: limits::BATCH_WRITE_ITEMS,
    bytes: 128 * 1024,
    queued: 2,
};

/// Chunks of lanes are sent in groups, because each message wakes a thread up. A group is complete when it has this number of chunks or
/// bytes. Tables that are restored in parallel share the bytes.
const GROUP_CHUNKS: usize = 16;
const GROUP_BYTES: usize = 256 * 1024;

/// Chunks of all lanes together that are read ahead or in flight, which tables share, and bounds of those of each lane.
const CHUNKS: usize = 128;
const MIN_LANE_CHUNKS: usize = 2;
const MAX_LANE_CHUNKS: usize = 16;

/// Time after which a thread that waits for a lane checks whether it is still needed.
const RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Large chunks: passing them between threads costs little, and a transform can use all cores.
const LARGE_CHUNKS: ChunkLimits = ChunkLimits {
    items: 256,
    bytes: 256 * 1024,
    queued: 4,
};

/// How large chunks get, and how many wait for the sink.
#[derive(Clone, Copy)]
struct ChunkLimits {
    /// A chunk is complete when it has this many items or bytes.
    items: usize,
    bytes: usize,
    /// Few chunks or groups: they only have to hide the latency between the threads.
    queued: usize,
}

/// The lanes of stored items that are not at their end, each read from its position.
pub(crate) struct StoredSource {
    lanes: Vec<OpenLane>,
    limits: ChunkLimits,
    /// Bytes of a complete group.
    group_bytes: usize,
    /// `None` if chunks are sent as fast as they are received.
    permits: Option<LanePermits>,
}

struct OpenLane {
    /// Its index among all lanes.
    index: usize,
    /// Its keys, if they are a range.
    key_range: Option<KeyRange>,
    /// Bytes of its last chunk. The next one probably has about as many.
    chunk_bytes: usize,
    reader: Reader,
}

enum Reader {
    /// Reads from the beginning and skips items below `from`, because not every source can seek.
    Whole {
        items: ItemReader<Box<dyn Read + Send>>,
        from: u64,
    },
    Lane(LaneReader),
    /// Reads the pieces of a damaged file from the beginning and skips the first `from`.
    Damaged {
        pieces: SalvageReader,
        /// Number of pieces read.
        count: u64,
        from: u64,
    },
}

/// The content of a lane.
enum LanePiece {
    Item(LaneItem),
    Unreadable {
        unreadable: Unreadable,
        /// Where the lane continues after it.
        end: u64,
    },
}

/// The result of one read from a lane.
struct LaneChunk {
    chunk: Option<Chunk<u64>>,
    /// Set at the end of the lane, or where it cannot be read.
    end: Option<Result<()>>,
}

impl StoredSource {
    /// Opens each lane at its position. With a `key`, its hash is computed where an item is checked anyway.
    ///
    /// # Errors
    /// The source cannot be opened, or has no such lanes.
    pub(crate) fn open(
        source: &Source,
        positions: &LanePositions,
        key: Option<&KeySchema>,
        memory: MemoryShare,
    ) -> Result<Self> {
        let no_lanes =
            || Error::failed(format!("{} cannot be read in parts", source.display_name()));
        let mut lanes = Vec::new();
        match positions {
            LanePositions::Whole { mark } => lanes.push(OpenLane {
                index: 0,
                key_range: None,
                chunk_bytes: 0,
                reader: Reader::whole(source, *mark)?,
            }),
            LanePositions::Lanes(positions) => {
                let text = source.lane_text().ok_or_else(no_lanes)?;
                let count = positions.len();
                for (index, position) in positions.iter().enumerate() {
                    if position.mark < position.lane.end {
                        let reader = text.read(position.lane, position.mark, key);
                        lanes.push(OpenLane {
                            index,
                            key_range: text.is_in_hash_order().then_some(KeyRange { index, count }),
                            chunk_bytes: 0,
                            reader: Reader::Lane(reader),
                        });
                    }
                }
            }
            LanePositions::Segments(_) => return Err(no_lanes()),
        }

        Ok(match positions {
            LanePositions::Whole { .. } | LanePositions::Segments(_) => Self {
                lanes,
                limits: SMALL_CHUNKS,
                group_bytes: GROUP_BYTES,
                permits: None,
            },
            LanePositions::Lanes(positions) => {
                let chunks = memory.of(CHUNKS) / positions.len().max(1);
                let for_each = chunks.clamp(MIN_LANE_CHUNKS, MAX_LANE_CHUNKS);

                Self {
                    lanes,
                    limits: BATCH_CHUNKS,
                    group_bytes: memory.of(GROUP_BYTES),
                    permits: Some(LanePermits::new(positions.len(), for_each)),
                }
            }
        })
    }

    /// Reads in large chunks, for work whose cost per chunk matters more than the distance between positions.
    pub(crate) fn in_large_chunks(self) -> Self {
        Self {
            limits: LARGE_CHUNKS,
            permits: None,
            ..self
        }
    }

    /// Reads chunks of lanes that fill batches of this size.
    pub(crate) fn in_batches_of(mut self, size: usize) -> Self {
        if self.permits.is_some() {
            let most = self.limits.items;
            self.limits.items = most - most % size.clamp(1, most);
        }

        self
    }

    /// Opens all items as one lane, in their order, in large chunks.
    ///
    /// # Errors
    /// The source cannot be opened.
    pub(crate) fn open_whole(source: &Source) -> Result<Self> {
        let start = LanePositions::Whole { mark: 0 };

        Self::open(source, &start, None, MemoryShare::WHOLE).map(Self::in_large_chunks)
    }

    /// Starts to read on a thread, which stops when the stream is dropped or `cancel` fires. A thread that waits for standard input
    /// cannot be stopped: it is left alone.
    pub(crate) fn start(self, cancel: &CancellationToken) -> ChunkStream<u64> {
        let (sender, stream) = ChunkStream::new(self.lanes.len(), self.limits.queued);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || match self.permits {
            Some(permits) => PermittedLanes {
                lanes: self.lanes,
                limits: self.limits,
                permits,
                sender,
                max_group_bytes: self.group_bytes as u64,
                group: VecDeque::new(),
                group_bytes: 0,
            }
            .send_all(&cancel),
            None => self.send_all(&sender, &cancel),
        });

        stream
    }

    /// Sends a chunk of each lane in turn until all lanes have ended.
    fn send_all(mut self, sender: &ChunkSender<u64>, cancel: &CancellationToken) {
        while !self.lanes.is_empty() {
            let mut next = 0;
            while let Some(lane) = self.lanes.get_mut(next) {
                let LaneChunk { chunk, end } = lane.next_chunk(self.limits);
                let is_received = chunk.is_none_or(|chunk| sender.blocking_send(chunk));
                if !is_received || cancel.is_cancelled() {
                    return;
                }

                match end {
                    None => next += 1,
                    Some(Ok(())) => {
                        sender.blocking_end_lane();
                        self.lanes.remove(next);
                    }
                    Some(Err(error)) => return sender.blocking_fail(error),
                }
            }
        }
    }
}

/// Lanes that are sent as fast as their permits are returned.
struct PermittedLanes {
    lanes: Vec<OpenLane>,
    limits: ChunkLimits,
    permits: LanePermits,
    sender: ChunkSender<u64>,
    max_group_bytes: u64,
    /// Chunks to send together.
    group: VecDeque<Chunk<u64>>,
    group_bytes: u64,
}

impl PermittedLanes {
    /// Sends chunks of the lanes in turn, passing over those without a permit, until all lanes have ended.
    fn send_all(mut self, cancel: &CancellationToken) {
        let mut next = 0;
        while !self.lanes.is_empty() && !cancel.is_cancelled() && !self.sender.is_closed() {
            let Some(permit) = self.take_permit(next) else {
                // What was read must not wait for permits: only the sink returns them.
                if !self.send_group() {
                    return;
                }

                self.permits.wait(RECHECK_INTERVAL);
                continue;
            };

            let lane = permit.lane();
            let Ok(at) = self.lanes.binary_search_by_key(&lane, |lane| lane.index) else {
                return;
            };

            let LaneChunk { chunk, end } = self.lanes[at].next_chunk(self.limits);
            if let Some(chunk) = chunk {
                self.group_bytes += chunk.items.text_bytes();
                self.group.push_back(chunk.held_by(permit));
            }

            let is_complete =
                self.group.len() >= GROUP_CHUNKS || self.group_bytes >= self.max_group_bytes;
            if (is_complete || end.is_some()) && !self.send_group() {
                return;
            }

            next = at + 1;
            match end {
                None => {}
                Some(Ok(())) => {
                    self.sender.blocking_end_lane();
                    self.lanes.remove(at);
                    next = at;
                }
                Some(Err(error)) => return self.sender.blocking_fail(error),
            }
        }
    }

    /// A permit of the first lane that has one, beginning with the lane at `next`.
    fn take_permit(&self, next: usize) -> Option<Arc<LanePermit>> {
        let (first, last) = self.lanes.split_at(next.min(self.lanes.len()));
        let order = last.iter().chain(first);

        self.permits
            .take(order.map(|lane| (lane.index, lane.key_range)))
    }

    /// Sends the chunks of the group. Returns whether somebody receives them.
    fn send_group(&mut self) -> bool {
        if self.group.is_empty() {
            return true;
        }

        self.group_bytes = 0;
        self.sender
            .blocking_send_all(std::mem::take(&mut self.group))
    }
}

impl OpenLane {
    /// Reads the next chunk. The items before an error are returned with it.
    fn next_chunk(&mut self, limits: ChunkLimits) -> LaneChunk {
        // Each item is copied as soon as it is read: the reader reuses its block if there are no slices of it.
        let capacity = self.chunk_bytes + self.chunk_bytes / 8;
        let mut items = ItemsBuilder::with_capacity(limits.items, capacity);
        let mut key_hashes = Vec::with_capacity(limits.items);
        let mut unreadable = None;
        let mut position = None;
        let mut end = None;

        while items.len() < limits.items && items.bytes() < limits.bytes && unreadable.is_none() {
            match self.reader.next_piece() {
                Ok(Some(LanePiece::Item(item))) => {
                    if let Err(error) = items.push(&item.text) {
                        return LaneChunk::failed(&error);
                    }

                    key_hashes.push(item.key_hash);
                    position = Some(item.end);
                }
                Ok(Some(LanePiece::Unreadable {
                    unreadable: found,
                    end: after,
                })) => {
                    unreadable = Some(found);
                    position = Some(after);
                }
                Ok(None) => {
                    end = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    end = Some(Err(error));
                    break;
                }
            }
        }

        let Some(position) = position else {
            return LaneChunk { chunk: None, end };
        };

        self.chunk_bytes = items.bytes();
        match items.build() {
            Ok(items) => LaneChunk {
                chunk: Some(Chunk {
                    key_hashes,
                    unreadable,
                    ..Chunk::new(self.index, items, position)
                }),
                end,
            },
            Err(error) => LaneChunk::failed(&error),
        }
    }
}

impl LaneChunk {
    /// The end of a lane whose items cannot be put into a chunk.
    fn failed(error: &SplitError) -> Self {
        let message = format!("an item of the source is not on one line: {error}");

        Self {
            chunk: None,
            end: Some(Err(Error::damaged(message))),
        }
    }
}

impl Reader {
    /// A reader of the whole source, from a mark.
    fn whole(source: &Source, mark: u64) -> Result<Self> {
        Ok(match source.pieces()? {
            Some(pieces) => Self::Damaged {
                pieces,
                count: 0,
                from: mark,
            },
            None => Self::Whole {
                items: source.items()?.validating(),
                from: mark,
            },
        })
    }

    fn next_piece(&mut self) -> Result<Option<LanePiece>> {
        match self {
            Self::Lane(reader) => Ok(reader.next_item()?.map(LanePiece::Item)),
            Self::Whole { items, from } => Ok(next_whole(items, *from)?.map(LanePiece::Item)),
            Self::Damaged {
                pieces,
                count,
                from,
            } => next_salvaged(pieces, count, *from),
        }
    }
}

/// The next item at `from` or after it.
fn next_whole(items: &mut ItemReader<Box<dyn Read + Send>>, from: u64) -> Result<Option<LaneItem>> {
    while let Some(item) = items.next_item()? {
        if item.offset < from {
            continue;
        }

        if !item.is_valid {
            check_object(&item.text).map_err(|error| not_an_item(item.line, &error))?;
        }

        return Ok(Some(LaneItem {
            text: item.text,
            end: item.offset + 1,
            key_hash: None,
        }));
    }

    Ok(None)
}

/// The next piece of a damaged file after the first `from`. The position after a piece is its number, counted from 1.
fn next_salvaged(
    pieces: &mut SalvageReader,
    count: &mut u64,
    from: u64,
) -> Result<Option<LanePiece>> {
    while let Some(piece) = pieces.next_piece()? {
        *count += 1;
        if *count <= from {
            continue;
        }

        let end = *count;
        return Ok(Some(match piece {
            SalvagePiece::Item(text) => LanePiece::Item(LaneItem {
                text,
                end,
                key_hash: None,
            }),
            SalvagePiece::Unreadable(unreadable) => LanePiece::Unreadable { unreadable, end },
        }));
    }

    Ok(None)
}

fn not_an_item(line: u64, error: &ItemError) -> Error {
    Error::damaged(format!("line {line} of the source: not an item: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use bytes::Bytes;

    use super::*;
    use crate::backup::testing::{metadata_of, open, schema};
    use crate::backup::{DumpOptions, DumpTarget, DumpWriter};
    use crate::item::Items;

    /// Items of a dump of 2.6 MB, whose lanes are longer than what is read ahead.
    const ITEMS: usize = 20_000;

    fn dump(folder: &Path) -> Source {
        let target = DumpTarget::folder(folder);
        let mut writer = DumpWriter::begin(&target, &DumpOptions::default()).expect("a writer");
        let padding = "x".repeat(100);
        let texts: Vec<Bytes> = (0..ITEMS)
            .map(|number| format!(r#"{{"pk":{{"S":"{number}"}},"x":{{"S":"{padding}"}}}}"#).into())
            .collect();
        let items = Items::concat(&texts).expect("items");
        writer.append(&items, 0).expect("the disk has room");
        writer
            .finish(Some(&schema("music")), metadata_of("music"))
            .expect("a dump");

        open(folder).expect("a dump")
    }

    #[tokio::test]
    async fn a_lane_whose_items_are_not_written_does_not_hold_up_the_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = dump(&dir.path().join("dump"));
        let key = schema("music").key_schema().expect("a key");
        let positions =
            LanePositions::at_start(&source, &key, false, MemoryShare::WHOLE).expect("lanes");
        let lanes = positions.marks().len();
        let stored = StoredSource::open(&source, &positions, Some(&key), MemoryShare::WHOLE)
            .expect("it opens");
        let mut chunks = stored.start(&CancellationToken::new());

        // Nothing of the first lane is written until nearly all of the others is.
        let mut held = Vec::new();
        let mut of_lane = vec![0; lanes];
        let mut ranges = BTreeSet::new();
        while of_lane.iter().sum::<usize>() < ITEMS {
            let next = chunks.next().await.expect("an item");
            let chunk = next.expect("it can be read");
            let permit = chunk.lane_permit.as_ref().expect("lanes have permits");
            let range = permit.key_range().expect("one segment is in hash order");
            assert_eq!((range.index, range.count), (chunk.lane, lanes));
            ranges.insert(range.index);

            of_lane[chunk.lane] += chunk.items.len();
            if chunk.lane == 0 {
                held.push(chunk);
                assert!(held.len() <= MAX_LANE_CHUNKS);
            }

            let written: usize = of_lane[1..].iter().sum();
            if written > ITEMS * 4 / 5 {
                held.clear();
            }
        }

        assert!(lanes > 3 && ranges.len() == lanes, "{lanes} lanes");
    }
}
