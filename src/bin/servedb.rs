//! The command `servedb`; see [`dynadump::cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::servedb(env::args_os())
}
