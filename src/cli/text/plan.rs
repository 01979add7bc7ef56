//! Rows of plans.
//!
//! Each function takes plain data, so that its rows can be tested without a store.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::backup::{backup_rows, managed_backup_rows};
use super::scan::{Reads, cap_in_words, one_line, scan_rows};
use super::{cost, format};
use crate::layout::{RowGroup, Rows};
use crate::ops::dump::DumpPlan;
use crate::ops::restore::{
    KeepReason, PlannedBoost, RestorePlan, Salvage, ScanFacts, SourceFacts, TableAction,
    Verification, When,
};
use crate::ops::table_location::TableLocation;
use crate::ops::{AdviceReason, ContentScope, PlannedBackup, RouteAdvice};
use crate::schema::TableOutline;

/// The rows of a dump's plan.
pub(crate) fn dump(plan: &DumpPlan, content: ContentScope) -> Rows {
    let mut rows = Rows::new();
    let source = rows.group("Source");
    source.row("table", table_name(&plan.source));
    location_rows(source, &plan.source);
    outline_rows(source, &plan.outline);
    source.row(
        "items",
        counted_by_dynamodb(plan.items, plan.bytes, plan.source.local),
    );

    let target = rows.group("Target");
    let replaces = if plan.replaces {
        ", replaces the existing dump on success"
    } else {
        ""
    };
    let path = stream_or_path(&plan.target, "standard output");
    target.row("dump", format!("{path}{replaces}"));
    if let Some(name) = plan.data_file {
        target.detail("data file", name);
    }

    if let Some(backup) = &plan.backup {
        backup_rows(target, backup);
    } else if content.includes_items() {
        scan_rows(target, &reads_of_dump(plan));
        target.list("alternative", plan.advice.as_ref().map(alternative));
    } else {
        target.row("reads", "no items, only the schema");
    }

    transform_rows(&mut rows, &plan.transform);

    rows
}

/// The better route, with what it costs.
fn alternative(advice: &RouteAdvice) -> String {
    let reason = match advice.reason {
        AdviceReason::LargeTable => "takes minutes, whatever the size of the table",
        AdviceReason::ProtectedCapacity => "does not use the capacity of the protected table",
    };
    let price = advice.storage_per_month.as_ref();
    let storage = price.map_or_else(String::new, |price| {
        let price = cost::price_in_words(price, "");
        format!(", price {price} per month of storage")
    });
    let restore = advice.restore.as_ref().map_or_else(String::new, |price| {
        format!(" and {} to restore it", cost::price_in_words(price, ""))
    });

    format!(
        "--route {} {reason}: {} read units{storage}{restore}; DynamoDB keeps the data",
        advice.route, advice.read_units
    )
}

/// Number and size of the items by DynamoDB's count.
fn counted_by_dynamodb(items: u64, bytes: u64, local: bool) -> String {
    let estimate = item_estimate(items, local);
    // The size is counted together with the items.
    if items > 0 {
        format!("{estimate}, {} in the table", format::bytes(bytes))
    } else {
        estimate
    }
}

fn reads_of_dump(plan: &DumpPlan) -> Reads<'_> {
    Reads {
        is_counted: is_counted(plan.items, plan.source.local),
        read_units: plan.read_units,
        cost: plan.scan_cost.as_ref(),
        is_local: plan.source.local,
        consistent_read: plan.consistent_read,
        cap: plan.max_read_units.as_ref(),
        limit: plan.limit,
        segments: plan.segments,
        filter: plan.filter.as_deref(),
        projection: plan.projection.as_deref(),
    }
}

/// The live table of a copy: where it is, and how it is read.
fn source_table_rows(group: &mut RowGroup, scan: &ScanFacts, backup: Option<&PlannedBackup>) {
    let location = &scan.location;
    group.row("table", table_name(location));
    location_rows(group, location);
    outline_rows(group, &scan.outline);
    group.row(
        "items",
        counted_by_dynamodb(scan.items, scan.bytes, location.local),
    );
    if let Some(backup) = backup {
        backup_rows(group, backup);
        group.row("restore", "by DynamoDB, which may take hours");
        return;
    }

    scan_rows(
        group,
        &Reads {
            is_counted: is_counted(scan.items, location.local),
            read_units: scan.read_units,
            cost: scan.scan_cost.as_ref(),
            is_local: location.local,
            consistent_read: scan.consistent_read,
            cap: scan.max_read_units.as_ref(),
            limit: scan.limit,
            segments: scan.segments,
            filter: scan.filter.as_deref(),
            projection: scan.projection.as_deref(),
        },
    );
    group.list("alternative", scan.advice.as_ref().map(alternative));
}

