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

/// How fast a probe grows, by the cube of its seconds, until it has reached twice the rate; then it doubles in this time.
const PROBE: f64 = 0.03;
const DOUBLING: f64 = 0.7;

/// From this multiple on a probe has found a table that takes more.
const MORE: f64 = 1.6;

/// Past this multiple nothing is limited any more.
const UNLIMITED: f64 = 1000.0;

/// A measurement needs this time and so many calls that were accepted, at least in part; or the longer time and fewer.
const SHORT_MEASUREMENT: Duration = Duration::from_millis(100);
const CALLS_MEASURED: u32 = 10;
const LONG_MEASUREMENT: Duration = Duration::from_secs(1);
const FEW_CALLS_MEASURED: u32 = 3;

/// Nothing is limited before so many calls, and such a share of all, were refused within this time.
const REFUSALS: u32 = 8;
const TOLERATED: f64 = 0.02;
const WATCH: Duration = Duration::from_secs(10);

/// A lower rate is a trial. It has failed when so many calls, and this multiple of the former share of units or more, are
/// refused, though it was set once more meanwhile: the first measurement may have been one of few calls. It is decided when so
/// many calls were made and twice as many of them should have been refused, or after this time.
const TRIAL_REFUSALS: u32 = 3;
const NO_LOWER: f64 = 0.5;
const TRIAL_CALLS: u32 = 30;
const TRIAL_TIME: Duration = Duration::from_mins(1);

/// While a rate is on trial it is not set lower than this multiple.
const TRIAL_FLOOR: f64 = 0.5;

/// Below this multiple of the rate last tried, many small steps down are a trial of their own.
const DRIFT: f64 = 0.93;

/// After a trial that failed refusals mean nothing for so long, twice as long after the next, and so on.
const FIRST_DISTRUST: Duration = Duration::from_secs(5);
const LONGEST_DISTRUST: Duration = Duration::from_mins(1);

/// When so many calls in a row were refused as a whole, in such a time, the next ones are smaller: the bucket may hold less than
/// a call. They grow, by so much in this time, when calls are accepted.
const REFUSED_IN_A_ROW: u32 = 8;
const STARVED: Duration = Duration::from_millis(250);
const SMALLER: f64 = 0.25;
const GROWTH: f64 = 1.25;
const WHOLE: f64 = 4.0;

/// The pace never falls lower, in units per second: a table that takes nothing for a while must be asked again.
const SLOWEST: f64 = 1.0;

/// The share of a second's units that one call is to cost at most. Smaller calls find the limit at the price of fewer items.
const CALL_SHARE: f64 = 0.05;

/// Unused pace is kept for so long, in seconds: timers are late by a millisecond or two.
const BURST: f64 = 0.02;

/// The pace of one direction, read or write.
#[derive(Debug)]
pub(crate) struct Rate {
    trust: Trust,
    /// How long the next trial that fails is remembered.
    distrust: Duration,
    starvation: Option<Starvation>,
    /// Units that a call may cost because larger ones were refused.
    small: f64,
    sized: Instant,
    recent: Recent,
    /// Units that may be asked for now; below nought they are owed.
    level: f64,
    filled: Instant,
    /// Units of a call, smoothed.
    call_units: f64,
}

/// What refusals mean.
#[derive(Debug)]
enum Trust {
    /// Nothing yet. There may have been some.
    Watching(Option<Measured>),
    /// That the table takes no more.
    Limited(Limit),
    /// Nothing, until then: slowing down did not help.
    Distrusting(Instant),
}

/// Calls that were refused as a whole, none accepted in between.
#[derive(Debug)]
struct Starvation {
    since: Instant,
    calls: u32,
}

/// What is known of a table that takes no more.
#[derive(Debug)]
struct Limit {
    /// Units per second that the table is thought to take.
    takes: f64,
    certainty: Certainty,
    refused: Instant,
    measured: Measured,
    /// The rate that was last set otherwise than by small steps.
    tried: f64,
    trial: Option<Trial>,
}

/// How well a rate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Guessed,
    Measured,
    /// By two measurements in a row.
    Confirmed,
}

/// Whether a lower rate lowers the share of units that is refused.
#[derive(Debug)]
struct Trial {
    before: f64,
    after: Measured,
    floor: f64,
    /// Whether the rate was lowered again.
    is_second: bool,
}

