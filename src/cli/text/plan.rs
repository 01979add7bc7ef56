//! Plans in words: what a command is going to do, before it asks or acts.
//!
//! Each function takes the public facts of one part of a plan, so that its text can be seen without a store.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{cost, format};
use crate::ops::ContentScope;
use crate::ops::dump::DumpPlan;
use crate::ops::restore::{
    PlannedBoost, PlannedSetting, RestorePlan, Salvage, SourceFacts, TableAction, Verification,
    When,
};
use crate::ops::table_location::TableLocation;
use crate::schema::{Difference, NotRecreated, SkippedSetting};

/// A label and what stands behind it.
pub(crate) type Row = (String, String);

/// A heading and the lines below it.
pub(crate) type Section = (&'static str, Vec<String>);

/// The sections of the plan for a dump of `content`.
pub(crate) fn dump(plan: &DumpPlan, content: ContentScope) -> Vec<Section> {
    let mut source = location_rows(&plan.source);
    source.extend(plan.table.iter().cloned());
    let mut items = item_estimate(plan.items, plan.source.local);
    if plan.items > 0 {
        let _ = write!(items, ", {}", format::bytes(plan.bytes));
    }

    source.push(row("items", items));
    let mut target = vec![row("to", stream_or_path(&plan.target, "standard output"))];
    if plan.replaces {
        target.push(row("replaces", "what stands there, once this one is whole"));
    }

    if let Some(name) = plan.data_file {
        target.push(row("items in", name));
    }

    target.push(row(
        "reads",
        if content.includes_items() {
            read_summary(plan)
        } else {
            "no item: the schema alone".to_owned()
        },
    ));

    let mut sections = vec![
        ("Dump of", format::rows(&source)),
        ("Into", format::rows(&target)),
    ];
    sections.extend(transform_section(&plan.transform));

    sections
}

/// The heading of what happens to items.
const ITEMS_HEADING: &str = "Items on the way";

/// What happens to items on the way, if anything.
fn transform_section(lines: &[String]) -> Option<Section> {
    (!lines.is_empty()).then(|| {
        (
            ITEMS_HEADING,
            lines
                .iter()
                .map(|line| format!("  {}", one_line(line)))
                .collect(),
        )
    })
}

/// The beginning of a text on one line: a filter may be a file.
fn one_line(text: &str) -> String {
    const SHOWN: usize = 160;

    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = words.chars().take(SHOWN).collect();
    if shown.len() < words.len() {
        format!("{shown} …")
    } else {
        shown
    }
}

fn read_summary(plan: &DumpPlan) -> String {
    let units = if is_counted(plan.items, plan.source.local) {
        format!("about {} read units", format::units(plan.read_units))
    } else {
        "an unknown number of read units".to_owned()
    };

    let mut reads = format!(
        "{units}, {}, {} reads",
        format::counted(plan.segments.into(), "segment"),
        if plan.consistent_read {
            "strongly consistent"
        } else {
            "eventually consistent"
        },
    );

    if let Some(filter) = &plan.filter {
        let _ = write!(
            reads,
            ", those with {} (all are looked at and paid for)",
            one_line(filter)
        );
    }

    if let Some(projection) = &plan.projection {
        let _ = write!(reads, ", of each its key and {projection}");
    }

    if let Some(limit) = plan.limit {
        let _ = write!(reads, ", stops after {}", format::items(limit));
    }

    if let Some(cap) = plan.max_read_units {
        let _ = write!(
            reads,
            ", at most {} per second",
            format::counted(cap.into(), "unit")
        );
    }

    reads
}

/// The sections of a restore's plan at a moment.
pub(crate) fn restore(plan: &RestorePlan, now: DateTime<Utc>) -> Vec<Section> {
    let mut target = location_rows(&plan.target);
    target.push(row("table is", action(&plan.action, plan.target.local)));
    target.extend(plan.table.iter().cloned());
    target.extend(
        plan.boost
            .iter()
            .map(|planned| row("boost", boost(planned))),
    );

    if let Some(cap) = plan.max_write_units {
        target.push(row(
            "writes",
            format!(
                "at most {} per second",
                format::counted(cap.into(), "write unit")
            ),
        ));
    }

    let cost = plan
        .write_cost_at_most
        .as_ref()
        .map(|cost| cost::rows(cost, "up to "))
        .unwrap_or_default();

    target.extend(cost.into_iter().map(|(label, words)| row(label, words)));

    if plan.action != TableAction::Keep {
        let again = if plan.transform.is_empty() {
            ""
        } else {
            "; the dump is transformed once more for it"
        };

        let again = if plan.verify == Verification::Full {
            again
        } else {
            ""
        };

        let read = |cap: u32| {
            format!(
                ", at most {} per second",
                format::counted(cap.into(), "read unit")
            )
        };

        let read = plan.max_read_units.map(read).unwrap_or_default();
        target.push(row(
            "check",
            format!("{}{read}{again}", verification(plan.verify)),
        ));
    }

    let mut source = source_rows(&plan.source, now);
    if let Some(resumed) = &plan.resumes {
        let (items, age) = (format::items(resumed.items), format::age(resumed.at, now));
        source.push(row(
            "resumes",
            format!("behind {items} that are done, as of {age}"),
        ));
    }

    let on_the_way = transform_section(&plan.transform)
        .map(|(_, lines)| lines)
        .unwrap_or_default();
    let sections = [
        ("Restore of", format::rows(&source)),
        ("Into", format::rows(&target)),
        (ITEMS_HEADING, on_the_way),
        (
            "Changed on the way",
            plan.notes.iter().map(|note| format!("  {note}")).collect(),
        ),
        ("Settings that are brought back", settings(&plan.settings)),
        ("Settings that are skipped", skipped(&plan.skipped)),
        (
            "Settings that differ and stay as they are",
            differences(&plan.differences),
        ),
        (
            "Settings of the dump that are not restored",
            not_restored(&plan.not_restored),
        ),
    ];

    sections
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .collect()
}

/// Where a table is.
fn location_rows(place: &TableLocation) -> Vec<Row> {
    let protected = if place.protected { " (protected)" } else { "" };
    let mut rows = vec![
        row("environment", format!("{}{protected}", place.environment)),
        row("table", place.table.clone()),
    ];
    rows.extend(account_and_region(
        place.account.as_deref(),
        place.region.as_deref(),
    ));
    rows.push(row("endpoint", place.endpoint.as_deref().unwrap_or("AWS")));
    rows.push(row("credentials", place.credentials.clone()));
    rows.extend(
        place
            .from_process
            .iter()
            .map(|taken| row("note", taken.clone())),
    );

    rows
}

fn source_rows(source: &SourceFacts, now: DateTime<Utc>) -> Vec<Row> {
    let mut rows = vec![row(
        "from",
        format!(
            "{} ({})",
            stream_or_path(&source.path, "standard input"),
            source.kind
        ),
    )];

    if let Some(environment) = &source.environment {
        rows.push(row("environment", environment.clone()));
    }

    if let Some(table) = &source.table {
        rows.push(row("table", table.clone()));
    }

    rows.extend(account_and_region(
        source.account.as_deref(),
        source.region.as_deref(),
    ));

    if let Some(began) = source.started_at {
        let ended = source.finished_at.unwrap_or(began);
        rows.push(row(
            "made",
            format!(
                "{} ({} to {})",
                format::age(ended, now),
                format::timestamp(began),
                format::timestamp(ended)
            ),
        ));
    }

    rows.push(row("items", contents(source)));

    if source.transformed {
        rows.push(row(
            "changed",
            "its items are not the table's own: they were changed when it was made",
        ));
    }

    rows.extend(
        source
            .mask_rules_sha256
            .iter()
            .map(|sha256| row("masked", format!("by rules of SHA-256 {sha256}"))),
    );

    rows.extend(source.salvage.map(|found| row("SALVAGE", salvage(found))));

    rows
}

/// What of a damaged dump can be read.
fn salvage(salvage: Salvage) -> String {
    let promised = salvage.promised.map_or_else(String::new, |items| {
        format!(" of {} promised", format::items(items))
    });
    format!(
        "{} readable{promised}, {} not",
        format::items(salvage.readable),
        format::counted(salvage.unreadable, "piece")
    )
}

fn contents(source: &SourceFacts) -> String {
    let whole = if source.complete {
        ""
    } else {
        ", a part of the table"
    };

    match (source.items, source.bytes) {
        (Some(items), Some(bytes)) => {
            format!("{}, {}{whole}", format::items(items), format::bytes(bytes))
        }
        (Some(items), None) => format!("{}{whole}", format::items(items)),
        (None, _) => format!("not known before the end{whole}"),
    }
}

/// Account and region as far as they are known: engines that are not AWS have no account.
fn account_and_region(account: Option<&str>, region: Option<&str>) -> Option<Row> {
    match (account, region) {
        (Some(account), Some(region)) => Some(row("account", format!("{account} in {region}"))),
        (Some(account), None) => Some(row("account", account)),
        (None, Some(region)) => Some(row("region", region)),
        (None, None) => None,
    }
}

/// Whether a count of items says something. One of nought does not of a table at AWS, which may have been filled in the last hours.
fn is_counted(items: u64, local: bool) -> bool {
    items > 0 || local
}

/// What a table holds.
fn item_estimate(items: u64, local: bool) -> String {
    if is_counted(items, local) {
        format!("about {}", format::items(items))
    } else {
        "no items, or none that were counted yet (DynamoDB counts them about every six hours)"
            .to_owned()
    }
}

fn action(action: &TableAction, local: bool) -> String {
    match action {
        TableAction::Create => "missing, and will be created".to_owned(),
        TableAction::CreateWhenDeleted => {
            "being deleted; it will be created when it is gone".to_owned()
        }
        TableAction::Add { items } => {
            format!(
                "there with {}; items are added",
                item_estimate(*items, local)
            )
        }
        TableAction::Replace { items } => {
            format!(
                "there with {}; it will be DELETED and created anew",
                item_estimate(*items, local)
            )
        }
        TableAction::Keep => "there, and is left as it is".to_owned(),
    }
}

fn boost(boost: &PlannedBoost) -> String {
    match boost {
        PlannedBoost::Raise { to, back_to } => {
            format!("{to} while the items are written, then {back_to}")
        }
        PlannedBoost::Revert { back_to } => {
            format!("left by an earlier restore, and taken back: {back_to} at the end")
        }
        PlannedBoost::LeftInPlace { back_to } => {
            format!(
                "left by an interrupted restore, and NOT reverted ({back_to}): run that restore again to revert it"
            )
        }
        PlannedBoost::Nothing { reason } => format!("none: {reason}"),
    }
}

fn verification(verification: Verification) -> &'static str {
    match verification {
        Verification::None => "none",
        Verification::Acknowledged => "acknowledgements only, items are not read back",
        Verification::Full => "full: every item is read back and compared",
    }
}

