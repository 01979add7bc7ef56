//! Headings of `--help`.

pub(super) const CONNECTION: &str = "Connection";
pub(super) const SOURCE_AND_TARGET: &str = "Source and target";
pub(super) const SELECTION: &str = "Selection";
pub(super) const THROUGHPUT: &str = "Throughput";
pub(super) const TRANSFORM: &str = "Transform";
pub(super) const TABLE_SETTINGS: &str = "Table settings";
pub(super) const SAFETY: &str = "Safety";
pub(super) const OUTPUT: &str = "Output";
