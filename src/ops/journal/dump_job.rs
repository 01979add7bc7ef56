//! The journal of a dump.

use serde::{Deserialize, Serialize};

use crate::backup::{Compression, DataFile, DataFormat, DumpProgress};

/// A dump that is being written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DumpJob {
    pub(crate) origin: DumpOrigin,
    /// `None` before the first page, which is never saved: nothing is lost then.
    pub(crate) progress: Option<DumpProgress>,
}

/// Table and options of a dump. Only a run with the same ones resumes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DumpOrigin {
    /// Name of the environment.
    pub(crate) environment: String,
    /// Name of the table.
    pub(crate) table: String,
    /// The table's ARN.
    pub(crate) table_arn: Option<String>,
    /// The table's ID.
    pub(crate) table_id: Option<String>,
    /// Creation time of the table, as the endpoint reports it.
    pub(crate) table_created: Option<String>,
    /// The region.
    pub(crate) region: Option<String>,
    /// The endpoint, if it is not the region's default.
    pub(crate) endpoint: Option<String>,
    /// Whether the schema is dumped.
    pub(crate) schema: bool,
    /// Whether items are dumped.
    pub(crate) items: bool,
    /// Layout of the items.
    pub(crate) format: DataFormat,
    /// Compression of the data file.
    pub(crate) compression: Compression,
    /// Number of scan segments.
    pub(crate) segments: u32,
    /// Whether reads are strongly consistent.
    pub(crate) consistent_read: bool,
    /// Maximum number of items.
    pub(crate) limit: Option<u64>,
    /// Identifies the transform; `None` without one.
    pub(crate) transform: Option<String>,
    /// The filter expression sent to the table; `None` for none.
    pub(crate) filter: Option<String>,
    /// The projected attributes; `None` for all.
    pub(crate) projection: Option<String>,
}

impl DumpJob {
    /// The progress, if its lengths agree: resuming relies on them.
    pub(crate) fn sound_progress(&self) -> Option<&DumpProgress> {
        self.progress.as_ref().filter(|progress| {
            progress.tail.len() as u64 == progress.counted.tail_bytes
                && usize::try_from(self.origin.segments) == Ok(progress.scan.segments.len())
        })
    }
}

impl DumpOrigin {
    /// The data file of a dump folder.
    pub(crate) fn data_file(&self) -> DataFile {
        DataFile {
            format: self.format,
            compression: self.compression,
        }
    }
}
