//! A learned rate limit: its rounds of hold and probe, and the trial of whether it helps.
//!
//! A round begins with a throttled call. The hold keeps the rate just below the capacity; the probe
//! then raises it exponentially until calls are throttled again. The capacity is measured over the
//! round, and the next hold is so long that few calls are throttled. A throttled call during a hold
//! ends the round, too: the capacity was lower than expected, or calls are throttled for another
//! reason. If the latter, the limit has failed its trial.

use std::time::Duration;

use tokio::time::Instant;

use super::measurement::{ENOUGH_CALLS, FULL_DURATION, MIN_DURATION, Measurement};
use super::{MIN_RATE, TOLERATED_SHARE, Tuning};

/// Share of the capacity that the hold does not use, so that an error of the measurement does not
/// cause throttling. The probe makes up for it.
const MARGIN: f64 = 0.015;

/// A probe beyond this multiple of the capacity has found a table with more capacity. The bucket
/// may have been full before, so the average of the round would be too low.
const MORE_CAPACITY_FACTOR: f64 = 2.0;

/// A trial fails if calls of the hold are throttled again, and the share of refused units is still
/// above this multiple of the share without a limit although the capacity was measured this often
/// (the first measurement may mix a change with the time before), or if the capacity has fallen
/// below this multiple: the cause is then another one than the rate.
const TRIAL_FACTOR: f64 = 0.5;
const TRIAL_MEASUREMENTS: u32 = 2;

/// A learned rate limit.
#[derive(Debug)]
pub(super) struct RateLimit {
    /// Estimated units per second that the table accepts.
    capacity: f64,
    /// The beginning of the round, and the duration of its hold.
    began: Instant,
    hold: Duration,
    tuning: &'static Tuning,
    /// Since the bucket was empty.
    since_empty: Measurement,
    /// Since the probe has found more capacity.
    beyond: Option<Measurement>,
    /// Within the last second, in this round.
    recent: Measurement,
    trial: Trial,
}

/// A trial of whether a lower rate reduces the share of refused units.
#[derive(Debug)]
struct Trial {
    capacity: f64,
    /// Share of refused units without a limit.
    refused_before: f64,
    /// Calls that were sent during holds.
    held: Measurement,
    /// Number of measurements of the capacity because calls of a hold were throttled.
    measurements: u32,
}

/// The state of the trial when a round has ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict {
    Undecided,
    Helped,
    Failed,
}

/// The response to a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Response {
    pub(super) sent: Instant,
    pub(super) now: Instant,
    pub(super) accepted: f64,
    pub(super) refused: f64,
}

impl RateLimit {
    /// A limit for a table that accepted `capacity` units per second while it was observed.
    pub(super) fn new(
        capacity: f64,
        observed: &Measurement,
        tuning: &'static Tuning,
        now: Instant,
    ) -> Self {
        let capacity = capacity.max(MIN_RATE);
        let mut limit = Self {
            capacity,
            began: now,
            hold: FULL_DURATION,
            tuning,
            since_empty: Measurement::new(now),
            beyond: None,
            recent: Measurement::new(now),
            trial: Trial {
                capacity,
                refused_before: observed.refused_share(),
                held: Measurement::new(now),
                measurements: 0,
            },
        };

        if observed.accepted <= 0.0 {
            limit.hold = Duration::ZERO;
        }

        limit
    }

    pub(super) fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Units per second that may be requested.
    pub(super) fn allowed(&self, now: Instant) -> f64 {
        (self.capacity * self.factor(now)).max(MIN_RATE)
    }

    /// The multiple of the capacity that is requested.
    fn factor(&self, now: Instant) -> f64 {
        let doublings =
            self.probe_time(now).unwrap_or_default().as_secs_f64() / self.tuning.doubling_seconds;
        1.0 - MARGIN + MARGIN * (doublings.min(64.0).exp2() - 1.0)
    }

