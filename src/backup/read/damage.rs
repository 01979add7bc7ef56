//! Known damage of a source that is salvaged.

use crate::backup::metadata::Frame;

/// What is known to be wrong with a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong with it, each worded for people.
    pub findings: Vec<String>,
    /// Items that its metadata promises, where that can be read.
    pub promised: Option<u64>,
    /// Whether it is a folder whose metadata cannot be trusted.
    pub lacks_metadata: bool,
    /// The index of the data file's frames.
    pub(crate) frames: Option<Vec<Frame>>,
}
