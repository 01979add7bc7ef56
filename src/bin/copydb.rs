//! The command `copydb`; see [`dynadump::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::copydb()
}
