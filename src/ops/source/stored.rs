//! Stored items as a source: the data file of a dump, a file of another tool, or standard input.
//!
//! One thread reads. From a Scan's file, it takes a few items of each lane in turn: the lanes hold different partitions, so the writes
//! are spread over the table.

use std::io::Read;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::lanes::LanePositions;
use super::stream::{ChunkSender, ChunkStream};
use crate::backup::{ItemReader, SalvagePiece, SalvageReader, Source, StripeReader, Unreadable};
use crate::error::{Error, Result};
use crate::item::{ItemError, Items, KeySchema, check_object};
use crate::ops::chunk::Chunk;

/// Small chunks: positions are exact to a few items, and the items in flight come from all lanes.
const SMALL_CHUNKS: ChunkLimits = ChunkLimits {
    items: 16,
    bytes: 64 * 1024,
    queued: 16,
};

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
    /// Few chunks: they only have to hide the latency between the threads.
    queued: usize,
}

/// The lanes of stored items that are not at their end, each read from its position.
pub(crate) struct StoredSource {
    lanes: Vec<Lane>,
    limits: ChunkLimits,
}

struct Lane {
    /// Its index among all lanes.
    index: usize,
    reader: LaneReader,
}

enum LaneReader {
    /// Reads from the beginning and skips items below `from`, because not every source can seek.
    Whole {
        items: ItemReader<Box<dyn Read + Send>>,
        from: u64,
    },
    Stripe(StripeReader),
    /// Reads the pieces of a damaged file from the beginning and skips the first `from`.
    Damaged {
        pieces: SalvageReader,
        /// Number of pieces read.
        count: u64,
        from: u64,
    },
}

/// What a lane consists of.
enum LanePiece {
    Item(LaneItem),
    Unreadable {
        unreadable: Unreadable,
        /// Where the lane continues after it.
        end: u64,
    },
}

/// An item, and where its lane continues after it.
struct LaneItem {
    text: Bytes,
    end: u64,
    key_hash: Option<u128>,
}

/// What was read from a lane in one step.
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
    ) -> Result<Self> {
        let mut lanes = Vec::new();
        match positions {
            LanePositions::Whole { mark } => lanes.push(Lane {
                index: 0,
                reader: LaneReader::whole(source, *mark)?,
            }),
            LanePositions::Stripes(stripes) => {
                let no_stripes =
                    || Error::failed(format!("{} cannot be read in parts", source.display_name()));
                let text = source.striped_text().ok_or_else(no_stripes)?;
                for (index, striped) in stripes.iter().enumerate() {
                    if striped.mark < striped.stripe.end {
                        let reader = text.read(striped.stripe, striped.mark, key);
                        lanes.push(Lane {
                            index,
                            reader: LaneReader::Stripe(reader),
                        });
                    }
                }
            }
        }

        Ok(Self {
            lanes,
            limits: SMALL_CHUNKS,
        })
    }

    /// Reads in large chunks, for work whose cost per chunk matters more than the distance between positions.
    pub(crate) fn in_large_chunks(self) -> Self {
        Self {
            limits: LARGE_CHUNKS,
            ..self
        }
    }

    /// Opens all items as one lane, in their order, in large chunks.
    ///
    /// # Errors
    /// The source cannot be opened.
    pub(crate) fn open_whole(source: &Source) -> Result<Self> {
        Self::open(source, &LanePositions::Whole { mark: 0 }, None).map(Self::in_large_chunks)
    }

    /// Starts to read on a thread, which stops when the stream is dropped or `cancel` fires. A thread that waits for standard input
    /// cannot be stopped: it is left alone.
    pub(crate) fn start(self, cancel: &CancellationToken) -> ChunkStream<u64> {
        let (sender, stream) = ChunkStream::new(self.lanes.len(), self.limits.queued);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || self.send_all(&sender, &cancel));

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

impl Lane {
    /// Reads the next chunk. The items before an error are returned with it.
    fn next_chunk(&mut self, limits: ChunkLimits) -> LaneChunk {
        let mut texts: Vec<Bytes> = Vec::with_capacity(limits.items);
        let mut key_hashes = Vec::with_capacity(limits.items);
        let mut unreadable = None;
        let mut position = None;
        let mut bytes = 0;
        let mut end = None;

        while texts.len() < limits.items && bytes < limits.bytes && unreadable.is_none() {
            match self.reader.next_piece() {
                Ok(Some(LanePiece::Item(item))) => {
                    bytes += item.text.len();
                    texts.push(item.text);
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

        match Items::concat(&texts) {
            Ok(items) => LaneChunk {
                chunk: Some(Chunk {
                    key_hashes,
                    unreadable,
                    ..Chunk::new(self.index, items, position)
                }),
                end,
            },
            Err(error) => LaneChunk {
                chunk: None,
                end: Some(Err(Error::damaged(format!(
                    "an item of the source is not on one line: {error}"
                )))),
            },
        }
    }
}

impl LaneReader {
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
            Self::Stripe(reader) => {
                let item = reader.next_item()?;
                Ok(item.map(|item| {
                    LanePiece::Item(LaneItem {
                        text: item.text,
                        end: item.end,
                        key_hash: item.key_hash,
                    })
                }))
            }
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
