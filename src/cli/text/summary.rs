//! Summaries in words: what a command has done, and what the reader may want to know or do next.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::format;
use crate::ops::ContentScope;
use crate::ops::dump::{DumpSummary, DumpTransformSummary};
use crate::ops::restore::{
    BoostOutcome, RestoreSummary, SettingOutcome, SettingResult, TableOutcome, Verified,
};

const NO_REASON: &str = "no reason is known";

/// What a dump of `content` has done.
pub(crate) fn dump(summary: &DumpSummary, content: ContentScope) -> Vec<String> {
    let mut lines = if content.includes_items() {
        read(summary)
    } else {
        let took = format::seconds(summary.seconds);
        vec![format!(
            "Dumped the schema of table {} in {took}; no item was read",
            summary.source.table
        )]
    };

    if !summary.files.is_empty() {
        lines.push("Files:".to_owned());
        lines.extend(summary.files.iter().map(|file| format!("  {file}")));
    }

    if !summary.not_captured.is_empty() {
        lines.push("Not captured:".to_owned());
        let named = |line| str::split_once(line, ": ").unwrap_or((line, NO_REASON));
        lines.extend(format::grouped_by_reason(
            summary.not_captured.iter().map(|line| named(line.as_str())),
        ));
    }

    lines
}

/// What was read of a table.
fn read(summary: &DumpSummary) -> Vec<String> {
    let mut headline = format!(
        "Dumped {}, {} from table {} in {}",
        format::items(summary.items),
        format::bytes(summary.data_bytes),
        summary.source.table,
        format::seconds(summary.seconds),
    );

    let (items, bytes) = (
        summary.items - summary.items_before,
        summary.data_bytes - summary.data_bytes_before,
    );
    if let Some(rate) = format::rate(items, bytes, summary.seconds) {
        let _ = write!(headline, " ({rate})");
    }

    let (began, ended) = (
        format::timestamp(summary.started_at),
        format::timestamp(summary.finished_at),
    );
    let mut lines = vec![
        headline,
        format!(
            "  {} read units consumed",
            format::units(summary.consumed_read_units)
        ),
        format!("  read between {began} and {ended}: a Scan is not a moment in time"),
    ];

    lines.extend(format::wire_bytes(summary.wire));

    if summary.resumed > 0 {
        lines.push(format!(
            "  resumed {}: {} were there, {} were read now",
            if summary.resumed == 1 {
                "once".to_owned()
            } else {
                format!("{} times", summary.resumed)
            },
            format::items(summary.items_before),
            format::items(items),
        ));
    }

    if let Some(changes) = &summary.transformed {
        lines.push(transformed(changes));
        if let Some(sha256) = &changes.mask_rules_sha256 {
            lines.push(format!("  masked by the rules of SHA-256 {sha256}"));
        }
    }

    if !summary.complete {
        lines.push("  this is a part of the table, and marked as such".to_owned());
    }

    lines
}

/// What became of items on the way.
fn transformed(changes: &DumpTransformSummary) -> String {
    let DumpTransformSummary {
        items_read,
        items_changed,
        items_left_out,
        items_rejected,
        ..
    } = changes;

    format!(
        "  {} read from the table: {} changed, {} left out, {} rejected",
        format::items(*items_read),
        format::count(*items_changed),
        format::count(*items_left_out),
        format::count(*items_rejected)
    )
}

/// What of a dump deserves attention: each is a reason for the exit code of a partial success.
pub(crate) fn dump_problems(summary: &DumpSummary) -> Vec<String> {
    let Some(changes) = &summary.transformed else {
        return Vec::new();
    };

    let mut problems = Vec::new();
    if changes.items_rejected > 0 {
        let kept = changes.rejects_file.as_ref();
        let kept = kept.map_or_else(String::new, |file| {
            format!(", listed with the reasons in {}", file.display())
        });
        problems.push(format!(
            "{} rejected by the transform{kept}",
            format::items(changes.items_rejected)
        ));
    }

    problems.extend(key_collisions(changes.collisions, &changes.first_collisions));

    problems
}

