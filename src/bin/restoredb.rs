//! The command `restoredb`; see [`dynadump::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::restoredb()
}
