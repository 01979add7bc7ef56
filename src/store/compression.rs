//! Compressed Scan pages: decides whether to request them, and decompresses them.
//!
//! A page of 1 MB is transferred as 130 to 210 KB, and decompressing it takes 2 to 3 ms of CPU
//! time. Compression therefore pays where the network is the bottleneck. `auto` measures it: it
//! alternates between both encodings, compares the item bytes per second of call time (including
//! decompression), and then uses the faster one. The comparison is repeated from time to time.

use std::io::Read;
use std::ops::AddAssign;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::buffers::{into_shared_bytes, take_buffer};
use super::endpoint_kind::EndpointKind;
use super::error::RequestError;
use crate::limits::RESPONSE_BYTES;

/// Whether to request compressed pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireCompression {
    /// If it is faster; never for a local endpoint.
    #[default]
    Auto,
    /// Always; the endpoint may still send uncompressed pages.
    On,
    /// Never.
    Off,
}

/// Number of responses per encoding that are compared. Half of the first ones wait for their
/// connection, with both encodings alike.
const SAMPLES_PER_ENCODING: u32 = 16;

/// Number of responses between two comparisons, so that the slower encoding is used for less than
/// one in a hundred.
const PAGES_BETWEEN_COMPARISONS: u32 = 2048;

/// The speedup that justifies the CPU time of decompression.
const MIN_SPEEDUP: f64 = 1.1;

/// Sizes of responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WireBytes {
    /// Bytes received.
    #[serde(rename = "wire_bytes")]
    pub received: u64,
    /// Bytes after decompression.
    #[serde(skip)]
    pub decompressed: u64,
}

impl WireBytes {
    /// Whether any response was compressed.
    #[must_use]
    pub fn are_compressed(self) -> bool {
        self.received < self.decompressed
    }
}

impl AddAssign for WireBytes {
    fn add_assign(&mut self, more: Self) {
        self.received += more.received;
        self.decompressed += more.decompressed;
    }
}

/// Limits concurrent decompressions to one per core: more threads would not be faster, and each
/// needs its own memory.
static DECOMPRESSION_SLOTS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(thread::available_parallelism().map_or(1, usize::from)));

/// Decides for each page whether to request it compressed.
#[derive(Debug)]
pub(crate) struct GzipPolicy(Mutex<GzipDecision>);

#[derive(Debug)]
enum GzipDecision {
    Decided {
        gzip: bool,
        /// Responses until the next comparison; `None` if the mode is fixed.
        remaining: Option<u32>,
    },
    Comparing {
        next: bool,
        plain: TransferRate,
        gzip: TransferRate,
    },
}

/// Measured throughput of one encoding.
#[derive(Debug, Default)]
struct TransferRate {
    answers: u32,
    bytes: f64,
    seconds: f64,
}

impl TransferRate {
    fn add(&mut self, bytes: u64, time: Duration) {
        self.answers += 1;
        self.bytes += u32::try_from(bytes).map_or(f64::from(u32::MAX), f64::from);
        self.seconds += time.as_secs_f64();
    }

