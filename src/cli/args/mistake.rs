//! Usage errors: clap's messages on one line, with a hint that names the flag that was probably meant.

use std::fmt::Write as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::error::Error;

/// Flags of other programs for the same purpose, with ours. The first of ours that the command has is suggested. Other notations,
/// such as `tableName`, are recognized without an entry; see [`letters`].
const FLAGS_OF_OTHERS: [(&[&str], &[&str]); 26] = [
    (&["out", "outdir", "outputdir", "outfile"], &["output"]),
    (
        &["in", "input", "inputdir", "infile", "src", "output"],
        &["source", "from"],
    ),
    (
        &[
            "dumppath", "path", "file", "backup", "dump", "folder", "dir",
        ],
        &["source", "output", "from"],
    ),
    (&["from"], &["source", "env"]),
    (
        &["to", "dest", "destination", "target"],
        &["output", "to", "env"],
    ),
    (
        &[
            "db",
            "dbname",
            "database",
            "collection",
            "tablename",
            "tables",
            "origintablename",
        ],
        &["table"],
    ),
    (&["srctable", "sourcetable"], &["from-table", "table"]),
    (
        &["desttable", "targettable", "targettablename"],
        &["map", "table"],
    ),
    (&["environment", "stage"], &["env", "from"]),
    (&["awsprofile", "profile"], &["profile", "from-profile"]),
    (
        &["awsregion", "regionname", "region"],
        &["region", "from-region"],
    ),
    (
        &["endpoint", "host", "hostname", "url"],
        &["endpoint-url", "from-endpoint-url", "listen"],
    ),
    (&["port"], &["listen", "endpoint-url", "from-endpoint-url"]),
    (
        &["accesskey", "accesskeyid", "secretkey", "secretaccesskey"],
        &["profile", "from-profile"],
    ),
    (&["totalsegments"], &["segments"]),
    (&["maxitems", "head"], &["limit"]),
    (&["query", "filter"], &["where"]),
    (&["threads", "workers", "parallel"], &["concurrency"]),
    (&["jobs"], &["parallel-tables"]),
    (
        &["readcapacityunits", "desiredreadcapacityunits"],
        &["read-capacity", "max-rcu"],
    ),
    (
        &["writecapacityunits", "desiredwritecapacityunits"],
        &["write-capacity", "max-wcu"],
    ),
    (&["gzip", "zip", "compression"], &["compress"]),
    (&["force", "noconfirm", "assumeyes"], &["yes"]),
    (&["overwrite", "drop", "clean", "recreate"], &["replace"]),
    (&["skipexisting", "ifnotexists"], &["if-missing"]),
    (&["debug", "log", "loglevel"], &["verbose"]),
];

/// The usage error for a command line that clap rejects.
pub(super) fn usage_error(notice: &clap::Error, command: &Command) -> Error {
    let hint = unknown_flag_hint(notice, command)
        .or_else(|| value_hint(notice))
        .unwrap_or_else(|| format!("see `{} --help`", command.get_name()));

    Error::usage(message(&notice.to_string())).with_hint(hint)
}

/// The message of a clap error on one line, without its label, values, tips and usage.
fn message(notice: &str) -> String {
    let lines = notice
        .trim_start_matches("error: ")
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("[possible values: "));

    lines.collect::<Vec<_>>().join(" ")
}

/// The flag that an unknown one was probably meant to be.
fn unknown_flag_hint(notice: &clap::Error, command: &Command) -> Option<String> {
    if notice.kind() != ErrorKind::UnknownArgument {
        return None;
    }

    let given = text(notice, ContextKind::InvalidArg)?;
    let given = given.trim_start_matches('-');
    let flags: Vec<&str> = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .collect();
    if let Some(flag) = flag_of_other_program(given, &flags) {
        return Some(format!("use --{flag}"));
    }

    text(notice, ContextKind::SuggestedArg).map(|similar| format!("did you mean {similar}?"))
}

/// Our flag for one of another program, or for another notation of ours.
fn flag_of_other_program<'a>(given: &str, flags: &[&'a str]) -> Option<&'a str> {
    let given = letters(given);
    let same = flags.iter().find(|flag| letters(flag) == given);
    if let Some(same) = same {
        return Some(same);
    }

    let (_, ours) = FLAGS_OF_OTHERS
        .iter()
        .find(|(others, _)| others.contains(&given.as_str()))?;

    ours.iter()
        .find_map(|wanted| flags.iter().find(|flag| *flag == wanted).copied())
}

