//! The command line, read twice: once as typed (clap's structs), once as meant (`resolve`). No clap type leaves this folder.

mod common;
mod dump;
mod restore;
mod settings;
mod transform;
mod value;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use dump::{DumpArgs, DumpIntent};
pub(super) use restore::{RestoreArgs, RestoreIntent};
pub(super) use verify::{Question, VerifyArgs, VerifyIntent};

use super::output::Manner;
use crate::environment::{Answers, EnvironmentRequest};
use crate::error::Result;
use crate::store::WireCompression;

/// What every command line means, whatever the command.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) environment: EnvironmentRequest,
    pub(super) answers: Answers,
    /// Show the plan and stop.
    pub(super) dry_run: bool,
    /// Calls in flight at most.
    pub(super) concurrency: Option<usize>,
    /// Wait so long for an endpoint that does not answer yet.
    pub(super) wait: Option<Duration>,
    /// Give up when nothing has gone forward for so long.
    pub(super) give_up_after: Duration,
    /// Whether pages travel compressed.
    pub(super) wire_compression: WireCompression,
    /// Folder for what must outlive a run but belongs to no dump.
    pub(super) state_dir: Option<PathBuf>,
}

/// A command line as typed.
pub(super) trait Arguments: clap::Parser {
    /// The command's name.
    const COMMAND: &'static str;

    /// The same as meant.
    type Intent;

    /// How to talk. Needed before anything can go wrong.
    fn manner(&self) -> Manner;

    /// What is meant.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for what contradicts itself.
    fn resolve(self) -> Result<Self::Intent>;
}
