//! The commands. Only this module reads the command line, prints, asks, colours, and decides exit codes.
//!
//! ```text
//! argv ─► args (as typed ─► as meant) ─► environment ─► store ─► plan ─► shown, agreed to ─► run ─► summary, report, exit code
//! ```
//!
//! Standard output carries data alone: the report of `--json`, or the items of `--output -`. All talk goes to standard error.
//! The commands themselves are in `dump`, `restore` and `verify`; the rest is how they listen and talk.

pub mod exit;

mod args;
mod ask;
mod cost_text;
mod diff;
mod dump;
mod output;
mod plan_text;
mod progress;
mod report;
mod restore;
mod resume;
mod session;
mod signals;
mod summary_text;
mod text;
mod trial_text;
mod verify;
mod verify_text;

use std::process::ExitCode;

/// Runs `dumpdb` with the command line of this process.
#[must_use]
pub fn dumpdb() -> ExitCode {
    session::start::<args::DumpArgs, _>(dump::run)
}

/// Runs `restoredb` with the command line of this process.
#[must_use]
pub fn restoredb() -> ExitCode {
    session::start::<args::RestoreArgs, _>(restore::run)
}

/// Runs `verifydb` with the command line of this process.
#[must_use]
pub fn verifydb() -> ExitCode {
    session::start::<args::VerifyArgs, _>(verify::run)
}