/// Different items with the same key.
pub(crate) fn key_collisions(collisions: u64, collided: &[(u64, u64)]) -> Option<String> {
    (collisions > 0).then(|| {
        let (items, have) = (
            format::items(collisions),
            if collisions == 1 { "has" } else { "have" },
        );
        let mut words = format!(
            "{items} {have} the same key as another item: a table can hold only one of them"
        );
        words.extend(
            collided
                .iter()
                .map(|(first, second)| format!("\n  item {second} has the key of item {first}")),
        );

        words
    })
}

/// What a restore has done.
pub(crate) fn restore(summary: &RestoreSummary) -> Vec<String> {
    if summary.table == TableOutcome::Kept {
        return vec![format!("{}: nothing to do", table(summary))];
    }

    let mut lines = vec![format!(
        "{} in {}",
        table(summary),
        format::seconds(summary.seconds)
    )];

    lines.push(written(summary));

    if summary.items_changed + summary.items_left_out > 0 || summary.items_out > summary.items_read
    {
        lines.push(format!(
            "  {} of the dump: {} changed, {} left out; {} came out",
            format::items(summary.items_read),
            format::count(summary.items_changed),
            format::count(summary.items_left_out),
            format::count(summary.items_out),
        ));
    }

    if !summary.source_complete {
        lines.push("  the source holds a part of the table".to_owned());
    }

    if summary.items_superseded > 0 {
        lines.push(format!(
            "  {} superseded by a later version in the same dump",
            format::items(summary.items_superseded)
        ));
    }

    if summary.items_overwritten > 0 {
        lines.push(format!(
            "  {} overwritten by another item of the dump",
            format::items(summary.items_overwritten)
        ));
    }

    if summary.items_already_there > 0 {
        lines.push(format!(
            "  {} of them were there already, equal",
            format::items(summary.items_already_there)
        ));
    }

    if summary.items_skipped > 0 {
        let kept = summary
            .conflicts_file
            .as_ref()
            .map_or_else(String::new, |file| format!(": {}", file.display()));
        lines.push(format!(
            "  {} skipped, for the table has others with their keys{kept}",
            format::items(summary.items_skipped)
        ));
    }

    if let Some(resumed) = summary.resumed {
        lines.push(format!(
            "  resumed: {} of all were handled by earlier runs",
            format::items(resumed.items)
        ));
    }

    if summary.throttled_calls > 0 {
        lines.push(format!(
            "  {} throttled and repeated",
            format::counted(summary.throttled_calls, "call")
        ));
    }

    lines.extend(verified(summary));
    lines.extend(summary.boost.as_ref().map(boost));
    lines.extend(settings(&summary.settings));

    if !summary.not_restored.is_empty() {
        lines.push("Not restored:".to_owned());
        lines.extend(
            summary
                .not_restored
                .iter()
                .map(|setting| format!("  {setting}")),
        );
    }

    lines
}

/// What became of a boost, but for one that stays: it is complained about.
fn boost(boost: &BoostOutcome) -> String {
    let during = match &boost.refused {
        None => format!("  boosted: {} while the items were written", boost.during),
        Some(reason) => format!("  not boosted to {}: {reason}", boost.during),
    };
    let doubt = if boost.is_ignored {
        " (the target does not show all of it)"
    } else {
        ""
    };

    match boost.not_reverted {
        None => format!("{during}, {} now{doubt}", boost.after),
        Some(_) => format!("{during}{doubt}"),
    }
}

/// What became of the settings, but for those that failed: they are complained about.
fn settings(settings: &[SettingOutcome]) -> Vec<String> {
    let of = |result| {
        settings
            .iter()
            .filter(move |setting| setting.result == result)
    };

    let applied: Vec<_> = of(SettingResult::Applied)
        .map(|setting| format!("  {}", setting.what))
        .collect();
    let skipped =
        of(SettingResult::Skipped).map(|setting| (setting.what.as_str(), reason(setting)));
    let groups = [
        ("Settings applied:", applied),
        ("Settings skipped:", format::grouped_by_reason(skipped)),
    ];
    groups
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .flat_map(|(heading, lines)| std::iter::once(heading.to_owned()).chain(lines))
        .collect()
}

fn reason(setting: &SettingOutcome) -> &str {
    setting.reason.as_deref().unwrap_or(NO_REASON)
}