/// What was answered since the bucket was seen empty.
#[derive(Debug, Clone, Copy)]
struct Measured {
    since: Instant,
    accepted: f64,
    refused: f64,
    /// Calls accepted at least in part, and refused at least in part.
    accepting: u32,
    refusing: u32,
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
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            trust: Trust::Watching(None),
            distrust: FIRST_DISTRUST,
            starvation: None,
            small: f64::INFINITY,
            sized: now,
            recent: Recent {
                since: now,
                units: 0.0,
                rate: 0.0,
            },
            level: 0.0,
            filled: now,
            call_units: 1.0,
        }
    }

    /// Units per second that may be asked for; `None` while nothing is limited.
    pub(crate) fn allowed(&self, now: Instant) -> Option<f64> {
        match &self.trust {
            Trust::Limited(limit) => Some(limit.allowed(now, self.call_units)),
            Trust::Watching(_) | Trust::Distrusting(_) => None,
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
            .min(self.small);
        budget.is_finite().then_some(budget)
    }

    /// Takes leave for a call of so many units, or says how long to wait before asking again.
    pub(crate) fn take(&mut self, units: f64, now: Instant) -> Result<(), Duration> {
        let Some(allowed) = self.allowed(now) else {
            return Ok(());
        };

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
    pub(crate) fn answered(
        &mut self,
        sent: Instant,
        now: Instant,
        paid: f64,
        accepted: f64,
        refused: f64,
    ) {
        self.recent.add(accepted, now);
        self.note_size(now, paid, accepted, refused);
        let call_units = self.call_units;
        match &mut self.trust {
            Trust::Watching(None) if refused > 0.0 => {
                self.trust = Trust::Watching(Some(Measured::new(now)));
            }
            Trust::Watching(Some(seen)) => {
                seen.add(accepted, refused);
                if refused > 0.0 {
                    self.watched(now);
                }
            }
            Trust::Limited(limit) => {
                limit.answered(sent, accepted, refused, call_units);
                if limit
                    .trial
                    .as_ref()
                    .is_some_and(|trial| trial.has_failed(now))
                {
                    self.trust = Trust::Distrusting(now + self.distrust);
                    self.distrust = (self.distrust * 2).min(LONGEST_DISTRUST);
                } else if refused > 0.0 {
                    self.refused(sent, now);
                } else if limit.is_forgotten(now, call_units) {
                    self.trust = Trust::Watching(None);
                } else if limit.trial.as_ref().is_some_and(|trial| trial.is_over(now)) {
                    limit.trial = None;
                    self.distrust = FIRST_DISTRUST;
                }
            }
            Trust::Distrusting(until) if refused > 0.0 && *until <= now => {
                self.trust = Trust::Watching(Some(Measured::new(now)));
            }
            Trust::Watching(None) | Trust::Distrusting(_) => {}
        }
    }

    /// Finds the size of calls that the table can take at all.
    fn note_size(&mut self, now: Instant, paid: f64, accepted: f64, refused: f64) {
        if refused <= 0.0 {
            self.level += paid - accepted;
            self.call_units += (accepted - self.call_units) / 16.0;
            if self.small > paid * WHOLE {
                // A call that could have cost so much more was a whole one.
                self.small = f64::INFINITY;
            } else if now - self.sized >= STARVED {
                (self.small, self.sized) = (self.small * GROWTH, now);
            }
        }

        if accepted > 0.0 {
            self.starvation = None;
            return;
        }

        let starvation = self.starvation.get_or_insert(Starvation {
            since: now,
            calls: 0,
        });
        starvation.calls += 1;

        if starvation.calls >= REFUSED_IN_A_ROW && now - starvation.since >= STARVED {
            (self.small, self.sized) = ((paid * SMALLER).min(self.small).max(1.0), now);
            self.starvation = None;
        }
    }

    /// Limits the rate, once refusals are neither few nor rare.
    fn watched(&mut self, now: Instant) {
        let Trust::Watching(Some(seen)) = &self.trust else {
            return;
        };

        if let Some(takes) = seen.rate(now).filter(|_| seen.is_refusing()) {
            let trial = Some(Trial::new(takes, seen, now));
            self.trust = Trust::Limited(Limit {
                takes,
                certainty: Certainty::Measured,
                refused: now,
                measured: Measured::new(now),
                tried: takes,
                trial,
            });

            (self.level, self.filled) = (0.0, now);
        } else if seen.accepted <= 0.0 || now - seen.since > WATCH {
            self.trust = Trust::Watching(Some(Measured::new(now)));
        }
    }

    fn refused(&mut self, sent: Instant, now: Instant) {
        let recent = self.recent.rate(now);
        let Trust::Limited(limit) = &mut self.trust else {
            return;
        };

        // One burst of refusals counts once.
        if sent > limit.refused && now - limit.refused >= SHORT_MEASUREMENT {
            limit.refuse(now, recent, self.call_units);
            // A pause of one call: those on their way find the bucket empty, too.
            self.level = self.level.min(0.0) - self.call_units.min(limit.takes * CALL_SHARE);
        }
    }
}

impl Limit {
    fn allowed(&self, now: Instant, call_units: f64) -> f64 {
        let past = now - self.refused;
        let probing = self.probing(now, call_units);
        let factor = if past < CUSHION_TIME {
            CUSHION
        } else if probing <= 0.0 {
            HOLD
        } else {
            probe(probing)
        };

        (self.takes * factor).max(SLOWEST)
    }

    /// Seconds since the probe began; below nought it has not.
    fn probing(&self, now: Instant, call_units: f64) -> f64 {
        now.saturating_duration_since(self.refused).as_secs_f64() - self.hold(call_units)
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

    fn answered(&mut self, sent: Instant, accepted: f64, refused: f64, call_units: f64) {
        self.measured.add(accepted, refused);
        // What a probe finds refused was asked for beyond the rate on trial.
        let is_probe = self.probing(sent, call_units) > 0.0;
        if let Some(trial) = self
            .trial
            .as_mut()
            .filter(|trial| sent > trial.after.since && !is_probe)
        {
            trial.after.add(accepted, refused);
        }
    }

    /// Sets the rate by what is known when the table refuses.
    fn refuse(&mut self, now: Instant, recent: f64, call_units: f64) {
        let seen = self.measured;
        let former = self.tried;
        if self.allowed(now, call_units) > self.takes * MORE {
            // The bucket may have been full on the way, so that the average says too little.
            (self.takes, self.certainty) = (recent.max(self.takes), Certainty::Guessed);
            self.tried = self.takes;
            self.measured = Measured::new(now);
        } else if let Some(measured) = seen.rate(now) {
            let is_near = (measured / self.takes - 1.0).abs() < 0.05;
            self.takes = if is_near {
                f64::midpoint(self.takes, measured)
            } else {
                measured
            };

            // A bucket that has overflowed meanwhile hides what the table takes; two measurements in a row that agree say it.
            self.certainty = if is_near {
                Certainty::Confirmed
            } else {
                Certainty::Measured
            };

            if !is_near || self.takes < former * DRIFT || self.takes > former {
                self.tried = self.takes;
            }

            self.measured = Measured::new(now);
        } else if seen.accepted <= 0.0 {
            self.measured = Measured::new(now);
        }

        match &mut self.trial {
            _ if self.tried >= former => {}
            None => self.trial = Some(Trial::new(self.takes, &seen, now)),
            Some(trial) if trial.is_second => {}
            Some(trial) => (trial.is_second, trial.after) = (true, Measured::new(now)),
        }

        self.takes = self
            .takes
            .max(self.trial.as_ref().map_or(SLOWEST, |trial| trial.floor));
        self.refused = now;
    }
}

impl Trial {
    /// The trial of a rate that is set because of what was seen.
    fn new(takes: f64, seen: &Measured, now: Instant) -> Self {
        Self {
            before: seen.refused_share(),
            after: Measured::new(now),
            floor: (takes * TRIAL_FLOOR).max(SLOWEST),
            is_second: false,
        }
    }

    fn has_failed(&self, now: Instant) -> bool {
        let is_decided = (self.is_second && self.after.rate(now).is_some()) || self.is_over(now);
        // Those of a small table may be that rare.
        let is_often = f64::from(self.after.refusing) * SHORTEST_HOLD
            >= (now - self.after.since).as_secs_f64();
        is_decided
            && is_often
            && self.after.refusing >= TRIAL_REFUSALS
            && self.after.refused_share() >= self.before * NO_LOWER
    }

    fn is_over(&self, now: Instant) -> bool {
        let feared = f64::from(self.after.calls) * self.before;
        (self.after.calls >= TRIAL_CALLS && feared >= 2.0 * f64::from(TRIAL_REFUSALS))
            || now - self.after.since >= TRIAL_TIME
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
        Self {
            since,
            accepted: 0.0,
            refused: 0.0,
            accepting: 0,
            refusing: 0,
            calls: 0,
        }
    }

    fn add(&mut self, accepted: f64, refused: f64) {
        self.accepted += accepted;
        self.refused += refused;
        self.calls += 1;
        self.accepting += u32::from(accepted > 0.0);
        self.refusing += u32::from(refused > 0.0);
    }

    fn refused_share(&self) -> f64 {
        self.refused / (self.accepted + self.refused).max(f64::MIN_POSITIVE)
    }

    /// Whether refusals are worth a lower rate.
    fn is_refusing(&self) -> bool {
        let share = f64::from(self.refusing) / f64::from(self.calls.max(1));
        self.refusing >= REFUSALS && share >= TOLERATED
    }

    /// Units per second since the bucket was empty, once that is a measurement.
    fn rate(&self, now: Instant) -> Option<f64> {
        let time = now - self.since;
        let is_enough = (time >= SHORT_MEASUREMENT && self.accepting >= CALLS_MEASURED)
            || (time >= LONG_MEASUREMENT && self.accepting >= FEW_CALLS_MEASURED);
        is_enough.then(|| self.accepted / time.as_secs_f64())
    }
}

impl Recent {
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
