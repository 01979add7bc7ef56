//! The command `restoredb`; see [`dynadump::cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::restoredb(env::args_os())
}
