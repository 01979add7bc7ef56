//! Check of a dump: checksums, counts, items and keys.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::backup::{self, Inspection, InspectionDepth, Source, SourceSpec};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops::run_blocking;

/// Options for checking a dump.
#[derive(Debug, Clone, Copy, Default)]
pub struct DumpCheckOptions {
    /// Check only checksums, not items.
    pub quick: bool,
    /// Accept items that are incomplete according to another tool's document around them.
    pub accept_incomplete: bool,
}

/// Result of checking a dump.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DumpVerdict {
    /// Location of the dump.
    pub source: String,
    /// Kind of dump: `dump`, `dump of another tool`, `items`.
    pub kind: &'static str,
    /// Table that was dumped, if the dump names it.
    pub table: Option<String>,
    /// Whether only checksums were checked.
    pub quick: bool,
    /// Whether the dump is of the whole table, according to the dump.
    pub complete: bool,
    /// Whether the items were transformed when they were dumped.
    pub transformed: bool,
    /// Number of items; `None` if they were not all counted.
    pub items: Option<u64>,
    /// Size of the text of all items, in bytes; `None` if they were not all counted.
    pub data_bytes: Option<u64>,
    /// Items with the key of an earlier item; `None` if keys were not compared.
    pub duplicates: Option<u64>,
    /// The first findings of damage.
    pub findings: Vec<String>,
    /// Number of all findings.
    pub findings_total: u64,
    /// Warnings, which do not count as damage.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl DumpVerdict {
    /// Whether the dump is undamaged. `false` means exit code 12.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings_total == 0
    }
}

/// Checks every file of a dump.
///
/// # Errors
/// The dump is missing, too damaged to be opened, or a stream; with `quick`, it has no checksums.
pub async fn dump(
    source: SourceSpec,
    options: DumpCheckOptions,
    reporter: Arc<dyn Reporter>,
) -> Result<DumpVerdict> {
    run_blocking("checking the dump", move || {
        check_dump(&source, options, reporter.as_ref())
    })
    .await
}

fn check_dump(
    spec: &SourceSpec,
    options: DumpCheckOptions,
    reporter: &dyn Reporter,
) -> Result<DumpVerdict> {
    let DumpCheckOptions {
        quick,
        accept_incomplete,
    } = options;
    let started = Instant::now();
    let source = Source::open(spec)?;
    let metadata = source.metadata();

    // A quick check hashes files without reading items, so these totals do not apply.
    let totals = if quick { None } else { metadata };
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: totals.map(|metadata| metadata.items),
        bytes: totals.map(|metadata| metadata.data_bytes),
    });

    let depth = if quick {
        InspectionDepth::Checksums
    } else {
        InspectionDepth::Full
    };

    let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
    let mut inspection = backup::inspect(&source, depth, &mut progress)?;

    // An incomplete dump is a finding, not an error, so that the other findings are reported, too.
    match source.accept_incomplete(accept_incomplete) {
        Ok(warning) => inspection.warnings.extend(warning),
        Err(error) => inspection.add_finding(error.to_string()),
    }

    let Inspection {
        items,
        text_bytes,
        duplicates,
        findings,
        findings_total,
        warnings,
        ..
    } = inspection;

    Ok(DumpVerdict {
        source: source.to_string(),
        kind: source.kind().words(),
        table: source.table_name().map(ToOwned::to_owned),
        quick,
        complete: metadata.is_none_or(|metadata| metadata.complete)
            && source.incompleteness().is_none(),
        transformed: metadata.is_some_and(|metadata| metadata.transformed),
        items,
        data_bytes: text_bytes,
        duplicates,
        findings,
        findings_total,
        warnings,
        seconds: started.elapsed().as_secs_f64(),
    })
}
