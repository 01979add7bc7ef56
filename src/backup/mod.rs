//! The dump on disk: written atomically; dumps of this program and files of other tools are read
//! and checked.
//!
//! `docs/FORMAT.md` is normative. `write` creates dumps (`encoder`, `pipeline`) and resumes
//! interrupted ones from their `progress`; `publish` replaces the old dump. `read` opens sources and
//! streams their items, in `lanes` if possible; `check` verifies them; `salvage` reads the
//! undamaged part. `std::io` only: no AWS, no terminal, no async. Calls block.

mod check;
mod duplicate_keys;
mod folder;
mod format;
mod index;
mod item_counter;
mod key_collisions;
mod last_dumps;
mod layout;
mod metadata;
mod progress;
mod publish;
mod read;
mod removal;
mod sealed;
mod set;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod write;

pub use check::results::{CheckSummary, Inspection, InspectionDepth};
pub use check::{check, check_files, inspect};
pub use folder::TargetContents;
pub use format::{
    Compression, DataFile, DataFormat, FORMAT_VERSION, METADATA_FILE, OLD_SUFFIX, SCHEMA_FILE,
    SUMMARY_FILE,
};
pub use index::{Extent, Frame};
pub use item_counter::ItemCounter;
pub use key_collisions::KeyCollisions;
pub(crate) use last_dumps::last_dumps;
pub use metadata::{FileEntry, ForeignMetadata, Metadata};
pub use progress::{
    DataFileState, DumpProgress, ScanProgress, SegmentProgress, TransformCounts, restart_hint,
};
pub use read::damage::Damage;
pub use read::item_reader::{ContainerSummary, ItemContainer, ItemReader, LocatedItem};
pub use read::lanes::{Lane, LaneItem, LaneReader, LaneText};
pub use read::named_file::{read_schema, read_text};
pub use read::salvage::{SalvagePiece, SalvageReader, Unreadable};
pub use read::source::{Source, SourceKind, SourceSpec};
pub use set::manifest::{MemberDump, MemberStatus, SET_FILE, SetManifest, SetMember};
pub use set::source::DumpSet;
pub use set::target::{FinishedSet, MemberOutcome, SetDraft, SetTarget, SetWriter};
pub(crate) use summary::few_items_warning;
pub use write::resume::ProgressFn;
pub use write::target::{DumpOptions, DumpTarget};
pub use write::writer::{DumpWriter, FinishedDump};
