//! Text of the tables that failed in a run about several tables. Tables that failed for the same reason, such as expired credentials, are
//! named together.

use std::fmt::Write as _;

use super::table_rows::name;
use crate::error::Error;
use crate::layout::names;

/// Stands for the name of a table in a text about several.
const ANY_NAME: &str = "…";

const CAUSE: &str = "caused by: ";

/// A table that failed.
pub(super) struct Failure<'a> {
    /// The names of its source and its target.
    pub(super) source: &'a str,
    pub(super) target: &'a str,
    pub(super) error: &'a Error,
}

/// The text of an error, without the names of the table.
#[derive(Debug, PartialEq, Eq)]
struct Reason {
    message: String,
    /// Details, causes and hint, each on a line of its own.
    rest: Vec<String>,
    /// Whether there is a cause, which may be the same in several tables although the message is not.
    has_cause: bool,
}

/// One text for each reason, in the order in which they first occur.
pub(super) fn failures<'a>(failed: impl Iterator<Item = Failure<'a>>) -> Vec<String> {
    let mut groups: Vec<(Reason, Vec<Failure<'a>>)> = Vec::new();
    for failure in failed {
        let reason = Reason::of(&failure);
        match groups.iter_mut().find(|(known, _)| known.is_like(&reason)) {
            Some((known, failures)) => {
                known.generalize(&reason);
                failures.push(failure);
            }
            None => groups.push((reason, vec![failure])),
        }
    }

    groups
        .iter()
        .map(|(reason, failures)| text(reason, failures))
        .collect()
}

fn text(reason: &Reason, failures: &[Failure<'_>]) -> String {
    let tables: Vec<_> = failures
        .iter()
        .map(|failure| name(failure.source, failure.target))
        .collect();

    if let [failure] = failures {
        return format!("table {}: {}", tables[0], error_text(failure.error));
    }

    let message = [&reason.message].into_iter().chain(&reason.rest);
    let lines: Vec<_> = message
        .filter(|line| !line.is_empty())
        .map(String::as_str)
        .collect();
    let lines = lines.join("\n");
    let lines = lines.strip_prefix(CAUSE).unwrap_or(&lines);

    format!("tables {}: {lines}", names(&tables, false))
}

/// An error with its details, causes and hint, as one text.
pub(super) fn error_text(error: &Error) -> String {
    let mut text = error.to_string();
    for line in lines_after_message(error) {
        let _ = write!(text, "\n{line}");
    }

    text
}

fn lines_after_message(error: &Error) -> Vec<String> {
    let details = error.details().iter().cloned();
    let causes = error.causes().map(|cause| format!("{CAUSE}{cause}"));
    let hint = error.hint().map(|hint| format!("hint: {hint}"));

    details.chain(causes).chain(hint).collect()
}

impl Reason {
    fn of(failure: &Failure<'_>) -> Self {
        let general = |text: &str| {
            let text = without_name(text, failure.source);
            without_name(&text, failure.target)
        };
        let error = failure.error;

        Self {
            message: general(&error.to_string()),
            rest: lines_after_message(error)
                .iter()
                .map(|line| general(line))
                .collect(),
            has_cause: error.causes().next().is_some(),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        let is_same_message = self.message == other.message || self.has_cause;

        is_same_message && self.rest == other.rest && self.has_cause == other.has_cause
    }

    /// Omits the message if it differs, as with the number of items until then: the cause says enough.
    fn generalize(&mut self, other: &Self) {
        if self.message != other.message {
            self.message.clear();
        }
    }
}

/// A text in which the name of a table, as a word of its own, is replaced.
fn without_name(text: &str, name: &str) -> String {
    let is_in_name =
        |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    let (mut found, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name).filter(|_| !name.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let is_word = !before.ends_with(is_in_name) && !after.starts_with(is_in_name);
        let is_inside = before.is_empty() && found.ends_with(is_in_name);
        found.push_str(before);
        found.push_str(if is_word && !is_inside {
            ANY_NAME
        } else {
            name
        });
        rest = after;
    }

    found + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(errors: &[(&str, Error)]) -> Vec<String> {
        failures(errors.iter().map(|(target, error)| Failure {
            source: "films",
            target,
            error,
        }))
    }

    fn expired(table: &str, items: u64) -> Error {
        let cause = Error::environment(format!("BatchWriteItem {table} failed: ExpiredToken"));
        Error::environment(format!("the copy stopped: {items} items had been written"))
            .with_source(cause)
            .with_hint("get new credentials")
    }

    #[test]
    fn tables_that_failed_for_the_same_reason_are_named_together() {
        let denied = Error::environment("not allowed").with_hint("ask for table/e");
        assert_eq!(
            texts(&[
                ("a", expired("a", 3)),
                ("b", Error::not_found("table \"b\" does not exist")),
                ("c", expired("c", 0)),
                ("d", Error::not_found("table \"d\" does not exist")),
                ("e", denied),
            ]),
            [
                "tables films → a, films → c: BatchWriteItem … failed: ExpiredToken\nhint: get new credentials",
                "tables films → b, films → d: table \"…\" does not exist",
                "table films → e: not allowed\nhint: ask for table/e",
            ]
        );
    }

    #[test]
    fn only_whole_names_are_replaced() {
        for (text, name, expected) in [
            ("table a failed", "a", "table … failed"),
            ("aa a.b a-b table/a", "a", "aa a.b a-b table/…"),
            ("films", "films", "…"),
            ("films", "", "films"),
        ] {
            assert_eq!(without_name(text, name), expected, "{text}");
        }
    }
}