/// The steps of a transform.
pub(super) fn transform_rows(rows: &mut Rows, steps: &[String]) {
    rows.group("Transform")
        .list("steps", steps.iter().map(|step| one_line(step)));
}

/// The rows of a restore's plan; `now` is used to tell the age of the dump.
pub(crate) fn restore(plan: &RestorePlan, now: DateTime<Utc>) -> Rows {
    let mut rows = Rows::new();
    let source = rows.group("Source");
    match (&plan.source.scan, &plan.restored_from) {
        (Some(scan), _) => source_table_rows(source, scan, plan.backup.as_ref()),
        (None, Some(origin)) => {
            origin_rows(source, &plan.source, now);
            managed_backup_rows(source, origin, plan.source.settings_origin);
            let price = plan.restore_price.as_ref();
            source.list("price", price.map(|price| cost::price_in_words(price, "")));
        }
        (None, None) => {
            origin_rows(source, &plan.source, now);
            item_rows(source, &plan.source);
        }
    }

    if let Some(resumed) = &plan.resumes {
        let (items, age) = (format::count(resumed.items), format::age(resumed.at, now));
        source.row(
            "resumes",
            format!("after {items} completed items, saved {age}"),
        );
    }

    let target = rows.group("Target");
    let action = match plan.action {
        TableAction::Add { .. } if is_by_dynamodb(plan) => {
            "exists; its restore is completed".to_owned()
        }
        _ => table_action(&plan.action, plan.target.local),
    };
    target.row("table", format!("{} {action}", table_name(&plan.target)));
    location_rows(target, &plan.target);
    if let Some(outline) = &plan.outline {
        outline_rows(target, outline);
    }

    target.list("overrides", &plan.notes);
    setting_rows(target, plan);
    write_rows(target, plan);
    transform_rows(&mut rows, &plan.transform);

    rows
}

/// Whether DynamoDB restores the table from a backup.
fn is_by_dynamodb(plan: &RestorePlan) -> bool {
    plan.restored_from.is_some() || plan.backup.is_some()
}

/// Capacity, cost and verification of a restore.
fn write_rows(group: &mut RowGroup, plan: &RestorePlan) {
    group.list("boost", plan.boost.iter().map(boost));

    if let Some(cap) = &plan.max_write_units {
        group.row("writes", cap_in_words(cap, "write unit"));
    }

    // The dump's items are an upper bound: a transform or `--on-conflict skip` may write fewer.
    if let Some(cost) = &plan.write_cost_at_most {
        cost::rows(group, cost, "up to ");
    }

    if plan.deletes_extra() {
        group.row(
            "deletes",
            "items that the source does not have; both tables are read again to find them",
        );
    }

    // A table that is kept is not written, so nothing is verified.
    if !plan.action.keeps() && !is_by_dynamodb(plan) {
        group.row("verification", verification_description(plan));
    }
}

/// How the result is verified, with the read cap and the cost of a second pass over the dump.
pub(super) fn verification_description(plan: &RestorePlan) -> String {
    let mut description = verification(plan.verify).to_owned();
    if let Some(cap) = &plan.max_read_units
        && plan.verify == Verification::Full
    {
        let _ = write!(description, ", {}", cap_in_words(cap, "read unit"));
    }

    if plan.verify == Verification::Full && !plan.transform.is_empty() {
        let _ = write!(
            description,
            "; the {} is transformed again for this",
            plan.source.noun()
        );
    }

    description
}

/// `films (prod, protected)`.
fn table_name(location: &TableLocation) -> String {
    let protected = if location.protected {
        ", protected"
    } else {
        ""
    };
    format!("{} ({}{protected})", location.table, location.environment)
}

/// Account, endpoint and credentials.
pub(super) fn location_rows(group: &mut RowGroup, location: &TableLocation) {
    group.row("endpoint", location.location());
    // Local engines accept any credentials.
    if location.local && !location.protected {
        group.detail("credentials", location.credentials.clone());
    } else {
        group.row("credentials", location.credentials.clone());
    }

    group.list("note", &location.sources);
}

/// Keys, indexes and billing: one line, or one for each.
fn outline_rows(group: &mut RowGroup, outline: &TableOutline) {
    let keys: Vec<_> = outline.keys.iter().map(|(_, words)| &**words).collect();
    let indexes = match outline.indexes.len() as u64 {
        0 => String::new(),
        1 => "; 1 index".to_owned(),
        count => format!("; {} indexes", format::count(count)),
    };
    group.short(
        "schema",
        format!("{}{indexes}; {}", keys.join(", "), outline.billing),
    );

    for (label, words) in outline.rows() {
        group.detail(label, words);
    }
}

