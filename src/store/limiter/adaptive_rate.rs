//! How many capacity units per second a table takes, learned from what it accepts and what it refuses. Time is given, nothing
//! here waits.
//!
//! A table is a bucket that fills with `W` units per second and holds what was not used (DynamoDB: up to 300 seconds' worth).
//! When it refuses, the bucket is empty. So between two refusals it has accepted exactly what flowed in: accepted units by time
//! is `W`, whatever was asked for. Until the first refusal nothing is limited. After one:
//!
//! ```text
//! refusal ─► cushion: below W for a moment ─► hold: just below W ─► probe: ever faster, until the next refusal
//! ```
//!
//! What the cushion and the hold leave in the bucket the probe takes out: on average all of `W` is used, with a refusal or two
//! per round. A probe that goes far above `W` without a refusal has found a table that takes more.
//!
//! A refusal is not always the table's: one hot partition refuses its items while the rest has room, an account has its own
//! limit, engines and partitions on the move refuse at random. So slowing down is a trial. It is kept if it lowers the share of
//! refused units. Where it does not, nothing is limited, and refusals are left to the calls they belong to, for a while.

use std::time::Duration;

use tokio::time::Instant;

/// Right after a refusal, and for how long: builds a cushion against calls that bunch.
const RECOVERY_FACTOR: f64 = 0.9;
const RECOVERY_TIME: Duration = Duration::from_millis(500);

/// Below what the table is thought to take: an error of the measurement must not become a refusal.
const HOLD_FACTOR: f64 = 0.985;

/// Calls between two probes, so that at most two of a hundred are refused; and the bounds of the time this takes. A change of
/// the table's capacity is found by the next probe.
const CALLS_BETWEEN_PROBES: f64 = 105.0;
const MIN_HOLD: f64 = 3.0;
const MAX_HOLD: f64 = 9.0;

/// The hold after a rate that was guessed, to have it measured.
const GUESSED_HOLD: f64 = 1.0;

/// How fast a probe grows, by the cube of its seconds, until it has reached twice the rate; then it doubles in this time.
const PROBE_GROWTH: f64 = 0.03;
const PROBE_DOUBLING_TIME: f64 = 0.7;

/// From this multiple on a probe has found a table that takes more.
const MORE_CAPACITY_FACTOR: f64 = 1.6;

/// Past this multiple nothing is limited any more.
const UNLIMITED_FACTOR: f64 = 1000.0;

/// A measurement needs this time and so many calls that were accepted, at least in part; or the longer time and fewer.
const SHORT_WINDOW: Duration = Duration::from_millis(100);
const SHORT_WINDOW_CALLS: u32 = 10;
const LONG_WINDOW: Duration = Duration::from_secs(1);
const LONG_WINDOW_CALLS: u32 = 3;

/// Nothing is limited before so many calls, and such a share of all, were refused within this time.
const MIN_THROTTLED_CALLS: u32 = 8;
const TOLERATED_SHARE: f64 = 0.02;
const OBSERVATION_TIME: Duration = Duration::from_secs(10);

/// A lower rate is a trial. It has failed when so many calls, and this multiple of the former share of units or more, are
/// refused, though it was set once more meanwhile: the first measurement may have been one of few calls. It is decided when so
/// many calls were made and twice as many of them should have been refused, or after this time.
const TEST_MIN_THROTTLED: u32 = 3;
const INEFFECTIVE_RATIO: f64 = 0.5;
const TEST_CALLS: u32 = 30;
const TEST_TIME: Duration = Duration::from_mins(1);

/// While a rate is on trial it is not set lower than this multiple.
const TEST_FLOOR: f64 = 0.5;

/// Below this multiple of the rate last tried, many small steps down are a trial of their own.
const NEW_TEST_RATIO: f64 = 0.93;

/// After a trial that failed refusals mean nothing for so long, twice as long after the next, and so on.
const MIN_SUSPENSION: Duration = Duration::from_secs(5);
const MAX_SUSPENSION: Duration = Duration::from_mins(1);

