//! The journal of a job that writes a dump or a table: what is being done, how far it is, and how to undo a temporary boost. A later
//! run reads it to continue or to clean up.
//!
//! What must not be lost is [committed](Journal::commit): it is on disk before the call that needs it. How far the job is, is saved in
//! the background; if that fails, the job continues with a warning.

mod backup_job;
mod dump_job;
mod job;
mod restore_job;
mod saver;
mod settled;

pub(crate) use backup_job::BackupJob;
pub(crate) use dump_job::{DumpJob, DumpOrigin};
pub(crate) use job::Job;
pub(crate) use restore_job::{
    BoostRecord, RestoreIdentity, RestoreJob, RestoreProgress, WrittenItems,
};
pub(crate) use saver::Journal;
pub(crate) use settled::{Position, Settled, SettledDump, SettledTable, Settling, SinkState};
