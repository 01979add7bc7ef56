//! Where bytes are kept: local files, journals and their locks, parts of a dump, side files, scratch
//! space. It does not know what the bytes mean.
//!
//! The only layer that creates, renames or removes files. Calls block; call them from a thread that
//! may.

pub(crate) mod compression;
pub(crate) mod digest;
pub(crate) mod hash_thread;
pub(crate) mod hashing;
mod journal_file;
mod journal_lines;
pub(crate) mod local;
pub(crate) mod output;
pub(crate) mod part;
pub(crate) mod scratch;
pub(crate) mod side_files;

pub use compression::Compression;
pub use journal_file::{JournalFile, JournalStamp, LockRefusal, LockedJournal};
pub use journal_lines::{JournalLines, RecordedLines};
pub use local::files::{Access, replace_file};
pub use local::lock::{FileLock, LockFailure, SharedFileLock};
pub use side_files::{
    LazyLinesFile, LinesFile, check_lines_file, create_parent_folders, create_unless_exists,
    file_size, frequent_reasons, partial_path, publish_lines_file, read_rejects, remove_side_file,
    short_file_name, side_path, side_path_in_state,
};