/// Origin, age and contents of the dump or file.
fn origin_rows(group: &mut RowGroup, source: &SourceFacts, now: DateTime<Utc>) {
    let path = stream_or_path(&source.path, "standard input");
    // The age counts from the end: later changes of the table are certainly not in the dump.
    let finished = source.finished_at.or(source.started_at);
    let age = finished.map_or_else(String::new, |finished| {
        format!(", created {}", format::age(finished, now))
    });
    group.row("from", format!("{path} ({}{age})", source.kind));

    let environment = source.environment.as_ref();
    let environment = environment.map_or_else(String::new, |name| format!(" ({name})"));
    let place = account_and_region(source.account.as_deref(), source.region.as_deref());
    group.list(
        "table",
        source
            .table
            .iter()
            .map(|table| format!("{table}{environment}{place}")),
    );
}

/// The items of the source.
fn item_rows(group: &mut RowGroup, source: &SourceFacts) {
    if let Some(started) = source.started_at {
        let finished = source.finished_at.unwrap_or(started);
        group.detail("scanned", scan_period(started, finished));
    }

    group.row("items", contents(source));

    if source.transformed {
        group.row(
            "transformed",
            "items were changed when the dump was created",
        );
    }

    let masked = source.mask_rules_sha256.iter();
    group.list("masked", masked.map(|sha256| masked_by(sha256)));
    group.list("salvage", source.salvage.map(salvage));
}

/// The times between which a Scan read the items.
pub(super) fn scan_period(started: DateTime<Utc>, finished: DateTime<Utc>) -> String {
    format!(
        "{} to {} (not a point-in-time snapshot)",
        format::timestamp(started),
        format::timestamp(finished)
    )
}

/// The rules of a mask, by their digest.
pub(super) fn masked_by(sha256: &str) -> String {
    format!("by rules with SHA-256 {sha256}")
}

/// Readable and unreadable parts of a damaged dump.
fn salvage(salvage: Salvage) -> String {
    let promised = salvage
        .promised
        .map_or_else(String::new, |items| format!(" of {}", format::items(items)));
    format!(
        "{}{promised} readable, {} unreadable",
        format::count(salvage.readable),
        format::counted(salvage.unreadable, "part")
    )
}

/// Number and size of the items.
fn contents(source: &SourceFacts) -> String {
    let part = if source.complete {
        ""
    } else {
        ", part of the table"
    };

    match (source.items, source.bytes) {
        (Some(items), Some(bytes)) => {
            let bytes = format::bytes(bytes);
            format!("{}, {bytes} as JSON{part}", format::items(items))
        }
        (Some(items), None) => format!("{}{part}", format::items(items)),
        (None, _) => format!("number not known before the end{part}"),
    }
}

/// Account and region of a dumped table, as far as they are known.
pub(super) fn account_and_region(account: Option<&str>, region: Option<&str>) -> String {
    let account = account.map(|account| format!(", account {account}"));
    let region = region.map(|region| format!(" in {region}"));
    [account, region].into_iter().flatten().collect()
}

/// Whether the number of items is meaningful. AWS updates `ItemCount` about every six hours, so zero may mean "not counted yet".
pub(super) fn is_counted(items: u64, local: bool) -> bool {
    items > 0 || local
}

/// Approximate number of items in a table.
pub(super) fn item_estimate(items: u64, local: bool) -> String {
    if is_counted(items, local) {
        format!("~{}", format::items(items))
    } else {
        "no items, or not counted yet: DynamoDB counts them about every six hours".to_owned()
    }
}

/// The action on the target table.
pub(super) fn table_action(action: &TableAction, local: bool) -> String {
    match action {
        TableAction::Create => "will be created".to_owned(),
        TableAction::CreateWhenDeleted => {
            "is being deleted, and will be created afterwards".to_owned()
        }
        TableAction::Add { items } => {
            let items = item_estimate(*items, local);
            format!("exists ({items}); items will be merged into it")
        }
        TableAction::Replace { items } => {
            let items = item_estimate(*items, local);
            format!("exists ({items}); it will be DELETED and recreated")
        }
        TableAction::Keep {
            reason: KeepReason::Exists,
        } => "exists and will not be changed".to_owned(),
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
            format!("left by an earlier restore; reverted to {back_to} at the end")
        }
        PlannedBoost::LeftInPlace { back_to } => {
            format!(
                "left by an interrupted restore, and NOT reverted to {back_to}: run that restore again to revert it"
            )
        }
        PlannedBoost::Nothing { reason } => format!("none: {reason}"),
    }
}

