//! A learned rate limit: its cycle of recovery, hold and probe, and the test of whether it helps.

use std::time::Duration;

use tokio::time::Instant;

use super::measurement::Measurement;
use super::{CALL_SHARE, MIN_RATE};

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

/// A learned rate limit.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Estimated capacity of the table in units per second.
    pub(super) capacity: f64,
    pub(super) confidence: Confidence,
    pub(super) last_refusal: Instant,
    pub(super) measured: Measurement,
    /// The last rate that was not set by small steps.
    pub(super) tested: f64,
    pub(super) test: Option<SlowdownTest>,
}

/// The confidence in an estimated capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confidence {
    Guessed,
    Measured,
    /// Two consecutive measurements agree.
    Confirmed,
}

/// A test of whether a lower rate reduces the share of throttled units.
#[derive(Debug)]
pub(super) struct SlowdownTest {
    pub(super) before: f64,
    pub(super) after: Measurement,
    pub(super) floor: f64,
    /// Whether the rate was lowered a second time.
    pub(super) is_second: bool,
}

impl RateLimit {
    pub(super) fn allowed(&self, now: Instant, call_units: f64) -> f64 {
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
    pub(super) fn seconds_probing(&self, now: Instant, call_units: f64) -> f64 {
        now.saturating_duration_since(self.last_refusal)
            .as_secs_f64()
            - self.hold_seconds(call_units)
    }

    /// Seconds from a throttled call to the next probe.
    pub(super) fn hold_seconds(&self, call_units: f64) -> f64 {
        let call = call_units.min(self.capacity * CALL_SHARE).max(1.0);
        let hold = (CALLS_BETWEEN_PROBES * call / self.capacity).clamp(MIN_HOLD, MAX_HOLD);
        match self.confidence {
            Confidence::Guessed => GUESSED_HOLD,
            Confidence::Measured => hold.min(MIN_HOLD),
            Confidence::Confirmed => hold,
        }
    }

    pub(super) fn is_unlimited(&self, now: Instant, call_units: f64) -> bool {
        self.allowed(now, call_units) > self.capacity * UNLIMITED_FACTOR
    }

    pub(super) fn record(&mut self, sent: Instant, accepted: f64, refused: f64, call_units: f64) {
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
    pub(super) fn adjust(&mut self, now: Instant, recent: f64, call_units: f64) {
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
                Confidence::Measured
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
    pub(super) fn new(capacity: f64, seen: &Measurement, now: Instant) -> Self {
        Self {
            before: seen.refused_share(),
            after: Measurement::new(now),
            floor: (capacity * TEST_FLOOR).max(MIN_RATE),
            is_second: false,
        }
    }

    pub(super) fn has_failed(&self, now: Instant) -> bool {
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

    pub(super) fn is_over(&self, now: Instant) -> bool {
        // Throttled calls that would be expected at the former share.
        let expected = f64::from(self.after.calls) * self.before;
        (self.after.calls >= TEST_CALLS && expected >= 2.0 * f64::from(TEST_MIN_THROTTLED))
            || now - self.after.since >= TEST_TIME
    }
}

/// The multiple of the rate after this many seconds of a probe.
pub(super) fn probe_factor(seconds: f64) -> f64 {
    let doubled = ((2.0 - HOLD_FACTOR) / PROBE_GROWTH).cbrt();
    if seconds <= doubled {
        HOLD_FACTOR + PROBE_GROWTH * seconds.powi(3)
    } else {
        2.0 * 2.0_f64.powf(((seconds - doubled) / PROBE_DOUBLING_TIME).min(64.0))
    }
}
