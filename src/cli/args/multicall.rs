//! The command line of `dynadump`, the program that contains all commands: `dynadump COMMAND …`.

use std::ffi::OsString;

use clap::Command;

use super::{Arguments, CopyArgs, DumpArgs, RestoreArgs, Unexecuted, VerifyArgs, help, mistake};
use crate::cli::version::details;
use crate::error::Error;
use crate::similar::did_you_mean;

/// Name of the program that contains all commands.
pub(crate) const PROGRAM: &str = "dynadump";

/// The answer to a command line of `dynadump` whose first argument, if there is one, is not a command: the list of commands, the
/// version or a usage error.
pub(crate) fn without_command(first: Option<OsString>) -> Unexecuted {
    let mut program = program();
    let first = first.unwrap_or_else(|| "--help".into());
    if !first.as_encoded_bytes().starts_with(b"-") {
        let name = first.to_string_lossy();
        return Unexecuted::Mistake(not_a_command(&name, &format!("see `{PROGRAM} --help`")));
    }

    match program.try_get_matches_from_mut([PROGRAM.into(), first]) {
        Err(notice) if !notice.use_stderr() => Unexecuted::Help(notice),
        Err(notice) => Unexecuted::Mistake(mistake::usage_error(&notice, &program)),
        Ok(_) => Unexecuted::Mistake(Error::usage("a command is missing")),
    }
}

/// The usage error for a program that is called by a name which is not that of a command.
pub(crate) fn called_by_unknown_name(name: &str) -> Unexecuted {
    let names = command_names().join(", ");

    Unexecuted::Mistake(not_a_command(
        name,
        &format!("call the program by one of these names: {PROGRAM}, {names}"),
    ))
}

fn not_a_command(name: &str, hint: &str) -> Error {
    let names = command_names();
    let similar = did_you_mean(name, names.iter().map(String::as_str));

    Error::usage(format!("{name} is not a command of {PROGRAM}"))
        .with_hint(similar.unwrap_or_else(|| hint.to_owned()))
}

/// The names of the commands.
pub(crate) fn command_names() -> Vec<String> {
    program()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect()
}

/// The definition of `dynadump`. The commands are only listed: they parse their own arguments.
fn program() -> Command {
    Command::new(PROGRAM)
        .about("Dump, restore, copy, verify and serve DynamoDB tables")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(details())
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommands([
            listed::<DumpArgs, _>(),
            listed::<RestoreArgs, _>(),
            listed::<CopyArgs, _>(),
            listed::<VerifyArgs, _>(),
            #[cfg(feature = "embedded")]
            listed::<super::ServeArgs, _>(),
        ])
        .after_help(format!(
            "`{PROGRAM} COMMAND --help` shows the options of a command. Called by the name of a command, the program is that command."
        ))
}

/// A command with its purpose.
fn listed<A: Arguments<C>, C>() -> Command {
    let about = help::command::<A, C>().get_about().cloned();

    Command::new(A::COMMAND).about(about.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(answer: Unexecuted) -> (String, String) {
        match answer {
            Unexecuted::Mistake(error) => (
                error.to_string(),
                error.hint().unwrap_or_default().to_owned(),
            ),
            _ => panic!("not a mistake"),
        }
    }

    fn without(first: &str) -> Unexecuted {
        without_command(Some(first.into()))
    }

    #[test]
    fn without_an_argument_the_commands_are_listed_with_their_purposes() {
        for answer in [without_command(None), without("-h"), without("--help")] {
            let Unexecuted::Help(help) = answer else {
                panic!("no help");
            };
            // Lines are wrapped at the width of the terminal.
            let words: Vec<String> = help
                .to_string()
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let text = words.join(" ");
            for command in program().get_subcommands() {
                let purpose = command.get_about().map(ToString::to_string);
                let entry = format!("{} {}", command.get_name(), purpose.unwrap());
                assert!(text.contains(&entry), "{text}");
            }
        }
    }

    #[test]
    fn an_unknown_command_suggests_a_similar_one_or_the_help() {
        for (given, hint) in [
            ("dumpd", "did you mean dumpdb?"),
            ("xyz", "see `dynadump --help`"),
        ] {
            assert_eq!(
                mistake(without(given)),
                (
                    format!("{given} is not a command of dynadump"),
                    hint.to_owned()
                )
            );
        }

        assert_eq!(
            mistake(without("--env=prod")),
            (
                "unexpected argument '--env' found".to_owned(),
                "see `dynadump --help`".to_owned()
            )
        );
    }

    #[test]
    fn an_unknown_name_of_the_program_lists_the_names() {
        let (message, hint) = mistake(called_by_unknown_name("tool"));
        assert_eq!(message, "tool is not a command of dynadump");
        assert!(
            hint.contains("dynadump, dumpdb, restoredb, copydb, verifydb"),
            "{hint}"
        );
    }
}
