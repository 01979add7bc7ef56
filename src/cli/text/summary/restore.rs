//! Text of a restore's summary.

use std::fmt::Write as _;

use super::{NO_REASON, OutcomeText, key_collisions, reason_lines};
use crate::cli::text::format;
use crate::layout::{RowGroup, Rows};
use crate::ops::ContentScope;
use crate::ops::restore::{
    BackupOutcome, BoostOutcome, KeepReason, RestoreSummary, SettingOutcome, SettingResult,
    TableOutcome, Verified,
};
use crate::schema::Setting;

/// The summary of a restore. `next` is the command that compares items which were not read back.
pub(crate) fn restore(
    summary: &RestoreSummary,
    content: ContentScope,
    next: Option<String>,
) -> OutcomeText {
    let table = format!("{} ({})", summary.target.table, summary.target.environment);
    if summary.table == TableOutcome::Kept {
        let reason = match summary.kept_because {
            Some(KeepReason::HasItems) => "contains items; nothing was written",
            Some(KeepReason::Exists) | None => "exists and was not changed",
        };
        return OutcomeText {
            headline: Some(format!("Table {table} {reason}.")),
            ..OutcomeText::default()
        };
    }

    let rows = Rows::plain(|group| {
        if content.includes_items() && summary.restored_from.is_none() {
            source_rows(group, summary);
            existing_item_rows(group, summary);
            write_rows(group, summary);
            deletion_rows(group, summary);
            verification_rows(group, &summary.verified, summary);
        }

        group.list("backup", summary.backup.iter().map(backup));
        group.list("boost", summary.boost.iter().map(boost));
        setting_rows(group, summary);
        group.list("next", next);
    });

    OutcomeText {
        headline: Some(headline(summary, &table, content)),
        problems: problems(summary),
        rows,
        ..OutcomeText::default()
    }
}

/// The backup of a copy, and how to delete it.
fn backup(backup: &BackupOutcome) -> String {
    let BackupOutcome { name, arn, .. } = backup;
    if backup.deleted {
        return format!("{name} was deleted");
    }

    let reason = backup.not_deleted.as_ref();
    let reason = reason.map_or_else(String::new, |reason| format!(", not deleted: {reason}"));
    format!("{name} is kept{reason}; delete it with: aws dynamodb delete-backup --backup-arn {arn}")
}

fn headline(summary: &RestoreSummary, table: &str, content: ContentScope) -> String {
    let took = format::seconds(summary.seconds);
    if let Some(origin) = &summary.restored_from {
        return format!("Restored table {table} from {} in {took}.", origin.arn());
    }

    if !content.includes_items() {
        let action = match summary.table {
            TableOutcome::Created => "Created",
            TableOutcome::Replaced => "Replaced",
            TableOutcome::AddedTo | TableOutcome::Kept => "Updated",
        };
        return format!("{action} table {table} in {took}. No items were written.");
    }

    let items = format::items(summary.items_written);
    let counts = [
        (summary.items_rejected, "rejected"),
        (summary.items_skipped, "skipped"),
    ];
    let exceptions = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!(", {} {word}", format::count(count)));
    let exceptions: String = exceptions.collect();
    let verified = match &summary.verified {
        Verified::None => "",
        Verified::Acknowledged => ", all writes acknowledged",
        Verified::Full { .. } if summary.verified.lacking() == 0 => ", verified",
        Verified::Full { .. } => ", NOT verified",
    };

    let action = if summary.source_read_units.is_some() {
        "Copied"
    } else {
        "Restored"
    };

    format!("{action} {items} to {table} in {took}{verified}{exceptions}.")
}

