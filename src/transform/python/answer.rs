//! Parser for the answers of `adapter.py`, which describes them.

use bytes::Bytes;

use crate::item::item_digest;
use crate::transform::check::check_item;
use crate::transform::command::{InvalidAnswer, MESSAGE_CHARS, printable};
use crate::transform::outcome::{Outcome, RejectReason};

/// An answer to an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PythonAnswer {
    pub(super) outcome: Outcome,
    /// Whether the result contained a float.
    pub(super) has_floats: bool,
    pub(super) traceback: Option<String>,
}

/// Parses the answer to `item`.
pub(super) fn parse(item: &Bytes, line: &[u8]) -> Result<PythonAnswer, InvalidAnswer> {
    let (has_floats, line) = match line.strip_prefix(b"~") {
        Some(line) => (true, line),
        None => (false, line),
    };

    let mut traceback = None;
    let outcome = match line {
        b"=" => Outcome::Unchanged,
        b"-" => Outcome::Skipped,
        [b'!', ..] => {
            let (reason, details) = rejection(line).ok_or(InvalidAnswer)?;
            traceback = details;
            Outcome::Rejected(RejectReason::External(reason))
        }
        [b'[', items @ ..] => several(item, items),
        [b'{', ..] => one(item, line),
        _ => return Err(InvalidAnswer),
    };

    Ok(PythonAnswer {
        outcome,
        has_floats,
        traceback,
    })
}

/// The reason and the traceback of an answer that rejects an item or an import.
pub(super) fn rejection(line: &[u8]) -> Option<(String, Option<String>)> {
    let (reason, traceback): (String, Option<String>) =
        serde_json::from_slice(line.strip_prefix(b"!")?).ok()?;

    Some((printable(&reason, MESSAGE_CHARS), traceback))
}

/// The outcome of an item that is replaced by one other. An equal item keeps its bytes: Python has no order of sets, and writes
/// some numbers differently.
fn one(item: &Bytes, result: &[u8]) -> Outcome {
    if let Err(reason) = check_item(result, item) {
        return Outcome::Rejected(RejectReason::External(reason));
    }

    let is_equal = item_digest(result)
        .is_ok_and(|digest| item_digest(item).is_ok_and(|original| original == digest));
    if is_equal {
        Outcome::Unchanged
    } else {
        Outcome::Changed(Bytes::copy_from_slice(result))
    }
}

/// The outcome of an item that is replaced by several others, which tabs separate.
fn several(item: &Bytes, results: &[u8]) -> Outcome {
    let results: Vec<&[u8]> = results.split(|byte| *byte == b'\t').collect();
    let checked = results
        .iter()
        .try_for_each(|result| check_item(result, item));

    match checked {
        Err(reason) => Outcome::Rejected(RejectReason::External(reason)),
        Ok(()) => Outcome::Several(results.into_iter().map(Bytes::copy_from_slice).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(line: &str) -> Result<Outcome, InvalidAnswer> {
        let item = Bytes::from(r#"{"a":{"NS":["1.0","2"]},"b":{"S":"é"}}"#);
        parse(&item, line.as_bytes()).map(|answer| answer.outcome)
    }

    #[test]
    fn an_equal_item_is_unchanged_whatever_its_notation() {
        for line in ["=", r#"{"b":{"S":"\u00e9"},"a":{"NS":["2","1"]}}"#] {
            assert_eq!(outcome_of(line), Ok(Outcome::Unchanged), "{line}");
        }
    }

    #[test]
    fn results_are_checked() {
        let one = r#"{"a":{"N":"1"}}"#;
        assert_eq!(outcome_of(one), Ok(Outcome::Changed(one.into())));
        assert_eq!(
            outcome_of(&format!("[{one}\t{one}")),
            Ok(Outcome::Several(vec![one.into(), one.into()]))
        );

        let digits = "1".repeat(39);
        for line in [
            format!(r#"{{"a":{{"M":{{"b":{{"N":"{digits}"}}}}}}}}"#),
            format!("[{one}\t{{\"a\":{{\"M\":{{\"b\":{{\"N\":\"{digits}\"}}}}}}}}"),
        ] {
            let reason = r#"attribute "a.b": a number of more than 38 digits"#.to_owned();
            assert_eq!(
                outcome_of(&line),
                Ok(Outcome::Rejected(RejectReason::External(reason)))
            );
        }
    }

    #[test]
    fn an_answer_may_say_that_there_were_floats_or_where_the_function_failed() {
        let item = Bytes::from("{}");
        assert!(parse(&item, br#"~{"a":{"N":"0.5"}}"#).unwrap().has_floats);
        assert_eq!(
            parse(&item, br#"!["no\nkind", "Traceback"]"#),
            Ok(PythonAnswer {
                outcome: Outcome::Rejected(RejectReason::External("no kind".to_owned())),
                has_floats: false,
                traceback: Some("Traceback".to_owned()),
            })
        );
    }

    #[test]
    fn anything_else_is_not_an_answer() {
        for line in ["", "==", "Hello", "!", "!x", "~", "-x"] {
            assert_eq!(outcome_of(line), Err(InvalidAnswer), "{line}");
        }
    }
}
