//! The items of a dump, read by a thread of their own: all of it from its beginning, or stripe by stripe in turns.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Lanes;
use crate::backup::{ItemReader, Source, StripeReader};
use crate::error::Result;

/// Items handed from the reading thread at a time.
const CHUNK_ITEMS: usize = 256;
const CHUNK_BYTES: usize = 256 * 1024;

/// An item that was read.
#[derive(Debug)]
pub(super) struct ReadItem {
    pub(super) text: Bytes,
    /// The lane it was read in.
    pub(super) lane: usize,
    /// The offset behind it: where to go on in the lane.
    pub(super) end: u64,
}

/// Items on their way from the reading thread.
pub(super) struct Items(mpsc::Receiver<Result<Vec<ReadItem>>>);

impl Items {
    /// Starts to read each lane from its mark on.
    pub(super) fn start(source: &Arc<Source>, lanes: &Lanes, cancel: &CancellationToken) -> Result<Self> {
        let mut readers = Readers::open(source, lanes)?;
        let (send, receive) = mpsc::channel(2);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || {
            loop {
                let (chunk, end) = readers.chunk();
                if send.blocking_send(Ok(chunk)).is_err() || cancel.is_cancelled() {
                    return;
                }
                match end {
                    None => {}
                    Some(Ok(())) => return,
                    Some(Err(error)) => return drop(send.blocking_send(Err(error))),
                }
            }
        });
        Ok(Self(receive))
    }

    /// The next items; `None` behind the last.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<ReadItem>>> {
        self.0.recv().await
    }
}

/// The readers of all lanes that are not at their end.
struct Readers {
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
    fn open(source: &Source, lanes: &Lanes) -> Result<Self> {
        let lanes = match lanes {
            Lanes::Whole { mark } => vec![(0, Reader::Whole { items: source.items()?, from: *mark })],
            Lanes::Stripes(stripes) => {
                let readers = stripes.iter().enumerate().filter(|(_, striped)| striped.mark < striped.stripe.end);
                let open = readers.map(|(lane, striped)| {
                    source.stripe(striped.stripe, striped.mark).map(|reader| (lane, Reader::Stripe(reader)))
                });
                open.collect::<Result<_>>()?
            }
        };
        Ok(Self { lanes, turn: 0 })
    }

    /// Some items, and the end if it comes behind them.
    fn chunk(&mut self) -> (Vec<ReadItem>, Option<Result<()>>) {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK_ITEMS && bytes < CHUNK_BYTES {
            match self.next_entry() {
                Ok(Some(entry)) => {
                    bytes += entry.text.len();
                    chunk.push(entry);
                }
                Ok(None) => return (chunk, Some(Ok(()))),
                Err(error) => return (chunk, Some(Err(error))),
            }
        }
        (chunk, None)
    }

    /// An item of the lane whose turn it is.
    fn next_entry(&mut self) -> Result<Option<ReadItem>> {
        loop {
            if self.turn >= self.lanes.len() {
                self.turn = 0;
            }
            let Some((lane, reader)) = self.lanes.get_mut(self.turn) else { return Ok(None) };
            if let Some((text, end)) = reader.next()? {
                self.turn += 1;
                return Ok(Some(ReadItem { text, lane: *lane, end }));
            }
            self.lanes.remove(self.turn);
        }
    }
}

impl Reader {
    fn next(&mut self) -> Result<Option<(Bytes, u64)>> {
        match self {
            Self::Stripe(reader) => Ok(reader.next_item()?.map(|item| (item.text, item.end))),
            Self::Whole { items, from } => loop {
                let Some(item) = items.next_item()? else { return Ok(None) };
                if item.offset >= *from {
                    return Ok(Some((item.text, item.offset + 1)));
                }
            },
        }
    }
}
