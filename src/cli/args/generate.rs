//! Completion scripts and man pages, generated from the definitions of the flags.

use std::fmt::Write as _;

use clap::builder::{EnumValueParser, Resettable};
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
    let shell = match kind {
        Generated::Bash => Shell::Bash,
        Generated::Zsh => Shell::Zsh,
        Generated::Fish => Shell::Fish,
        Generated::Man => return man_page(command),
    };

    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);

    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The man page. Examples and exit codes are added here, so that the renderer keeps their lines.
fn man_page(command: Command) -> Result<String> {
    let sections = command.get_after_long_help().map(ToString::to_string);
    let options = command
        .after_help(Resettable::Reset)
        .after_long_help(Resettable::Reset);

    let mut page = Vec::new();
    Man::new(options)
        .render(&mut page)
        .map_err(|error| Error::failed("the man page cannot be rendered").with_source(error))?;

    let mut text = String::from_utf8_lossy(&page).into_owned();
    for line in sections.unwrap_or_default().lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.is_empty() || line.starts_with(' ') {
            text.push_str(&line);
        } else {
            // A heading ends the section before it.
            let _ = write!(text, ".fi\n.SH {line}\n.nf");
        }
        text.push('\n');
    }

    Ok(text)
}
