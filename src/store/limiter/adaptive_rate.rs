//! Learns how many capacity units per second a table accepts, from what it accepts and what it
//! throttles. The current time is a parameter; nothing here waits.
//!
//! A table is a token bucket that fills with `W` units per second and keeps what is not used
//! (DynamoDB: up to 300 seconds' worth). When it throttles, the bucket is empty. Between two
//! throttled calls it has therefore accepted exactly what flowed in: accepted units divided by time
//! is `W`, independently of the requested units. A single throttled call says little; the rates are measurements
//! of at least ten calls.
//!
//! ```text
//!                 throttled            ≥ 10 throttled calls, ≥ 2 % of all
//!     Unlimited ───────────► Observing ───────────► Limited ─┐ throttled: measure,
//!         ▲                      ▲                  │  │  ▲  │ next round
//!         └──────────────────────┼──────────────────┘  │  └──┘
//!           a probe meets no     │                     │ throttled as before,
//!           throttling for 10 s  │ time is over,       │ although slower
//!                                │ throttled again     ▼
//!                                └──────────────── Suspended
//! ```
//!
//! While limited (see `limit`), each round holds a rate just below `W` and then probes for more,
//! faster and faster, until calls are throttled. The probe uses up what the hold has left in the
//! bucket: on average, all of `W` is used, and about one call in a hundred is throttled.
//!
//! Throttling does not always mean that the table's capacity is used up: one hot partition may
//! throttle its items while the others have capacity left, accounts have limits of their own, and
//! engines may throttle at random. Slowing down is therefore a trial. A limit that does not reduce
//! the share of refused units is suspended for a while, and throttled calls are only retried.
//!
//! The throttling of one partition has one cause, which needs no trial: see
//! [`AdaptiveRate::of_key_range`].

mod limit;
mod measurement;

use std::time::Duration;

use tokio::time::Instant;

use limit::{RateLimit, Response, Verdict};
use measurement::{ENOUGH_CALLS, FULL_DURATION, MAX_AGE, Measurement};

/// Share of throttled calls that is tolerated: less is not worth a limit, does not end a round, and
/// is the aim for the length of rounds.
const TOLERATED_SHARE: f64 = 0.02;

/// Minimum rate in units per second: a table that accepts nothing for a while must be tried again.
const MIN_RATE: f64 = 1.0;

/// Time for which throttling is ignored after a failed trial; doubled after each further one up to
/// the maximum, because throttling that has nothing to do with the rate is likely to continue.
const MIN_SUSPENSION: Duration = Duration::from_secs(5);
const MAX_SUSPENSION: Duration = Duration::from_mins(1);

/// The speed at which a limit adapts.
#[derive(Debug)]
struct Tuning {
    /// Maximum share of a second's units for one call, and for the units that are kept if they are
    /// not used in time. With smaller calls, less is throttled when the limit is reached.
    call_share: f64,
    /// Seconds in which a probe's distance from the rate of the hold doubles.
    doubling_seconds: f64,
    max_hold: Duration,
    /// Whether throttling may have another cause than the rate.
    needs_trial: bool,
}

/// A table whose capacity has doubled is noticed after six doublings.
const TABLE: Tuning = Tuning {
    call_share: 0.05,
    doubling_seconds: 0.5,
    max_hold: MAX_AGE,
    needs_trial: true,
};

/// Writes to one range of keys.
const WRITE_RANGE: Tuning = Tuning {
    needs_trial: false,
    ..TABLE
};

/// Scans of one range of keys. The available units change whenever the Scan reaches the next
/// partition, or another range of the same partition is used or no longer used. Calls are larger,
/// because a range is read with one call after the other, which must not be the limit.
const SCAN_RANGE: Tuning = Tuning {
    call_share: 0.1,
    doubling_seconds: 0.35,
    max_hold: FULL_DURATION,
    needs_trial: false,
};

/// The adaptive rate limit of one table, or of a range of its keys, for reads or writes.
#[derive(Debug)]
pub(crate) struct AdaptiveRate {
    state: State,
    tuning: &'static Tuning,
    /// Duration of the next suspension.
    next_suspension: Duration,
    /// Units that may be requested now; negative if requests must wait.
    balance: f64,
    balance_at: Instant,
    /// Moving average of the units per call.
    call_units: f64,
}

#[derive(Debug)]
enum State {
    /// No call was throttled lately.
    Unlimited,
    /// Calls were throttled. Measures since the first one whether a limit is needed.
    Observing(Measurement),
    Limited(Box<RateLimit>),
    /// Throttling is ignored, because slowing down did not help.
    Suspended {
        until: Instant,
    },
}

