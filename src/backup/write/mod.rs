//! Writing dumps: encoding, compression, hashing, and resuming an interrupted dump.

pub(crate) mod block_writer;
mod compressor;
pub(crate) mod documents;
pub(crate) mod encoder;
mod extents;
pub(crate) mod lock;
mod partial_file;
pub(crate) mod pipeline;
pub(crate) mod resume;
pub(crate) mod target;
pub(crate) mod writer;