/// What of a restore deserves attention: each is a reason for the exit code of a partial success.
pub(crate) fn restore_problems(summary: &RestoreSummary) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(salvaged) = summary.salvaged {
        let promised = salvaged.promised.map_or_else(
            || "how many there were is not known".to_owned(),
            |items| format!("the dump had {}", format::items(items)),
        );
        problems.push(format!(
            "salvaged: {} could be read, {promised}",
            format::items(salvaged.readable)
        ));
    }

    if summary.items_rejected > 0 {
        let kept = summary
            .rejects_file
            .as_ref()
            .map_or_else(String::new, |file| {
                format!(", kept with the reasons in {}", file.display())
            });

        let what = if summary.salvaged.is_some() {
            "rejected or unreadable"
        } else {
            "rejected"
        };

        problems.push(format!(
            "{} {what}{kept}",
            format::items(summary.items_rejected)
        ));
    }

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
            "{} of the dump missing in the table, {different} with other contents",
            format::items(*missing)
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
    let failed = summary.failed_settings();
    problems.extend(
        failed.map(|setting| format!("{} was not applied: {}", setting.what, reason(setting))),
    );

    problems
}

fn table(summary: &RestoreSummary) -> String {
    let done = match summary.table {
        TableOutcome::Created => "Created table",
        TableOutcome::AddedTo => "Added to table",
        TableOutcome::Replaced => "Replaced table",
        TableOutcome::Kept => "Left alone: table",
    };

    format!(
        "{done} {} of environment {}",
        summary.target.table, summary.target.environment
    )
}

fn written(summary: &RestoreSummary) -> String {
    let mut line = format!(
        "  {} written, {}, {} write units consumed",
        format::items(summary.items_written),
        format::bytes(summary.data_bytes),
        format::units(summary.consumed_write_units),
    );

    let rate = format::rate(summary.items_written, summary.data_bytes, summary.seconds);
    if let Some(rate) = rate.filter(|_| summary.resumed.is_none()) {
        let _ = write!(line, " ({rate})");
    }

    line
}

fn verified(summary: &RestoreSummary) -> Vec<String> {
    match &summary.verified {
        Verified::None => Vec::new(),
        Verified::Acknowledged => {
            vec!["  every item was acknowledged; items were not read back".to_owned()]
        }
        Verified::Full {
            equal,
            missing: 0,
            different: 0,
            extra,
            consumed_read_units,
            wire,
            ..
        } => {
            let (items, units) = (format::items(*equal), format::units(*consumed_read_units));
            let (all, but) = match (summary.items_rejected, summary.items_skipped) {
                (0, 0) => ("all ", ""),
                (0, _) => ("", ", all but those skipped"),
                (_, 0) => ("", ", all but those rejected"),
                _ => ("", ", all but those rejected or skipped"),
            };

            let line = format!(
                "  verified: {all}{items} read back and equal{but}, {units} read units consumed"
            );
            let mut lines = vec![line];
            lines.extend(format::wire_bytes(*wire));

            if *extra > 0 {
                lines.push(format!(
                    "  the table also holds {} that the dump does not",
                    format::items(*extra)
                ));
            }

            lines
        }
        Verified::Full { equal, .. } => {
            vec![format!(
                "  NOT verified: only {} read back and equal",
                format::items(*equal)
            )]
        }
    }
}

/// Options of `restoredb` that say which dump and which table, each with a value.
const COPIED_FLAGS: [&str; 8] = [
    "--source",
    "--env",
    "--envs-dir",
    "--table",
    "--profile",
    "--region",
    "--endpoint-url",
    "--role-arn",
];

