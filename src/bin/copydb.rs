//! The command `copydb`; see [`dynadump::cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::copydb(env::args_os())
}
