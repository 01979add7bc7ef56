//! Results of checking a source: the summary of a check that passed, and the findings of an
//! inspection.

use std::collections::BTreeMap;

/// Items between two progress reports.
pub(crate) const PROGRESS_ITEMS: u64 = 1024;

/// Result of a check that found no damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSummary {
    /// Items in the data file.
    pub items: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Unreadable pieces; 0 unless the source is salvaged.
    pub unreadable: u64,
    /// Items that have expired; `None` if they were not counted.
    pub expired: Option<u64>,
    /// Items that violate the key of an index, by index; without zeros.
    pub index_violations: BTreeMap<String, u64>,
    /// SHA-256 of the data file, in hex; `None` without one.
    pub data_sha256: Option<String>,
    /// Warnings, including those of [`Source::warnings`](crate::backup::Source::warnings).
    pub warnings: Vec<String>,
}

/// Extent of an inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectionDepth {
    /// Sizes and SHA-256 of its files.
    Checksums,
    /// All files and items.
    Full,
}

/// Result of an inspection.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Items in the data file; `None` if it was not read to the end.
    pub items: Option<u64>,
    /// Bytes of their text; `None` if it was not read to the end.
    pub text_bytes: Option<u64>,
    /// Items with the key of an earlier item; `None` if keys were not checked.
    pub duplicates: Option<u64>,
    /// SHA-256 of the data file, in hex; `None` if it was not read to the end.
    pub data_sha256: Option<String>,
    /// The first [`Inspection::LISTED`] findings.
    pub findings: Vec<String>,
    /// Number of all findings.
    pub findings_total: u64,
    /// Warnings, including those of [`Source::warnings`](crate::backup::Source::warnings).
    pub warnings: Vec<String>,
}

impl Inspection {
    /// Findings that are kept.
    pub const LISTED: usize = 20;

    /// Adds a finding.
    pub fn add_finding(&mut self, finding: String) {
        self.findings_total += 1;
        if self.findings.len() < Self::LISTED {
            self.findings.push(finding);
        }
    }
}