/// Items of the source that were not written as they are: transformed, superseded or overwritten.
fn source_rows(group: &mut RowGroup, summary: &RestoreSummary) {
    if !summary.source_complete {
        group.row("source", "part of the table");
    }

    // A transform may also return several items for one.
    let is_transformed = summary.items_changed + summary.items_left_out > 0
        || summary.items_out > summary.items_read;
    if is_transformed {
        group.row(
            "transform",
            format!(
                "{} read: {} changed, {} filtered out, {} to write",
                format::items(summary.items_read),
                format::count(summary.items_changed),
                format::count(summary.items_left_out),
                format::count(summary.items_out),
            ),
        );
    }

    if summary.items_superseded > 0 {
        let items = format::items(summary.items_superseded);
        group.row(
            "superseded",
            format!(
                "{items}, by a later version in the same {}",
                summary.source_noun
            ),
        );
    }

    if summary.items_overwritten > 0 {
        let items = format::items(summary.items_overwritten);
        group.row(
            "overwritten",
            format!(
                "{items}, by another item of the {} with the same key",
                summary.source_noun
            ),
        );
    }

    if let Some(resumed) = summary.resumed {
        let items = format::items(resumed.items);
        group.row("resumed", format!("after {items} of earlier attempts"));
    }
}

/// Items whose keys were in the table before, with `--on-conflict skip` or `fail`.
fn existing_item_rows(group: &mut RowGroup, summary: &RestoreSummary) {
    if summary.items_already_there > 0 {
        let items = format::items(summary.items_already_there);
        group.row(
            "unchanged",
            format!("{items} that the table already contained"),
        );
    }

    if summary.items_skipped > 0 {
        let items = format::items(summary.items_skipped);
        let file = summary.conflicts_file.as_ref();
        let file = file.map_or_else(String::new, |file| format!(", see {}", file.display()));
        group.row(
            "skipped",
            format!("{items}, because the table contains others with these keys{file}"),
        );
    }
}

/// Bytes, rate and consumed units.
fn write_rows(group: &mut RowGroup, summary: &RestoreSummary) {
    let rate = format::rate(summary.items_written, summary.data_bytes, summary.seconds);
    // The counts of a resumed restore include earlier runs, the time does not.
    let rate = rate.filter(|_| summary.resumed.is_none());
    let rate = rate.map_or_else(String::new, |rate| format!(" ({rate})"));
    let bytes = format::bytes(summary.data_bytes);
    group.detail("written", format!("{bytes} as JSON{rate}"));
    let units = format::units(summary.consumed_write_units);
    let reads = summary.source_read_units;
    let reads = reads.map_or_else(String::new, |units| {
        format!(", {} read units of the source", format::units(units))
    });
    group.detail("consumed", format!("{units} write units{reads}"));

    if summary.throttled_calls > 0 {
        let calls = format::counted(summary.throttled_calls, "request");
        group.detail("throttled", format!("{calls}, retried"));
    }
}

/// Why items that the source does not have were not deleted.
fn prevented_deletion(summary: &RestoreSummary) -> Option<String> {
    let reason = summary.deleted.as_ref()?.prevented.as_ref()?;

    Some(format!(
        "Items that the source does not have were not deleted: {reason}"
    ))
}

/// Items that were deleted because the source does not have them. A deletion that was prevented is a problem, see [`problems`].
fn deletion_rows(group: &mut RowGroup, summary: &RestoreSummary) {
    let Some(deleted) = summary
        .deleted
        .as_ref()
        .filter(|deleted| deleted.prevented.is_none())
    else {
        return;
    };

    let items = format::items(deleted.items);
    group.row("deleted", format!("{items} that the source does not have"));
    let (reads, writes) = (
        format::units(deleted.consumed_read_units),
        format::units(deleted.consumed_write_units),
    );
    group.detail(
        "consumed",
        format!("{reads} read units and {writes} write units by the deletion"),
    );
}

/// The result of the verification. Differences are problems, see [`problems`].
fn verification_rows(group: &mut RowGroup, verified: &Verified, summary: &RestoreSummary) {
    let Verified::Full {
        equal,
        extra,
        consumed_read_units,
        wire,
        ..
    } = verified
    else {
        return;
    };

    let items = format::items(*equal);
    if verified.lacking() > 0 {
        group.row("verified", format!("only {items} read back and equal"));
    } else {
        let equal = format!("{items} read back and equal");
        match (summary.items_rejected, summary.items_skipped) {
            (0, 0) => group.detail("verified", equal),
            (0, _) => group.row("verified", format!("{equal}, all except those skipped")),
            (_, 0) => group.row("verified", format!("{equal}, all except those rejected")),
            _ => group.row(
                "verified",
                format!("{equal}, all except those rejected or skipped"),
            ),
        };
        let units = format::units(*consumed_read_units);
        group.detail(
            "consumed",
            format!("{units} read units by the verification"),
        );
        if wire.are_compressed() {
            let received = format::bytes(wire.received);
            group.detail("received", format!("{received}, compressed"));
        }
    }

    if *extra > 0 {
        let items = format::items(*extra);
        group.row(
            "other items",
            format!(
                "the table also contains {items} that the {} does not",
                summary.source_noun
            ),
        );
    }
}

