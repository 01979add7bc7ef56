//! Sources: where items come from. Each hands over chunks through a [`ChunkStream`].

mod item_source;
mod lane_queues;
pub(crate) mod lanes;
mod managed_backup;
mod scan;
mod scan_options;
mod scanned_table;
mod stored;
mod stream;

pub(crate) use item_source::ItemSource;
pub(crate) use lane_queues::LaneQueues;
pub use managed_backup::{BackupChoice, SettingsOrigin};
pub(crate) use managed_backup::{ManagedBackup, refuse_other_place};
pub(crate) use scan::ScanSource;
pub use scan_options::ScanOptions;
pub(crate) use scanned_table::ScannedTable;
pub use scanned_table::TableScan;
pub(crate) use stored::StoredSource;
pub(crate) use stream::{ChunkSender, ChunkStream};
