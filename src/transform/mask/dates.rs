//! Moves dates by whole days, in the notation that they stand in.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime};

/// Seconds of a day.
const DAY: i128 = 24 * 60 * 60;

/// Moves a date or time in text: ISO 8601 (`2024-05-17`, `20240517`, `2024-05-17T08:30:00.5Z`, with a blank for the `T`, with any
/// offset or none), or seconds, milli-, micro- or nanoseconds since 1970. `None` if it is neither, or beyond the years 0 to 9999.
pub(crate) fn shift_text(text: &str, days: i64) -> Option<String> {
    if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return moved(text, "%Y%m%d", days);
    }

    let Some((date, rest)) = text
        .split_at_checked(10)
        .filter(|(date, _)| date.as_bytes()[4] == b'-')
    else {
        let digits = text.strip_prefix('-').unwrap_or(text);
        return (digits.len() >= 9)
            .then(|| shift_number(text, days))
            .flatten();
    };

    (rest.is_empty() || is_time(rest)).then_some(())?;

    Some(moved(date, "%Y-%m-%d", days)? + rest)
}

/// What stands behind a date: a time, with an offset or without.
fn is_time(rest: &str) -> bool {
    let Some(time) = rest.strip_prefix(['T', 't', ' ']) else {
        return false;
    };

    let at = |format: &str| format!("2000-01-01T{format}");
    let with_offset = DateTime::parse_from_rfc3339(&at(time)).is_ok()
        || DateTime::parse_from_str(&at(time), "%Y-%m-%dT%H:%M:%S%.f%#z").is_ok();
    with_offset
        || ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
            .iter()
            .any(|format| NaiveDateTime::parse_from_str(&at(time), format).is_ok())
}

fn moved(date: &str, format: &str, days: i64) -> Option<String> {
    let date = NaiveDate::parse_from_str(date, format).ok()?;
    let moved = date.checked_add_signed(Duration::try_days(days)?)?;
    let year: i32 = chrono::Datelike::year(&moved);
    (0..=9999)
        .contains(&year)
        .then(|| moved.format(format).to_string())
}

/// Moves a point in time since 1970; its unit is told by its size, so that today is today in each of them.
pub(crate) fn shift_number(text: &str, days: i64) -> Option<String> {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let number: i128 = whole.parse().ok()?;
    let is_fraction = fraction.is_empty()
        || fraction.len() > 1 && fraction[1..].bytes().all(|byte| byte.is_ascii_digit());

    // A negative number with a fraction would move the wrong way around its sign.
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

    let moved = number + i128::from(days) * DAY * per_second;

    (fraction.is_empty() || moved >= 0).then(|| format!("{moved}{fraction}"))
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
