//! Values of options that are more than text.

use std::time::Duration;

use crate::item::Sample;
use crate::ops::Cap;
use crate::schema::{Boost, Capacity};

/// Longer waits are typing errors, and far longer ones overflow a clock.
const MAX_DURATION: Duration = Duration::from_hours(30 * 24);

/// A duration such as `90s`, `5m` or `1h 30m`; `0s` is one.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 90s, 5m or 1h30m"))?;
    if duration > MAX_DURATION {
        Err("longer than 30 days".to_owned())
    } else {
        Ok(duration)
    }
}

/// A duration that is not nought.
pub(crate) fn nonzero_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() {
        Err("no time at all".to_owned())
    } else {
        Ok(duration)
    }
}

/// `NAME=R:W`: an index and its capacity.
pub(crate) fn index_capacity_arg(text: &str) -> Result<(String, Capacity), String> {
    let (name, capacity) = named(text).ok_or("write it as NAME=R:W, for example by-genre=5:5")?;
    let capacity = capacity
        .parse()
        .map_err(|error: crate::error::Error| error.to_string())?;
    Ok((name, capacity))
}

/// `NAME=VALUE`: a tag. The value may be empty and may hold further signs of equality.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = named(text).ok_or("write it as NAME=VALUE, for example owner=films")?;
    Ok((name, value.to_owned()))
}

/// `on-demand`, or WCU.
pub(crate) fn boost(text: &str) -> Result<Boost, String> {
    // DynamoDB's own type for capacity.
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

/// `5%`: a share of the keys. The sign is asked for because `0.05` alone could mean either.
pub(crate) fn sample(text: &str) -> Result<Sample, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|percent| percent.parse().ok());
    let percent: f64 = percent.ok_or("write it as a percentage, for example 5%")?;
    Sample::from_percent(percent).ok_or_else(|| "more than 0% and at most 100%".to_owned())
}

/// Units per second, or a share of a table's.
pub(crate) fn cap(text: &str) -> Result<Cap, String> {
    text.parse()
        .map_err(|error: crate::error::Error| error.to_string())
}

fn named(text: &str) -> Option<(String, &str)> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
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

        for nonsense in ["", "5", "soon", "-5s", "99999999999999999999y"] {
            assert!(duration(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn capacities_of_indexes() {
        assert_eq!(
            index_capacity_arg("by-genre=5:7"),
            Ok(("by-genre".to_owned(), Capacity { read: 5, write: 7 }))
        );
        for nonsense in [
            "",
            "by-genre",
            "=5:7",
            "by-genre=",
            "by-genre=5",
            "by-genre=0:7",
            "by-genre=5:x",
        ] {
            assert!(index_capacity_arg(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn boosts() {
        assert_eq!(
            (boost("on-demand"), boost("1000")),
            (Ok(Boost::OnDemand), Ok(Boost::WriteCapacity(1000)))
        );
        for nonsense in ["", "0", "-1", "lots", "1.5", "9223372036854775808"] {
            assert!(boost(nonsense).is_err(), "{nonsense}");
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

        for nonsense in [
            "", "%", "1", "0.01", "0%", "-1%", "101%", "NaN%", "inf%", "one%", "1 %",
        ] {
            assert!(sample(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn tags() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(
            (tag("a=b"), tag("a="), tag("a=b=c")),
            (pair("a", "b"), pair("a", ""), pair("a", "b=c"))
        );
        assert!(tag("a").is_err() && tag("=b").is_err());
    }
}
