//! Is this dump whole?

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::backup::{self, Inspection, InspectionDepth, Source, SourceSpec};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops::run_blocking;

/// What was found of a dump.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DumpVerdict {
    /// The dump.
    pub source: String,
    /// What it is: `dump`, `dump of an older tool`, `items`.
    pub kind: &'static str,
    /// The table it was made from, where it says so.
    pub table: Option<String>,
    /// Whether only checksums were looked at.
    pub quick: bool,
    /// Whether it holds the whole table, as far as it says.
    pub complete: bool,
    /// Whether its items were changed when it was made.
    pub transformed: bool,
    /// Items in it; `None` where they were not counted to the end.
    pub items: Option<u64>,
    /// Bytes of their text; `None` where they were not counted to the end.
    pub data_bytes: Option<u64>,
    /// Items whose key an item before them has; `None` where that was not looked for.
    pub duplicates: Option<u64>,
    /// What is damaged, the first of it.
    pub findings: Vec<String>,
    /// How much is damaged.
    pub findings_total: u64,
    /// What deserves attention.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl DumpVerdict {
    /// Whether nothing is damaged. `false` means exit code 12.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings_total == 0
    }
}

/// Looks at every file of a dump; with `quick`, at checksums alone. Items that are incomplete by what is written around them are a
/// finding unless `accept_incomplete`.
///
/// # Errors
/// The dump is absent, or so damaged that it cannot be opened; a stream; `quick` where there are no checksums.
pub async fn dump(
    source: SourceSpec,
    quick: bool,
    accept_incomplete: bool,
    reporter: Arc<dyn Reporter>,
) -> Result<DumpVerdict> {
    run_blocking("checking the dump", move || {
        judge(&source, quick, accept_incomplete, reporter.as_ref())
    })
    .await
}

fn judge(
    spec: &SourceSpec,
    quick: bool,
    accept_incomplete: bool,
    reporter: &dyn Reporter,
) -> Result<DumpVerdict> {
    let started = Instant::now();
    let source = Source::open(spec)?;
    let metadata = source.metadata();
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: metadata.map(|metadata| metadata.items).filter(|_| !quick),
        bytes: metadata
            .map(|metadata| metadata.data_bytes)
            .filter(|_| !quick),
    });

    let how = if quick {
        InspectionDepth::Checksums
    } else {
        InspectionDepth::Full
    };

    let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
    let mut found = backup::inspect(&source, how, &mut progress)?;
    match source.accept_incomplete(accept_incomplete) {
        Ok(warning) => found.warnings.extend(warning),
        Err(error) => found.add_finding(error.to_string()),
    }

    let Inspection {
        items,
        text_bytes,
        duplicates,
        findings,
        findings_total,
        warnings,
        ..
    } = found;

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
