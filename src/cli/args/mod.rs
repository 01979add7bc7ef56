//! Command-line arguments: clap structs (`…Args`), converted into commands (`…Command`) that contain the request of the library.
//!
//! Each flag is defined once, in a clap struct, and converted in one place: the `resolve` function of its command.
//!
//! No clap type leaves this folder.

mod common;
mod copy;
mod dump;
mod flags;
mod mapping;
mod overrides;
mod restore;
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
pub(crate) use restore::{RestoreArgs, RestoreCommand};
#[cfg(feature = "embedded")]
pub(crate) use serve::{ServeArgs, ServeCommand, Storage};
pub(crate) use verify::{ExpectedSchema, SecondTable, VerifyArgs, VerifyCommand, VerifyTask};

use super::terminal::output::OutputOptions;
use crate::error::Result;
use crate::field::Field;

/// The parsed arguments of a command; [`resolve`](Self::resolve) turns them into the command `C` to execute.
pub(crate) trait Arguments<C>: clap::Parser {
    /// Name of the executable.
    const COMMAND: &'static str;

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
