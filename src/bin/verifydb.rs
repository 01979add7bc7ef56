//! The command `verifydb`; see [`dynadump::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::verifydb()
}
