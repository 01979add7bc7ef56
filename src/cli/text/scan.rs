//! Rows of plans about the Scan of a table.

use std::fmt::Write as _;

use super::{cost, format};
use crate::layout::RowGroup;
use crate::ops::{AppliedCap, CapReason, ScanCost};

/// How a table is read.
pub(super) struct Reads<'a> {
    /// Whether DynamoDB has counted the items.
    pub(super) is_counted: bool,
    pub(super) read_units: f64,
    pub(super) cost: Option<&'a ScanCost>,
    pub(super) is_local: bool,
    pub(super) consistent_read: bool,
    pub(super) cap: Option<&'a AppliedCap>,
    pub(super) limit: Option<u64>,
    pub(super) segments: u32,
    pub(super) filter: Option<&'a str>,
    pub(super) projection: Option<&'a str>,
}

/// Read units, segments and restrictions of the Scan.
pub(super) fn scan_rows(group: &mut RowGroup, scan: &Reads<'_>) {
    // Without a count of items, the estimate would be zero, which is misleading.
    let mut reads = if scan.is_counted {
        format!("~{} read units", format::units(scan.read_units))
    } else {
        "an unknown number of read units".to_owned()
    };

    if scan.consistent_read {
        reads.push_str(", strongly consistent");
    }

    if let Some(cap) = scan.cap {
        let _ = write!(reads, ", {}", cap_in_words(cap, "read unit"));
    }

    if let Some(limit) = scan.limit {
        let _ = write!(reads, ", stops after {}", format::items(limit));
    }

    group.row("reads", reads);
    if let Some(cost) = scan.cost {
        cost::read_rows(group, cost, scan.is_local);
    }

    group.detail("segments", format::count(scan.segments.into()));
    if let Some(filter) = scan.filter {
        let filter = one_line(filter);
        group.row(
            "filter",
            format!("{filter} (filtered items still consume read units)"),
        );
    }

    if let Some(projection) = scan.projection {
        group.row("attributes", format!("the key and {projection}"));
    }
}

/// A text on one line, truncated: a filter may be a whole file.
pub(super) fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 160;

    let full = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let truncated: String = full.chars().take(MAX_CHARS).collect();
    if truncated.len() < full.len() {
        format!("{truncated} …")
    } else {
        truncated
    }
}

/// The cap in force and its reason: `at most 50 units per second (half of …)`.
pub(super) fn cap_in_words(cap: &AppliedCap, unit: &str) -> String {
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
