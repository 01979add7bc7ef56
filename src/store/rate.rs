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
//! A refusal is not always the table's: one hot partition refuses its items while the rest has room. It is told by this: after
//! the rate was set below what was accepted, items are refused all the same, and most are accepted. Slowing down would starve
//! the rest, so refusals are then left to the calls they belong to.

use std::time::Duration;

use tokio::time::Instant;

/// Right after a refusal, and for how long: builds a cushion against calls that bunch.
const CUSHION: f64 = 0.9;
const CUSHION_TIME: Duration = Duration::from_millis(500);

/// Below what the table is thought to take: an error of the measurement must not become a refusal.
const HOLD: f64 = 0.985;

/// Calls between two probes, so that at most two of a hundred are refused; and the bounds of the time this takes. A change of
/// the table's capacity is found by the next probe.
const CALLS_BETWEEN_PROBES: f64 = 105.0;
const SHORTEST_HOLD: f64 = 3.0;
const LONGEST_HOLD: f64 = 9.0;

/// The hold after a rate that was guessed, to have it measured.
const GUESSED_HOLD: f64 = 1.0;

/// A table that refuses though nothing could be measured yet is asked for so much less: where it takes most, and where it does not.
const LESS: f64 = 0.8;
const FAR_LESS: f64 = 0.5;

/// How fast a probe grows, by the cube of its seconds, until it has reached twice the rate; then it doubles in this time.
const PROBE: f64 = 0.03;
const DOUBLING: f64 = 0.7;

/// From this multiple on a probe has found a table that takes more.
const MORE: f64 = 1.6;

/// Past this multiple nothing is limited any more.
const UNLIMITED: f64 = 1000.0;

/// A measurement needs this time and so many calls that were accepted, at least in part; or this longer time.
const SHORT_MEASUREMENT: Duration = Duration::from_millis(100);
const CALLS_MEASURED: u32 = 10;
const LONG_MEASUREMENT: Duration = Duration::from_secs(1);

/// Refusals in spite of a measured rate, so soon after each other, until they are taken for those of a hot partition.
const DOUBTS: u32 = 3;
const DOUBTFUL: Duration = Duration::from_secs(2);

/// Share of units that a hot partition leaves at least; below it the whole table is short.
const MOST_ACCEPTED: f64 = 0.6;

/// The pace never falls lower, in units per second: a table that takes nothing for a while must be asked again.
const SLOWEST: f64 = 1.0;

/// The share of a second's units that one call is to cost at most. Smaller calls find the limit at the price of fewer items.
const CALL_SHARE: f64 = 0.05;

/// Unused pace is kept for so long, in seconds: timers are late by a millisecond or two.
const BURST: f64 = 0.02;

/// The pace of one direction, read or write.
#[derive(Debug)]
pub(super) struct Rate {
    limit: Option<Limit>,
    recent: Recent,
    /// Units that may be asked for now; below nought they are owed.
    level: f64,
    filled: Instant,
    /// Units of a call, smoothed.
    call_units: f64,
}

/// What is known since the first refusal.
#[derive(Debug)]
struct Limit {
    /// Units per second that the table is thought to take.
    takes: f64,
    certainty: Certainty,
    refused: Instant,
    measured: Measured,
    /// Refusals in a row that a measured rate does not explain, and the rate before the first of them.
    doubts: u32,
    undoubted: f64,
    hot: bool,
}

/// How well a rate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Guessed,
    Measured,
    /// By two measurements in a row.
    Confirmed,
}

/// What was answered since the bucket was seen empty.
#[derive(Debug, Clone, Copy)]
struct Measured {
    since: Instant,
    accepted: f64,
    refused: f64,
    calls: u32,
}