fn verification(verification: Verification) -> &'static str {
    match verification {
        Verification::None => "none",
        Verification::Acknowledged => "every write is acknowledged; items are not read back",
        Verification::Full => "every item is read back and compared",
    }
}

/// Settings that are restored, and those that are not.
fn setting_rows(group: &mut RowGroup, plan: &RestorePlan) {
    if !plan.settings.is_empty() {
        let names: Vec<_> = plan.settings.iter().map(|planned| &*planned.what).collect();
        group.short("settings", names.join(", "));
    }

    for planned in &plan.settings {
        let (what, phase) = (&planned.what, phase_label(planned.when));
        group.detail("settings", format!("{what} ({phase})"));
    }

    not_restored_rows(group, plan);

    group.list(
        "differs",
        plan.differences.iter().map(|difference| {
            format!(
                "{}, {}: {} / table: {} (not changed)",
                difference.setting,
                if plan.source.scan.is_some() {
                    "source"
                } else {
                    "dump"
                },
                difference.dump,
                difference.table
            )
        }),
    );
}

/// Settings that are not restored. A local engine lacks many of them, so their reasons are details.
fn not_restored_rows(group: &mut RowGroup, plan: &RestorePlan) {
    let skipped = plan
        .skipped
        .iter()
        .map(|skipped| (&*skipped.what, &*skipped.reason));
    let lacking = plan
        .not_restored
        .iter()
        .map(|setting| (&*setting.setting, &*setting.reason));
    let settings: Vec<_> = skipped.chain(lacking).collect();
    not_available_rows(group, "not restored", settings, plan.target.local);
}

/// Settings that were not captured or are not restored, with their reasons. With `are_usual`, which is true for local engines, the
/// reasons are details.
pub(super) fn not_available_rows(
    group: &mut RowGroup,
    label: &str,
    settings: Vec<(&str, &str)>,
    are_usual: bool,
) {
    if !are_usual || settings.is_empty() {
        group.list(label, format::grouped_by_reason(settings));
        return;
    }

    let names: Vec<_> = settings.iter().map(|(name, _)| *name).collect();
    group.short(label, format!("{} (-v shows why)", names.join(", ")));
    for reason in format::grouped_by_reason(settings) {
        group.detail(label, reason);
    }
}

fn phase_label(when: When) -> &'static str {
    match when {
        When::Creation => "at creation",
        When::Before => "before the items",
        When::Indexing | When::After => "after the items",
    }
}

