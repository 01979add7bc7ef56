//! Learns how many capacity units per second a table accepts, from what it accepts and what it
//! throttles. The current time is a parameter; nothing here waits.
//!
//! A table is a token bucket that fills with `W` units per second and keeps what is not used
//! (DynamoDB: up to 300 seconds' worth). When it throttles, the bucket is empty. Between two
//! throttled calls it has therefore accepted exactly what flowed in: accepted units divided by time
//! is `W`, whatever was requested. Until the first throttled call, nothing is limited. After one:
//!
//! ```text
//! throttled ─► recovery: below W ─► hold: just below W ─► probe: faster and faster ─► throttled
//! ```
//!
//! The probe uses up what recovery and hold have left in the bucket: on average, all of `W` is
//! used, with one or two throttled calls per round. A probe that gets far above `W` has found a
//! table with more capacity.
//!
//! Throttling does not always mean that the table's capacity is used up: one hot partition may
//! throttle its items while the others have capacity left, accounts have limits of their own, and
//! engines may throttle at random. Slowing down is therefore a test. The lower rate is kept if it
//! reduces the share of throttled units. Otherwise, the limit is suspended for a while, and
//! throttled calls are only retried.

mod limit;
mod measurement;

use std::time::Duration;

use tokio::time::Instant;

use limit::{Confidence, RateLimit, SlowdownTest};
use measurement::{Measurement, OBSERVATION_TIME, RecentThroughput, SHORT_WINDOW};

/// Duration for which throttling is ignored after a failed test; doubled after each further one.
const MIN_SUSPENSION: Duration = Duration::from_secs(5);
const MAX_SUSPENSION: Duration = Duration::from_mins(1);

/// After this many fully throttled calls in a row, over at least this time, calls are reduced to
/// this share: the bucket may hold less than one call. They grow by this factor per interval while
/// calls are accepted. A call that could have cost this multiple of its units was not limited.
const STREAK_CALLS: u32 = 8;
const STREAK_TIME: Duration = Duration::from_millis(250);
const SHRINK_FACTOR: f64 = 0.25;
const GROWTH_FACTOR: f64 = 1.25;
const FULL_SIZE_FACTOR: f64 = 4.0;

/// Minimum rate in units per second: a table that accepts nothing for a while must be tried again.
const MIN_RATE: f64 = 1.0;

/// Maximum share of a second's units for one call. With smaller calls, less is throttled when the
/// limit is reached.
const CALL_SHARE: f64 = 0.05;

/// Seconds for which unused units are kept, because timers may be late by a millisecond or two.
const BURST: f64 = 0.02;

/// The adaptive rate limit of one table, for reads or writes.
#[derive(Debug)]
pub(crate) struct AdaptiveRate {
    state: LimitState,
    /// Duration for which the next failed test suspends the limit.
    next_suspension: Duration,
    streak: Option<ThrottleStreak>,
    /// Maximum units of a call, because larger ones were throttled.
    max_call_units: f64,
    size_changed: Instant,
    recent: RecentThroughput,
    /// Units that may be requested now; negative if requests must wait.
    balance: f64,
    balance_at: Instant,
    /// Moving average of the units per call.
    call_units: f64,
}

/// The interpretation of throttled calls.
#[derive(Debug)]
enum LimitState {
    /// Unknown. Some calls may have been throttled already.
    Observing(Option<Measurement>),
    /// They mean that the capacity is used up.
    Limited(RateLimit),
    /// Ignored until this time, because slowing down did not help.
    Suspended(Instant),
}

/// Consecutive calls that were throttled entirely.
#[derive(Debug)]
struct ThrottleStreak {
    since: Instant,
    calls: u32,
}

