//! The program of the packages: all commands in one file; see [`dynadump::cli::multicall`].

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    dynadump::cli::multicall(env::args_os())
}
