//! A side of a comparison.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::CompareContext;
use crate::error::Result;
use crate::event::Reporter;
use crate::ops::sink::{ChunkLocation, ScratchRecords, SourceRecords};
use crate::store::WireBytes;

/// A set of items that can be read completely, and of which some can be read again.
pub(crate) trait Side: Send + Sync {
    /// Where the parts of the side start.
    type Position: Send + Sync + 'static;

    /// Reads all items and makes records of them. Progress goes to `reporter`.
    fn read_records(
        &self,
        context: &CompareContext,
        reporter: &Arc<dyn Reporter>,
    ) -> impl Future<Output = Result<SideRecords<Self::Position>>> + Send;

    /// Reads items again. `wanted` maps the hash of an item's key to the index of its chunk in `chunks`.
    fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        chunks: &[ChunkLocation<Self::Position>],
        context: &CompareContext,
    ) -> impl Future<Output = Result<RereadItems>> + Send;
}

/// Records of all items of a side.
pub(crate) struct SideRecords<P> {
    pub(crate) source: SourceRecords<P>,
    /// Records of items that the other side is not expected to have.
    pub(crate) rejected: Option<ScratchRecords>,
}

/// Items that were read again, and the cost of reading them.
#[derive(Default)]
pub(crate) struct RereadItems {
    /// The items by the hash of their key.
    pub(crate) items: HashMap<u128, Bytes>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}