/// Accepted units of the last moments.
#[derive(Debug)]
struct Recent {
    since: Instant,
    units: f64,
    rate: f64,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        let recent = Recent { since: now, units: 0.0, rate: 0.0 };
        Self { limit: None, recent, level: 0.0, filled: now, call_units: 1.0 }
    }

    /// Units per second that may be asked for; `None` while the table has refused nothing.
    pub(super) fn allowed(&self, now: Instant) -> Option<f64> {
        self.limit.as_ref().map(|limit| limit.allowed(now, self.call_units))
    }

    /// Units that one call should cost at most.
    pub(super) fn call_budget(&self, now: Instant) -> Option<f64> {
        self.allowed(now).map(|allowed| allowed * CALL_SHARE)
    }

    /// Takes leave for a call of so many units, or says how long to wait before asking again.
    pub(super) fn take(&mut self, units: f64, now: Instant) -> Result<(), Duration> {
        let Some(allowed) = self.allowed(now) else { return Ok(()) };
        let earned = (now - self.filled).as_secs_f64() * allowed;
        self.level = (self.level + earned).min(allowed * BURST);
        self.filled = now;
        if self.level < 0.0 {
            return Err(Duration::from_secs_f64((-self.level / allowed).min(3600.0)));
        }
        self.level -= units;
        Ok(())
    }

    /// Notes the answer to a call that was sent at `sent` for `paid` units.
    pub(super) fn answered(&mut self, sent: Instant, now: Instant, paid: f64, accepted: f64, refused: f64) {
        self.recent.add(accepted, now);
        if refused <= 0.0 {
            self.level += paid - accepted;
            self.call_units += (accepted - self.call_units) / 16.0;
        }
        if let Some(limit) = &mut self.limit {
            limit.measured.add(accepted, refused);
            limit.watch_hot(now);
            if refused <= 0.0 && limit.is_forgotten(now, self.call_units) {
                self.limit = None;
            }
        }
        if refused > 0.0 {
            self.refused(sent, now);
        }
    }

    fn refused(&mut self, sent: Instant, now: Instant) {
        let recent = self.recent.rate(now);
        match &mut self.limit {
            None => {
                let measured = Measured::new(now);
                let takes = (recent * LESS).max(SLOWEST);
                self.limit = Some(Limit {
                    takes,
                    certainty: Certainty::Guessed,
                    refused: now,
                    measured,
                    doubts: 0,
                    undoubted: takes,
                    hot: false,
                });
                (self.level, self.filled) = (0.0, now);
            }
            // One burst of refusals counts once.
            Some(limit) if sent <= limit.refused || now - limit.refused < SHORT_MEASUREMENT || limit.hot => {}
            Some(limit) => {
                limit.refuse(now, recent, self.call_units);
                // A pause of one call: those on their way find the bucket empty, too.
                self.level = self.level.min(0.0) - self.call_units.min(limit.takes * CALL_SHARE);
            }
        }
    }
}

impl Limit {
    fn allowed(&self, now: Instant, call_units: f64) -> f64 {
        let past = now - self.refused;
        let hold = self.hold(call_units);
        let probing = past.as_secs_f64() - hold;
        let factor = if self.hot {
            1.0
        } else if past < CUSHION_TIME {
            CUSHION
        } else if probing <= 0.0 {
            HOLD
        } else {
            probe(probing)
        };
        (self.takes * factor).max(SLOWEST)
    }

    /// Seconds from a refusal to the next probe.
    fn hold(&self, call_units: f64) -> f64 {
        let call = call_units.min(self.takes * CALL_SHARE).max(1.0);
        let hold = (CALLS_BETWEEN_PROBES * call / self.takes).clamp(SHORTEST_HOLD, LONGEST_HOLD);
        match self.certainty {
            Certainty::Guessed => GUESSED_HOLD,
            Certainty::Measured => hold.min(SHORTEST_HOLD),
            Certainty::Confirmed => hold,
        }
    }

    fn is_forgotten(&self, now: Instant, call_units: f64) -> bool {
        self.allowed(now, call_units) > self.takes * UNLIMITED
    }

