//! The command `verifydb`; see [`dynadump::cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::verifydb(env::args_os())
}
