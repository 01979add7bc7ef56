//! Options of `restoredb` for backups that DynamoDB keeps, without a dump.

use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeDelta, Utc};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::heading;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::restore::BackupChoice;
use crate::ops::set::TablePattern;

/// The word for the latest backup or time.
const LATEST: &str = "latest";

/// Options that only apply to items that this program writes, or to a dump.
const OF_DUMPS: [&str; 25] = [
    "dump",
    "source",
    "salvage",
    "accept_incomplete",
    "max_rcu",
    "no_create",
    "schema",
    "schema_only",
    "data_only",
    "boost_write_capacity",
    "batch_size",
    "on_conflict",
    "strict",
    "allow_empty",
    "max_wcu",
    "max_total_wcu",
    "verify",
    "key_schema",
    "indexes_after",
    "map",
    "map_file",
    "strip_prefix",
    "add_prefix",
    "fail_fast",
    "parallel_tables",
];

/// Which backup is restored.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SOURCE_AND_TARGET)]
pub(super) struct BackupArgs {
    /// Restore this on-demand backup
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = OF_DUMPS, conflicts_with_all = ["backup", "point_in_time", "list_backups", "from_table"])]
    backup_arn: Option<String>,

    /// Restore the on-demand backup of --from-table with this name, or the latest one
    #[arg(long, value_name = "latest|NAME", value_parser = NonEmptyStringValueParser::new(), requires = "from_table", conflicts_with_all = OF_DUMPS, conflicts_with_all = ["point_in_time", "list_backups"])]
    backup: Option<String>,

    /// Restore --from-table as it was at this time: 2026-11-19T08:00:00Z, '2h ago' or latest
    #[arg(long, value_name = "TIME", value_parser = NonEmptyStringValueParser::new(), requires = "from_table", conflicts_with_all = OF_DUMPS, conflicts_with = "list_backups")]
    point_in_time: Option<String>,

    /// List the on-demand backups, of all tables or of --from-table, and restore nothing
    #[arg(long, conflicts_with_all = OF_DUMPS, conflicts_with_all = ["replace", "if_missing", "if_empty"])]
    pub(super) list_backups: bool,
}

impl BackupArgs {
    /// The backup to restore, if one is named. `from_tables` name its table.
    ///
    /// # Errors
    /// Several tables are named; the time is not one.
    pub(super) fn choice(
        &self,
        from_tables: &[TablePattern],
        now: DateTime<Utc>,
    ) -> Result<Option<BackupChoice>> {
        if let Some(arn) = &self.backup_arn {
            return Ok(Some(BackupChoice::Arn(arn.clone())));
        }

        let (field, value) = match (&self.backup, &self.point_in_time) {
            (Some(name), _) => (Field::Backup, name),
            (None, Some(time)) => (Field::PointInTime, time),
            (None, None) => return Ok(None),
        };
        let [table] = &plain_names(from_tables)?[..] else {
            return Err(Error::usage(format!("{field} needs the name of one table"))
                .with_hint(format!("pass it as {}", Field::FromTables)));
        };

        let table = table.clone();
        Ok(Some(match field {
            Field::Backup => BackupChoice::OfTable {
                table,
                name: (value != LATEST).then(|| value.clone()),
            },
            _ => BackupChoice::PointInTime {
                table,
                at: point_in_time(value, now)?,
            },
        }))
    }
}

/// The names of tables whose backups are meant, which need not exist.
///
/// # Errors
/// One is a pattern.
pub(super) fn plain_names(from_tables: &[TablePattern]) -> Result<Vec<String>> {
    let names = from_tables.iter().map(|pattern| {
        if pattern.is_name() {
            return Ok(pattern.as_str().to_owned());
        }

        Err(Error::usage(format!(
            "{} {pattern} is a pattern: backups are found by the exact name of their table",
            Field::FromTables
        ))
        .with_hint(format!(
            "`restoredb {}` lists all backups",
            Field::ListBackups
        )))
    });
    names.collect()
}

/// A time of `--point-in-time`; `None` for the latest.
fn point_in_time(text: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let text = text.trim();
    if text == LATEST {
        return Ok(None);
    }

    let invalid = |reason: &str| {
        Error::usage(format!("{} \"{text}\" {reason}", Field::PointInTime)).with_hint(format!(
            "write it as 2026-11-19T08:00:00Z, 2026-11-19T10:00:00+02:00, '2h ago' or {LATEST}"
        ))
    };
    if let Some(ago) = text.strip_suffix("ago") {
        let ago = humantime::parse_duration(ago.trim())
            .ok()
            .and_then(|ago| TimeDelta::from_std(ago).ok());
        let at = ago.and_then(|ago| now.checked_sub_signed(ago));
        return at.map(Some).ok_or_else(|| invalid("is not a duration"));
    }

    if let Ok(at) = DateTime::<FixedOffset>::parse_from_rfc3339(text) {
        return Ok(Some(at.to_utc()));
    }

    let without_zone = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ];
    let lacks_zone = without_zone
        .iter()
        .any(|format| NaiveDateTime::parse_from_str(text, format).is_ok());
    Err(invalid(if lacks_zone {
        "has no time zone"
    } else {
        "is not a time"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<Option<DateTime<Utc>>> {
        point_in_time(text, "2026-11-20T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn times_are_absolute_relative_or_the_latest() {
        assert_eq!(at("latest").unwrap(), None);
        for (text, time) in [
            ("2026-11-19T08:00:00Z", "2026-11-19T08:00:00Z"),
            ("2026-11-19T10:00:00+02:00", "2026-11-19T08:00:00Z"),
            ("2026-11-19T08:00:00.250Z", "2026-11-19T08:00:00.250Z"),
            ("2h ago", "2026-11-20T10:00:00Z"),
            (" 1day 30min ago", "2026-11-19T11:30:00Z"),
        ] {
            assert_eq!(at(text).unwrap(), time.parse().ok(), "{text}");
        }
    }

    #[test]
    fn times_without_a_zone_and_other_text_are_refused() {
        for (text, problem) in [
            ("2026-11-19T08:00:00", "has no time zone"),
            ("2026-11-19 08:00:00", "has no time zone"),
            ("2026-11-19T08:00", "has no time zone"),
            ("2026-11-19", "is not a time"),
            ("yesterday", "is not a time"),
            ("2h", "is not a time"),
            ("ago", "is not a duration"),
            ("-2h ago", "is not a duration"),
            ("99999999999y ago", "is not a duration"),
            ("2026-13-19T08:00:00Z", "is not a time"),
        ] {
            let error = at(text).unwrap_err();
            assert!(error.to_string().contains(problem), "{text}: {error}");
            assert!(error.hint().unwrap().contains("'2h ago'"));
        }
    }
}