/// The command that checks a restore in full, from the words it was started with.
pub(crate) fn verify_command(words: impl IntoIterator<Item = OsString>) -> String {
    let (mut kept, mut environment) = (vec!["verifydb".to_owned()], false);
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        let shown = word.to_string_lossy();
        let (name, has_value) = shown
            .split_once('=')
            .map_or((&*shown, false), |(name, _)| (name, true));
        environment |= matches!(name, "--env" | "--no-env");

        if COPIED_FLAGS.contains(&name) {
            let value = if has_value { None } else { words.next() };
            kept.extend(
                [&word]
                    .into_iter()
                    .chain(&value)
                    .map(|word| format::shell_quoted(word)),
            );
        } else if name == "--no-env" {
            kept.push(name.to_owned());
        }
    }

    // Without an environment `verifydb` looks at the dump alone.
    if !environment {
        kept.push("--env=local".to_owned());
    }

    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::DateTime;

    use super::*;
    use crate::ops::restore::BoostNotReverted;
    use crate::ops::table_location::TableLocation;
    use crate::schema::Setting;
    use crate::store::WireBytes;

    fn place() -> TableLocation {
        TableLocation {
            environment: "local".to_owned(),
            table: "films".to_owned(),
            account: None,
            region: Some("us-east-1".to_owned()),
            endpoint: Some("http://localhost:4566".to_owned()),
            protected: false,
            local: true,
            credentials: "profile default, ~/.aws/credentials".to_owned(),
            from_process: Vec::new(),
        }
    }

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
            target: place(),
            table: TableOutcome::Created,
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
            data_bytes: 118_000,
            consumed_write_units: 312.0,
            throttled_calls: 0,
            verified: read_back(312, 0, 0, &[]),
            boost: None,
            settings: Vec::new(),
            not_restored: vec!["FutureField: this version does not know the field".to_owned()],
            seconds: 2.0,
        }
    }

    fn schema_dumped() -> DumpSummary {
        DumpSummary {
            source: place(),
            target: "backups/dynamodb/local".to_owned(),
            files: Vec::new(),
            items: 0,
            data_bytes: 0,
            file_bytes: 0,
            wire: WireBytes::default(),
            consumed_read_units: 0.0,
            segments: 1,
            resumed: 0,
            items_before: 0,
            data_bytes_before: 0,
            transformed: None,
            complete: false,
            not_captured: Vec::new(),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
            seconds: 0.5,
        }
    }

    #[test]
    fn a_dump_names_its_files_one_a_line() {
        let summary = DumpSummary {
            files: vec![
                "backups/dynamodb/local/table-data.json".to_owned(),
                "backups/dynamodb/local/x".to_owned(),
            ],
            items: 312,
            data_bytes: 118_000,
            consumed_read_units: 15.5,
            ..schema_dumped()
        };

        assert_eq!(
            dump(&summary, ContentScope::All),
            [
                "Dumped 312 items, 118.00 kB from table films in 0.50 s (624 items/s, 236.00 kB/s)",
                "  15.5 read units consumed",
                "  read between 1970-01-01T00:00:00Z and 1970-01-01T00:00:00Z: a Scan is not a moment in time",
                "  this is a part of the table, and marked as such",
                "Files:",
                "  backups/dynamodb/local/table-data.json",
                "  backups/dynamodb/local/x",
            ]
        );
    }

    #[test]
    fn a_dump_names_what_it_could_not_read() {
        let not_captured =
            vec!["ContinuousBackups: AccessDeniedException: eve is not authorized".to_owned()];
        let lines = dump(
            &DumpSummary {
                not_captured,
                ..schema_dumped()
            },
            ContentScope::SchemaOnly,
        );

        assert_eq!(
            lines[1..],
            [
                "Not captured:",
                "  ContinuousBackups: AccessDeniedException: eve is not authorized"
            ]
        );
    }

    #[test]
    fn a_dump_of_the_schema_claims_no_items() {
        let lines = dump(&schema_dumped(), ContentScope::SchemaOnly);
        assert_eq!(
            lines,
            ["Dumped the schema of table films in 0.50 s; no item was read"]
        );
    }

    #[test]
    fn a_whole_restore() {
        assert_eq!(
            restore(&restored()),
            [
                "Created table films of environment local in 2.00 s",
                "  312 items written, 118.00 kB, 312 write units consumed (156 items/s, 59.00 kB/s)",
                "  verified: all 312 items read back and equal, 40 read units consumed",
                "Not restored:",
                "  FutureField: this version does not know the field",
            ]
        );

        assert!(restore_problems(&restored()).is_empty());
    }

    #[test]
    fn every_lost_item_is_complained_about() {
        let summary = RestoreSummary {
            items_written: 309,
            items_rejected: 2,
            rejects_file: Some(PathBuf::from("prod-backup.restore-films.dev.rejects.jsonl")),
            verified: read_back(309, 3, 1, &["{\"id\":{\"S\":\"\u{1b}\"}}"]),
            items_lost: 4,
            ..restored()
        };

        assert!(!summary.is_whole());
        assert_eq!(
            restore_problems(&summary),
            [
                "2 items rejected, kept with the reasons in prod-backup.restore-films.dev.rejects.jsonl",
                "3 items of the dump missing in the table, 1 with other contents\n\
                 {\"id\":{\"S\":\"\\u{1b}\"}}",
            ]
        );

        assert!(
            restore(&summary)
                .contains(&"  NOT verified: only 309 items read back and equal".to_owned())
        );
    }

    #[test]
    fn what_is_rejected_or_skipped_is_not_called_verified() {
        let of = |rejected, skipped| RestoreSummary {
            items_written: 309,
            items_rejected: rejected,
            items_skipped: skipped,
            verified: read_back(309, 0, 0, &[]),
            ..restored()
        };

        for (summary, told) in [
            (of(3, 0), "rejected"),
            (of(0, 3), "skipped"),
            (of(1, 2), "rejected or skipped"),
        ] {
            let line = format!(
                "  verified: 309 items read back and equal, all but those {told}, 40 read units consumed"
            );
            assert!(restore(&summary).contains(&line), "{:?}", restore(&summary));
            assert!(
                restore_problems(&summary)
                    .iter()
                    .all(|words| words.contains("rejected")),
                "{:?}",
                restore_problems(&summary)
            );
        }
    }

    #[test]
    fn settings_are_applied_skipped_or_complained_about() {
        let outcome = |setting, what: &str, result, reason: Option<&str>| SettingOutcome {
            setting,
            what: what.to_owned(),
            result,
            reason: reason.map(str::to_owned),
        };

        let summary = RestoreSummary {
            settings: vec![
                outcome(Setting::Tags, "2 tags", SettingResult::Applied, None),
                outcome(
                    Setting::Kinesis,
                    "Kinesis destination clicks",
                    SettingResult::Skipped,
                    Some("another table"),
                ),
                outcome(
                    Setting::Ttl,
                    "TTL on expires",
                    SettingResult::Failed,
                    Some("UpdateTimeToLive failed: no"),
                ),
            ],
            not_restored: Vec::new(),
            ..restored()
        };

        assert_eq!(
            restore(&summary)[3..],
            [
                "Settings applied:",
                "  2 tags",
                "Settings skipped:",
                "  Kinesis destination clicks: another table"
            ]
        );

        assert_eq!(
            restore_problems(&summary),
            ["TTL on expires was not applied: UpdateTimeToLive failed: no"]
        );
        assert!(!summary.is_whole());
    }

    #[test]
    fn a_boost_that_stays_is_complained_about_with_the_way_out() {
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
        let line =
            "  boosted: on-demand while the items were written, provisioned 5 RCU / 5 WCU now";
        assert!(
            restore(&good).contains(&line.to_owned())
                && good.is_whole()
                && restore_problems(&good).is_empty()
        );

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
            restore_problems(&bad),
            [
                "the boost was not taken back, the table may not be provisioned 5 RCU / 5 WCU again: limit\n\
              do it by hand: aws dynamodb update-table"
            ]
        );
    }

    #[test]
    fn a_table_left_alone() {
        let summary = RestoreSummary {
            table: TableOutcome::Kept,
            ..restored()
        };
        assert_eq!(
            restore(&summary),
            ["Left alone: table films of environment local: nothing to do"]
        );
    }

    #[test]
    fn the_full_check_is_of_the_same_dump_and_the_same_table() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            verify_command(words(
                "./restoredb --env=dev --replace --verify none --source it's --boost-write-capacity 5 -q"
            )),
            r"verifydb --env=dev --source 'it'\''s'"
        );

        assert_eq!(
            verify_command(words("restoredb --yes --table b")),
            "verifydb --table b --env=local"
        );
        assert_eq!(
            verify_command(words("restoredb --no-env --region r --table b")),
            "verifydb --no-env --region r --table b"
        );
    }
}