    fn rate(&self) -> f64 {
        self.bytes / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl GzipDecision {
    fn start_comparison() -> Self {
        Self::Comparing {
            next: false,
            plain: TransferRate::default(),
            gzip: TransferRate::default(),
        }
    }
}

impl GzipPolicy {
    pub(crate) fn new(mode: WireCompression, endpoint_kind: EndpointKind) -> Self {
        let set = |gzip| GzipDecision::Decided {
            gzip,
            remaining: None,
        };
        Self(Mutex::new(match (mode, endpoint_kind) {
            (WireCompression::On, _) => set(true),
            // A local endpoint shares the CPU with this process, so compression cannot pay.
            (WireCompression::Off, _) | (WireCompression::Auto, EndpointKind::Local) => set(false),
            (WireCompression::Auto, EndpointKind::Aws | EndpointKind::Remote) => {
                GzipDecision::start_comparison()
            }
        }))
    }

    /// Whether to request the next page compressed.
    pub(crate) fn next_uses_gzip(&self) -> bool {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            GzipDecision::Decided { gzip, .. } => *gzip,
            GzipDecision::Comparing { next, .. } => {
                *next = !*next;
                *next
            }
        }
    }

    /// Records the size in item bytes and the duration of a call, without its wait for a permit.
    pub(crate) fn record(&self, with_gzip: bool, bytes: u64, time: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &mut *state {
            GzipDecision::Decided {
                remaining: None, ..
            } => return,
            GzipDecision::Decided {
                remaining: Some(remaining),
                ..
            } => {
                *remaining -= 1;
                (*remaining == 0).then(GzipDecision::start_comparison)
            }
            GzipDecision::Comparing { plain, gzip, .. } => {
                if with_gzip { &mut *gzip } else { &mut *plain }.add(bytes, time);
                let is_enough =
                    plain.answers >= SAMPLES_PER_ENCODING && gzip.answers >= SAMPLES_PER_ENCODING;
                is_enough.then(|| GzipDecision::Decided {
                    gzip: gzip.rate() > plain.rate() * MIN_SPEEDUP,
                    remaining: Some(PAGES_BETWEEN_COMPARISONS),
                })
            }
        };

        // Assigned here, because the match borrows the state.
        if let Some(next) = next {
            *state = next;
        }
    }
}

/// Whether a `Content-Encoding` is gzip.
pub(crate) fn is_gzip(encoding: Option<&str>) -> bool {
    encoding.is_some_and(|encoding| {
        encoding.eq_ignore_ascii_case("gzip") || encoding.eq_ignore_ascii_case("x-gzip")
    })
}

/// Decompresses a body on the blocking pool, because it takes milliseconds.
pub(crate) async fn decompress(body: Bytes) -> Result<Bytes, RequestError> {
    let permit = DECOMPRESSION_SLOTS.acquire().await;
    let decompressing = tokio::task::spawn_blocking(move || {
        let _held = permit;
        decompress_blocking(&body)
    });
    decompressing.await.map_err(|error| {
        RequestError::damaged_response("inflating was cut off").with_source(error)
    })?
}

/// Decompresses a body on the current thread.
pub(crate) fn decompress_blocking(body: &[u8]) -> Result<Bytes, RequestError> {
    decompress_within(RESPONSE_BYTES, body)
}

/// Decompresses at most `max_bytes`, whatever length the body declares.
fn decompress_within(max_bytes: usize, body: &[u8]) -> Result<Bytes, RequestError> {
    let mut text = take_buffer(declared_length(body).min(max_bytes));
    // Several gzip members in one body are allowed. Reading one byte more than the maximum detects
    // oversized bodies.
    let mut decompressing = MultiGzDecoder::new(body).take(max_bytes as u64 + 1);
    decompressing.read_to_end(&mut text).map_err(|error| {
        RequestError::damaged_response("the compressed response is damaged").with_source(error)
    })?;

    if text.len() > max_bytes {
        return Err(RequestError::oversized_response());
    }

    Ok(into_shared_bytes(text))
}

/// The uncompressed length that a gzip body declares in its last four bytes (RFC 1952). It is
/// limited to the maximum compression ratio of gzip, because the length decides how much memory is
/// allocated.
fn declared_length(body: &[u8]) -> usize {
    const MAX_RATIO: usize = 1032;

    let declared = body
        .last_chunk()
        .map_or(0, |last| u32::from_le_bytes(*last) as usize);
    declared.min(body.len().saturating_mul(MAX_RATIO))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn compressed_text_is_restored(text in proptest::collection::vec(any::<u8>(), 0..5000), parts in 1_usize..3) {
            let body = gzipped(&text).repeat(parts);
            prop_assert_eq!(decompress_blocking(&body).unwrap(), text.repeat(parts));
        }

        #[test]
        fn truncated_or_extended_bodies_are_damaged(text in "[a-z]{0,200}", at in any::<prop::sample::Index>(), tail in 1_u8..) {
            let body = gzipped(text.as_bytes());
            prop_assert!(at.index(body.len()) == 0 || decompress_blocking(&body[..at.index(body.len())]).is_err());
            prop_assert!(decompress_blocking(&[body, vec![tail]].concat()).is_err());
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(decompress_blocking(&body));
        }
    }

    #[test]
    fn a_decompression_bomb_is_not_retried() {
        let body = gzipped(&[b' '; 10_001]);
        let error = decompress_within(10_000, &body).unwrap_err();
        assert!(!error.is_retryable(), "{}", error.message);
        assert_eq!(decompress_within(10_001, &body).unwrap().len(), 10_001);
    }

    /// The final decision if pages of 1 MB take this many milliseconds per encoding.
    fn decision_after(policy: &GzipPolicy, plain: u64, gzip: u64) -> bool {
        for _ in 0..4 * SAMPLES_PER_ENCODING {
            let uses_gzip = policy.next_uses_gzip();
            policy.record(
                uses_gzip,
                1_000_000,
                Duration::from_millis(if uses_gzip { gzip } else { plain }),
            );
        }

        let choices: Vec<_> = (0..4).map(|_| policy.next_uses_gzip()).collect();
        assert!(
            choices.iter().all(|uses_gzip| *uses_gzip == choices[0]),
            "{policy:?}"
        );

        choices[0]
    }

    #[test]
    fn the_faster_encoding_is_used_and_in_doubt_no_compression() {
        let faster = |plain, gzip| {
            decision_after(
                &GzipPolicy::new(WireCompression::Auto, EndpointKind::Aws),
                plain,
                gzip,
            )
        };
        assert_eq!(
            [faster(400, 90), faster(60, 80), faster(60, 58)],
            [true, false, false]
        );
    }

    #[test]
    fn a_network_that_becomes_slow_is_noticed() {
        let policy = GzipPolicy::new(WireCompression::Auto, EndpointKind::Remote);
        assert!(!decision_after(&policy, 60, 70));
        for _ in 2 * SAMPLES_PER_ENCODING..PAGES_BETWEEN_COMPARISONS {
            let uses_gzip = policy.next_uses_gzip();
            policy.record(uses_gzip, 1_000_000, Duration::from_millis(60));
        }

        assert!(decision_after(&policy, 600, 90));
    }

    #[test]
    fn explicit_modes_are_kept_and_a_local_endpoint_is_not_compared() {
        use WireCompression::{Auto, Off, On};

        for (mode, endpoint_kind, uses_gzip) in [
            (On, EndpointKind::Local, true),
            (Off, EndpointKind::Aws, false),
            (Auto, EndpointKind::Local, false),
        ] {
            assert_eq!(
                decision_after(
                    &GzipPolicy::new(mode, endpoint_kind),
                    100,
                    if uses_gzip { 200 } else { 1 }
                ),
                uses_gzip,
                "{mode:?} {endpoint_kind:?}"
            );
        }
    }
}