fn differences(differences: &[Difference]) -> Vec<String> {
    let rows = differences.iter().map(|difference| {
        row(
            &difference.setting,
            format!("dump: {} / table: {}", difference.dump, difference.table),
        )
    });

    format::rows(&rows.collect::<Vec<_>>())
}

fn settings(settings: &[PlannedSetting]) -> Vec<String> {
    let rows = settings
        .iter()
        .map(|planned| row(phase_label(planned.when), planned.what.clone()));
    format::rows(&rows.collect::<Vec<_>>())
}

fn phase_label(when: When) -> &'static str {
    match when {
        When::Creation => "at creation",
        When::Before => "before the items",
        When::After => "after the items",
    }
}

fn skipped(settings: &[SkippedSetting]) -> Vec<String> {
    format::grouped_by_reason(
        settings
            .iter()
            .map(|skipped| (skipped.what.as_str(), skipped.reason.as_str())),
    )
}

fn not_restored(settings: &[NotRecreated]) -> Vec<String> {
    let rows = settings
        .iter()
        .map(|setting| row(&setting.setting, setting.reason.clone()));
    format::rows(&rows.collect::<Vec<_>>())
}

fn stream_or_path(path: &str, stream: &str) -> String {
    if path == "-" {
        stream.to_owned()
    } else {
        path.to_owned()
    }
}

