//! What a program answers for an item: another item, `{"skip":true}` or `{"error":"…"}`.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::super::check::check;
use super::super::outcome::{Outcome, Reason};
use crate::item::parse_item;

/// Characters of a program's own words that are kept.
const MESSAGE_CHARS: usize = 300;

/// The line is no JSON object, so that nothing behind it can be trusted either.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Garbage;

/// What becomes of `item`, by the line that answers it.
pub(crate) fn outcome(item: &Bytes, line: &[u8]) -> Result<Outcome, Garbage> {
    let line = line.trim_ascii();
    if line == &item[..] {
        return Ok(Outcome::Unchanged);
    }

    if line.first() != Some(&b'{') {
        return Err(Garbage);
    }

    if let Some(outcome) = word(line) {
        return Ok(outcome);
    }

    if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err() {
        return Err(Garbage);
    }

    Ok(match check(line, item) {
        Err(reason) => Outcome::Rejected(Reason::Foreign(format!(
            "the command's answer is not an item: {reason}"
        ))),
        // Programs write JSON with blanks of their own.
        Ok(()) if same(item, line) => Outcome::Unchanged,
        Ok(()) => Outcome::Changed(Bytes::copy_from_slice(line)),
    })
}

fn same(item: &[u8], line: &[u8]) -> bool {
    parse_item(line).is_ok_and(|line| parse_item(item).is_ok_and(|item| item == line))
}

/// An answer that is no item. Attributes are objects, so that none can be taken for one.
fn word(line: &[u8]) -> Option<Outcome> {
    let name = line.get(1..)?.trim_ascii_start();
    if !name.starts_with(b"\"skip\"") && !name.starts_with(b"\"error\"") {
        return None;
    }

    let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    match (object.len(), object.get("skip"), object.get("error")) {
        (1, Some(Value::Bool(true)), _) => Some(Outcome::Skipped),
        (1, _, Some(Value::String(message))) => Some(Outcome::Rejected(Reason::Foreign(
            printable(message, MESSAGE_CHARS),
        ))),
        _ => None,
    }
}

/// A program's words on one line, cut.
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
        let of = |line: &str| outcome(&item, line.as_bytes());
        assert_eq!(
            of(r#" {"skip": {"BOOL": true}, "a": {"S": "\u00e9"}} "#),
            Ok(Outcome::Unchanged)
        );
        assert_eq!(of(r#"{"skip": true}"#), Ok(Outcome::Skipped));
        assert_eq!(
            of(r#"{ "error" : "no\nway" }"#),
            Ok(Outcome::Rejected(Reason::Foreign("no way".to_owned())))
        );
        assert_eq!(
            of(r#"{"skip":{"BOOL":true}}"#),
            Ok(Outcome::Changed(r#"{"skip":{"BOOL":true}}"#.into()))
        );

        for answer in [
            r#"{"skip":false}"#,
            r#"{"skip":true,"a":{"S":"x"}}"#,
            r#"{"error":5}"#,
            r#"{"a":5}"#,
            r#"{"a":{"X":"y"}}"#,
        ] {
            assert!(matches!(of(answer), Ok(Outcome::Rejected(_))), "{answer}");
        }

        for garbage in [
            "",
            "Hello",
            "[]",
            "null",
            r#"{"a":{"S":"x"}"#,
            "{}{}",
            r#""x""#,
        ] {
            assert_eq!(of(garbage), Err(Garbage), "{garbage}");
        }
    }
}
