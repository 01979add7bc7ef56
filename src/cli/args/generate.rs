//! Completion scripts and man pages, generated from the definitions of the flags.

use clap::builder::EnumValueParser;
use clap::{Arg, Command, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::heading;
use crate::error::{Error, Result};

/// Long name of the flag.
pub(super) const FLAG: &str = "generate";

/// A text that is generated from the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Generated {
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Man page
    Man,
}

/// `--generate`.
pub(super) fn flag() -> Arg {
    Arg::new(FLAG)
        .long(FLAG)
        .value_name("KIND")
        .value_parser(EnumValueParser::<Generated>::new())
        .exclusive(true)
        .help("Print a completion script for a shell, or the man page")
        .help_heading(heading::OUTPUT)
}

/// The completion script or the man page of a command.
///
/// # Errors
/// The man page cannot be rendered.
pub(super) fn generate(kind: Generated, mut command: Command) -> Result<String> {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    let mut complete = |shell| clap_complete::generate(shell, &mut command, &name, &mut text);

    match kind {
        Generated::Bash => complete(Shell::Bash),
        Generated::Zsh => complete(Shell::Zsh),
        Generated::Fish => complete(Shell::Fish),
        Generated::Man => Man::new(command)
            .render(&mut text)
            .map_err(|error| Error::failed("the man page cannot be rendered").with_source(error))?,
    }

    Ok(String::from_utf8_lossy(&text).into_owned())
}
