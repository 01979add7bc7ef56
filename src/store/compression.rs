//! Pages that travel compressed: whether to ask for that, and inflating what comes.
//!
//! A page of 1 MB travels as 130 to 210 KB, and inflating it takes 2 to 3 ms of a core. So it pays where the network is the narrow
//! place, and costs a core where it is not. `auto` finds out: it asks for pages in both ways by turns, compares the bytes of items
//! per second of call, inflating included, and goes on in the better way; once in a while it compares again.

use std::io::Read;
use std::ops::AddAssign;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::buffers::{buffer, shared};
use super::client::Host;
use super::error::Fault;
use crate::limits::RESPONSE_BYTES;

/// Whether pages travel compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireCompression {
    /// Where it is faster; never on this machine.
    #[default]
    Auto,
    /// Where the endpoint offers it.
    On,
    /// Not.
    Off,
}

/// Answers of each way that are compared. Half of the first ones wait for their connection, in both ways alike.
const COMPARED: u32 = 16;

/// Answers between two comparisons: the slower way takes less than one in a hundred of them.
const BETWEEN: u32 = 2048;

/// Compressed must be so much faster: it costs CPU.
const GAIN: f64 = 1.1;

/// Bytes of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WireBytes {
    /// As they travelled.
    #[serde(rename = "wire_bytes")]
    pub travelled: u64,
    /// Once inflated.
    #[serde(skip)]
    pub inflated: u64,
}

impl WireBytes {
    /// Whether any of them travelled compressed.
    #[must_use]
    pub fn are_compressed(self) -> bool {
        self.travelled < self.inflated
    }
}

impl AddAssign for WireBytes {
    fn add_assign(&mut self, more: Self) {
        self.travelled += more.travelled;
        self.inflated += more.inflated;
    }
}

/// Pages that are inflated at the same time, one for each core: more threads would not be faster, and each has memory of its own.
static INFLATING: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, usize::from)));

/// Decides for each page.
#[derive(Debug)]
pub(crate) struct Wire(Mutex<State>);

#[derive(Debug)]
enum State {
    Settled {
        gzip: bool,
        /// Answers until the next comparison; `None` where it was not found out but set.
        left: Option<u32>,
    },
    Comparing {
        next: bool,
        plain: Sum,
        gzip: Sum,
    },
}

/// Answers that came in one way.
#[derive(Debug, Default)]
struct Sum {
    answers: u32,
    bytes: f64,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, bytes: u64, time: Duration) {
        self.answers += 1;
        self.bytes += u32::try_from(bytes).map_or(f64::from(u32::MAX), f64::from);
        self.seconds += time.as_secs_f64();
    }

    fn rate(&self) -> f64 {
        self.bytes / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl State {
    fn comparing() -> Self {
        Self::Comparing {
            next: false,
            plain: Sum::default(),
            gzip: Sum::default(),
        }
    }
}

impl Wire {
    pub(crate) fn new(wanted: WireCompression, host: Host) -> Self {
        let set = |gzip| State::Settled { gzip, left: None };
        Self(Mutex::new(match (wanted, host) {
            (WireCompression::On, _) => set(true),
            (WireCompression::Off, _) | (WireCompression::Auto, Host::Local) => set(false),
            (WireCompression::Auto, Host::Aws | Host::Remote) => State::comparing(),
        }))
    }

    /// Whether the next call asks for a compressed page.
    pub(crate) fn asks(&self) -> bool {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Settled { gzip, .. } => *gzip,
            State::Comparing { next, .. } => {
                *next = !*next;
                *next
            }
        }
    }

    /// A call that asked in this way has brought so many bytes of items in this time, which is that of the call alone.
    pub(crate) fn answered(&self, with_gzip: bool, bytes: u64, time: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &mut *state {
            State::Settled { left: None, .. } => return,
            State::Settled {
                left: Some(left), ..
            } => {
                *left -= 1;
                (*left == 0).then(State::comparing)
            }
            State::Comparing { plain, gzip, .. } => {
                if with_gzip { &mut *gzip } else { &mut *plain }.add(bytes, time);
                let is_enough = plain.answers >= COMPARED && gzip.answers >= COMPARED;
                is_enough.then(|| State::Settled {
                    gzip: gzip.rate() > plain.rate() * GAIN,
                    left: Some(BETWEEN),
                })
            }
        };

        if let Some(next) = next {
            *state = next;
        }
    }
}

/// Whether a body of this `Content-Encoding` is compressed in the way that is asked for.
pub(crate) fn is_gzip(encoding: Option<&str>) -> bool {
    encoding.is_some_and(|encoding| {
        encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip")
    })
}