/// The boost and the capacity after it. A boost that was not reverted is a problem, see [`problems`].
fn boost(boost: &BoostOutcome) -> String {
    let during = match &boost.refused {
        None => format!("{} while the items were written", boost.during),
        Some(reason) => format!("not boosted to {}: {reason}", boost.during),
    };
    let doubt = if boost.is_ignored {
        " (the target does not show all of it)"
    } else {
        ""
    };

    match boost.not_reverted {
        None => format!("{during}, now {}{doubt}", boost.after),
        Some(_) => format!("{during}{doubt}"),
    }
}

/// Applied and skipped settings. Failed settings are problems, see [`problems`].
fn setting_rows(group: &mut RowGroup, summary: &RestoreSummary) {
    let with_result = |result| {
        let settings = summary.settings.iter();
        settings.filter(move |setting| setting.result == result)
    };

    for setting in with_result(SettingResult::Applied) {
        group.detail("settings", &*setting.what);
    }

    let skipped =
        with_result(SettingResult::Skipped).map(|setting| (setting.what.as_str(), reason(setting)));
    for settings in format::grouped_by_reason(skipped) {
        group.detail("not restored", settings);
    }

    for setting in &summary.not_restored {
        group.detail("not restored", setting);
    }
}

fn reason(setting: &SettingOutcome) -> &str {
    setting.reason.as_deref().unwrap_or(NO_REASON)
}

/// Problems of a finished restore; any of them makes the exit code [`PARTIAL`](crate::cli::exit::PARTIAL).
pub(crate) fn problems(summary: &RestoreSummary) -> Vec<String> {
    let mut problems = Vec::new();
    // A salvaged dump is never complete, even if every readable item was written.
    if let Some(salvaged) = summary.salvaged {
        let promised = salvaged.promised.map_or_else(
            || "the number of items in the dump is not known".to_owned(),
            |items| format!("the dump had {}", format::items(items)),
        );
        problems.push(format!(
            "The dump is damaged: {} could be read, {promised}",
            format::items(salvaged.readable)
        ));
    }

    problems.extend(rejected(summary));
    problems.extend(prevented_deletion(summary));
    problems.extend(key_collisions(summary.collisions, &summary.collided));

    if let Verified::Full {
        missing,
        different,
        examples,
        ..
    } = &summary.verified
        && summary.items_lost > 0
    {
        let mut problem = format!(
            "{} of the {} missing in the table, {different} different",
            format::items(*missing),
            summary.source_noun
        );
        problem.extend(
            examples
                .iter()
                .map(|key| format!("\n{}", format::escape(key))),
        );

        problems.push(problem);
    }

    problems.extend(
        summary
            .boost
            .as_ref()
            .and_then(BoostOutcome::failure_message),
    );
    problems.extend(settings_not_applied(summary));

    problems
}

/// The settings that failed, and below the last one the option that omits them.
fn settings_not_applied(summary: &RestoreSummary) -> Vec<String> {
    let failed = || summary.failed_settings();
    let mut problems: Vec<_> = failed()
        .map(|setting| format!("{} was not applied: {}", setting.what, reason(setting)))
        .collect();

    let names: Vec<_> = Setting::choices()
        .filter(|choice| failed().any(|outcome| outcome.setting == *choice))
        .map(Setting::name)
        .collect();

    if let (Some(last), false) = (problems.last_mut(), names.is_empty()) {
        let _ = write!(last, "\nTo omit: --without {}", names.join(","));
    }

    problems
}

