//! Learns how many capacity units per second a table accepts, from what it accepts and what it
//! throttles. The current time is a parameter; nothing here waits.
//!
//! A table is a token bucket that fills with `W` units per second and keeps what is not used
//! (DynamoDB: up to 300 seconds' worth). When it throttles, the bucket is empty. Between two
//! throttled calls it has therefore accepted exactly what flowed in: accepted units divided by time
//! is `W`, whatever was requested. Until the first throttled call, nothing is limited. After one:
//!
//! ```text
//! throttled ─► recovery: below W for a moment ─► hold: just below W ─► probe: ever faster, until
//! throttled again
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

use std::time::Duration;

use tokio::time::Instant;

/// Factor and duration of the recovery after a throttled call, which compensates for calls that
/// arrive in bursts.
const RECOVERY_FACTOR: f64 = 0.9;
const RECOVERY_TIME: Duration = Duration::from_millis(500);

/// Factor of the hold: below the estimated capacity, so that an error of the estimate does not
/// cause throttling.
const HOLD_FACTOR: f64 = 0.985;

/// Number of calls between two probes, so that at most two in a hundred are throttled, and the
/// bounds of the resulting time in seconds. The next probe detects a change of the table's
/// capacity.
const CALLS_BETWEEN_PROBES: f64 = 105.0;
const MIN_HOLD: f64 = 3.0;
const MAX_HOLD: f64 = 9.0;

/// Seconds of the hold after a guessed rate, so that it is soon measured.
const GUESSED_HOLD: f64 = 1.0;

/// Growth of a probe, by the cube of its seconds, up to twice the rate; from then on, it doubles in
/// this many seconds.
const PROBE_GROWTH: f64 = 0.03;
const PROBE_DOUBLING_TIME: f64 = 0.7;

/// A probe beyond this multiple of the rate has found a table with more capacity.
const MORE_CAPACITY_FACTOR: f64 = 1.6;

/// A probe beyond this multiple of the rate removes the limit.
const UNLIMITED_FACTOR: f64 = 1000.0;

/// A measurement needs the short window and this many calls that were accepted at least in part, or
/// the long window and fewer calls.
const SHORT_WINDOW: Duration = Duration::from_millis(100);
const SHORT_WINDOW_CALLS: u32 = 10;
const LONG_WINDOW: Duration = Duration::from_secs(1);
const LONG_WINDOW_CALLS: u32 = 3;

/// The rate is limited after this many throttled calls within this time, if they are at least this
/// share of all calls.
const MIN_THROTTLED_CALLS: u32 = 8;
const TOLERATED_SHARE: f64 = 0.02;
const OBSERVATION_TIME: Duration = Duration::from_secs(10);

/// A lower rate is tested. The test fails if this many calls are throttled, and their share of
/// units is at least this multiple of the share before, although the rate was lowered a second time
/// (the first measurement may have been of few calls). It ends when this many calls were made and
/// twice the minimum should have been throttled, or after this time.
const TEST_MIN_THROTTLED: u32 = 3;
const INEFFECTIVE_RATIO: f64 = 0.5;
const TEST_CALLS: u32 = 30;
const TEST_TIME: Duration = Duration::from_mins(1);

/// During a test, the rate is not lowered below this multiple.
const TEST_FLOOR: f64 = 0.5;

/// Small steps below this multiple of the last tested rate need a test of their own.
const NEW_TEST_RATIO: f64 = 0.93;

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

/// A learned rate limit.
#[derive(Debug)]
struct RateLimit {
    /// Estimated capacity of the table in units per second.
    capacity: f64,
    confidence: Confidence,
    last_refusal: Instant,
    measured: Measurement,
    /// The last rate that was not set by small steps.
    tested: f64,
    test: Option<SlowdownTest>,
}

/// The confidence in an estimated capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confidence {
    Guessed,
    Measurement,
    /// Two consecutive measurements agree.
    Confirmed,
}

/// A test of whether a lower rate reduces the share of throttled units.
#[derive(Debug)]
struct SlowdownTest {
    before: f64,
    after: Measurement,
    floor: f64,
    /// Whether the rate was lowered a second time.
    is_second: bool,
}

