//! Text of plans.
//!
//! Each function takes plain data, so that its text can be tested without a store.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{cost, format};
use crate::ops::dump::DumpPlan;
use crate::ops::restore::{
    KeepReason, PlannedBoost, PlannedSetting, RestorePlan, Salvage, SourceFacts, TableAction,
    Verification, When,
};
use crate::ops::table_location::TableLocation;
use crate::ops::{AppliedCap, CapReason, ContentScope};
use crate::schema::{Difference, NotRecreated, SkippedSetting};

/// A label and its value.
pub(crate) type Row = (String, String);

/// A part of a plan with a heading of its own.
pub(crate) struct PlanSection {
    pub(crate) heading: &'static str,
    pub(crate) lines: Vec<String>,
}

impl PlanSection {
    pub(crate) fn new(heading: &'static str, lines: Vec<String>) -> Self {
        Self { heading, lines }
    }
}

/// The sections of a dump's plan.
pub(crate) fn dump(plan: &DumpPlan, content: ContentScope) -> Vec<PlanSection> {
    let mut source = location_rows(&plan.source);
    source.extend(plan.table.iter().cloned());
    let mut items = item_estimate(plan.items, plan.source.local);
    // The size is counted together with the items.
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
            scan_description(plan)
        } else {
            "no item: the schema alone".to_owned()
        },
    ));

    let mut sections = vec![
        PlanSection::new("Dump of", format::rows(&source)),
        PlanSection::new("Into", format::rows(&target)),
    ];
    sections.extend(transform_section(&plan.transform));

    sections
}

/// Heading of the transform's steps.
const ITEMS_HEADING: &str = "Items on the way";

/// The steps of the transform; `None` if there is none.
fn transform_section(steps: &[String]) -> Option<PlanSection> {
    if steps.is_empty() {
        return None;
    }

    let lines = steps.iter().map(|step| format!("  {}", one_line(step)));
    Some(PlanSection::new(ITEMS_HEADING, lines.collect()))
}

/// A text on one line, truncated: a filter may be a whole file.
fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 160;

    let full = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let truncated: String = full.chars().take(MAX_CHARS).collect();
    if truncated.len() < full.len() {
        format!("{truncated} …")
    } else {
        truncated
    }
}

/// Read units, segments and restrictions of the Scan.
fn scan_description(plan: &DumpPlan) -> String {
    // Without a count of items, the estimate would be zero, which is misleading.
    let units = if is_counted(plan.items, plan.source.local) {
        format!("about {} read units", format::units(plan.read_units))
    } else {
        "an unknown number of read units".to_owned()
    };

    let mut description = format!(
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
            description,
            ", those with {} (all are looked at and paid for)",
            one_line(filter)
        );
    }

    if let Some(projection) = &plan.projection {
        let _ = write!(description, ", of each its key and {projection}");
    }

    if let Some(limit) = plan.limit {
        let _ = write!(description, ", stops after {}", format::items(limit));
    }

    if let Some(cap) = &plan.max_read_units {
        let _ = write!(description, ", {}", cap_in_words(cap, "unit"));
    }

    description
}

/// The cap in force and its reason: `at most 50 units per second (half of …)`.
fn cap_in_words(cap: &AppliedCap, unit: &str) -> String {
    let Some(units) = cap.units_per_second else {
        return format!("no limit ({})", cap.reason);
    };

    let mut words = format!("at most {} per second", format::counted(units.into(), unit));
    if let Some(boosted) = cap.while_boosted {
        let _ = write!(words, ", {} while boosted", format::count(boosted.into()));
    }

    if cap.reason != CapReason::Requested {
        let _ = write!(words, " ({})", cap.reason);
    }

    words
}