/// When so many calls in a row were refused as a whole, in such a time, the next ones are smaller: the bucket may hold less than
/// a call. They grow, by so much in this time, when calls are accepted.
const STREAK_CALLS: u32 = 8;
const STREAK_TIME: Duration = Duration::from_millis(250);
const SHRINK_FACTOR: f64 = 0.25;
const GROWTH_FACTOR: f64 = 1.25;
const FULL_SIZE_FACTOR: f64 = 4.0;

/// The pace never falls lower, in units per second: a table that takes nothing for a while must be asked again.
const MIN_RATE: f64 = 1.0;

/// The share of a second's units that one call is to cost at most. Smaller calls find the limit at the price of fewer items.
const CALL_SHARE: f64 = 0.05;

/// Unused pace is kept for so long, in seconds: timers are late by a millisecond or two.
const BURST: f64 = 0.02;

/// The pace of one direction, read or write.
#[derive(Debug)]
pub(crate) struct AdaptiveRate {
    state: LimitState,
    /// How long the next trial that fails is remembered.
    next_suspension: Duration,
    streak: Option<ThrottleStreak>,
    /// Units that a call may cost because larger ones were refused.
    max_call_units: f64,
    size_changed: Instant,
    recent: RecentThroughput,
    /// Units that may be asked for now; below nought they are owed.
    balance: f64,
    balance_at: Instant,
    /// Units of a call, smoothed.
    call_units: f64,
}

/// What refusals mean.
#[derive(Debug)]
enum LimitState {
    /// Nothing yet. There may have been some.
    Observing(Option<Measurement>),
    /// That the table takes no more.
    Limited(RateLimit),
    /// Nothing, until then: slowing down did not help.
    Suspended(Instant),
}

/// Calls that were refused as a whole, none accepted in between.
#[derive(Debug)]
struct ThrottleStreak {
    since: Instant,
    calls: u32,
}

/// What is known of a table that takes no more.
#[derive(Debug)]
struct RateLimit {
    /// Units per second that the table is thought to take.
    capacity: f64,
    confidence: Confidence,
    last_refusal: Instant,
    measured: Measurement,
    /// The rate that was last set otherwise than by small steps.
    tested: f64,
    test: Option<SlowdownTest>,
}

/// How well a rate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Confidence {
    Guessed,
    Measurement,
    /// By two measurements in a row.
    Confirmed,
}

/// Whether a lower rate lowers the share of units that is refused.
#[derive(Debug)]
struct SlowdownTest {
    before: f64,
    after: Measurement,
    floor: f64,
    /// Whether the rate was lowered again.
    is_second: bool,
}

/// What was answered since the bucket was seen empty.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    since: Instant,
    accepted: f64,
    refused: f64,
    /// Calls accepted at least in part, and refused at least in part.
    accepted_calls: u32,
    throttled_calls: u32,
    calls: u32,
}