/// Responses since the bucket was last empty.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    since: Instant,
    accepted: f64,
    refused: f64,
    /// Number of calls that were accepted, and throttled, at least in part.
    accepted_calls: u32,
    throttled_calls: u32,
    calls: u32,
}

/// Accepted units of the most recent quarter of a second.
#[derive(Debug)]
struct RecentThroughput {
    since: Instant,
    units: f64,
    rate: f64,
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
                    // Random throttling is likely to go on, so the next test comes later.
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

        if let Some(capacity) = seen.rate(now).filter(|_| seen.is_throttled()) {
            let test = Some(SlowdownTest::new(capacity, seen, now));
            self.state = LimitState::Limited(RateLimit {
                capacity,
                confidence: Confidence::Measurement,
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

impl RateLimit {
    fn allowed(&self, now: Instant, call_units: f64) -> f64 {
        let past = now - self.last_refusal;
        let probing = self.seconds_probing(now, call_units);
        let factor = if past < RECOVERY_TIME {
            RECOVERY_FACTOR
        } else if probing <= 0.0 {
            HOLD_FACTOR
        } else {
            probe_factor(probing)
        };

        (self.capacity * factor).max(MIN_RATE)
    }

    /// Seconds since the probe began; negative before.
    fn seconds_probing(&self, now: Instant, call_units: f64) -> f64 {
        now.saturating_duration_since(self.last_refusal)
            .as_secs_f64()
            - self.hold_seconds(call_units)
    }

    /// Seconds from a throttled call to the next probe.
    fn hold_seconds(&self, call_units: f64) -> f64 {
        let call = call_units.min(self.capacity * CALL_SHARE).max(1.0);
        let hold = (CALLS_BETWEEN_PROBES * call / self.capacity).clamp(MIN_HOLD, MAX_HOLD);
        match self.confidence {
            Confidence::Guessed => GUESSED_HOLD,
            Confidence::Measurement => hold.min(MIN_HOLD),
            Confidence::Confirmed => hold,
        }
    }

    fn is_unlimited(&self, now: Instant, call_units: f64) -> bool {
        self.allowed(now, call_units) > self.capacity * UNLIMITED_FACTOR
    }

    fn record(&mut self, sent: Instant, accepted: f64, refused: f64, call_units: f64) {
        self.measured.add(accepted, refused);
        // Calls of a probe exceed the tested rate on purpose.
        let is_probe = self.seconds_probing(sent, call_units) > 0.0;
        if let Some(test) = self
            .test
            .as_mut()
            .filter(|test| sent > test.after.since && !is_probe)
        {
            test.after.add(accepted, refused);
        }
    }

    /// Adjusts the capacity estimate after a throttled call.
    fn adjust(&mut self, now: Instant, recent: f64, call_units: f64) {
        let seen = self.measured;
        let previous = self.tested;
        if self.allowed(now, call_units) > self.capacity * MORE_CAPACITY_FACTOR {
            // The bucket may have been full during the probe, in which case the average would be
            // too low.
            (self.capacity, self.confidence) = (recent.max(self.capacity), Confidence::Guessed);
            self.tested = self.capacity;
            self.measured = Measurement::new(now);
        } else if let Some(measured) = seen.rate(now) {
            let is_near = (measured / self.capacity - 1.0).abs() < 0.05;
            self.capacity = if is_near {
                f64::midpoint(self.capacity, measured)
            } else {
                measured
            };

            // A bucket that was full meanwhile hides the capacity; two consecutive measurements
            // that agree confirm it.
            self.confidence = if is_near {
                Confidence::Confirmed
            } else {
                Confidence::Measurement
            };

            if !is_near || self.capacity < previous * NEW_TEST_RATIO || self.capacity > previous {
                self.tested = self.capacity;
            }

            self.measured = Measurement::new(now);
        } else if seen.accepted <= 0.0 {
            self.measured = Measurement::new(now);
        }

        match &mut self.test {
            _ if self.tested >= previous => {}
            None => self.test = Some(SlowdownTest::new(self.capacity, &seen, now)),
            Some(test) if test.is_second => {}
            Some(test) => (test.is_second, test.after) = (true, Measurement::new(now)),
        }

        self.capacity = self
            .capacity
            .max(self.test.as_ref().map_or(MIN_RATE, |test| test.floor));
        self.last_refusal = now;
    }
}

impl SlowdownTest {
    /// Starts the test of a rate that was set because of this measurement.
    fn new(capacity: f64, seen: &Measurement, now: Instant) -> Self {
        Self {
            before: seen.refused_share(),
            after: Measurement::new(now),
            floor: (capacity * TEST_FLOOR).max(MIN_RATE),
            is_second: false,
        }
    }

    fn has_failed(&self, now: Instant) -> bool {
        // Before the rate was lowered twice, a single measurement may have been wrong.
        let is_decided = (self.is_second && self.after.rate(now).is_some()) || self.is_over(now);
        // Throttled calls of a small table may be this rare.
        let is_frequent = f64::from(self.after.throttled_calls) * MIN_HOLD
            >= (now - self.after.since).as_secs_f64();
        is_decided
            && is_frequent
            && self.after.throttled_calls >= TEST_MIN_THROTTLED
            && self.after.refused_share() >= self.before * INEFFECTIVE_RATIO
    }

    fn is_over(&self, now: Instant) -> bool {
        // Throttled calls that would be expected at the former share.
        let expected = f64::from(self.after.calls) * self.before;
        (self.after.calls >= TEST_CALLS && expected >= 2.0 * f64::from(TEST_MIN_THROTTLED))
            || now - self.after.since >= TEST_TIME
    }
}

/// The multiple of the rate after this many seconds of a probe.
fn probe_factor(seconds: f64) -> f64 {
    let doubled = ((2.0 - HOLD_FACTOR) / PROBE_GROWTH).cbrt();
    if seconds <= doubled {
        HOLD_FACTOR + PROBE_GROWTH * seconds.powi(3)
    } else {
        2.0 * 2.0_f64.powf(((seconds - doubled) / PROBE_DOUBLING_TIME).min(64.0))
    }
}

impl Measurement {
    fn new(since: Instant) -> Self {
        Self {
            since,
            accepted: 0.0,
            refused: 0.0,
            accepted_calls: 0,
            throttled_calls: 0,
            calls: 0,
        }
    }

    fn add(&mut self, accepted: f64, refused: f64) {
        self.accepted += accepted;
        self.refused += refused;
        self.calls += 1;
        self.accepted_calls += u32::from(accepted > 0.0);
        self.throttled_calls += u32::from(refused > 0.0);
    }

    fn refused_share(&self) -> f64 {
        self.refused / (self.accepted + self.refused).max(f64::MIN_POSITIVE)
    }

    /// Whether enough calls were throttled to justify a lower rate.
    fn is_throttled(&self) -> bool {
        let share = f64::from(self.throttled_calls) / f64::from(self.calls.max(1));
        self.throttled_calls >= MIN_THROTTLED_CALLS && share >= TOLERATED_SHARE
    }

    /// Accepted units per second; `None` until there are enough calls for a measurement.
    fn rate(&self, now: Instant) -> Option<f64> {
        let time = now - self.since;
        let is_enough = (time >= SHORT_WINDOW && self.accepted_calls >= SHORT_WINDOW_CALLS)
            || (time >= LONG_WINDOW && self.accepted_calls >= LONG_WINDOW_CALLS);
        is_enough.then(|| self.accepted / time.as_secs_f64())
    }
}

impl RecentThroughput {
    fn add(&mut self, units: f64, now: Instant) {
        let time = (now - self.since).as_secs_f64();
        if time >= 0.25 {
            *self = Self {
                since: now,
                units: 0.0,
                rate: self.units / time,
            };
        }

        self.units += units;
    }

    /// Accepted units per second during the last quarter of a second.
    fn rate(&self, now: Instant) -> f64 {
        let time = (now - self.since).as_secs_f64();
        if time < 0.1 && self.rate > 0.0 {
            self.rate
        } else {
            self.units / time.max(0.01)
        }
    }
}

#[cfg(test)]
mod tests;
