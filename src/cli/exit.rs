//! Exit codes. Scripts rely on them: existing codes never change their meaning.
//!
//! `--help` and README.md list them.

use std::fmt::Write as _;

use crate::error::ErrorKind;

/// Success.
pub const DONE: u8 = 0;
/// A failure without a code of its own.
pub const FAILED: u8 = 1;
/// The command line is invalid.
pub const USAGE: u8 = 2;
/// Finished, but some items were rejected or differ, or some settings could not be applied.
pub const PARTIAL: u8 = 3;
/// A prompt was declined, or there was no terminal to prompt on.
pub const NOT_CONFIRMED: u8 = 4;
/// A problem with the env file, credentials, permissions or account.
pub const ENVIRONMENT: u8 = 10;
/// The table or dump does not exist, or the endpoint cannot be reached.
pub const NOT_FOUND: u8 = 11;
/// The dump is damaged, incomplete or of a newer format.
pub const DAMAGED: u8 = 12;
/// The items do not match the table's schema, or there is no schema.
pub const SCHEMA: u8 = 13;
/// Interrupted by a signal; 128 + SIGINT, as shells report it.
pub const INTERRUPTED: u8 = 130;

/// All codes with their descriptions for `--help`, in ascending order.
const MEANINGS: [(u8, &str); 10] = [
    (DONE, "done"),
    (FAILED, "failed"),
    (
        USAGE,
        "usage: the command line contradicts itself or cannot be understood",
    ),
    (
        PARTIAL,
        "finished, but some items were rejected or differ, or settings failed; they are listed",
    ),
    (
        NOT_CONFIRMED,
        "not confirmed: the answer was no, or nobody was there to answer",
    ),
    (
        ENVIRONMENT,
        "environment file, credentials, permissions or account",
    ),
    (
        NOT_FOUND,
        "table or dump not found, or endpoint not reachable",
    ),
    (
        DAMAGED,
        "dump damaged, incomplete, unfinished or of a newer format",
    ),
    (SCHEMA, "the schema does not fit, or there is none"),
    (INTERRUPTED, "interrupted; the message says how to go on"),
];

/// The exit code for a kind of error.
#[must_use]
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Failed => FAILED,
        ErrorKind::Usage => USAGE,
        ErrorKind::Rejected => PARTIAL,
        ErrorKind::NotConfirmed => NOT_CONFIRMED,
        ErrorKind::Environment => ENVIRONMENT,
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::Damaged => DAMAGED,
        ErrorKind::SchemaMismatch => SCHEMA,
        ErrorKind::Interrupted => INTERRUPTED,
    }
}

/// The name of a kind of error in the `--json` report.
pub(crate) fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Failed => "failed",
        ErrorKind::Usage => "usage",
        ErrorKind::Rejected => "rejected",
        ErrorKind::NotConfirmed => "not-confirmed",
        ErrorKind::Environment => "environment",
        ErrorKind::NotFound => "not-found",
        ErrorKind::Damaged => "damaged",
        ErrorKind::SchemaMismatch => "schema-mismatch",
        ErrorKind::Interrupted => "interrupted",
    }
}

/// The section of `--help` that lists the exit codes.
pub(crate) fn help() -> String {
    MEANINGS
        .iter()
        .fold("EXIT CODES".to_owned(), |mut text, (code, meaning)| {
            let _ = write!(text, "\n  {code:>3}  {meaning}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_kind_has_a_listed_code_and_a_unique_name() {
        let kinds = [
            ErrorKind::Failed,
            ErrorKind::Usage,
            ErrorKind::Rejected,
            ErrorKind::NotConfirmed,
            ErrorKind::Environment,
            ErrorKind::NotFound,
            ErrorKind::Damaged,
            ErrorKind::SchemaMismatch,
            ErrorKind::Interrupted,
        ];

        let mut codes: Vec<u8> = kinds.into_iter().map(exit_code).collect();
        let mut names: Vec<_> = kinds.into_iter().map(kind_name).collect();
        assert!(
            codes
                .iter()
                .all(|code| *code != DONE && MEANINGS.iter().any(|(listed, _)| listed == code))
        );

        codes.sort_unstable();
        codes.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((codes.len(), names.len()), (kinds.len(), kinds.len()));
    }

    #[test]
    fn help_lists_the_codes_in_order() {
        assert!(MEANINGS.is_sorted_by_key(|(code, _)| *code));
        assert!(help().starts_with("EXIT CODES\n    0  done\n    1  failed\n    2  usage"));
        assert!(help().ends_with("\n  130  interrupted; the message says how to go on"));
    }
}
