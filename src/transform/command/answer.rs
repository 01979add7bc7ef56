//! Parser for the answers of a program: an item, `{"skip":true}` or `{"error":"…"}`.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::super::check::check_item;
use super::super::outcome::{Outcome, RejectReason};
use super::user_program::InvalidAnswer;
use crate::item::parse_item;

/// Maximum length of a program's error message, in characters.
pub(crate) const MESSAGE_CHARS: usize = 300;

/// The outcome for `item` that the program answered with `line`.
pub(crate) fn outcome(item: &Bytes, line: &[u8]) -> Result<Outcome, InvalidAnswer> {
    let line = line.trim_ascii();
    if line == &item[..] {
        return Ok(Outcome::Unchanged);
    }

    if line.first() != Some(&b'{') {
        return Err(InvalidAnswer);
    }

    if let Some(outcome) = skip_or_error(line) {
        return Ok(outcome);
    }

    if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err() {
        return Err(InvalidAnswer);
    }

    Ok(match check_item(line, item) {
        Err(reason) => Outcome::Rejected(RejectReason::External(format!(
            "the command's answer is not an item: {reason}"
        ))),
        // Programs may format JSON differently. An equal item keeps its original bytes.
        Ok(()) if is_same_item(item, line) => Outcome::Unchanged,
        Ok(()) => Outcome::Changed(Bytes::copy_from_slice(line)),
    })
}

fn is_same_item(item: &[u8], line: &[u8]) -> bool {
    parse_item(line).is_ok_and(|line| parse_item(item).is_ok_and(|item| item == line))
}

/// Parses an answer that is not an item. It cannot be confused with one, because the value of an
/// attribute is an object.
fn skip_or_error(line: &[u8]) -> Option<Outcome> {
    // Parsing every answer as generic JSON would be slow, so the first name is checked first.
    let name = line.get(1..)?.trim_ascii_start();
    if !name.starts_with(b"\"skip\"") && !name.starts_with(b"\"error\"") {
        return None;
    }

    let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    match (object.len(), object.get("skip"), object.get("error")) {
        (1, Some(Value::Bool(true)), _) => Some(Outcome::Skipped),
        (1, _, Some(Value::String(message))) => Some(Outcome::Rejected(RejectReason::External(
            printable(message, MESSAGE_CHARS),
        ))),
        _ => None,
    }
}

/// A text as one line of at most `characters` characters.
pub(crate) fn printable(text: &str, characters: usize) -> String {
    let mut kept: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(characters)
        .collect();

    if text.chars().nth(characters).is_some() {
        kept.push('…');
    }

    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let item = Bytes::from(r#"{"a":{"S":"é"},"skip":{"BOOL":true}}"#);
        let outcome_of = |line: &str| outcome(&item, line.as_bytes());
        assert_eq!(
            outcome_of(r#" {"skip": {"BOOL": true}, "a": {"S": "\u00e9"}} "#),
            Ok(Outcome::Unchanged)
        );
        assert_eq!(outcome_of(r#"{"skip": true}"#), Ok(Outcome::Skipped));
        assert_eq!(
            outcome_of(r#"{ "error" : "no\nway" }"#),
            Ok(Outcome::Rejected(RejectReason::External(
                "no way".to_owned()
            )))
        );
        assert_eq!(
            outcome_of(r#"{"skip":{"BOOL":true}}"#),
            Ok(Outcome::Changed(r#"{"skip":{"BOOL":true}}"#.into()))
        );

        for answer in [
            r#"{"skip":false}"#,
            r#"{"skip":true,"a":{"S":"x"}}"#,
            r#"{"error":5}"#,
            r#"{"a":5}"#,
            r#"{"a":{"X":"y"}}"#,
        ] {
            assert!(
                matches!(outcome_of(answer), Ok(Outcome::Rejected(_))),
                "{answer}"
            );
        }

        for line in [
            "",
            "Hello",
            "[]",
            "null",
            r#"{"a":{"S":"x"}"#,
            "{}{}",
            r#""x""#,
        ] {
            assert_eq!(outcome_of(line), Err(InvalidAnswer), "{line}");
        }
    }
}
