//! Text of the plan for copies of several tables. Their summary is that of a set that is restored.

use std::fmt::Write as _;

use super::plan::{
    is_counted, item_estimate, location_rows, table_action, transform_rows,
    verification_description,
};
use super::scan::cap_in_words;
use super::table_rows::{list_targets, name};
use super::{cost, format};
use crate::layout::{RowGroup, Rows};
use crate::ops::restore::RestorePlan;
use crate::ops::set::copy::{CopyPlan, CopySetPlan, PlannedCopy};
use crate::ops::set::grouping::grouped;
use crate::ops::table_location::TableLocation;
use crate::ops::{AppliedCap, Price};

/// The rows of the plan.
pub(crate) fn plan(plan: &CopySetPlan) -> Rows {
    let mut rows = Rows::new();
    let plans = || plan.tables.iter().filter_map(PlannedCopy::copy);
    let reads = plans().filter_map(|plan| {
        plan.source
            .scan
            .as_ref()?
            .scan_cost
            .as_ref()?
            .price
            .as_ref()
    });
    let writes = plans().filter_map(|plan| plan.write_cost_at_most.as_ref()?.price.as_ref());
    let source = rows.group("Source");
    environment_rows(source, &plan.source);
    source.list("reads", total_reads(plan));
    source.list(
        "cap",
        caps(plan, "read unit", |plan| {
            let scan = plan.source.scan.as_ref()?;
            Some((&scan.location.table, scan.max_read_units.as_ref()?))
        }),
    );
    source.list("price", total_price(reads, ""));
    let target = rows.group("Target");
    environment_rows(target, &plan.target);
    target.list("writes", total_writes(plan));
    target.list(
        "cap",
        caps(plan, "write unit", |plan| {
            Some((&plan.target.table, plan.max_write_units.as_ref()?))
        }),
    );
    target.list("price", total_price(writes, "up to "));
    // Each table is verified in the same way.
    let first = with_items(plan).into_iter().next();
    target.list("verification", first.map(verification_description));

    let tables = plan.tables.iter().map(|table| {
        let action = match &table.plan {
            CopyPlan::Copy(plan) => planned(plan),
            CopyPlan::Finished(before) => {
                format!("copied before, {}", format::items(before.items_written))
            }
            CopyPlan::Refused(error) => format!("cannot be copied: {error}"),
        };
        (name(&table.table.source, &table.table.target), action)
    });
    list_targets(rows.group("Tables"), tables);

    // Each table has the same transform.
    if let Some(first) = plans().next() {
        transform_rows(&mut rows, &first.transform);
    }

    rows
}

/// The plans of the tables whose items are copied.
fn with_items(plan: &CopySetPlan) -> Vec<&RestorePlan> {
    let plans = plan.tables.iter().filter_map(PlannedCopy::copy);
    let has_items = |plan: &&RestorePlan| {
        !plan.action.keeps() && plan.prepared.request.content.includes_items()
    };

    plans.filter(has_items).collect()
}

/// The read units of all sources together, with the cap on them. `None` if no item is read.
fn total_reads(plan: &CopySetPlan) -> Option<String> {
    let plans = with_items(plan).into_iter();
    let scans: Vec<_> = plans.filter_map(|plan| plan.source.scan.as_ref()).collect();
    let units = scans.iter().map(|scan| scan.read_units).sum();
    let uncounted = scans
        .iter()
        .filter(|scan| !is_counted(scan.items, scan.location.local));
    let uncounted = uncounted.count() as u64;

    (!scans.is_empty()).then(|| {
        let units = format!("~{} read units", format::units(units));
        with_total_cap(units, uncounted, plan.max_total_read_units)
    })
}

/// The caps on the units of each table, with the tables if they have different ones.
fn caps<'a>(
    plan: &'a CopySetPlan,
    unit: &str,
    cap_of: impl Fn(&'a RestorePlan) -> Option<(&'a String, &'a AppliedCap)>,
) -> Vec<String> {
    let plans = with_items(plan);
    let caps = plans.iter().filter_map(|plan| {
        let (table, cap) = cap_of(plan)?;
        Some((table, cap_in_words(cap, unit)))
    });
    let caps: Vec<_> = caps.collect();
    match caps.first() {
        Some((_, first))
            if caps.len() == plans.len() && caps.iter().all(|(_, cap)| cap == first) =>
        {
            vec![format!("each table: {first}")]
        }
        _ => grouped(caps.into_iter()),
    }
}

/// The write units of all targets together, with the cap on them. `None` if no item is written.
fn total_writes(plan: &CopySetPlan) -> Option<String> {
    let plans = with_items(plan);
    let costs = plans
        .iter()
        .filter_map(|plan| plan.write_cost_at_most.as_ref());
    let units: u64 = costs.map(|cost| cost.write_units).sum();
    let is_unknown = |plan: &&&RestorePlan| {
        let scan = plan.source.scan.as_ref();
        let is_empty = scan.is_some_and(|scan| scan.items == 0 && scan.location.local);
        plan.write_cost_at_most.is_none() && !is_empty
    };
    let unknown = plans.iter().filter(is_unknown).count() as u64;

    (!plans.is_empty()).then(|| {
        let (text, unknown) = if units == 0 && unknown > 0 {
            ("an unknown number of write units".to_owned(), 0)
        } else {
            let units = format::counted(units, "write unit");
            (format!("up to {units}"), unknown)
        };
        with_total_cap(text, unknown, plan.max_total_write_units)
    })
}

/// Units with the cap on them, and the number of tables whose units are not known beforehand.
fn with_total_cap(mut units: String, unknown: u64, cap: Option<u32>) -> String {
    if unknown > 0 {
        let tables = format::counted(unknown, "table");
        let _ = write!(units, ", and an unknown number for {tables}");
    }

    if let Some(cap) = cap {
        let cap = format::count(cap.into());
        let _ = write!(units, ", at most {cap} per second in total");
    }

    units
}

/// The price of all tables together, as far as they are on demand.
fn total_price<'a>(prices: impl Iterator<Item = &'a Price>, bound: &str) -> Option<String> {
    let total = Price::sum(prices)?;

    Some(cost::price_in_words(&total, bound))
}

fn environment_rows(group: &mut RowGroup, location: &TableLocation) {
    let protected = if location.protected {
        " (protected)"
    } else {
        ""
    };
    group.row(
        "environment",
        format!("{}{protected}", location.environment),
    );
    location_rows(group, location);
}

/// What is done with a table, and the number of its items.
fn planned(plan: &RestorePlan) -> String {
    let mut text = table_action(&plan.action, plan.target.local);
    if plan.action.keeps() {
        return text;
    }

    if let Some(scan) = &plan.source.scan {
        let _ = write!(text, "; {}", item_estimate(scan.items, scan.location.local));
    }

    if let Some(resumed) = &plan.resumes {
        let _ = write!(text, ", resumed after {}", format::items(resumed.items));
    }

    text
}
