//! The command `dumpdb`; see [`dynadump::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::dumpdb()
}
