//! The command `servedb`; see [`dynadump::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::servedb()
}
