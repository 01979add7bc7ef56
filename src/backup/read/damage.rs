//! Known damage of a source that is salvaged.

use crate::backup::index::Frame;

/// Known damage of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Descriptions of the damage.
    pub findings: Vec<String>,
    /// Items according to its metadata, if that can be read.
    pub promised: Option<u64>,
    /// Whether it is a folder without trustworthy metadata.
    pub lacks_metadata: bool,
    /// The index of the data file's frames.
    pub(crate) frames: Option<Vec<Frame>>,
}
