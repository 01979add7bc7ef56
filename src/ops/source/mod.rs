//! Sources: where items come from. Each hands over chunks through a [`ChunkStream`].

pub(crate) mod lanes;
mod scan;
mod stored;
mod stream;

pub(crate) use scan::ScanSource;
pub(crate) use stored::StoredSource;
pub(crate) use stream::{ChunkSender, ChunkStream};