/// A name without hyphens, underscores and letter case.
fn letters(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect()
}

/// The values that a flag accepts.
fn value_hint(notice: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(valid)) = notice.get(ContextKind::ValidValue) else {
        return None;
    };
    if valid.is_empty() {
        return None;
    }

    let mut hint = format!("use one of {}", valid.join(", "));
    if let Some(value) = text(notice, ContextKind::SuggestedValue) {
        let _ = write!(hint, "; did you mean {value}?");
    }

    Some(hint)
}

fn text(notice: &clap::Error, kind: ContextKind) -> Option<&str> {
    match notice.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::help::command;
    use crate::cli::args::{CopyArgs, DumpArgs, RestoreArgs, VerifyArgs};

    fn error(command: &Command, words: &[&str]) -> Error {
        let words = std::iter::once(&"x").chain(words);
        let notice = command
            .clone()
            .try_get_matches_from(words)
            .expect_err("a mistake");

        usage_error(&notice, command)
    }

    fn hint(command: &Command, words: &[&str]) -> String {
        error(command, words).hint().unwrap_or_default().to_owned()
    }

    #[test]
    fn flags_of_the_tools_that_people_come_from_suggest_ours() {
        let (dump, restore) = (command::<DumpArgs, _>(), command::<RestoreArgs, _>());
        let (copy, verify) = (command::<CopyArgs, _>(), command::<VerifyArgs, _>());
        for (command, given, ours) in [
            (&dump, "--out", "--output"),
            (&restore, "--in", "--source"),
            (&dump, "--db", "--table"),
            (&dump, "--table-name", "--table"),
            (&restore, "--table-name", "--table"),
            (&dump, "--total-segments", "--segments"),
            (&dump, "--max-items", "--limit"),
            (&dump, "--dumpPath", "--output"),
            (&restore, "--dumpPath", "--source"),
            (&restore, "--schemaOnly", "--schema-only"),
            (&restore, "--desiredReadCapacityUnits", "--read-capacity"),
            (&restore, "--clean", "--replace"),
            (&dump, "--from", "--env"),
            (&copy, "--environment", "--from"),
            (&copy, "--profile", "--from-profile"),
            (&copy, "--dest", "--to"),
            (&copy, "--targetTableName", "--map"),
            (&verify, "--input", "--source"),
            (&verify, "--endpoint", "--endpoint-url"),
        ] {
            assert_eq!(
                hint(command, &[given, "x"]),
                format!("use {ours}"),
                "{given}"
            );
        }
    }

    #[test]
    fn every_suggested_flag_exists() {
        let commands = [
            command::<DumpArgs, _>(),
            command::<RestoreArgs, _>(),
            command::<CopyArgs, _>(),
            command::<VerifyArgs, _>(),
            #[cfg(feature = "embedded")]
            command::<crate::cli::args::ServeArgs, _>(),
        ];
        let flags: Vec<&str> = commands
            .iter()
            .flat_map(Command::get_arguments)
            .filter_map(clap::Arg::get_long)
            .collect();
        for (others, ours) in FLAGS_OF_OTHERS {
            for flag in ours {
                assert!(flags.contains(flag), "--{flag}");
            }

            for other in others {
                assert_eq!(*other, letters(other));
            }
        }
    }

    #[test]
    fn a_misspelled_flag_suggests_similar_ones_and_a_strange_one_the_help() {
        let dump = command::<DumpArgs, _>();
        assert_eq!(hint(&dump, &["--tabel=films"]), "did you mean --table?");
        assert_eq!(
            hint(&dump, &["--parrallel-tables=3"]),
            "did you mean --parallel-tables?"
        );
        assert_eq!(hint(&dump, &["--xyz"]), "see `dumpdb --help`");
    }

    #[test]
    fn the_message_has_one_line_and_the_hint_has_the_values() {
        let wrong = error(&command::<DumpArgs, _>(), &["--color=none"]);
        assert_eq!(
            (wrong.to_string().as_str(), wrong.hint()),
            (
                "invalid value 'none' for '--color <WHEN>'",
                Some("use one of auto, always, never")
            )
        );

        let wrong = error(&command::<DumpArgs, _>(), &["--env=a", "--no-env"]);
        assert_eq!(
            (wrong.to_string().as_str(), wrong.hint()),
            (
                "the argument '--env <NAME>' cannot be used with '--no-env'",
                Some("see `dumpdb --help`")
            )
        );
    }
}