impl AdaptiveRate {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: LimitState::Observing(None),
            next_suspension: MIN_SUSPENSION,
            streak: None,
            max_call_units: f64::INFINITY,
            size_changed: now,
            recent: RecentThroughput {
                since: now,
                units: 0.0,
                rate: 0.0,
            },
            balance: 0.0,
            balance_at: now,
            call_units: 1.0,
        }
    }

    /// Units per second that may be requested; `None` if there is no limit.
    pub(crate) fn allowed(&self, now: Instant) -> Option<f64> {
        match &self.state {
            LimitState::Limited(limit) => Some(limit.allowed(now, self.call_units)),
            LimitState::Observing(_) | LimitState::Suspended(_) => None,
        }
    }

    /// Moving average of the units per call.
    pub(crate) fn call_units(&self) -> f64 {
        self.call_units
    }

    /// Maximum units that one call should cost.
    pub(crate) fn call_budget(&self, now: Instant) -> Option<f64> {
        let budget = self
            .allowed(now)
            .map_or(f64::INFINITY, |allowed| allowed * CALL_SHARE)
            .min(self.max_call_units);
        budget.is_finite().then_some(budget)
    }

    /// Takes the units of a call, or returns how long to wait before trying again.
    pub(crate) fn take(&mut self, units: f64, now: Instant) -> Result<(), Duration> {
        let Some(allowed) = self.allowed(now) else {
            return Ok(());
        };

        // Refills the balance lazily, at the current rate.
        let earned = (now - self.balance_at).as_secs_f64() * allowed;
        self.balance = (self.balance + earned).min(allowed * BURST);
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
        self.recent.add(accepted, now);
        self.adjust_call_size(now, paid, accepted, refused);
        let call_units = self.call_units;
        match &mut self.state {
            LimitState::Observing(None) if refused > 0.0 => {
                self.state = LimitState::Observing(Some(Measurement::new(now)));
            }
            LimitState::Observing(Some(seen)) => {
                seen.add(accepted, refused);
                if refused > 0.0 {
                    self.limit_if_throttled(now);
                }
            }
            LimitState::Limited(limit) => {
                limit.record(sent, accepted, refused, call_units);
                if limit.test.as_ref().is_some_and(|test| test.has_failed(now)) {
                    self.state = LimitState::Suspended(now + self.next_suspension);
                    // Random throttling is likely to continue, so the next test comes later.
                    self.next_suspension = (self.next_suspension * 2).min(MAX_SUSPENSION);
                } else if refused > 0.0 {
                    self.apply_refusal(sent, now);
                } else if limit.is_unlimited(now, call_units) {
                    self.state = LimitState::Observing(None);
                } else if limit.test.as_ref().is_some_and(|test| test.is_over(now)) {
                    // The lower rate has proved effective, so failed tests of the past no longer
                    // count.
                    limit.test = None;
                    self.next_suspension = MIN_SUSPENSION;
                }
            }
            LimitState::Suspended(until) if refused > 0.0 && *until <= now => {
                self.state = LimitState::Observing(Some(Measurement::new(now)));
            }
            LimitState::Observing(None) | LimitState::Suspended(_) => {}
        }
    }

    /// Adjusts the maximum size of calls to what the table accepts at all.
    fn adjust_call_size(&mut self, now: Instant, paid: f64, accepted: f64, refused: f64) {
        if refused <= 0.0 {
            // The call cost less or more than was taken in advance.
            self.balance += paid - accepted;
            self.call_units += (accepted - self.call_units) / 16.0;
            if self.max_call_units > paid * FULL_SIZE_FACTOR {
                // The call was not limited in size, and succeeded.
                self.max_call_units = f64::INFINITY;
            } else if now - self.size_changed >= STREAK_TIME {
                (self.max_call_units, self.size_changed) =
                    (self.max_call_units * GROWTH_FACTOR, now);
            }
        }

        if accepted > 0.0 {
            self.streak = None;
            return;
        }

        let streak = self.streak.get_or_insert(ThrottleStreak {
            since: now,
            calls: 0,
        });
        streak.calls += 1;

        if streak.calls >= STREAK_CALLS && now - streak.since >= STREAK_TIME {
            (self.max_call_units, self.size_changed) = (
                (paid * SHRINK_FACTOR).min(self.max_call_units).max(1.0),
                now,
            );
            self.streak = None;
        }
    }

    /// Sets a limit once enough calls, and a large enough share of them, were throttled.
    fn limit_if_throttled(&mut self, now: Instant) {
        let LimitState::Observing(Some(seen)) = &self.state else {
            return;
        };

        if seen.is_throttled()
            && let Some(capacity) = seen.rate(now)
        {
            let test = Some(SlowdownTest::new(capacity, seen, now));
            self.state = LimitState::Limited(RateLimit {
                capacity,
                confidence: Confidence::Measured,
                last_refusal: now,
                measured: Measurement::new(now),
                tested: capacity,
                test,
            });

            (self.balance, self.balance_at) = (0.0, now);
        // A new window, so that old calls do not outweigh the present.
        } else if seen.accepted <= 0.0 || now - seen.since > OBSERVATION_TIME {
            self.state = LimitState::Observing(Some(Measurement::new(now)));
        }
    }

    fn apply_refusal(&mut self, sent: Instant, now: Instant) {
        let recent = self.recent.rate(now);
        let LimitState::Limited(limit) = &mut self.state else {
            return;
        };

        // A burst of throttled calls counts once.
        if sent > limit.last_refusal && now - limit.last_refusal >= SHORT_WINDOW {
            limit.adjust(now, recent, self.call_units);
            // Pauses for one call, because calls in flight find the bucket empty too.
            self.balance = self.balance.min(0.0) - self.call_units.min(limit.capacity * CALL_SHARE);
        }
    }
}

#[cfg(test)]
mod tests;