    /// Sets the rate by what is known when the table refuses.
    fn refuse(&mut self, now: Instant, recent: f64, call_units: f64) {
        let past = now - self.refused;
        let measured = self.measured.rate(now);
        if self.allowed(now, call_units) > self.takes * MORE {
            // The bucket may have been full on the way, so that the average says too little.
            (self.takes, self.certainty) = (recent.max(self.takes), Certainty::Guessed);
            self.doubts = 0;
            self.measured = Measured::new(now);
        } else if let Some(measured) = measured {
            self.doubt(past);
            let is_near = (measured / self.takes - 1.0).abs() < 0.05;
            self.takes = if is_near { f64::midpoint(self.takes, measured) } else { measured };
            // A bucket that has overflowed meanwhile hides what the table takes; two measurements in a row that agree say it.
            self.certainty = if is_near { Certainty::Confirmed } else { Certainty::Measured };
            self.measured = Measured::new(now);
        } else {
            self.takes *= if self.measured.share() < 0.5 { FAR_LESS } else { LESS };
            self.certainty = Certainty::Guessed;
        }
        self.takes = self.takes.max(SLOWEST);
        self.refused = now;
        if self.doubts >= DOUBTS {
            (self.hot, self.takes, self.doubts) = (true, self.undoubted, 0);
        }
    }

    /// Counts a refusal that came though the rate was set by a measurement just before.
    fn doubt(&mut self, past: Duration) {
        if past < DOUBTFUL && self.measured.share() > MOST_ACCEPTED {
            if self.doubts == 0 {
                self.undoubted = self.takes;
            }
            self.doubts += 1;
        } else {
            self.doubts = 0;
        }
    }

    /// While a partition is hot: grows, until nothing is refused any more or the whole table is short.
    fn watch_hot(&mut self, now: Instant) {
        if !self.hot || now - self.measured.since < LONG_MEASUREMENT {
            return;
        }
        if self.measured.refused <= 0.0 {
            self.hot = false;
            self.refused = now;
        } else if self.measured.share() < MOST_ACCEPTED {
            self.hot = false;
            self.takes = self.measured.rate(now).unwrap_or(self.takes).max(SLOWEST);
            self.refused = now;
        } else {
            self.takes *= 1.05;
        }
        self.measured = Measured::new(now);
    }
}

/// The multiple of a rate so many seconds into a probe.
fn probe(seconds: f64) -> f64 {
    let doubled = ((2.0 - HOLD) / PROBE).cbrt();
    if seconds <= doubled {
        HOLD + PROBE * seconds.powi(3)
    } else {
        2.0 * 2.0_f64.powf(((seconds - doubled) / DOUBLING).min(64.0))
    }
}

impl Measured {
    fn new(since: Instant) -> Self {
        Self { since, accepted: 0.0, refused: 0.0, calls: 0 }
    }

    fn add(&mut self, accepted: f64, refused: f64) {
        self.accepted += accepted;
        self.refused += refused;
        self.calls += u32::from(accepted > 0.0);
    }

    fn share(&self) -> f64 {
        self.accepted / (self.accepted + self.refused).max(f64::MIN_POSITIVE)
    }

    /// Units per second since the bucket was empty, once that is a measurement.
    fn rate(&self, now: Instant) -> Option<f64> {
        let time = now - self.since;
        let is_enough = (time >= SHORT_MEASUREMENT && self.calls >= CALLS_MEASURED)
            || (time >= LONG_MEASUREMENT && self.accepted > 0.0);
        is_enough.then(|| self.accepted / time.as_secs_f64())
    }
}

impl Recent {
    fn add(&mut self, units: f64, now: Instant) {
        let time = (now - self.since).as_secs_f64();
        if time >= 0.25 {
            *self = Self { since: now, units: 0.0, rate: self.units / time };
        }
        self.units += units;
    }

    /// Units per second of the last quarter of a second or so.
    fn rate(&self, now: Instant) -> f64 {
        let time = (now - self.since).as_secs_f64();
        if time < 0.1 && self.rate > 0.0 { self.rate } else { self.units / time.max(0.01) }
    }
}

#[cfg(test)]
mod tests;
