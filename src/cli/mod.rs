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
mod multicall;
mod report;
mod resume;
mod session;
mod terminal;
mod text;
mod version;

use std::env::ArgsOs;
use std::process::ExitCode;

pub use multicall::multicall;

/// Runs `dumpdb` with the arguments of this process. The first one is the name of the program.
#[must_use]
pub fn dumpdb(arguments: ArgsOs) -> ExitCode {
    session::run_command::<args::DumpArgs, _, _>(arguments, commands::dump::run)
}

/// Runs `restoredb` with the arguments of this process. The first one is the name of the program.
#[must_use]
pub fn restoredb(arguments: ArgsOs) -> ExitCode {
    session::run_command::<args::RestoreArgs, _, _>(arguments, commands::restore::run)
}

/// Runs `servedb` with the arguments of this process. The first one is the name of the program.
#[cfg(feature = "embedded")]
#[must_use]
pub fn servedb(arguments: ArgsOs) -> ExitCode {
    session::run_command::<args::ServeArgs, _, _>(arguments, commands::serve::run)
}

/// Runs `copydb` with the arguments of this process. The first one is the name of the program.
#[must_use]
pub fn copydb(arguments: ArgsOs) -> ExitCode {
    session::run_command::<args::CopyArgs, _, _>(arguments, commands::copy::run)
}

/// Runs `verifydb` with the arguments of this process. The first one is the name of the program.
#[must_use]
pub fn verifydb(arguments: ArgsOs) -> ExitCode {
    session::run_command::<args::VerifyArgs, _, _>(arguments, commands::verify::run)
}
