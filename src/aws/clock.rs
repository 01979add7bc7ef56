//! The time at which requests are signed: this machine's clock, corrected by the server's after it rejected a signature.
//!
//! AWS rejects signatures that are more than five minutes early or late:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// The difference between the server's clock and this machine's.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    /// Seconds that the server's clock is ahead.
    offset_seconds: AtomicI64,
}

impl ServerClock {
    /// The server's time, as far as it is known.
    pub(super) fn now(&self) -> SystemTime {
        shifted(
            SystemTime::now(),
            self.offset_seconds.load(Ordering::Relaxed),
        )
    }

    /// Adopts the server's time from the `Date` header of a response that just arrived. A header that cannot be parsed is ignored.
    pub(super) fn adopt(&self, date: &str) {
        if let Some(offset) = seconds_ahead(date) {
            self.offset_seconds.store(offset, Ordering::Relaxed);
        }
    }
}

/// Seconds that the server's clock is ahead, from the `Date` header of a response that just arrived. `None` for one that cannot be
/// parsed.
pub(super) fn seconds_ahead(date: &str) -> Option<i64> {
    let server = DateTime::from_str(date, Format::HttpDate).ok()?;
    let local = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let local = i64::try_from(local.ok()?.as_secs()).unwrap_or(i64::MAX);

    Some(server.secs().saturating_sub(local))
}

fn shifted(time: SystemTime, seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 {
        time.checked_sub(distance)
    } else {
        time.checked_add(distance)
    };

    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_ahead(clock: &ServerClock) -> i64 {
        let now = SystemTime::now();
        match clock.now().duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).expect("small"),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).expect("small"),
        }
    }

    #[test]
    fn the_date_of_a_response_corrects_the_clock() {
        let clock = ServerClock::default();
        assert_eq!(seconds_ahead(&clock), 0);

        for minutes in [10_i64, -10] {
            let date = DateTime::from(shifted(SystemTime::now(), minutes * 60));
            clock.adopt(&date.fmt(Format::HttpDate).expect("a date"));
            let ahead = seconds_ahead(&clock);
            assert!((ahead - minutes * 60).abs() <= 1, "{ahead}");
        }
    }

    #[test]
    fn a_date_that_cannot_be_parsed_changes_nothing() {
        let clock = ServerClock::default();
        for date in ["", "yesterday", "Sun, 99 Foo 2026 00:00:00 GMT"] {
            clock.adopt(date);
        }

        assert_eq!(seconds_ahead(&clock), 0);
    }
}
