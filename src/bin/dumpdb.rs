//! The command `dumpdb`; see [`dynadump::cli`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::dumpdb(env::args_os())
}