impl AdaptiveRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Unlimited,
            tuning: &TABLE,
            next_suspension: MIN_SUSPENSION,
            balance: 0.0,
            balance_at: now,
            call_units: 1.0,
        }
    }

    /// The rate of writes to a range of keys, which are in one or a few partitions. Only throttling
    /// of a partition may be recorded: the cause is known, so the limit is never suspended.
    pub(crate) fn of_key_range(now: Instant) -> Self {
        Self {
            tuning: &WRITE_RANGE,
            ..Self::new(now)
        }
    }

    /// The rate of Scans of a range of keys, as [`of_key_range`](Self::of_key_range).
    pub(crate) fn of_scan_range(now: Instant) -> Self {
        Self {
            tuning: &SCAN_RANGE,
            ..Self::new(now)
        }
    }

    /// Units per second that may be requested; `None` if there is no limit.
    pub(crate) fn allowed(&self, now: Instant) -> Option<f64> {
        match &self.state {
            State::Limited(limit) => Some(limit.allowed(now)),
            State::Unlimited | State::Observing(_) | State::Suspended { .. } => None,
        }
    }

    /// Moving average of the units per call.
    pub(crate) fn call_units(&self) -> f64 {
        self.call_units
    }

    /// Maximum units that one call should cost.
    pub(crate) fn call_budget(&self, now: Instant) -> Option<f64> {
        self.allowed(now)
            .map(|allowed| allowed * self.tuning.call_share)
    }

    /// Takes the units of a call, or returns how long to wait before trying again.
    pub(crate) fn take(&mut self, units: f64, now: Instant) -> Result<(), Duration> {
        let Some(allowed) = self.allowed(now) else {
            return Ok(());
        };

        // Refills the balance lazily, at the current rate.
        let earned = (now - self.balance_at).as_secs_f64() * allowed;
        self.balance = (self.balance + earned).min(allowed * self.tuning.call_share);
        self.balance_at = now;

        if self.balance < 0.0 {
            return Err(Duration::from_secs_f64(
                (-self.balance / allowed).min(3600.0),
            ));
        }

        self.balance -= units;

        Ok(())
    }

    /// Records the response to a call that was sent at `sent` with `paid` units.
    pub(crate) fn record(
        &mut self,
        sent: Instant,
        now: Instant,
        paid: f64,
        accepted: f64,
        refused: f64,
    ) {
        let is_throttled = refused > 0.0;
        if !is_throttled {
            // The call cost less or more than was taken in advance.
            self.balance += paid - accepted;
            self.call_units += (accepted - self.call_units) / 16.0;
        }

        match &mut self.state {
            State::Unlimited if is_throttled => self.observe(now),
            State::Suspended { until } if is_throttled && *until <= now => self.observe(now),
            State::Unlimited | State::Suspended { .. } => {}
            State::Observing(observed) => {
                observed.add(accepted, refused);
                if is_throttled {
                    self.limit_if_needed(now);
                }
            }
            State::Limited(limit) => {
                let response = Response {
                    sent,
                    now,
                    accepted,
                    refused,
                };
                match limit.record(response, self.call_units) {
                    _ if limit.probe_time(now) > Some(MAX_AGE) => self.state = State::Unlimited,
                    None => {}
                    Some(Verdict::Failed) if self.tuning.needs_trial => self.suspend(now),
                    Some(Verdict::Undecided | Verdict::Failed) => self.pause(),
                    Some(Verdict::Helped) => {
                        self.next_suspension = MIN_SUSPENSION;
                        self.pause();
                    }
                }
            }
        }
    }

    fn observe(&mut self, now: Instant) {
        self.state = State::Observing(Measurement::new(now));
    }

    /// Sets a limit once enough calls, and a large enough share of them, were throttled.
    fn limit_if_needed(&mut self, now: Instant) {
        let State::Observing(observed) = &self.state else {
            return;
        };

        let is_needed = observed.throttled_calls >= ENOUGH_CALLS
            && observed.throttled_share() >= TOLERATED_SHARE;
        if is_needed && let Some(capacity) = observed.rate(now) {
            let limit = RateLimit::new(capacity, observed, self.tuning, now);
            self.state = State::Limited(Box::new(limit));
            (self.balance, self.balance_at) = (0.0, now);
        } else if now - observed.since > MAX_AGE {
            self.observe(now);
        }
    }

    /// Sends nothing for a moment, because calls in flight find the bucket empty too.
    fn pause(&mut self) {
        if let State::Limited(limit) = &self.state {
            self.balance = self.balance.min(0.0) - limit.capacity() * self.tuning.call_share;
        }
    }

    fn suspend(&mut self, now: Instant) {
        self.state = State::Suspended {
            until: now + self.next_suspension,
        };
        self.next_suspension = (self.next_suspension * 2).min(MAX_SUSPENSION);
    }
}

#[cfg(test)]
mod tests;
