//! An interrupted run for several tables, which a later one can resume.

/// How far an interrupted run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterruptedSet {
    /// Number of tables that it has finished.
    pub finished: u64,
    /// Number of tables of the run that would resume it.
    pub tables: u64,
}
