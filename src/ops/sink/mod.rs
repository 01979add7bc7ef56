//! Sinks: what takes the items of a source. Each implements [`Sink`](super::transfer::Sink).

mod digest;
mod dump;
pub(crate) mod table;
mod worker;

pub(crate) use digest::{
    ChunkLocation, DigestOptions, DigestWorker, Record, ScratchRecords, SourceRecords,
    scratch_records,
};
pub(crate) use dump::{DumpRejects, DumpState, DumpWorker};
pub(crate) use worker::{ChunkWorker, WorkerSink};