/// The sections of a restore's plan; `now` is used to tell the age of the dump.
pub(crate) fn restore(plan: &RestorePlan, now: DateTime<Utc>) -> Vec<PlanSection> {
    let transform = transform_section(&plan.transform)
        .map(|section| section.lines)
        .unwrap_or_default();
    let notes = plan.notes.iter().map(|note| format!("  {note}")).collect();

    let sections = [
        PlanSection::new("Restore of", format::rows(&restore_source_rows(plan, now))),
        PlanSection::new("Into", format::rows(&restore_target_rows(plan))),
        PlanSection::new(ITEMS_HEADING, transform),
        PlanSection::new("Changed on the way", notes),
        PlanSection::new("Settings that are brought back", settings(&plan.settings)),
        PlanSection::new("Settings that are skipped", skipped(&plan.skipped)),
        PlanSection::new(
            "Settings that differ and stay as they are",
            differences(&plan.differences),
        ),
        PlanSection::new(
            "Settings of the dump that are not restored",
            not_restored(&plan.not_restored),
        ),
    ];

    sections
        .into_iter()
        .filter(|section| !section.lines.is_empty())
        .collect()
}

fn restore_source_rows(plan: &RestorePlan, now: DateTime<Utc>) -> Vec<Row> {
    let mut rows = source_rows(&plan.source, now);
    if let Some(resumed) = &plan.resumes {
        let (items, age) = (format::items(resumed.items), format::age(resumed.at, now));
        rows.push(row(
            "resumes",
            format!("behind {items} that are done, as of {age}"),
        ));
    }

    rows
}

fn restore_target_rows(plan: &RestorePlan) -> Vec<Row> {
    let mut rows = location_rows(&plan.target);
    rows.push(row("table is", action(&plan.action, plan.target.local)));
    rows.extend(plan.table.iter().cloned());

    if let Some(planned) = &plan.boost {
        rows.push(row("boost", boost(planned)));
    }

    if let Some(cap) = &plan.max_write_units {
        rows.push(row("writes", cap_in_words(cap, "write unit")));
    }

    // The dump's items are an upper bound: a transform or `--on-conflict skip` may write fewer.
    if let Some(cost) = &plan.write_cost_at_most {
        let cost = cost::rows(cost, "up to ");
        rows.extend(cost.into_iter().map(|(label, text)| row(label, text)));
    }

    // A table that is kept is not written, so nothing is verified.
    if !plan.action.keeps() {
        rows.push(row("check", verification_description(plan)));
    }

    rows
}

/// How the result is verified, with the read cap and the cost of a second pass over the dump.
fn verification_description(plan: &RestorePlan) -> String {
    let mut description = verification(plan.verify).to_owned();
    if let Some(cap) = &plan.max_read_units
        && plan.verify == Verification::Full
    {
        let _ = write!(description, ", {}", cap_in_words(cap, "read unit"));
    }

    if plan.verify == Verification::Full && !plan.transform.is_empty() {
        description.push_str("; the dump is transformed once more for it");
    }

    description
}

/// Environment, table, account, endpoint and credentials.
fn location_rows(location: &TableLocation) -> Vec<Row> {
    let protected = if location.protected {
        " (protected)"
    } else {
        ""
    };
    let mut rows = vec![
        row(
            "environment",
            format!("{}{protected}", location.environment),
        ),
        row("table", location.table.clone()),
    ];
    rows.extend(account_and_region(
        location.account_label(),
        location.region.as_deref(),
    ));
    rows.push(row(
        "endpoint",
        location.endpoint.as_deref().unwrap_or("AWS"),
    ));
    rows.push(row("credentials", location.credentials.clone()));
    rows.extend(
        location
            .sources
            .iter()
            .map(|source| row("note", source.clone())),
    );

    rows
}

