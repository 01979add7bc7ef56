//! Results of checking a source: the summary of a check that passed, and the findings of an inspection.

/// Items between two reports of progress.
pub(crate) const PROGRESS_ITEMS: u64 = 1024;

/// What a check has found to be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSummary {
    /// Items in the data file.
    pub items: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
    /// Pieces that cannot be read; none but of a salvaged source.
    pub unreadable: u64,
    /// SHA-256 of the data file, in hex; `None` without one.
    pub data_sha256: Option<String>,
    /// What deserves attention, those of [`Source::warnings`] included.
    pub warnings: Vec<String>,
}

/// How thoroughly a source is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectionDepth {
    /// Sizes and SHA-256 of its files.
    Checksums,
    /// All there is.
    Full,
}

/// What an inspection has found.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Items in the data file; `None` where they were not counted to the end.
    pub items: Option<u64>,
    /// Bytes of their text; `None` where they were not counted to the end.
    pub text_bytes: Option<u64>,
    /// Items whose key an item before them has; `None` where that was not looked for.
    pub duplicates: Option<u64>,
    /// SHA-256 of the data file, in hex; `None` where it was not read to the end.
    pub data_sha256: Option<String>,
    /// What is damaged, the first [`Inspection::LISTED`] of it.
    pub findings: Vec<String>,
    /// How much is damaged.
    pub findings_total: u64,
    /// What deserves attention, those of [`Source::warnings`] included.
    pub warnings: Vec<String>,
}

impl Inspection {
    /// Findings that are kept.
    pub const LISTED: usize = 20;

    /// Adds what is damaged.
    pub fn add_finding(&mut self, finding: String) {
        self.findings_total += 1;
        if self.findings.len() < Self::LISTED {
            self.findings.push(finding);
        }
    }
}
