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

pub(crate) use dump::{DumpArgs, DumpIntent};
pub(crate) use restore::{RestoreArgs, RestoreIntent};
pub(crate) use verify::{Question, VerifyArgs, VerifyIntent};

use super::terminal::output::Manner;
use crate::environment::{Answers, EnvironmentRequest};
use crate::error::Result;
use crate::store::WireCompression;

/// What every command line means, whatever the command.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) environment: EnvironmentRequest,
    pub(crate) answers: Answers,
    /// Show the plan and stop.
    pub(crate) dry_run: bool,
    /// Calls in flight at most.
    pub(crate) concurrency: Option<usize>,
    /// Wait so long for an endpoint that does not answer yet.
    pub(crate) wait: Option<Duration>,
    /// Give up when nothing has gone forward for so long.
    pub(crate) give_up_after: Duration,
    /// Whether pages travel compressed.
    pub(crate) wire_compression: WireCompression,
    /// Folder for what must outlive a run but belongs to no dump.
    pub(crate) state_dir: Option<PathBuf>,
}

/// A command line as typed.
pub(crate) trait Arguments: clap::Parser {
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