fn row(label: &str, value: impl Into<String>) -> Row {
    (label.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Setting;

    fn place() -> TableLocation {
        TableLocation {
            environment: "prod".to_owned(),
            table: "films".to_owned(),
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            endpoint: None,
            protected: true,
            local: false,
            credentials: "profile default, ~/.aws/credentials".to_owned(),
            from_process: vec!["region from AWS_REGION in the process environment".to_owned()],
        }
    }

    fn facts() -> SourceFacts {
        let at = |text: &str| Some(DateTime::parse_from_rfc3339(text).unwrap().to_utc());
        SourceFacts {
            path: "./prod-backup".to_owned(),
            kind: "dump",
            environment: Some("prod".to_owned()),
            table: Some("films".to_owned()),
            account: None,
            region: Some("eu-west-1".to_owned()),
            started_at: at("2026-11-17T09:00:00Z"),
            finished_at: at("2026-11-17T09:00:42Z"),
            items: Some(312),
            bytes: Some(118_000),
            complete: true,
            partial: Vec::new(),
            transformed: false,
            mask_rules_sha256: None,
            salvage: None,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-20T12:00:00Z")
            .unwrap()
            .to_utc()
    }

    #[test]
    fn a_place_says_that_it_is_protected_and_what_the_process_named() {
        assert_eq!(
            format::rows(&location_rows(&place())),
            [
                "  environment  prod (protected)",
                "  table        films",
                "  account      123456789012 in eu-west-1",
                "  endpoint     AWS",
                "  credentials  profile default, ~/.aws/credentials",
                "  note         region from AWS_REGION in the process environment",
            ]
        );
    }

    #[test]
    fn a_dump_says_how_old_it_is() {
        assert_eq!(
            format::rows(&source_rows(&facts(), now())),
            [
                "  from         ./prod-backup (dump)",
                "  environment  prod",
                "  table        films",
                "  region       eu-west-1",
                "  made         3 days ago (2026-11-17T09:00:00Z to 2026-11-17T09:00:42Z)",
                "  items        312 items, 118.00 kB",
            ]
        );
    }

    #[test]
    fn standard_input_says_little() {
        let facts = SourceFacts {
            path: "-".to_owned(),
            kind: "items",
            environment: None,
            table: None,
            region: None,
            started_at: None,
            finished_at: None,
            items: None,
            bytes: None,
            complete: false,
            ..facts()
        };

        assert_eq!(
            format::rows(&source_rows(&facts, now())),
            [
                "  from   standard input (items)",
                "  items  not known before the end, a part of the table"
            ]
        );
    }

    #[test]
    fn a_replaced_table_is_said_to_die() {
        let replaced = |items, local| action(&TableAction::Replace { items }, local);
        assert_eq!(
            replaced(1, false),
            "there with about 1 item; it will be DELETED and created anew"
        );
        assert_eq!(
            replaced(0, true),
            "there with about 0 items; it will be DELETED and created anew"
        );
        assert_eq!(
            replaced(0, false),
            "there with no items, or none that were counted yet (DynamoDB counts them about every six hours); \
             it will be DELETED and created anew"
        );
    }

    #[test]
    fn a_setting_says_when_it_comes_or_why_it_does_not() {
        let planned = |setting, what: &str, when| PlannedSetting {
            setting,
            what: what.to_owned(),
            when,
        };

        assert_eq!(
            settings(&[
                planned(
                    Setting::Class,
                    "table class STANDARD_INFREQUENT_ACCESS",
                    When::Creation
                ),
                planned(Setting::Stream, "stream (NEW_IMAGE)", When::Before),
                planned(Setting::Ttl, "TTL on expires", When::After),
            ]),
            [
                "  at creation       table class STANDARD_INFREQUENT_ACCESS",
                "  before the items  stream (NEW_IMAGE)",
                "  after the items   TTL on expires",
            ]
        );

        let kinesis = SkippedSetting {
            setting: Setting::Kinesis,
            what: "Kinesis destination clicks".to_owned(),
            reason: "the target is another table".to_owned(),
        };

        assert_eq!(
            skipped(&[kinesis]),
            ["  Kinesis destination clicks: the target is another table"]
        );
    }

    #[test]
    fn both_sides_of_a_difference_are_named() {
        let difference = Difference {
            setting: "billing".to_owned(),
            dump: "on-demand".to_owned(),
            table: "provisioned".to_owned(),
        };

        assert_eq!(
            differences(&[difference]),
            ["  billing  dump: on-demand / table: provisioned"]
        );
    }
}
