//! Command-line arguments: clap structs (`…Args`), converted into commands (`…Command`) that contain the request of the library.
//!
//! Each flag is defined once, in a clap struct, and converted in one place: the `resolve` function of its command.
//!
//! Of clap's types, only help that is about to be printed leaves this folder.

mod common;
mod copy;
mod copy_route;
mod copy_spec;
mod dump;
mod flags;
mod generate;
mod heading;
mod help;
mod mapping;
mod mistake;
mod multicall;
mod overrides;
mod restore;
mod restore_backup;
mod restore_set;
mod scan;
mod scope;
#[cfg(feature = "embedded")]
mod serve;
mod set_tables;
mod settings;
mod sides;
mod target;
mod transform;
mod value;
mod verify;

#[cfg(test)]
mod tests;

pub(crate) use common::CommonOptions;
pub(crate) use common::state_dir;
pub(crate) use copy::{CopyArgs, CopyCommand};
pub(crate) use dump::{DumpArgs, DumpCommand};
pub(crate) use flags::flag;
pub(crate) use help::Help;
#[cfg(test)]
pub(crate) use multicall::command_names;
pub(crate) use multicall::{PROGRAM, called_by_unknown_name, without_command};
pub(crate) use restore::{RestoreArgs, RestoreCommand};
#[cfg(feature = "embedded")]
pub(crate) use serve::{ServeArgs, ServeCommand, Storage};
pub(crate) use verify::{ExpectedSchema, SecondTable, VerifyArgs, VerifyCommand, VerifyTask};

use std::env::ArgsOs;

use self::generate::Generated;
use super::terminal::output::OutputOptions;
use crate::error::{Error, Result};
use crate::field::Field;

/// The parsed arguments of a command; [`resolve`](Self::resolve) turns them into the command `C` to execute.
pub(crate) trait Arguments<C>: clap::Parser {
    /// Name of the executable.
    const COMMAND: &'static str;

    /// The texts of `-h` and `--help` that the definitions of the flags do not contain.
    const HELP: Help;

    /// Whether the command serves until a signal stops it.
    const IS_SERVER: bool = false;

    /// The flag for a field in messages of the library.
    fn flag(field: Field) -> &'static str {
        flag(field)
    }

    /// Options for output; available before `resolve`, so that its errors can be printed.
    fn output_options(&self) -> OutputOptions;

    /// Checks the arguments and converts them.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) if arguments cannot be used together.
    fn resolve(self) -> Result<C>;
}

/// A command line that is not executed.
pub(crate) enum Unexecuted {
    /// It asks for help or the version, which is ready to be printed.
    Help(clap::Error),
    /// It asks for a text, which is ready to be printed.
    Text(String),
    /// It is not valid.
    Mistake(Error),
}

/// Parses the arguments of a process. The first one is the name of the program.
///
/// # Errors
/// They ask for help or another text, or are not valid.
pub(crate) fn parse<A: Arguments<C>, C>(arguments: ArgsOs) -> std::result::Result<A, Unexecuted> {
    let mut command = help::command::<A, C>();
    let matches = command.try_get_matches_from_mut(arguments);
    let generated = matches.as_ref().ok();
    if let Some(kind) = generated.and_then(|found| found.get_one::<Generated>(generate::FLAG)) {
        return Err(generate::generate(*kind, help::command::<A, C>())
            .map_or_else(Unexecuted::Mistake, Unexecuted::Text));
    }

    let parsed = matches.and_then(|matches| A::from_arg_matches(&matches));
    parsed.map_err(|notice| {
        if notice.use_stderr() {
            Unexecuted::Mistake(mistake::usage_error(&notice, &command))
        } else {
            Unexecuted::Help(notice)
        }
    })
}