/// `path`, or `stream` if the path is `-`.
pub(super) fn stream_or_path(path: &str, stream: &str) -> String {
    if path == "-" {
        stream.to_owned()
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Line;
    use crate::ops::Price;

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
            index_violations: std::collections::BTreeMap::new(),
            complete: true,
            partial: Vec::new(),
            transformed: false,
            mask_rules_sha256: None,
            salvage: None,
            scan: None,
            settings_origin: None,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("2026-11-20T12:00:00Z")
            .unwrap()
            .to_utc()
    }

    /// The rows that `fill` adds, with details, without wrapping.
    fn rows(fill: impl FnOnce(&mut RowGroup)) -> Vec<String> {
        let lines = Rows::plain(fill).lines(true, usize::MAX).into_iter();
        lines
            .map(|line| match line {
                Line::Row(text) => text,
                Line::Heading(text) => text.to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_alternative_has_its_units_and_its_price() {
        let advice = |reason| RouteAdvice {
            reason,
            route: "backup",
            read_units: 0,
            storage_per_month: Some(Price::Listed {
                usd: 20.0,
                region: "us-east-1",
                date: "2026-09-11",
                source: "https://pricing.example/",
            }),
            restore: None,
        };
        assert_eq!(
            alternative(&advice(AdviceReason::LargeTable)),
            "--route backup takes minutes, whatever the size of the table: 0 read units, price about $20.00 (us-east-1, \
             list price of 2026-09-11) per month of storage; DynamoDB keeps the data"
        );
        let copy = RouteAdvice {
            restore: advice(AdviceReason::LargeTable).storage_per_month,
            ..advice(AdviceReason::LargeTable)
        };
        let text = alternative(&copy);
        assert!(
            text.ends_with(
                " per month of storage and about $20.00 (us-east-1, list price of 2026-09-11) to restore it; DynamoDB keeps the data"
            ),
            "{text}"
        );
        let unknown = RouteAdvice {
            storage_per_month: None,
            ..advice(AdviceReason::ProtectedCapacity)
        };
        assert_eq!(
            alternative(&unknown),
            "--route backup does not use the capacity of the protected table: 0 read units; DynamoDB keeps the data"
        );
    }

    #[test]
    fn location_shows_the_account_and_values_from_the_process_environment() {
        assert_eq!(table_name(&location()), "films (prod, protected)");
        assert_eq!(
            rows(|group| location_rows(group, &location())),
            [
                "  Endpoint     AWS account 123456789012 in eu-west-1",
                "  Credentials  profile default, ~/.aws/credentials",
                "  Note         region from AWS_REGION in the process environment",
            ]
        );
    }

    #[test]
    fn an_unknown_account_of_a_remote_table_is_shown() {
        let endpoint = |local| {
            let unknown = TableLocation {
                account: None,
                local,
                ..location()
            };

            rows(|group| location_rows(group, &unknown)).swap_remove(0)
        };

        assert_eq!(
            endpoint(false),
            "  Endpoint     AWS account unknown in eu-west-1"
        );
        assert_eq!(endpoint(true), "  Endpoint     AWS in eu-west-1");
    }

    #[test]
    fn schema_is_one_line_without_details() {
        let pair = |label: &str, words: &str| (label.to_owned(), words.to_owned());
        let outline = TableOutline {
            keys: vec![pair("partition key", "id (S)"), pair("sort key", "at (N)")],
            billing: "on-demand".to_owned(),
            indexes: vec![pair("GSI by-year", "year (N), projection ALL")],
            settings: vec![pair("TTL", "on attribute expires")],
        };

        let plan = Rows::plain(|group| outline_rows(group, &outline));
        assert_eq!(
            plan.lines(false, usize::MAX),
            [Line::Row(
                "  Schema  id (S), at (N); 1 index; on-demand".to_owned()
            )]
        );
        assert_eq!(
            rows(|group| outline_rows(group, &outline)),
            [
                "  Partition key  id (S)",
                "  Sort key       at (N)",
                "  Billing        on-demand",
                "  GSI by-year    year (N), projection ALL",
                "  TTL            on attribute expires",
            ]
        );
    }

    #[test]
    fn source_shows_the_age_of_the_dump() {
        assert_eq!(
            rows(|group| {
                origin_rows(group, &facts(), now());
                item_rows(group, &facts());
            }),
            [
                "  From     ./prod-backup (dump, created 3 days ago)",
                "  Table    films (prod) in eu-west-1",
                "  Scanned  2026-11-17T09:00:00Z to 2026-11-17T09:00:42Z (not a point-in-time snapshot)",
                "  Items    312 items, 118.00 kB as JSON",
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
            rows(|group| {
                origin_rows(group, &facts, now());
                item_rows(group, &facts);
            }),
            [
                "  From   standard input (items)",
                "  Items  number not known before the end, part of the table"
            ]
        );
    }

    #[test]
    fn replaced_table_is_announced_as_deleted() {
        let replaced = |items, local| table_action(&TableAction::Replace { items }, local);
        assert_eq!(
            replaced(1, false),
            "exists (~1 item); it will be DELETED and recreated"
        );
        assert_eq!(
            replaced(0, true),
            "exists (~0 items); it will be DELETED and recreated"
        );
        assert_eq!(
            replaced(0, false),
            "exists (no items, or not counted yet: DynamoDB counts them about every six hours); \
             it will be DELETED and recreated"
        );
    }

    #[test]
    fn reasons_for_settings_that_an_engine_lacks_are_details() {
        let settings = || {
            vec![
                ("PITR", "the endpoint does not offer it"),
                ("tags", "the endpoint does not offer it"),
            ]
        };
        let lines = |are_usual, details| {
            Rows::plain(|group| not_available_rows(group, "not restored", settings(), are_usual))
                .lines(details, usize::MAX)
        };

        let reasons = [Line::Row(
            "  Not restored  PITR, tags: the endpoint does not offer it".to_owned(),
        )];
        assert_eq!(lines(false, false), reasons);
        assert_eq!(lines(true, true), reasons);
        assert_eq!(
            lines(true, false),
            [Line::Row(
                "  Not restored  PITR, tags (-v shows why)".to_owned()
            )]
        );
    }
}
