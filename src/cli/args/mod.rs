//! Command-line arguments: clap structs (`…Args`), resolved into commands (`…Command`) that are free of contradictions.
//!
//! No clap type leaves this folder.

mod common;
mod dump;
mod flags;
mod overrides;
mod restore;
mod settings;
mod transform;
mod value;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use dump::{DumpArgs, DumpCommand};
pub(crate) use flags::flag;
pub(crate) use restore::{RestoreArgs, RestoreCommand};
pub(crate) use verify::{ExpectedSchema, SecondTable, VerifyArgs, VerifyCommand, VerifyTask};

use super::terminal::output::OutputOptions;
use crate::environment::{Answers, EnvironmentRequest};
use crate::error::Result;
use crate::store::WireCompression;

/// Options that all commands share.
#[derive(Clone)]
pub(crate) struct CommonOptions {
    pub(crate) environment: EnvironmentRequest,
    pub(crate) answers: Answers,
    /// Show the plan and stop (`--dry-run`).
    pub(crate) dry_run: bool,
    /// Maximum number of requests in flight.
    pub(crate) concurrency: Option<usize>,
    /// How long to wait for an endpoint that does not answer yet.
    pub(crate) wait: Option<Duration>,
    /// Time without progress after which the command fails.
    pub(crate) give_up_after: Duration,
    /// Whether to request compressed responses.
    pub(crate) wire_compression: WireCompression,
    /// Folder for locks and journals that are not part of a dump.
    pub(crate) state_dir: Option<PathBuf>,
}

/// The parsed arguments of a command; [`resolve`](Self::resolve) turns them into the command `C` to execute.
pub(crate) trait Arguments<C>: clap::Parser {
    /// Name of the executable.
    const COMMAND: &'static str;

    /// Options for output; available before `resolve`, so that its errors can be printed.
    fn output_options(&self) -> OutputOptions;

    /// Checks the arguments and converts them.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) if arguments cannot be used together.
    fn resolve(self) -> Result<C>;
}