/// The rejected items with their most frequent reasons, and the indexes that refused items.
fn rejected(summary: &RestoreSummary) -> Vec<String> {
    if summary.items_rejected == 0 {
        return Vec::new();
    }

    let file = summary.rejects_file.as_ref();
    let file = file.map_or_else(String::new, |file| format!(", see {}", file.display()));
    let what = if summary.salvaged.is_some() {
        "rejected or unreadable"
    } else {
        "rejected"
    };
    let items = format::items(summary.items_rejected);
    let reasons = reason_lines(&summary.reject_reasons, summary.items_rejected);

    let mut problems = vec![format!("{items} {what}{file}{reasons}")];
    problems.extend(rejected_by_index(summary));

    problems
}

/// The indexes that refused items, and how to restore these.
fn rejected_by_index(summary: &RestoreSummary) -> Option<String> {
    let indexes = summary.rejected_by_index.iter();
    let indexes: Vec<_> = indexes
        .map(|(name, count)| format!("index {name} refused {}", format::items(*count)))
        .collect();

    (!indexes.is_empty()).then(|| {
        format!(
            "{}: they do not fit its key\nhint: restore into a new table with --indexes-after, or replace this one with --replace --indexes-after",
            indexes.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::testing::{lines, location};
    use super::*;
    use crate::layout::Line;
    use crate::ops::restore::BoostNotReverted;
    use crate::store::WireBytes;

    fn read_back(equal: u64, missing: u64, different: u64, examples: &[&str]) -> Verified {
        Verified::Full {
            equal,
            missing,
            different,
            extra: 0,
            consumed_read_units: 40.0,
            wire: WireBytes::default(),
            examples: examples.iter().map(ToString::to_string).collect(),
        }
    }

    fn restored() -> RestoreSummary {
        RestoreSummary {
            source: "./prod-backup".to_owned(),
            source_noun: "dump",
            deleted: None,
            source_read_units: None,
            target: location(),
            restored_from: None,
            backup: None,
            table: TableOutcome::Created,
            kept_because: None,
            items_read: 312,
            items_out: 312,
            items_changed: 0,
            items_left_out: 0,
            collisions: 0,
            collided: Vec::new(),
            items_written: 312,
            items_already_there: 0,
            items_skipped: 0,
            items_lost: 0,
            conflicts_file: None,
            resumed: None,
            source_complete: true,
            salvaged: None,
            items_superseded: 0,
            items_overwritten: 0,
            items_rejected: 0,
            rejects_file: None,
            reject_reasons: Vec::new(),
            rejected_by_index: std::collections::BTreeMap::new(),
            data_bytes: 118_000,
            consumed_write_units: 312.0,
            throttled_calls: 0,
            verified: read_back(312, 0, 0, &[]),
            boost: None,
            settings: Vec::new(),
            not_restored: vec!["FutureField: this version does not support the field".to_owned()],
            seconds: 2.0,
            table_id: None,
        }
    }

    fn setting(name: &str) -> Setting {
        name.parse().unwrap()
    }

    #[test]
    fn complete_restore() {
        let text = restore(&restored(), ContentScope::All, None);
        assert_eq!(
            text.headline.as_deref(),
            Some("Restored 312 items to films (local) in 2.00 s, verified.")
        );
        assert_eq!(
            lines(&text.rows),
            [
                "Written       118.00 kB as JSON (156 items/s, 59.00 kB/s)",
                "Consumed      312 write units",
                "Verified      312 items read back and equal",
                "Consumed      40 read units by the verification",
                "Not restored  FutureField: this version does not support the field",
            ]
        );

        assert!(text.problems.is_empty());
        assert!(text.rows.lines(false, usize::MAX).is_empty());
    }

    #[test]
    fn lost_items_are_problems() {
        let summary = RestoreSummary {
            items_written: 309,
            items_rejected: 2,
            rejects_file: Some(PathBuf::from("prod-backup.restore-films.dev.rejects.jsonl")),
            reject_reasons: vec![("no key".to_owned(), 2)],
            verified: read_back(309, 3, 1, &["{\"id\":{\"S\":\"\u{1b}\"}}"]),
            items_lost: 4,
            ..restored()
        };

        assert!(!summary.is_whole());
        assert_eq!(
            problems(&summary),
            [
                "2 items rejected, see prod-backup.restore-films.dev.rejects.jsonl\n  2 × no key",
                "3 items of the dump missing in the table, 1 different\n\
                 {\"id\":{\"S\":\"\\u{1b}\"}}",
            ]
        );

        let text = restore(&summary, ContentScope::All, None);
        assert_eq!(
            text.headline.as_deref(),
            Some("Restored 309 items to films (local) in 2.00 s, NOT verified, 2 rejected.")
        );
        assert_eq!(
            text.rows.lines(false, usize::MAX)[0],
            Line::Row("  Verified  only 309 items read back and equal".to_owned())
        );
    }

    #[test]
    fn rejected_and_skipped_items_are_not_counted_as_verified() {
        let with_counts = |rejected, skipped| RestoreSummary {
            items_written: 309,
            items_rejected: rejected,
            items_skipped: skipped,
            verified: read_back(309, 0, 0, &[]),
            ..restored()
        };

        for (summary, exception) in [
            (with_counts(3, 0), "rejected"),
            (with_counts(0, 3), "skipped"),
            (with_counts(1, 2), "rejected or skipped"),
        ] {
            let text = restore(&summary, ContentScope::All, None);
            let line = format!("309 items read back and equal, all except those {exception}");
            let rows = lines(&text.rows);
            assert!(rows.iter().any(|row| row.ends_with(&line)), "{rows:?}");
            assert!(
                text.problems.iter().all(|words| words.contains("rejected")),
                "{:?}",
                text.problems
            );
        }
    }

    #[test]
    fn applied_and_skipped_settings_are_listed_and_failed_ones_are_problems() {
        let outcome = |setting, what: &str, result, reason: Option<&str>| SettingOutcome {
            setting,
            what: what.to_owned(),
            result,
            reason: reason.map(str::to_owned),
        };

        let summary = RestoreSummary {
            settings: vec![
                outcome(Setting::TAGS, "2 tags", SettingResult::Applied, None),
                outcome(
                    setting("kinesis"),
                    "Kinesis destination clicks",
                    SettingResult::Skipped,
                    Some("another table"),
                ),
                outcome(
                    setting("ttl"),
                    "TTL on expires",
                    SettingResult::Failed,
                    Some("UpdateTimeToLive failed: no"),
                ),
            ],
            not_restored: Vec::new(),
            ..restored()
        };

        let text = restore(&summary, ContentScope::All, None);
        assert_eq!(
            lines(&text.rows)[4..],
            [
                "Settings      2 tags",
                "Not restored  Kinesis destination clicks: another table"
            ]
        );

        assert_eq!(
            text.problems,
            ["TTL on expires was not applied: UpdateTimeToLive failed: no\nTo omit: --without ttl"]
        );
        assert!(!summary.is_whole());
    }

    #[test]
    fn boost_that_is_not_reverted_is_a_problem_with_a_command() {
        let outcome = |not_reverted| BoostOutcome {
            during: "on-demand".to_owned(),
            refused: None,
            after: "provisioned 5 RCU / 5 WCU".to_owned(),
            not_reverted,
            is_ignored: false,
        };

        let good = RestoreSummary {
            boost: Some(outcome(None)),
            ..restored()
        };
        let line = "on-demand while the items were written, now provisioned 5 RCU / 5 WCU";
        let rows = lines(&restore(&good, ContentScope::All, None).rows);
        assert!(rows.iter().any(|row| row.ends_with(line)), "{rows:?}");
        assert!(good.is_whole() && problems(&good).is_empty());

        let stays = BoostNotReverted {
            reason: "limit".to_owned(),
            command: Some("aws dynamodb update-table".to_owned()),
        };
        let bad = RestoreSummary {
            boost: Some(outcome(Some(stays))),
            ..restored()
        };
        assert!(!bad.is_whole());
        assert_eq!(
            problems(&bad),
            [
                "the boost was not reverted; the table may still not be provisioned 5 RCU / 5 WCU: limit\n\
              revert it manually: aws dynamodb update-table"
            ]
        );
    }

    #[test]
    fn kept_table() {
        let summary = RestoreSummary {
            table: TableOutcome::Kept,
            ..restored()
        };
        let text = restore(&summary, ContentScope::All, None);
        assert_eq!(
            text.headline.as_deref(),
            Some("Table films (local) exists and was not changed.")
        );
        assert!(lines(&text.rows).is_empty());
    }
}
