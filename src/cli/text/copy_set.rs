//! Text of the plan for copies of several tables. Their summary is that of a set that is restored.

use std::fmt::Write as _;

use super::plan::{item_estimate, location_rows, table_action, transform_rows};
use super::restore_set::{list_tables, name};
use super::{cost, format};
use crate::layout::{RowGroup, Rows};
use crate::ops::Price;
use crate::ops::restore::RestorePlan;
use crate::ops::set::copy::{CopyPlan, CopySetPlan, PlannedCopy};
use crate::ops::table_location::TableLocation;

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
    source.list("price", total_price(reads, ""));
    let target = rows.group("Target");
    environment_rows(target, &plan.target);
    target.list("price", total_price(writes, "up to "));

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
    list_tables(rows.group("Tables"), tables.collect());

    // Each table has the same transform.
    if let Some(first) = plans().next() {
        transform_rows(&mut rows, &first.transform);
    }

    rows
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
