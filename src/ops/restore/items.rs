//! The items of a dump, read by a thread of their own: all of it from its beginning, or stripe by stripe in turns; through the
//! transform, if there is one.

use std::io::Read;
use std::iter;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Lanes;
use super::ledger::Going;
use crate::backup::{ItemReader, KeyCollisions, Source, StripeReader, StripedItem};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{ItemError, KeySchema, check_object};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::invalid_item::InvalidItem;
use crate::ops::transform_stream::{CHUNK_ITEMS, transform_stream};
use crate::store::RejectedItem;
use crate::transform::{Outcome, Transform, TransformedChunk};

/// Items handed from the reading thread at a time have so many bytes at most, and one more item.
const CHUNK_BYTES: usize = 256 * 1024;

/// An item that was read.
#[derive(Debug)]
pub(crate) struct ReadItem {
    pub(crate) going: Going,
    /// What goes on to the table.
    pub(crate) texts: SmallVec<[Bytes; 1]>,
    pub(crate) place: Place,
}

/// Where an item was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) lane: usize,
    /// The offset behind it: where to go on in the lane.
    pub(crate) end: u64,
    /// Hash of the key that the table uses, if it was found while the item was read. It says nothing of an item that a transform
    /// returns in its place.
    pub(crate) key_hash: Option<u128>,
}

/// How items change on their way to the table.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) transform: Transform,
    /// The key that they have in the dump.
    pub(crate) from: KeySchema,
    /// The key that they are to have.
    pub(crate) to: KeySchema,
    /// Whether the source was made by a Scan.
    pub(crate) is_scan: bool,
    pub(crate) reporter: Arc<dyn Reporter>,
    /// What becomes known at the end: items that came out with one key.
    pub(crate) collisions: Arc<OnceLock<KeyCollisions>>,
}

/// Items on their way from the reading thread.
pub(crate) struct Items {
    messages: mpsc::Receiver<Result<Message>>,
    has_ended: bool,
}

/// What the reading thread sends.
enum Message {
    Items(Vec<ReadItem>),
    /// All was read. A thread that disappears without saying so has failed.
    End,
}

impl Items {
    /// Starts to read each lane from its mark on.
    pub(crate) fn start(
        source: &Arc<Source>,
        lanes: &Lanes,
        way: Way,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let key = (way.from == way.to).then(|| way.to.clone());
        let readers = Readers::open(source, lanes, key.as_ref())?;
        Ok(Self::read_by(
            move |hand_on| way.run(readers.chunks(), hand_on),
            cancel,
        ))
    }

