//! The program of the packages: one executable for all commands, which acts by the name it is called with.

use std::env::{self, ArgsOs};
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use super::args::{PROGRAM, called_by_unknown_name, without_command};
use super::session;

/// Runs a command with arguments, of which the first one is the name of the program.
type Run = fn(ArgsOs) -> ExitCode;

/// What a program does that is called by some name.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// It is this command.
    Command(Run),
    /// It runs the command that its first argument names.
    Package,
}

/// Runs the command that is called like this program. If the program is called `dynadump`, its first argument names the command.
#[must_use]
pub fn multicall(mut arguments: ArgsOs) -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    let executable = env::current_exe().unwrap_or_default();

    // A symbolic link may have any name: the file that it leads to then counts.
    match role(&called).or_else(|| role(executable.as_os_str())) {
        Some(Role::Command(run)) => run(arguments),
        Some(Role::Package) => {
            arguments.next();
            let first = env::args_os().nth(1);
            match first.as_deref().and_then(OsStr::to_str).and_then(command) {
                Some(run) => run(arguments),
                None => session::answer(PROGRAM, without_command(first)),
            }
        }
        None => {
            let name = Path::new(&called).file_name().unwrap_or_default();
            session::answer(PROGRAM, called_by_unknown_name(&name.to_string_lossy()))
        }
    }
}

/// The role of a program with this path.
fn role(path: &OsStr) -> Option<Role> {
    let name = program_name(path)?;
    if name == PROGRAM {
        return Some(Role::Package);
    }

    command(name).map(Role::Command)
}

/// The name of a program without its folder and the extension that Windows requires.
fn program_name(path: &OsStr) -> Option<&str> {
    let name = Path::new(path).file_name()?.to_str()?;

    Some(name.strip_suffix(".exe").unwrap_or(name))
}

fn command(name: &str) -> Option<Run> {
    let run: Run = match name {
        "dumpdb" => super::dumpdb,
        "restoredb" => super::restoredb,
        "copydb" => super::copydb,
        "verifydb" => super::verifydb,
        #[cfg(feature = "embedded")]
        "servedb" => super::servedb,
        _ => return None,
    };

    Some(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::command_names;

    #[test]
    fn each_command_that_is_listed_is_run_by_its_name_in_any_folder() {
        for name in command_names() {
            for path in [
                name.clone(),
                format!("/usr/bin/{name}"),
                format!("./{name}.exe"),
            ] {
                let role = role(OsStr::new(&path));
                assert!(matches!(role, Some(Role::Command(_))), "{path}: {role:?}");
            }
        }
    }

    #[test]
    fn the_program_of_all_commands_is_none_of_them_and_other_names_have_no_role() {
        for path in ["dynadump", "/opt/dynadump", "dynadump.exe"] {
            let role = role(OsStr::new(path));
            assert!(matches!(role, Some(Role::Package)), "{path}: {role:?}");
        }

        for path in ["", "/", "dumpdb2", "dumpdb/", "dumpdb/..", "DUMPDB"] {
            let role = role(OsStr::new(path));
            assert_eq!(role.is_some(), path == "dumpdb/", "{path}: {role:?}");
        }
    }
}
