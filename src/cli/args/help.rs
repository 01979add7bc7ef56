//! The layout of `-h` and `--help`: which flags and examples they show, and under which headings.

use clap::{Arg, ArgAction, Command};

use super::{Arguments, generate, heading};
use crate::cli::exit;
use crate::cli::version::details;

/// Maximum width of help, in columns.
const MAX_WIDTH: usize = 100;

/// The headings in the order in which they are shown.
const HEADINGS: [&str; 8] = [
    heading::CONNECTION,
    heading::SOURCE_AND_TARGET,
    heading::SELECTION,
    heading::THROUGHPUT,
    heading::TRANSFORM,
    heading::TABLE_SETTINGS,
    heading::SAFETY,
    heading::OUTPUT,
];

/// The parts of a command's help that differ from the definitions of its flags.
pub(crate) struct Help {
    /// Long names of the flags that `-h` shows, at most ten.
    pub(crate) frequent: &'static [&'static str],
    /// Three examples, shown by `-h` and `--help`.
    pub(crate) examples: &'static str,
    /// More examples, shown by `--help`.
    pub(crate) more_examples: &'static str,
}

/// The command line of a command, from the definitions of its flags.
pub(crate) fn command<A: Arguments<C>, C>() -> Command {
    let Help {
        frequent,
        examples,
        more_examples,
    } = A::HELP;
    let defined = A::command();

    let mut arguments: Vec<Arg> = defined.get_arguments().cloned().collect();
    arguments.extend([generate::flag(), help_flag(), version_flag()]);
    // Clap shows headings in the order of their first flags. The sort is stable, so flags keep their order.
    arguments.sort_by_key(position);

    let arguments = arguments.into_iter().map(|argument| {
        let is_frequent = argument
            .get_long()
            .is_none_or(|name| frequent.contains(&name) || ["help", "version"].contains(&name));
        // Arguments without a flag come first under their heading.
        let order = argument.is_positional().then_some(0);

        argument.hide_short_help(!is_frequent).display_order(order)
    });

    Command::new(A::COMMAND)
        .about(defined.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(details())
        .max_term_width(MAX_WIDTH)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .after_help(format!(
            "EXAMPLES\n{examples}\n\n--help shows all options, defaults, more examples and the exit codes."
        ))
        .after_long_help(format!(
            "EXAMPLES\n{examples}\n{more_examples}\n\n{}",
            exit::help()
        ))
        .args(arguments)
        .groups(defined.get_groups().cloned())
}

/// Where the heading of a flag is in the order of headings.
fn position(argument: &Arg) -> usize {
    let heading = argument.get_help_heading();

    HEADINGS
        .iter()
        .position(|known| Some(*known) == heading)
        .unwrap_or(HEADINGS.len())
}

/// `-h` and `--help`, which clap tells apart.
fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help("Print a summary of the options (-h) or all of them (--help)")
        .help_heading(heading::OUTPUT)
}

fn version_flag() -> Arg {
    Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version (-V), or all details of the build (--version)")
        .help_heading(heading::OUTPUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{CopyArgs, DumpArgs, RestoreArgs, VerifyArgs};

    /// The commands with the flags that their short help shows.
    fn commands() -> Vec<(Command, &'static [&'static str])> {
        vec![
            (command::<DumpArgs, _>(), DumpArgs::HELP.frequent),
            (command::<RestoreArgs, _>(), RestoreArgs::HELP.frequent),
            (command::<CopyArgs, _>(), CopyArgs::HELP.frequent),
            (command::<VerifyArgs, _>(), VerifyArgs::HELP.frequent),
            #[cfg(feature = "embedded")]
            (
                command::<crate::cli::args::ServeArgs, _>(),
                crate::cli::args::ServeArgs::HELP.frequent,
            ),
        ]
    }

    #[test]
    fn short_help_fits_on_a_screen_and_shows_at_most_ten_flags_and_three_examples() {
        for (command, frequent) in commands() {
            let text = command
                .clone()
                .term_width(MAX_WIDTH)
                .render_help()
                .to_string();

            assert!(text.lines().count() <= 40, "{text}");
            assert!(
                text.lines().all(|line| line.chars().count() <= MAX_WIDTH),
                "{text}"
            );

            assert!(frequent.len() <= 10, "{frequent:?}");
            for flag in frequent {
                assert!(text.contains(&format!("--{flag}")), "{flag}\n{text}");
            }

            let examples = text.lines().skip_while(|line| *line != "EXAMPLES").skip(1);
            assert_eq!(
                examples.take_while(|line| !line.is_empty()).count(),
                3,
                "{text}"
            );
        }
    }

    #[test]
    fn every_flag_has_a_help_text_and_one_of_the_eight_headings() {
        for (command, _) in commands() {
            command.clone().debug_assert();
            for argument in command.get_arguments() {
                let heading = argument.get_help_heading().unwrap_or_default();
                assert!(HEADINGS.contains(&heading), "{argument}: {heading:?}");

                let help = argument.get_help().map(ToString::to_string);
                let first = help.as_deref().unwrap_or_default().chars().next();
                assert!(
                    first.is_some_and(char::is_uppercase),
                    "{argument}: {help:?}"
                );
            }
        }
    }

    #[test]
    fn long_help_shows_every_flag_and_the_headings_in_order() {
        for (mut command, _) in commands() {
            let text = command.render_long_help().to_string();
            for flag in command.get_arguments().filter_map(Arg::get_long) {
                assert!(text.contains(&format!("--{flag}")), "{flag}\n{text}");
            }

            let shown = text.lines().filter_map(|line| line.strip_suffix(':'));
            let positions: Vec<_> = shown
                .filter_map(|line| HEADINGS.iter().position(|heading| *heading == line))
                .collect();
            assert!(positions.len() >= 5 && positions.is_sorted(), "{text}");
        }
    }
}