/// Accepted units of the last moments.
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

    /// Units per second that may be asked for; `None` while nothing is limited.
    pub(crate) fn allowed(&self, now: Instant) -> Option<f64> {
        match &self.state {
            LimitState::Limited(limit) => Some(limit.allowed(now, self.call_units)),
            LimitState::Observing(_) | LimitState::Suspended(_) => None,
        }
    }

    /// Units of a call, smoothed.
    pub(crate) fn call_units(&self) -> f64 {
        self.call_units
    }

    /// Units that one call should cost at most.
    pub(crate) fn call_budget(&self, now: Instant) -> Option<f64> {
        let budget = self
            .allowed(now)
            .map_or(f64::INFINITY, |allowed| allowed * CALL_SHARE)
            .min(self.max_call_units);
        budget.is_finite().then_some(budget)
    }

    /// Takes leave for a call of so many units, or says how long to wait before asking again.
    pub(crate) fn take(&mut self, units: f64, now: Instant) -> Result<(), Duration> {
        let Some(allowed) = self.allowed(now) else {
            return Ok(());
        };

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

    /// Notes the answer to a call that was sent at `sent` for `paid` units.
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
                    self.next_suspension = (self.next_suspension * 2).min(MAX_SUSPENSION);
                } else if refused > 0.0 {
                    self.apply_refusal(sent, now);
                } else if limit.is_unlimited(now, call_units) {
                    self.state = LimitState::Observing(None);
                } else if limit.test.as_ref().is_some_and(|test| test.is_over(now)) {
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

    /// Finds the size of calls that the table can take at all.
    fn adjust_call_size(&mut self, now: Instant, paid: f64, accepted: f64, refused: f64) {
        if refused <= 0.0 {
            self.balance += paid - accepted;
            self.call_units += (accepted - self.call_units) / 16.0;
            if self.max_call_units > paid * FULL_SIZE_FACTOR {
                // A call that could have cost so much more was a whole one.
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

    /// Limits the rate, once refusals are neither few nor rare.
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
        } else if seen.accepted <= 0.0 || now - seen.since > OBSERVATION_TIME {
            self.state = LimitState::Observing(Some(Measurement::new(now)));
        }
    }

    fn apply_refusal(&mut self, sent: Instant, now: Instant) {
        let recent = self.recent.rate(now);
        let LimitState::Limited(limit) = &mut self.state else {
            return;
        };

        // One burst of refusals counts once.
        if sent > limit.last_refusal && now - limit.last_refusal >= SHORT_WINDOW {
            limit.adjust(now, recent, self.call_units);
            // A pause of one call: those on their way find the bucket empty, too.
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

    /// Seconds since the probe began; below nought it has not.
    fn seconds_probing(&self, now: Instant, call_units: f64) -> f64 {
        now.saturating_duration_since(self.last_refusal)
            .as_secs_f64()
            - self.hold_seconds(call_units)
    }

    /// Seconds from a refusal to the next probe.
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
        // What a probe finds refused was asked for beyond the rate on trial.
        let is_probe = self.seconds_probing(sent, call_units) > 0.0;
        if let Some(test) = self
            .test
            .as_mut()
            .filter(|test| sent > test.after.since && !is_probe)
        {
            test.after.add(accepted, refused);
        }
    }

    /// Sets the rate by what is known when the table refuses.
    fn adjust(&mut self, now: Instant, recent: f64, call_units: f64) {
        let seen = self.measured;
        let previous = self.tested;
        if self.allowed(now, call_units) > self.capacity * MORE_CAPACITY_FACTOR {
            // The bucket may have been full on the way, so that the average says too little.
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

            // A bucket that has overflowed meanwhile hides what the table takes; two measurements in a row that agree say it.
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
    /// The trial of a rate that is set because of what was seen.
    fn new(capacity: f64, seen: &Measurement, now: Instant) -> Self {
        Self {
            before: seen.refused_share(),
            after: Measurement::new(now),
            floor: (capacity * TEST_FLOOR).max(MIN_RATE),
            is_second: false,
        }
    }

    fn has_failed(&self, now: Instant) -> bool {
        let is_decided = (self.is_second && self.after.rate(now).is_some()) || self.is_over(now);
        // Those of a small table may be that rare.
        let is_frequent = f64::from(self.after.throttled_calls) * MIN_HOLD
            >= (now - self.after.since).as_secs_f64();
        is_decided
            && is_frequent
            && self.after.throttled_calls >= TEST_MIN_THROTTLED
            && self.after.refused_share() >= self.before * INEFFECTIVE_RATIO
    }

    fn is_over(&self, now: Instant) -> bool {
        let expected = f64::from(self.after.calls) * self.before;
        (self.after.calls >= TEST_CALLS && expected >= 2.0 * f64::from(TEST_MIN_THROTTLED))
            || now - self.after.since >= TEST_TIME
    }
}

/// The multiple of a rate so many seconds into a probe.
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

    /// Whether refusals are worth a lower rate.
    fn is_throttled(&self) -> bool {
        let share = f64::from(self.throttled_calls) / f64::from(self.calls.max(1));
        self.throttled_calls >= MIN_THROTTLED_CALLS && share >= TOLERATED_SHARE
    }

    /// Units per second since the bucket was empty, once that is a measurement.
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

    /// Units per second of the last quarter of a second or so.
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