/// Origin, age and contents of the dump or file.
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

    // The age counts from the end: later changes of the table are certainly not in the dump.
    if let Some(started) = source.started_at {
        let finished = source.finished_at.unwrap_or(started);
        rows.push(row(
            "made",
            format!(
                "{} ({} to {})",
                format::age(finished, now),
                format::timestamp(started),
                format::timestamp(finished)
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

    rows.extend(source.salvage.map(|counts| row("SALVAGE", salvage(counts))));

    rows
}

/// Readable and unreadable parts of a damaged dump.
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

/// Number and size of the items.
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

/// Account and region as far as they are known; engines other than AWS have no account.
fn account_and_region(account: Option<&str>, region: Option<&str>) -> Option<Row> {
    match (account, region) {
        (Some(account), Some(region)) => Some(row("account", format!("{account} in {region}"))),
        (Some(account), None) => Some(row("account", account)),
        (None, Some(region)) => Some(row("region", region)),
        (None, None) => None,
    }
}

/// Whether the number of items is meaningful. AWS updates `ItemCount` about every six hours, so zero may mean "not counted yet".
fn is_counted(items: u64, local: bool) -> bool {
    items > 0 || local
}

/// Approximate number of items in a table.
fn item_estimate(items: u64, local: bool) -> String {
    if is_counted(items, local) {
        format!("about {}", format::items(items))
    } else {
        "no items, or none that were counted yet (DynamoDB counts them about every six hours)"
            .to_owned()
    }
}

/// The action on the target table.
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
        TableAction::Keep {
            reason: KeepReason::Exists,
        } => "there, and is left as it is".to_owned(),
        TableAction::Keep {
            reason: KeepReason::HasItems,
        } => "exists and contains items; it will not be changed".to_owned(),
    }
}

/// The boost of the target table during the restore.
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
        When::Indexing | When::After => "after the items",
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

/// `path`, or `stream` if the path is `-`.
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
    use crate::schema::{Setting, Subject};

    fn location() -> TableLocation {
        TableLocation {
            environment: "prod".to_owned(),
            table: "films".to_owned(),
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            endpoint: None,
            protected: true,
            local: false,
            credentials: "profile default, ~/.aws/credentials".to_owned(),
            sources: vec!["region from AWS_REGION in the process environment".to_owned()],
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
            expired_items: None,
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

    fn setting(name: &str) -> Setting {
        name.parse().unwrap()
    }

    #[test]
    fn location_shows_protection_and_values_from_the_process_environment() {
        assert_eq!(
            format::rows(&location_rows(&location())),
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
    fn an_unknown_account_of_a_remote_table_is_shown() {
        let account = |local| {
            let unknown = TableLocation {
                account: None,
                local,
                ..location()
            };

            format::rows(&location_rows(&unknown)).swap_remove(2)
        };

        assert_eq!(account(false), "  account      unknown in eu-west-1");
        assert_eq!(account(true), "  region       eu-west-1");
    }

    #[test]
    fn source_shows_the_age_of_the_dump() {
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
    fn source_on_standard_input_has_few_rows() {
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
    fn replaced_table_is_announced_as_deleted() {
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
    fn settings_show_when_they_are_applied_or_why_not() {
        let planned = |setting, what: &str, when| PlannedSetting {
            setting,
            what: what.to_owned(),
            when,
        };

        assert_eq!(
            settings(&[
                planned(
                    Setting::CLASS,
                    "table class STANDARD_INFREQUENT_ACCESS",
                    When::Creation
                ),
                planned(setting("stream"), "stream (NEW_IMAGE)", When::Before),
                planned(setting("ttl"), "TTL on expires", When::After),
            ]),
            [
                "  at creation       table class STANDARD_INFREQUENT_ACCESS",
                "  before the items  stream (NEW_IMAGE)",
                "  after the items   TTL on expires",
            ]
        );

        let kinesis = SkippedSetting {
            setting: setting("kinesis"),
            what: "Kinesis destination clicks".to_owned(),
            reason: "the target is another table".to_owned(),
        };

        assert_eq!(
            skipped(&[kinesis]),
            ["  Kinesis destination clicks: the target is another table"]
        );
    }

    #[test]
    fn difference_shows_both_sides() {
        let difference = Difference {
            subject: Subject::Setting(Setting::BILLING),
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
