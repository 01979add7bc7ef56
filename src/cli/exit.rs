//! Exit codes. Scripts rely on them: existing codes never change their meaning.
//!
//! [`of_error`] is the only table; `--help` is derived from it, and a test compares docs/report.md with it.

use std::fmt::Write as _;

use crate::error::ErrorKind;

/// Success.
pub const DONE: u8 = 0;
/// A failure without a code of its own.
pub const FAILED: u8 = of_error(ErrorKind::Failed).code;
/// The command line is invalid.
pub const USAGE: u8 = of_error(ErrorKind::Usage).code;
/// Finished, but some items were rejected or differ, or some settings could not be applied.
pub const PARTIAL: u8 = of_error(ErrorKind::Rejected).code;
/// The dump is damaged, incomplete or of a newer format.
pub const DAMAGED: u8 = of_error(ErrorKind::Damaged).code;
/// The user has interrupted the command.
pub const INTERRUPTED: u8 = of_error(ErrorKind::Interrupted).code;

/// The exit code of a kind of error.
#[derive(Debug, Clone, Copy)]
pub struct ExitCode {
    /// The number.
    pub code: u8,
    /// The name of the kind in the `--json` report.
    pub kind: &'static str,
    /// The meaning, for `--help` and docs/report.md.
    pub meaning: &'static str,
}

/// The exit code of a kind of error.
#[must_use]
pub const fn of_error(kind: ErrorKind) -> ExitCode {
    let (code, kind, meaning) = match kind {
        ErrorKind::Failed => (1, "failed", "failed"),
        ErrorKind::Usage => (
            2,
            "usage",
            "usage: the command line is invalid or contradicts itself",
        ),
        ErrorKind::Rejected => (
            3,
            "rejected",
            "finished, but some items were rejected or differ, or settings failed; they are listed",
        ),
        ErrorKind::NotConfirmed => (
            4,
            "not-confirmed",
            "not confirmed: the answer was no, or there was no terminal to ask on",
        ),
        ErrorKind::Environment => (
            10,
            "environment",
            "environment file, credentials, permissions or account",
        ),
        ErrorKind::NotFound => (
            11,
            "not-found",
            "table or dump not found, or endpoint not reachable",
        ),
        ErrorKind::Damaged => (
            12,
            "damaged",
            "dump damaged, incomplete, unfinished or in a newer format",
        ),
        ErrorKind::SchemaMismatch => (13, "schema-mismatch", "schema incompatible or missing"),
        // 128 + SIGINT, as shells report it.
        ErrorKind::Interrupted => (
            130,
            "interrupted",
            "interrupted; the message says how to resume",
        ),
    };

    ExitCode {
        code,
        kind,
        meaning,
    }
}

/// The exit code of a command for several tables, from the codes of the tables: 0 if all are 0; otherwise 130 if the user interrupted
/// the command; otherwise the code of the failures if they have the same; otherwise 1.
#[must_use]
pub fn of_tables(codes: impl IntoIterator<Item = u8>, is_interrupted: bool) -> u8 {
    let mut failures = codes.into_iter().filter(|code| *code != DONE);
    let Some(first) = failures.next() else {
        return DONE;
    };

    if is_interrupted {
        of_error(ErrorKind::Interrupted).code
    } else if failures.all(|code| code == first) {
        first
    } else {
        FAILED
    }
}

/// All exit codes with their meanings, in ascending order.
fn meanings() -> impl Iterator<Item = (u8, &'static str)> {
    let errors = ErrorKind::ALL.into_iter().map(of_error);

    std::iter::once((DONE, "done")).chain(errors.map(|exit| (exit.code, exit.meaning)))
}

/// The section of `--help` that lists the exit codes.
pub(crate) fn help() -> String {
    meanings().fold("EXIT CODES".to_owned(), |mut text, (code, meaning)| {
        let _ = write!(text, "\n  {code:>3}  {meaning}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_kind_of_error_has_its_own_code_and_name() {
        let exits = ErrorKind::ALL.map(of_error);
        let names: BTreeSet<_> = exits.iter().map(|exit| exit.kind).collect();

        assert!(meanings().is_sorted_by(|(code, _), (next, _)| code < next));
        assert_eq!(names.len(), exits.len());
    }

    #[test]
    fn the_code_of_several_tables_is_their_common_code_or_failed() {
        for (codes, is_interrupted, expected) in [
            (&[][..], false, 0),
            (&[0, 0], false, 0),
            (&[0, 0], true, 0),
            (&[0, 11], false, 11),
            (&[12, 0, 12], false, 12),
            (&[3, 11], false, 1),
            (&[0, 130, 11], true, 130),
        ] {
            assert_eq!(
                of_tables(codes.iter().copied(), is_interrupted),
                expected,
                "{codes:?}"
            );
        }
    }

    #[test]
    fn the_guide_lists_the_codes_with_the_words_of_the_help() {
        let page = include_str!("../../docs/report.md");
        let mut table = String::new();
        for (code, meaning) in meanings() {
            writeln!(table, "| {code} | {meaning} |").unwrap();
        }

        assert!(
            page.contains(&format!("| code | meaning |\n| --- | --- |\n{table}\n")),
            "docs/report.md must contain\n{table}"
        );
        assert!(help().starts_with("EXIT CODES\n    0  done\n    1  failed\n    2  usage"));
    }
}
