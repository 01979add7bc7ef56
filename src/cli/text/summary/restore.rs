//! Text of a restore's summary.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::{NO_REASON, key_collisions};
use crate::cli::text::format;
use crate::ops::restore::{
    BoostOutcome, KeepReason, RestoreSummary, SettingOutcome, SettingResult, TableOutcome, Verified,
};

/// The summary of a restore, headline first.
pub(crate) fn restore(summary: &RestoreSummary) -> Vec<String> {
    if summary.table == TableOutcome::Kept {
        let reason = match summary.kept_because {
            Some(KeepReason::HasItems) => "it contains items; nothing was written",
            Some(KeepReason::Exists) | None => "nothing to do",
        };
        return vec![format!("{}: {reason}", table(summary))];
    }

    let mut lines = vec![
        format!("{} in {}", table(summary), format::seconds(summary.seconds)),
        written(summary),
    ];

    lines.extend(source_lines(summary));
    lines.extend(existing_item_lines(summary));

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
        let settings = summary.not_restored.iter();
        lines.extend(settings.map(|setting| format!("  {setting}")));
    }

    lines
}

/// Items of the source that were not written as they are: transformed, superseded or overwritten.
fn source_lines(summary: &RestoreSummary) -> Vec<String> {
    let mut lines = Vec::new();

    // A transform may also return several items for one.
    let is_transformed = summary.items_changed + summary.items_left_out > 0
        || summary.items_out > summary.items_read;
    if is_transformed {
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

    lines
}

/// Items whose keys were in the table before, with `--on-conflict skip` or `fail`.
fn existing_item_lines(summary: &RestoreSummary) -> Vec<String> {
    let mut lines = Vec::new();
    if summary.items_already_there > 0 {
        lines.push(format!(
            "  {} of them were there already, equal",
            format::items(summary.items_already_there)
        ));
    }

    if summary.items_skipped > 0 {
        let items = format::items(summary.items_skipped);
        let file = summary.conflicts_file.as_ref();
        let file = file.map_or_else(String::new, |file| format!(": {}", file.display()));
        lines.push(format!(
            "  {items} skipped, for the table has others with their keys{file}"
        ));
    }

    lines
}

/// The boost and the capacity after it. A boost that was not reverted is a problem, see [`restore_problems`].
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

/// Applied and skipped settings. Failed settings are problems, see [`restore_problems`].
fn settings(settings: &[SettingOutcome]) -> Vec<String> {
    let with_result = |result| {
        settings
            .iter()
            .filter(move |setting| setting.result == result)
    };

    let applied: Vec<_> = with_result(SettingResult::Applied)
        .map(|setting| format!("  {}", setting.what))
        .collect();
    let skipped =
        with_result(SettingResult::Skipped).map(|setting| (setting.what.as_str(), reason(setting)));
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

/// Problems of a finished restore; any of them makes the exit code [`PARTIAL`](crate::cli::exit::PARTIAL).
pub(crate) fn restore_problems(summary: &RestoreSummary) -> Vec<String> {
    let mut problems = Vec::new();
    // A salvaged dump is never complete, even if every readable item was written.
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
        problems.extend(rejected_by_index(summary));
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

/// The table and what was done to it.
fn table(summary: &RestoreSummary) -> String {
    let action = match summary.table {
        TableOutcome::Created => "Created table",
        TableOutcome::AddedTo => "Added to table",
        TableOutcome::Replaced => "Replaced table",
        TableOutcome::Kept => "Left alone: table",
    };

    format!(
        "{action} {} of environment {}",
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
    // The counts of a resumed restore include earlier runs, the time does not.
    if summary.resumed.is_none()
        && let Some(rate) = rate
    {
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
            let (all, except) = match (summary.items_rejected, summary.items_skipped) {
                (0, 0) => ("all ", ""),
                (0, _) => ("", ", all but those skipped"),
                (_, 0) => ("", ", all but those rejected"),
                _ => ("", ", all but those rejected or skipped"),
            };

            let line = format!(
                "  verified: {all}{items} read back and equal{except}, {units} read units consumed"
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

/// Options of `restoredb` that select the dump and the table; `verifydb` has them too. Each takes a value.
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

/// The `verifydb` command that compares every item, derived from the arguments of a `restoredb` command.
pub(crate) fn verify_command(arguments: impl IntoIterator<Item = OsString>) -> String {
    let (mut command, mut has_environment) = (vec!["verifydb".to_owned()], false);
    let mut arguments = arguments.into_iter().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let (name, has_value) = text
            .split_once('=')
            .map_or((&*text, false), |(name, _)| (name, true));
        has_environment |= matches!(name, "--env" | "--no-env");

        if COPIED_FLAGS.contains(&name) {
            let value = if has_value { None } else { arguments.next() };
            command.push(format::shell_quoted(&argument));
            command.extend(value.map(|value| format::shell_quoted(&value)));
        } else if name == "--no-env" {
            command.push(name.to_owned());
        }
    }

    // Without an environment, `verifydb` would only check the dump itself.
    if !has_environment {
        command.push("--env=local".to_owned());
    }

    command.join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::testing::location;
    use super::*;
    use crate::ops::restore::BoostNotReverted;
    use crate::schema::Setting;
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
            target: location(),
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
            rejected_by_index: std::collections::BTreeMap::new(),
            data_bytes: 118_000,
            consumed_write_units: 312.0,
            throttled_calls: 0,
            verified: read_back(312, 0, 0, &[]),
            boost: None,
            settings: Vec::new(),
            not_restored: vec!["FutureField: this version does not support the field".to_owned()],
            seconds: 2.0,
        }
    }

    fn setting(name: &str) -> Setting {
        name.parse().unwrap()
    }

    #[test]
    fn complete_restore() {
        assert_eq!(
            restore(&restored()),
            [
                "Created table films of environment local in 2.00 s",
                "  312 items written, 118.00 kB, 312 write units consumed (156 items/s, 59.00 kB/s)",
                "  verified: all 312 items read back and equal, 40 read units consumed",
                "Not restored:",
                "  FutureField: this version does not support the field",
            ]
        );

        assert!(restore_problems(&restored()).is_empty());
    }

    #[test]
    fn lost_items_are_problems() {
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
            let line = format!(
                "  verified: 309 items read back and equal, all but those {exception}, 40 read units consumed"
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
    fn kept_table() {
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
    fn verify_command_has_the_same_dump_and_table() {
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
