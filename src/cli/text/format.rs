//! Formatting of counts, times, sizes and shell arguments.
//!
//! Names, keys and messages come from files and servers that may be hostile, so all text for a terminal goes through [`escape`].

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use indicatif::HumanFloatCount;

pub(crate) use crate::layout::{bytes, count, counted, escape};

/// Quotes an argument for a shell. The result works in any POSIX shell; control characters and bytes that are not UTF-8 need the
/// `$'…'` syntax of bash, zsh and ksh.
pub(crate) fn shell_quoted(argument: &OsStr) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(byte);
    let bytes = argument.as_encoded_bytes();
    match argument.to_str() {
        // Needs no quotes.
        Some(text) if !text.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        // Within single quotes, only the single quote itself needs escaping.
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!(
            "$'{}'",
            bytes
                .utf8_chunks()
                .map(|chunk| ansi_c_quoted(chunk.valid(), chunk.invalid()))
                .collect::<String>()
        ),
    }
}

/// Text and the invalid bytes after it, as content of `$'…'`.
fn ansi_c_quoted(text: &str, bytes: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str(r"\n"),
            '\t' => quoted.push_str(r"\t"),
            character if character.is_control() => {
                push_octal(&mut quoted, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            character => quoted.push(character),
        }
    }

    push_octal(&mut quoted, bytes);

    quoted
}

fn push_octal(quoted: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(quoted, "\\{byte:03o}");
    }
}

/// One text for each reason, with the names that share it: `a, b: denied`.
pub(crate) fn grouped_by_reason<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    // A vector keeps the order of the first occurrences; there are a few reasons at most.
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, reason) in pairs {
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => groups.push((reason, vec![name])),
        }
    }

    groups
        .into_iter()
        .map(|(reason, names)| format!("{}: {reason}", names.join(", ")))
        .collect()
}

/// `1 item`, `12,345 items`.
pub(crate) fn items(count: u64) -> String {
    counted(count, "item")
}

/// The counts that are not zero, each with its word: `5 changed, 95 filtered out`.
pub(crate) fn nonzero_counts(counts: &[(u64, &str)]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(number, word)| format!("{} {word}", count(*number)))
        .collect();

    counts.join(", ")
}

/// A count that may have a fraction: `12,345.5`.
pub(crate) fn units(count: f64) -> String {
    HumanFloatCount(count).to_string()
}

/// US dollars: `$0.15`, `$1,234`.
pub(crate) fn dollars(usd: f64) -> String {
    match usd {
        // These limits are where rounding would change the form.
        little if little < 0.005 => "less than $0.01".to_owned(),
        some if some < 99.995 => format!("${some:.2}"),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an amount for display"
        )]
        much => format!("${}", count(much.round() as u64)),
    }
}

/// A duration: `0.42 s`, `12.3 s`, `1m 12s`, `2h 3m 20s`.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        // These limits are where rounding would add a digit.
        short if short < 9.995 => format!("{short:.2} s"),
        medium if medium < 59.95 => format!("{medium:.1} s"),
        long => {
            let whole = Duration::try_from_secs_f64(long.round()).unwrap_or(Duration::MAX);
            humantime::format_duration(whole).to_string()
        }
    }
}

/// A rate; `None` if the time is too short to measure one.
pub(crate) fn rate(items: u64, bytes: u64, seconds: f64) -> Option<String> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate for display"
    )]
    let per_second = |count: u64| (count as f64 / seconds).round() as u64;
    // Shorter times are too inaccurate.
    (seconds >= 0.05 && items > 0).then(|| {
        format!(
            "{} items/s, {}/s",
            count(per_second(items)),
            self::bytes(per_second(bytes))
        )
    })
}

/// `2026-11-20T09:00:00Z`.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Age of a time: `3 days ago`. More than a minute in the future means that one of the clocks is wrong.
pub(crate) fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - at;
    // Clocks of two machines may differ a little.
    if passed < TimeDelta::seconds(-60) {
        return "in the future, by this machine's clock".to_owned();
    }

    let in_units = [
        (passed.num_days() / 365, "year"),
        (passed.num_days() / 30, "month"),
        (passed.num_days(), "day"),
        (passed.num_hours(), "hour"),
        (passed.num_minutes(), "minute"),
    ];

    match in_units.into_iter().find(|(count, _)| *count > 0) {
        Some((count, unit)) => format!("{} ago", counted(count.unsigned_abs(), unit)),
        None => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_the_same_reason_share_a_line() {
        let pairs = [
            ("PITR", "denied"),
            ("policy", "the target is another table"),
            ("tags", "denied"),
        ];

        assert_eq!(
            grouped_by_reason(pairs),
            ["PITR, tags: denied", "policy: the target is another table"]
        );
    }

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(
            (items(1), items(0), items(1_234_567)),
            ("1 item".into(), "0 items".into(), "1,234,567 items".into())
        );
        assert_eq!(
            (bytes(512), bytes(1_500_000)),
            ("512 B".into(), "1.50 MB".into())
        );
        assert_eq!(
            (units(40.0), units(1234.5)),
            ("40".into(), "1,234.5".into())
        );
    }

    #[test]
    fn amounts_have_cents_only_if_they_are_small() {
        for (usd, text) in [
            (0.0, "less than $0.01"),
            (0.004, "less than $0.01"),
            (0.15, "$0.15"),
            (99.994, "$99.99"),
            (99.999, "$100"),
            (1234.5, "$1,235"),
        ] {
            assert_eq!(dollars(usd), text);
        }
    }

    #[test]
    fn durations_and_rates() {
        for (time, text) in [
            (0.0, "0.00 s"),
            (0.418, "0.42 s"),
            (12.34, "12.3 s"),
            (59.96, "1m"),
            (72.4, "1m 12s"),
            (7400.0, "2h 3m 20s"),
        ] {
            assert_eq!(seconds(time), text);
        }

        assert_eq!(
            rate(1000, 50_000, 2.0).as_deref(),
            Some("500 items/s, 25.00 kB/s")
        );
        assert_eq!(rate(1000, 50_000, 0.0), None);
        assert_eq!(rate(0, 0, 2.0), None);
    }

    #[test]
    fn ages() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (seconds, text) in [
            (0, "just now"),
            (-30, "just now"),
            (-61, "in the future, by this machine's clock"),
            (61, "1 minute ago"),
            (7200, "2 hours ago"),
            (3 * 86_400 + 5, "3 days ago"),
            (45 * 86_400, "1 month ago"),
            (800 * 86_400, "2 years ago"),
        ] {
            assert_eq!(
                age(now - TimeDelta::seconds(seconds), now),
                text,
                "{seconds}"
            );
        }
    }
}