    /// Time since the probe began; `None` during the hold.
    pub(super) fn probe_time(&self, at: Instant) -> Option<Duration> {
        at.saturating_duration_since(self.began)
            .checked_sub(self.hold)
    }

    fn calls_per_second(&self, now: Instant, call_units: f64) -> f64 {
        self.allowed(now) / call_units.max(1.0)
    }

    /// Records a response; returns the state of the trial if it ends the round.
    pub(super) fn record(&mut self, response: Response, call_units: f64) -> Option<Verdict> {
        let Response {
            sent,
            now,
            accepted,
            refused,
        } = response;
        let is_hold = self.probe_time(sent).is_none();

        self.since_empty.add(accepted, refused);
        if is_hold && sent > self.trial.held.since {
            self.trial.held.add(accepted, refused);
        }

        if let Some(beyond) = &mut self.beyond {
            beyond.add(accepted, refused);
        } else if self.factor(now) > MORE_CAPACITY_FACTOR {
            self.beyond = Some(Measurement::new(now));
        }

        // A call that was sent in the round before found the bucket that is known to be empty.
        if sent <= self.began {
            return None;
        }

        if now - self.recent.since > Duration::from_secs(1) {
            self.recent = Measurement::new(now);
        }

        self.recent.add(accepted, refused);
        let tolerated = TOLERATED_SHARE * self.calls_per_second(now, call_units);
        let is_over = refused > 0.0
            && f64::from(self.recent.throttled_calls) >= tolerated
            && now - self.began >= MIN_DURATION;

        is_over.then(|| self.end_round(now, is_hold, call_units))
    }

    fn end_round(&mut self, now: Instant, is_hold: bool, call_units: f64) -> Verdict {
        let beyond = self.beyond.take().and_then(|beyond| beyond.rate(now));
        let measured = beyond.or_else(|| self.since_empty.rate(now));
        let verdict = self.judge(now, is_hold, measured.is_some());

        if let Some(rate) = measured {
            self.capacity = rate.max(MIN_RATE);
        }

        (self.began, self.recent) = (now, Measurement::new(now));
        self.hold = match measured {
            // Looks for a rate that is accepted.
            _ if self.since_empty.accepted <= 0.0 => Duration::ZERO,
            Some(_) if beyond.is_none() => self.tolerable_hold(now, call_units),
            // The capacity is a guess, which is to be measured soon.
            _ => FULL_DURATION,
        };

        // Fewer calls than a measurement needs are kept for the next round's.
        if measured.is_some() {
            self.since_empty = Measurement::new(now);
        }

        verdict
    }

    /// Judges the limit by a round that has ended during its hold or its probe.
    fn judge(&mut self, now: Instant, is_hold: bool, is_measured: bool) -> Verdict {
        let trial = &mut self.trial;
        if is_hold {
            trial.measurements += u32::from(is_measured);
            let is_as_before = trial.measurements >= TRIAL_MEASUREMENTS
                && trial.held.refused_share() >= trial.refused_before * TRIAL_FACTOR;
            let is_low = self.capacity < trial.capacity * TRIAL_FACTOR;
            if is_as_before || is_low {
                return Verdict::Failed;
            }
        } else if f64::from(trial.held.calls) * trial.refused_before >= f64::from(ENOUGH_CALLS) {
            // As many calls of the hold would have been throttled at the former share.
            trial.capacity = self.capacity;
            trial.held = Measurement::new(now);
            trial.measurements = 0;
            return Verdict::Helped;
        }

        Verdict::Undecided
    }

    /// The duration of a hold after which the throttled calls of a round are a tolerated share.
    fn tolerable_hold(&self, now: Instant, call_units: f64) -> Duration {
        let calls = f64::from(self.since_empty.throttled_calls) / TOLERATED_SHARE;
        let seconds = calls / self.calls_per_second(now, call_units);
        Duration::from_secs_f64(seconds.min(self.tuning.max_hold.as_secs_f64())).max(FULL_DURATION)
    }
}
