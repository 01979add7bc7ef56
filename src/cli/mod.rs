//! Command-line interface: the only module that reads arguments, prints, prompts and chooses exit codes.
//!
//! ```text
//! argv ─► args (parse, resolve) ─► environment ─► store ─► plan ─► confirmation ─► run ─► summary, report, exit code
//! ```
//!
//! Standard output carries data only: the report of `--json`, the items of `--output -`, or the lines of a schema comparison.
//! Everything else goes to standard error.

mod commands;
pub mod exit;

mod args;
mod report;
mod resume;
mod session;
mod terminal;
mod text;
mod version;

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

/// Runs `servedb` with the command line of this process.
#[cfg(feature = "embedded")]
#[must_use]
pub fn servedb() -> ExitCode {
    session::run_command::<args::ServeArgs, _, _>(commands::serve::run)
}

/// Runs `copydb` with the command line of this process.
#[must_use]
pub fn copydb() -> ExitCode {
    session::run_command::<args::CopyArgs, _, _>(commands::copy::run)
}

/// Runs `verifydb` with the command line of this process.
#[must_use]
pub fn verifydb() -> ExitCode {
    session::run_command::<args::VerifyArgs, _, _>(commands::verify::run)
}
