//! Readers of the lanes of a source.

use std::io::Read;
use std::iter;

use bytes::Bytes;

use crate::backup::{ItemReader, Source, StripeReader, StripedItem};
use crate::error::{Error, Result};
use crate::item::{ItemError, KeySchema, check_object};
use crate::ops::source::lanes::LanePositions;
use crate::ops::transform_stream::CHUNK_ITEMS;

/// A chunk is complete when it reaches this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// Position of an item in the source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ItemPosition {
    /// Index of the lane.
    pub(crate) lane: usize,
    /// Offset after the item, where the lane continues.
    pub(crate) end: u64,
    /// Hash of the key, if it was computed while the item was read. It does not apply to the output of a transform.
    pub(crate) key_hash: Option<u128>,
}

/// Items and their positions.
pub(crate) type ReadChunk = (Vec<Bytes>, Vec<ItemPosition>);

/// The readers of all lanes that have not reached their end.
pub(crate) struct LaneReaders {
    lanes: Vec<(usize, LaneReader)>,
    /// Index of the lane to read from next.
    next: usize,
}

enum LaneReader {
    /// Reads from the beginning and skips items below `from`, because not every source can seek.
    Whole {
        items: ItemReader<Box<dyn Read + Send>>,
        from: u64,
    },
    Stripe(StripeReader),
}

impl LaneReaders {
    /// Opens each lane at its mark. With a `key`, its hash is computed where an item is checked anyway.
    pub(crate) fn open(
        source: &Source,
        lanes: &LanePositions,
        key: Option<&KeySchema>,
    ) -> Result<Self> {
        let lanes = match lanes {
            LanePositions::Whole { mark } => vec![(
                0,
                LaneReader::Whole {
                    items: source.items()?.validating(),
                    from: *mark,
                },
            )],
            LanePositions::Stripes(stripes) => {
                let readers = stripes
                    .iter()
                    .enumerate()
                    .filter(|(_, striped)| striped.mark < striped.stripe.end);
                let open = readers.map(|(lane, striped)| {
                    source
                        .stripe(striped.stripe, striped.mark, key)
                        .map(|reader| (lane, LaneReader::Stripe(reader)))
                });

                open.collect::<Result<_>>()?
            }
        };

        Ok(Self { lanes, next: 0 })
    }

    /// All items in chunks. An error comes after the items before it.
    pub(crate) fn chunks(mut self) -> impl Iterator<Item = Result<ReadChunk>> + Send {
        let mut end = None;
        iter::from_fn(move || {
            if let Some(end) = end.take() {
                self.lanes.clear();
                return Result::err(end).map(Err);
            }

            // An error is returned by the next call, after the items that were read before it.
            let (chunk, ended) = self.next_chunk();
            let is_over = chunk.0.is_empty() && matches!(ended, Some(Ok(())));
            end = ended;
            (!is_over).then_some(Ok(chunk))
        })
    }

    /// The next chunk, and the end or error if it was reached.
    fn next_chunk(&mut self) -> (ReadChunk, Option<Result<()>>) {
        let (mut chunk, mut bytes): (ReadChunk, usize) = Default::default();
        while chunk.0.len() < CHUNK_ITEMS && bytes < CHUNK_BYTES {
            match self.next_item() {
                Ok(Some((text, place))) => {
                    bytes += text.len();
                    chunk.0.push(text);
                    chunk.1.push(place);
                }
                Ok(None) => return (chunk, Some(Ok(()))),
                Err(error) => return (chunk, Some(Err(error))),
            }
        }

        (chunk, None)
    }

    /// The next item, from each lane in turn: the stripes of a Scan hold different partitions, so the writes are spread over the table.
    fn next_item(&mut self) -> Result<Option<(Bytes, ItemPosition)>> {
        loop {
            if self.next >= self.lanes.len() {
                self.next = 0;
            }

            let Some((lane, reader)) = self.lanes.get_mut(self.next) else {
                return Ok(None);
            };

            if let Some(item) = reader.next()? {
                self.next += 1;
                let position = ItemPosition {
                    lane: *lane,
                    end: item.end,
                    key_hash: item.key_hash,
                };
                return Ok(Some((item.text, position)));
            }

            self.lanes.remove(self.next);
        }
    }
}

impl LaneReader {
    fn next(&mut self) -> Result<Option<StripedItem>> {
        match self {
            Self::Stripe(reader) => reader.next_item(),
            Self::Whole { items, from } => loop {
                let Some(item) = items.next_item()? else {
                    return Ok(None);
                };

                if item.offset >= *from {
                    if !item.is_valid {
                        check_object(&item.text).map_err(|error| not_an_item(item.line, &error))?;
                    }

                    return Ok(Some(StripedItem {
                        text: item.text,
                        end: item.offset + 1,
                        key_hash: None,
                    }));
                }
            },
        }
    }
}

fn not_an_item(line: u64, error: &ItemError) -> Error {
    Error::damaged(format!("line {line} of the source: not an item: {error}"))
}
