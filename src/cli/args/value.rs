//! Parsers of option values.

use std::time::Duration;

use crate::item::Sample;
use crate::ops::Cap;
use crate::schema::Boost;

/// Longer durations are typing errors, and much longer ones overflow clock arithmetic.
const MAX_DURATION: Duration = Duration::from_hours(30 * 24);

/// The routes of `--route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum RouteName {
    /// Read the items
    #[default]
    Scan,
    /// Let DynamoDB make an on-demand backup
    Backup,
}

/// A duration such as `90s`, `5m` or `1h 30m`, including `0s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 90s, 5m or 1h30m"))?;
    if duration > MAX_DURATION {
        Err("longer than 30 days".to_owned())
    } else {
        Ok(duration)
    }
}

/// A duration greater than zero.
pub(crate) fn nonzero_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() {
        Err("no time at all".to_owned())
    } else {
        Ok(duration)
    }
}

/// `on-demand`, or a number of WCU.
pub(crate) fn boost(text: &str) -> Result<Boost, String> {
    // DynamoDB's type for capacity is a signed 64-bit integer.
    let units = || {
        text.parse::<i64>()
            .ok()
            .and_then(|units| u64::try_from(units).ok())
            .filter(|units| *units > 0)
    };

    match text {
        "on-demand" => Ok(Boost::OnDemand),
        _ => units()
            .map(Boost::WriteCapacity)
            .ok_or_else(|| "write a number of WCU, or on-demand".to_owned()),
    }
}

/// `5%`: a share of the keys. The sign is required because `0.05` alone is ambiguous.
pub(crate) fn sample(text: &str) -> Result<Sample, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|percent| percent.parse().ok());
    let percent: f64 = percent.ok_or("write it as a percentage, for example 5%")?;
    Sample::from_percent(percent).ok_or_else(|| "more than 0% and at most 100%".to_owned())
}

/// A cap: units per second, a percentage of the table's capacity, or none.
pub(crate) fn cap(text: &str) -> Result<Cap, String> {
    text.parse()
        .map_err(|error: crate::error::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(nonzero_duration("0s"), Err("no time at all".to_owned()));
        assert_eq!(duration("1000y"), Err("longer than 30 days".to_owned()));

        for invalid in ["", "5", "soon", "-5s", "99999999999999999999y"] {
            assert!(duration(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn boosts() {
        assert_eq!(
            (boost("on-demand"), boost("1000")),
            (Ok(Boost::OnDemand), Ok(Boost::WriteCapacity(1000)))
        );
        for invalid in ["", "0", "-1", "lots", "1.5", "9223372036854775808"] {
            assert!(boost(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn samples() {
        assert_eq!(
            (sample("1%"), sample("0.5%")),
            (
                Ok(Sample::from_percent(1.0).unwrap()),
                Ok(Sample::from_percent(0.5).unwrap())
            )
        );

        for invalid in [
            "", "%", "1", "0.01", "0%", "-1%", "101%", "NaN%", "inf%", "one%", "1 %",
        ] {
            assert!(sample(invalid).is_err(), "{invalid}");
        }
    }
}
