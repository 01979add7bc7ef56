//! The commands. Only this module reads the command line, prints, asks, colours, and decides exit codes.
//!
//! ```text
//! argv ─► args (as typed ─► as meant) ─► environment ─► store ─► plan ─► shown, agreed to ─► run ─► summary, report, exit code
//! ```
//!
//! Standard output carries data alone: the report of `--json`, or the items of `--output -`. All talk goes to standard error.
//! The commands themselves are in `dump`, `restore` and `verify`; the rest is how they listen and talk.

mod commands;
pub mod exit;

mod args;
mod report;
mod resume;
mod session;
mod terminal;
mod text;

use std::process::ExitCode;

/// Runs `dumpdb` with the command line of this process.
#[must_use]
pub fn dumpdb() -> ExitCode {
    session::run_command::<args::DumpArgs, _, _>(commands::dump::run)
}

/// Runs `restoredb` with the command line of this process.
#[must_use]
pub fn restoredb() -> ExitCode {
    session::run_command::<args::RestoreArgs, _, _>(commands::restore::run)
}

/// Runs `verifydb` with the command line of this process.
#[must_use]
pub fn verifydb() -> ExitCode {
    session::run_command::<args::VerifyArgs, _, _>(commands::verify::run)
}