/// The text of a compressed body. Inflating takes milliseconds, too long for a thread that others wait for.
pub(crate) async fn inflated(body: Bytes) -> Result<Bytes, Fault> {
    let permit = INFLATING.acquire().await;
    let inflating = tokio::task::spawn_blocking(move || {
        let _held = permit;
        inflate(&body)
    });
    inflating
        .await
        .map_err(|error| Fault::broken_body("inflating was cut off").with_source(error))?
}

/// The same at once.
pub(crate) fn inflate(body: &[u8]) -> Result<Bytes, Fault> {
    inflate_within(RESPONSE_BYTES, body)
}

/// No more bytes are taken than `bound`, whatever the body says or holds.
fn inflate_within(bound: usize, body: &[u8]) -> Result<Bytes, Fault> {
    let mut text = buffer(said_length(body).min(bound));
    let mut inflating = MultiGzDecoder::new(body).take(bound as u64 + 1);
    inflating.read_to_end(&mut text).map_err(|error| {
        Fault::broken_body("the compressed response is damaged").with_source(error)
    })?;

    if text.len() > bound {
        return Err(Fault::endless_body());
    }

    Ok(shared(text))
}

/// The length that a gzip body says of its text in its last four bytes (RFC 1952), as far as it may be true: nothing is packed more
/// than a thousandfold.
fn said_length(body: &[u8]) -> usize {
    const MOST: usize = 1032;

    let said = body
        .last_chunk()
        .map_or(0, |last| u32::from_le_bytes(*last) as usize);
    said.min(body.len().saturating_mul(MOST))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_packed_comes_out(text in proptest::collection::vec(any::<u8>(), 0..5000), parts in 1_usize..3) {
            let body = packed(&text).repeat(parts);
            prop_assert_eq!(inflate(&body).unwrap(), text.repeat(parts));
        }

        #[test]
        fn what_is_cut_or_has_a_tail_is_damaged(text in "[a-z]{0,200}", at in any::<prop::sample::Index>(), tail in 1_u8..) {
            let body = packed(text.as_bytes());
            prop_assert!(at.index(body.len()) == 0 || inflate(&body[..at.index(body.len())]).is_err());
            prop_assert!(inflate(&[body, vec![tail]].concat()).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_no_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(inflate(&body));
        }
    }

    #[test]
    fn a_bomb_is_refused_for_good() {
        let body = packed(&[b' '; 10_001]);
        let fault = inflate_within(10_000, &body).unwrap_err();
        assert!(!fault.is_passing(), "{}", fault.message);
        assert_eq!(inflate_within(10_001, &body).unwrap().len(), 10_001);
    }

    /// What is asked for in the end, where pages of 1 MB take these milliseconds.
    fn settled(wire: &Wire, plain: u64, gzip: u64) -> bool {
        for _ in 0..4 * COMPARED {
            let asks = wire.asks();
            wire.answered(
                asks,
                1_000_000,
                Duration::from_millis(if asks { gzip } else { plain }),
            );
        }

        let asked: Vec<_> = (0..4).map(|_| wire.asks()).collect();
        assert!(asked.iter().all(|asks| *asks == asked[0]), "{wire:?}");

        asked[0]
    }

    #[test]
    fn the_faster_way_is_taken_and_in_doubt_the_one_without_work() {
        let faster =
            |plain, gzip| settled(&Wire::new(WireCompression::Auto, Host::Aws), plain, gzip);
        assert_eq!(
            [faster(400, 90), faster(60, 80), faster(60, 58)],
            [true, false, false]
        );
    }

    #[test]
    fn a_network_that_becomes_narrow_is_noticed() {
        let wire = Wire::new(WireCompression::Auto, Host::Remote);
        assert!(!settled(&wire, 60, 70));
        for _ in 2 * COMPARED..BETWEEN {
            let asks = wire.asks();
            wire.answered(asks, 1_000_000, Duration::from_millis(60));
        }

        assert!(settled(&wire, 600, 90));
    }

    #[test]
    fn what_is_set_holds_and_nothing_is_tried_on_this_machine() {
        use WireCompression::{Auto, Off, On};

        for (wanted, host, asks) in [
            (On, Host::Local, true),
            (Off, Host::Aws, false),
            (Auto, Host::Local, false),
        ] {
            assert_eq!(
                settled(&Wire::new(wanted, host), 100, if asks { 200 } else { 1 }),
                asks,
                "{wanted:?} {host:?}"
            );
        }
    }
}
