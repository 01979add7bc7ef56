//! Exit codes. Scripts rely on them: a code keeps its meaning, new ones may be added.
//!
//! The table below is the one place that lists them; `--help` shows it.

use std::fmt::Write as _;

use crate::error::ErrorKind;

/// All was done.
pub const DONE: u8 = 0;
/// Something failed that has no code of its own.
pub const FAILED: u8 = 1;
/// The command line contradicts itself or cannot be understood.
pub const USAGE: u8 = 2;
/// The run finished, but some items were rejected or differ, or settings failed; they are listed.
pub const PARTIAL: u8 = 3;
/// A question was answered with no, or nobody was there to answer it.
pub const NOT_CONFIRMED: u8 = 4;
/// The environment file, credentials, permissions or account are not right.
pub const ENVIRONMENT: u8 = 10;
/// A table or dump does not exist, or the endpoint does not answer.
pub const NOT_FOUND: u8 = 11;
/// The dump is damaged, unfinished or of a newer format.
pub const DAMAGED: u8 = 12;
/// The items do not fit the table's schema, or there is no schema.
pub const SCHEMA: u8 = 13;
/// The run was interrupted; it can be repeated.
pub const INTERRUPTED: u8 = 130;

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

/// The code for a failure of this kind.
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

/// The name of a kind in the JSON report.
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

/// The section of `--help`.
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
    fn every_kind_has_a_code_that_help_lists_and_a_name_of_its_own() {
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
