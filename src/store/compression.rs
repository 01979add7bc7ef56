//! Compressed Scan pages: decides whether to request them, and decompresses them.
//!
//! A page of 1 MB is transferred as 130 to 210 KB, and decompressing it takes 2 to 3 ms of CPU
//! time. Compression therefore pays where the network is the bottleneck. `auto` measures it: it
//! alternates between both encodings, compares the item bytes per second of call time (including
//! decompression), and then uses the faster one. The comparison is repeated from time to time.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::endpoint_kind::EndpointKind;

/// Whether to request compressed pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum WireCompression {
    /// If it is faster; never for a local endpoint
    #[default]
    Auto,
    /// Always; the endpoint may still send uncompressed pages
    On,
    /// Never
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

/// The policies of all tables: the items of one may compress much better than those of another.
pub(crate) struct GzipPolicies {
    mode: WireCompression,
    endpoint_kind: EndpointKind,
    by_table: Mutex<HashMap<String, Arc<GzipPolicy>>>,
}

impl GzipPolicies {
    pub(crate) fn new(mode: WireCompression, endpoint_kind: EndpointKind) -> Self {
        Self {
            mode,
            endpoint_kind,
            by_table: Mutex::default(),
        }
    }

    /// Discards what was learned about a table.
    pub(crate) fn forget(&self, table: &str) {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        by_table.remove(table);
    }

    /// The policy of a table, created on first use.
    pub(crate) fn for_table(&self, table: &str) -> Arc<GzipPolicy> {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(policy) = by_table.get(table) {
            return Arc::clone(policy);
        }

        let policy = Arc::new(GzipPolicy::new(self.mode, self.endpoint_kind));
        by_table.insert(table.to_owned(), Arc::clone(&policy));

        policy
    }
}

/// Decides for each page of a table whether to request it compressed.
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
            (WireCompression::Off, _) => set(false),
            (WireCompression::Auto, endpoint) if endpoint.shares_cpu() => set(false),
            (WireCompression::Auto, _) => GzipDecision::start_comparison(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn each_table_has_its_own_decision() {
        let policies = GzipPolicies::new(WireCompression::Auto, EndpointKind::Aws);
        assert!(decision_after(&policies.for_table("text"), 400, 90));
        assert!(!decision_after(&policies.for_table("images"), 60, 80));
        assert!(policies.for_table("text").next_uses_gzip());
        assert!(!policies.for_table("images").next_uses_gzip());
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
