//! Values of options that are more than text.

use std::time::Duration;

/// Longer waits are typing errors, and far longer ones overflow a clock.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A duration such as `90s`, `5m` or `1h 30m`; `0s` is one.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 90s, 5m or 1h30m"))?;
    if duration > LONGEST { Err("longer than 30 days".to_owned()) } else { Ok(duration) }
}

/// A duration that is not nought.
pub(super) fn lasting(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("no time at all".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(lasting("0s"), Err("no time at all".to_owned()));
        assert_eq!(duration("1000y"), Err("longer than 30 days".to_owned()));
        for nonsense in ["", "5", "soon", "-5s", "99999999999999999999y"] {
            assert!(duration(nonsense).is_err(), "{nonsense}");
        }
    }
}