    /// Starts a thread that reads. It stops when it is told that nobody wants more.
    fn read_by(
        read: impl FnOnce(&mut HandOn<'_>) -> Result<()> + Send + 'static,
        cancel: &CancellationToken,
    ) -> Self {
        let (send, receive) = mpsc::channel(2);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || {
            let done = read(&mut |items| {
                send.blocking_send(Ok(Message::Items(items))).is_ok() && !cancel.is_cancelled()
            });
            let is_stopped = done.is_ok() && cancel.is_cancelled();
            if !is_stopped {
                // Nobody listens if the restore has failed meanwhile.
                let _ = send.blocking_send(done.map(|()| Message::End));
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
            Some(Ok(Message::Items(items))) => Some(Ok(items)),
            Some(Ok(Message::End)) => {
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

/// Takes items; whether more are wanted.
type HandOn<'a> = dyn FnMut(Vec<ReadItem>) -> bool + 'a;

/// Items and their places.
type Chunk = (Vec<Bytes>, Vec<Place>);

/// Hands the items on as they are. Returns whether all of them were taken.
fn as_they_are(
    chunks: impl Iterator<Item = Result<Chunk>>,
    meetings: &mut Option<CollisionDetector>,
    hand_on: &mut HandOn<'_>,
) -> Result<bool> {
    for chunk in chunks {
        let (items, places) = chunk?;
        if let Some(meetings) = meetings {
            items
                .iter()
                .try_for_each(|item| meetings.add(item, &Outcome::Unchanged))?;
        }

        let read = |(text, place)| ReadItem {
            going: Going::Itself,
            texts: smallvec![text],
            place,
        };

        if !hand_on(items.into_iter().zip(places).map(read).collect()) {
            return Ok(false);
        }
    }

    Ok(true)
}

impl Way {
    /// Whether different items may come out with the same key: items or their key change.
    pub(crate) fn may_collide(&self) -> bool {
        self.transform.changes_items() || self.from != self.to
    }

    fn meetings(&self) -> Result<CollisionDetector> {
        CollisionDetector::new(self.from.clone(), self.to.clone(), self.is_scan)
    }

    /// Looks at all items again, in their order, for different items with the same key.
    pub(crate) fn collisions_in(&self, source: &Source) -> Result<KeyCollisions> {
        let mut meetings = self.meetings()?;
        let chunks = Readers::open(source, &Lanes::Whole { mark: 0 }, None)?.chunks();
        for chunk in transform_stream(&self.transform, &self.reporter, chunks)? {
            let TransformedChunk {
                items, outcomes, ..
            } = chunk?;
            items
                .iter()
                .zip(&outcomes)
                .try_for_each(|(item, outcome)| meetings.add(item, outcome))?;
        }

        meetings.find()
    }

    fn run(
        &self,
        chunks: impl Iterator<Item = Result<Chunk>> + Send + 'static,
        hand_on: &mut HandOn<'_>,
    ) -> Result<()> {
        let mut meetings = if self.may_collide() {
            Some(self.meetings()?)
        } else {
            None
        };

        let is_complete = if self.transform.is_empty() {
            as_they_are(chunks, &mut meetings, hand_on)?
        } else {
            self.changed(chunks, &mut meetings, hand_on)?
        };

        if let Some(meetings) = meetings.filter(|_| is_complete) {
            // It is set once: there is one run.
            let _ = self.collisions.set(meetings.find()?);
        }

        Ok(())
    }

    /// Hands on what the transform makes of the items. Returns whether all of it was taken.
    fn changed(
        &self,
        chunks: impl Iterator<Item = Result<Chunk>> + Send + 'static,
        meetings: &mut Option<CollisionDetector>,
        hand_on: &mut HandOn<'_>,
    ) -> Result<bool> {
        for chunk in transform_stream(&self.transform, &self.reporter, chunks)? {
            let TransformedChunk {
                tag,
                items,
                outcomes,
            } = chunk?;

            let mut read = Vec::with_capacity(items.len());
            for ((item, outcome), place) in items.into_iter().zip(outcomes).zip(tag) {
                let outcome = fitting(outcome, &self.to);
                if let Some(meetings) = meetings {
                    meetings.add(&item, &outcome)?;
                }

                read.push(going(item, outcome, place));
            }

            if !hand_on(read) {
                return Ok(false);
            }
        }

        Ok(true)
    }
}

/// What a transform made, if a table with this key takes all of it.
pub(crate) fn fitting(outcome: Outcome, key: &KeySchema) -> Outcome {
    match InvalidItem::check_outputs(&outcome, key) {
        Some(misfit) => Outcome::Rejected(misfit.reject_reason()),
        None => outcome,
    }
}

fn going(item: Bytes, outcome: Outcome, place: Place) -> ReadItem {
    let others = |texts: SmallVec<[Bytes; 1]>, item| {
        let count = u32::try_from(texts.len()).expect("a filter gives far fewer items");
        ReadItem {
            going: Going::Others { count, item },
            texts,
            place,
        }
    };

    match outcome {
        Outcome::Unchanged => ReadItem {
            going: Going::Itself,
            texts: smallvec![item],
            place,
        },
        Outcome::Changed(changed) => others(smallvec![changed], item),
        Outcome::Several(several) => others(several.into_iter().collect(), item),
        Outcome::Skipped => others(SmallVec::new(), Bytes::new()),
        Outcome::Rejected(reason) => {
            let refused = RejectedItem {
                item,
                reason: reason.to_string(),
            };
            ReadItem {
                going: Going::Nothing(Box::new(refused)),
                texts: SmallVec::new(),
                place,
            }
        }
    }
}

/// The readers of all lanes that are not at their end.
pub(crate) struct Readers {
    lanes: Vec<(usize, Reader)>,
    /// Whose turn it is.
    turn: usize,
}

enum Reader {
    /// Everything, from the beginning: what lies below `from` is passed over.
    Whole {
        items: ItemReader<Box<dyn Read + Send>>,
        from: u64,
    },
    Stripe(StripeReader),
}

impl Readers {
    /// With a `key`, its hash is computed where an item is checked anyway.
    pub(crate) fn open(source: &Source, lanes: &Lanes, key: Option<&KeySchema>) -> Result<Self> {
        let lanes = match lanes {
            Lanes::Whole { mark } => vec![(
                0,
                Reader::Whole {
                    items: source.items()?.validating(),
                    from: *mark,
                },
            )],
            Lanes::Stripes(stripes) => {
                let readers = stripes
                    .iter()
                    .enumerate()
                    .filter(|(_, striped)| striped.mark < striped.stripe.end);
                let open = readers.map(|(lane, striped)| {
                    source
                        .stripe(striped.stripe, striped.mark, key)
                        .map(|reader| (lane, Reader::Stripe(reader)))
                });

                open.collect::<Result<_>>()?
            }
        };

        Ok(Self { lanes, turn: 0 })
    }

    /// All items, some at a time.
    pub(crate) fn chunks(mut self) -> impl Iterator<Item = Result<Chunk>> + Send {
        let mut end = None;
        iter::from_fn(move || {
            if let Some(end) = end.take() {
                self.lanes.clear();
                return Result::err(end).map(Err);
            }

            let (chunk, ended) = self.chunk();
            let is_over = chunk.0.is_empty() && matches!(ended, Some(Ok(())));
            end = ended;
            (!is_over).then_some(Ok(chunk))
        })
    }

    /// Some items, and the end if it comes behind them.
    fn chunk(&mut self) -> (Chunk, Option<Result<()>>) {
        let (mut chunk, mut bytes): (Chunk, usize) = Default::default();
        while chunk.0.len() < CHUNK_ITEMS && bytes < CHUNK_BYTES {
            match self.next_entry() {
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

    /// An item of the lane whose turn it is.
    fn next_entry(&mut self) -> Result<Option<(Bytes, Place)>> {
        loop {
            if self.turn >= self.lanes.len() {
                self.turn = 0;
            }

            let Some((lane, reader)) = self.lanes.get_mut(self.turn) else {
                return Ok(None);
            };

            if let Some(item) = reader.next()? {
                self.turn += 1;

                let place = Place {
                    lane: *lane,
                    end: item.end,
                    key_hash: item.key_hash,
                };
                return Ok(Some((item.text, place)));
            }

            self.lanes.remove(self.turn);
        }
    }
}

impl Reader {
    fn next(&mut self) -> Result<Option<StripedItem>> {
        match self {
            Self::Stripe(reader) => reader.next_item(),
            Self::Whole { items, from } => loop {
                let Some(item) = items.next_item()? else {
                    return Ok(None);
                };

                if item.offset >= *from {
                    if !item.is_valid {
                        check_object(&item.text).map_err(|error| no_item(item.line, &error))?;
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

fn no_item(line: u64, error: &ItemError) -> Error {
    Error::damaged(format!("line {line} of the source: not an item: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Vec<ReadItem> {
        vec![ReadItem {
            going: Going::Itself,
            texts: SmallVec::new(),
            place: Place {
                lane: 0,
                end: 1,
                key_hash: None,
            },
        }]
    }

    #[tokio::test]
    async fn only_a_reader_that_says_so_has_read_everything() {
        type Read = fn(&mut HandOn<'_>) -> Result<()>;
        let ends: [(Read, Option<&str>); 3] = [
            (
                |hand_on| {
                    if hand_on(one()) {
                        Ok(())
                    } else {
                        Err(Error::failed("nobody listens"))
                    }
                },
                None,
            ),
            (
                |hand_on| Err(Error::failed(format!("provoked: {}", hand_on(one())))),
                Some("provoked: true"),
            ),
            (
                |hand_on| panic!("provoked: {}", hand_on(one())),
                Some("reading the source ended unexpectedly; this is a bug"),
            ),
        ];

        for (read, expected) in ends {
            let mut items = Items::read_by(read, &CancellationToken::new());
            assert_eq!(items.next().await.unwrap().unwrap().len(), 1);
            let end = items
                .next()
                .await
                .map(|end| end.map(|_| ()).unwrap_err().to_string());
            assert_eq!(end.as_deref(), expected);
            assert_eq!(
                items.next().await.is_none(),
                expected.is_none(),
                "an end stays one, and so does a failure"
            );
        }
    }

    #[tokio::test]
    async fn a_reader_is_told_that_nobody_wants_more() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let read = move |hand_on: &mut HandOn<'_>| {
            while hand_on(one()) {}
            tell.send(()).unwrap();
            Ok(())
        };

        let mut items = Items::read_by(read, &CancellationToken::new());
        assert!(items.next().await.is_some());
        drop(items);
        tokio::time::timeout(crate::ops::testing::DEADLINE, told)
            .await
            .unwrap()
            .unwrap();
    }
}
