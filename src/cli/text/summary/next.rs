//! The command to run after a restore or a copy: `verifydb`, with the tables that the command line names.

use std::ffi::OsString;

use crate::cli::text::format;

/// Options of `restoredb` that select dump and tables; `verifydb` has them, too. Each takes a value.
const OF_RESTORE: [&str; 15] = [
    "--source",
    "-s",
    "--env",
    "-e",
    "--envs-dir",
    "--table",
    "--profile",
    "--region",
    "--endpoint-url",
    "--role-arn",
    "--from-table",
    "--map",
    "--map-file",
    "--strip-prefix",
    "--add-prefix",
];

/// Options of `copydb` that name environments, and the options of `verifydb` for them. Each takes a value.
const SIDES: [(&str, &str); 2] = [("--from", "--env"), ("--to", "--against-env")];

/// Options of `copydb` that are passed on whatever is copied. Each takes a value.
const OF_COPY: [&str; 2] = ["--envs-dir", "--sample"];

/// Options of `copydb` that select and rename several tables; `verifydb` has them, too. Each takes a value.
const OF_SET: [&str; 7] = [
    "--table",
    "--exclude",
    "--with-tag",
    "--map",
    "--map-file",
    "--strip-prefix",
    "--add-prefix",
];

/// Options of `copydb` after which the tables differ, or which name a side in a way that `verifydb` does not know.
const NOT_COMPARABLE: [&str; 17] = [
    "--transform",
    "--transform-command",
    "--transform-python",
    "--mask",
    "--where",
    "--filter-expression",
    "--projection-expression",
    "--limit",
    "--env-file",
    "--from-profile",
    "--from-region",
    "--from-endpoint-url",
    "--from-role-arn",
    "--to-profile",
    "--to-region",
    "--to-endpoint-url",
    "--to-role-arn",
];

/// The `verifydb` command that compares every item, derived from the arguments of a `restoredb` command.
pub(crate) fn verify_command(arguments: impl IntoIterator<Item = OsString>) -> String {
    let (mut command, mut has_environment) = (vec!["verifydb".into()], false);
    for option in options(arguments, |name| OF_RESTORE.contains(&name)) {
        has_environment |= matches!(&*option.name, "--env" | "-e" | "--no-env");

        if OF_RESTORE.contains(&&*option.name) || option.name == "--no-env" {
            command.extend(option.words);
        }
    }

    // Without an environment, `verifydb` would only check the dump itself.
    if !has_environment {
        command.push("--env=local".into());
    }

    quoted(&command)
}

/// The `verifydb` command that compares source and target, derived from the arguments of a `copydb` command. `table` has both names if
/// one table was copied. `None` if `verifydb` cannot compare them.
pub(crate) fn compare_command(
    arguments: impl IntoIterator<Item = OsString>,
    table: Option<(&str, &str)>,
) -> Option<String> {
    let side = |name: &str| SIDES.iter().find(|(side, _)| *side == name);
    let has_value =
        |name: &str| side(name).is_some() || OF_COPY.contains(&name) || OF_SET.contains(&name);

    let (mut command, mut sides) = (vec!["verifydb".into()], 0);
    for mut option in options(arguments, has_value) {
        let name = option.name.as_str();
        if NOT_COMPARABLE.contains(&name) {
            return None;
        }

        if let Some((side, renamed)) = side(name) {
            sides += 1;
            let first = option.words[0].to_string_lossy();
            option.words[0] = first.replacen(side, renamed, 1).into();
            command.extend(option.words);
        } else if OF_COPY.contains(&name)
            || table.is_none() && (OF_SET.contains(&name) || name == "--all-tables")
        {
            command.extend(option.words);
        }
    }

    if let Some((source, target)) = table {
        command.extend(["--table", source, "--against-table", target].map(OsString::from));
    }

    (sides == SIDES.len()).then(|| quoted(&command))
}

/// An option of a command line.
struct GivenOption {
    /// Its name: `--env`, `-e`.
    name: String,
    /// The option and its value, as they were written.
    words: Vec<OsString>,
}

/// The options of a command line. Those whose value is a word of its own must be known.
fn options(
    arguments: impl IntoIterator<Item = OsString>,
    has_value: impl Fn(&str) -> bool,
) -> Vec<GivenOption> {
    let mut options = Vec::new();
    let mut arguments = arguments.into_iter().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            break;
        }

        let (name, is_joined) = match text.split_once('=') {
            Some((name, _)) if name.starts_with("--") => (name.to_owned(), true),
            // The value of a short option may follow it directly.
            _ if text.starts_with('-') && !text.starts_with("--") && text.is_char_boundary(2) => {
                (text[..2].to_owned(), text.len() > 2)
            }
            _ => (text.clone().into_owned(), false),
        };
        let value = if has_value(&name) && !is_joined {
            arguments.next()
        } else {
            None
        };
        options.push(GivenOption {
            name,
            words: std::iter::once(argument).chain(value).collect(),
        });
    }

    options
}

fn quoted(command: &[OsString]) -> String {
    let words: Vec<_> = command
        .iter()
        .map(|word| format::shell_quoted(word))
        .collect();

    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn verify_command_has_the_same_dump_and_table() {
        for (line, expected) in [
            (
                "./restoredb --env=dev --replace --verify none --source it's --boost-write-capacity 5 -q",
                r"verifydb --env=dev --source 'it'\''s'",
            ),
            (
                "restoredb --yes --table b",
                "verifydb --table b --env=local",
            ),
            (
                "restoredb --no-env --region r --table b",
                "verifydb --no-env --region r --table b",
            ),
            (
                "restoredb -e dev -s ./set -y --from-table=app-* --add-prefix new-",
                "verifydb -e dev -s ./set '--from-table=app-*' --add-prefix new-",
            ),
            ("restoredb -edev -s./set", "verifydb -edev -s./set"),
            ("restoredb -q -y - é", "verifydb --env=local"),
        ] {
            assert_eq!(verify_command(words(line)), expected, "{line}");
        }
    }

    #[test]
    fn compare_command_names_both_environments_and_all_tables() {
        for (line, table, expected) in [
            (
                "copydb --from=prod --to dev --table films --map films=copies --yes --max-rcu 5",
                Some(("films", "copies")),
                Some("verifydb --env=prod --against-env dev --table films --against-table copies"),
            ),
            (
                "copydb --to=dev --from=prod --table prod-* --map=prod-*=dev-* --exclude a,b --sample 5% --resume",
                None,
                Some(
                    "verifydb --against-env=dev --env=prod --table 'prod-*' '--map=prod-*=dev-*' --exclude a,b --sample 5%",
                ),
            ),
            (
                "copydb --from=prod --to=dev --all-tables --envs-dir=e --parallel-tables 3",
                None,
                Some("verifydb --env=prod --against-env=dev --all-tables --envs-dir=e"),
            ),
            (
                "copydb --from=prod --to=dev --mask=rules.toml",
                Some(("a", "a")),
                None,
            ),
            ("copydb --env-file .env --yes", None, None),
            (
                "copydb --from=prod --to-profile dev --to-region r",
                None,
                None,
            ),
        ] {
            let command = compare_command(words(line), table);
            assert_eq!(command.as_deref(), expected, "{line}");
        }
    }
}
