//! Shifts dates by whole days and keeps their notation.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime};

/// Seconds per day.
const SECONDS_PER_DAY: i128 = 24 * 60 * 60;

/// Shifts a date or time in text: ISO 8601 (`2024-05-17`, `20240517`, `2024-05-17T08:30:00.5Z`,
/// with a space instead of the `T`, with or without an offset), or seconds, milliseconds,
/// microseconds or nanoseconds since 1970. `None` if it is neither, or if the result is outside the
/// years 0 to 9999.
pub(crate) fn shift_text(text: &str, days: i64) -> Option<String> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return shift_date(text, "%Y%m%d", days);
    }

    let Some((date, rest)) = text
        .split_at_checked(10)
        .filter(|(date, _)| date.as_bytes()[4] == b'-')
    else {
        // Shorter numbers are not Unix times: nine digits of seconds are the year 1973.
        let digits = text.strip_prefix('-').unwrap_or(text);
        return (digits.len() >= 9)
            .then(|| shift_number(text, days))
            .flatten();
    };

    (rest.is_empty() || is_time(rest)).then_some(())?;

    Some(shift_date(date, "%Y-%m-%d", days)? + rest)
}

/// Whether the text after a date is a time, with or without an offset.
fn is_time(rest: &str) -> bool {
    let Some(time) = rest.strip_prefix(['T', 't', ' ']) else {
        return false;
    };

    // `chrono` parses a time with an offset only together with a date.
    let with_date = |time: &str| format!("2000-01-01T{time}");
    let with_offset = DateTime::parse_from_rfc3339(&with_date(time)).is_ok()
        || DateTime::parse_from_str(&with_date(time), "%Y-%m-%dT%H:%M:%S%.f%#z").is_ok();
    with_offset
        || ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
            .iter()
            .any(|format| NaiveDateTime::parse_from_str(&with_date(time), format).is_ok())
}

fn shift_date(date: &str, format: &str, days: i64) -> Option<String> {
    let date = NaiveDate::parse_from_str(date, format).ok()?;
    let shifted = date.checked_add_signed(Duration::try_days(days)?)?;
    let year: i32 = chrono::Datelike::year(&shifted);
    (0..=9999)
        .contains(&year)
        .then(|| shifted.format(format).to_string())
}

/// Shifts a Unix time. Its magnitude determines the unit: for each unit, the present is in its
/// range.
pub(crate) fn shift_number(text: &str, days: i64) -> Option<String> {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let number: i128 = whole.parse().ok()?;
    let is_fraction = fraction.is_empty()
        || fraction.len() > 1 && fraction[1..].bytes().all(|byte| byte.is_ascii_digit());

    // For a negative number, the fraction points in the other direction.
    if !is_fraction || (number < 0 || whole.starts_with('-')) && !fraction.is_empty() {
        return None;
    }

    let per_second = match number.unsigned_abs() {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        100_000_000_000_000_000..100_000_000_000_000_000_000 => 1_000_000_000,
        _ => return None,
    };

    let shifted = number + i128::from(days) * SECONDS_PER_DAY * per_second;

    (fraction.is_empty() || shifted >= 0).then(|| format!("{shifted}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_their_notation() {
        for (date, moved) in [
            ("2024-02-28", "2024-03-01"),
            ("20241231", "20250102"),
            ("2023-02-28T23:59:59Z", "2023-03-02T23:59:59Z"),
            ("2023-12-31 08:30", "2024-01-02 08:30"),
            (
                "2024-05-17T08:30:00.123456+02:00",
                "2024-05-19T08:30:00.123456+02:00",
            ),
            ("2024-05-17T08:30:00+0200", "2024-05-19T08:30:00+0200"),
            ("1700000000", "1700172800"),
        ] {
            assert_eq!(shift_text(date, 2).as_deref(), Some(moved));
            assert_eq!(shift_text(moved, -2).as_deref(), Some(date));
        }

        for other in [
            "",
            "yesterday",
            "2024-13-01",
            "2024-02-30",
            "17.05.2024",
            "2024-05-17T25:00:00",
            "2024-05-17x",
            "é024-05-17",
            "12",
        ] {
            assert_eq!(shift_text(other, 2), None, "{other}");
        }

        assert_eq!(shift_text("9999-12-31", 1), None);
    }

    #[test]
    fn points_in_time_keep_their_unit() {
        for (time, moved) in [
            ("1700000000", "1700086400"),
            ("1700000000.25", "1700086400.25"),
            ("1700000000123", "1700086400123"),
            ("1700000000123456", "1700086400123456"),
            ("1700000000123456789", "1700086400123456789"),
            ("0", "86400"),
            ("-86400", "0"),
        ] {
            assert_eq!(shift_number(time, 1).as_deref(), Some(moved));
        }

        for other in [
            "",
            "-",
            "1e9",
            "x",
            "1.",
            "-0.5",
            "-5.5",
            "100000000000000000000",
        ] {
            assert_eq!(shift_number(other, 1), None, "{other}");
        }

        assert_eq!(shift_number("86399.5", -1), None);
    }
}
