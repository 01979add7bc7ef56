//! Where bytes are kept: local files and locks, side files of a restore, scratch space. It does not know what the bytes mean.
//!
//! The only layer that creates, renames or removes files. Calls block; call them from a thread that may.

pub(crate) mod digest;
pub(crate) mod hashing;
pub(crate) mod local;
pub(crate) mod scratch;
pub(crate) mod side_files;

pub use local::files::Access;
pub use local::lock::FileLock;
pub use scratch::ScratchPartitions;
pub use side_files::{
    LazyLinesFile, LinesFile, beside, beside_in_state, check_lines, create_parent, create_whole,
    file_bytes, leave_mark, name_in_file, publish_lines, read_rejected, remove_mark, unpublished,
};
