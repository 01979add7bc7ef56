//! Text of the plan for copies of several tables. Their summary is that of a set that is restored.

use std::fmt::Write as _;

use super::format;
use super::plan::{item_estimate, location_rows, table_action, transform_rows};
use super::restore_set::{list_tables, name};
use crate::layout::{RowGroup, Rows};
use crate::ops::restore::RestorePlan;
use crate::ops::set::copy::{CopyPlan, CopySetPlan, PlannedCopy};
use crate::ops::table_location::TableLocation;

/// The rows of the plan.
pub(crate) fn plan(plan: &CopySetPlan) -> Rows {
    let mut rows = Rows::new();
    environment_rows(rows.group("Source"), &plan.source);
    environment_rows(rows.group("Target"), &plan.target);

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
    let mut plans = plan.tables.iter().filter_map(PlannedCopy::copy);
    if let Some(first) = plans.next() {
        transform_rows(&mut rows, &first.transform);
    }

    rows
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
