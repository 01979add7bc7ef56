//! Validation of DynamoDB JSON; applied to every item before a restore writes the first one.
//!
//! In one pass, without allocating (strings with escapes apart, where their text matters), and quickly for what DynamoDB itself
//! wrote (see `fast_validator`). A type tag that this version does
//! not know passes if its value is well-formed JSON. A repeated name in one map is an error: readers of JSON disagree
//! about which of the two counts. What only DynamoDB can judge (keys, sizes, empty sets) is left to it.

use super::error::{ItemError, ItemErrorKind};
use super::fast_validator::is_certainly_valid;
use super::json::lexer::{JsonString, Lexer};
use super::type_tag::TypeTag;
use super::value::{checked_number, decoded_length};
use super::visit::ValueVisitor;
use std::borrow::Cow;
use std::collections::HashSet;

/// Checks that `item` is one well-formed item.
///
/// # Errors
/// The error names the attribute or the byte.
pub fn validate(item: &[u8]) -> Result<(), ItemError> {
    if is_certainly_valid(item) {
        Ok(())
    } else {
        strictly(item)
    }
}

/// Checks that `line` is exactly one JSON object in which no attribute name occurs twice; values are not checked. A line that passes
/// can be placed in a request as an item: it cannot end there and continue as something else, and its key is the one that was read.
///
/// # Errors
/// The error names the attribute or the byte.
pub fn check_object(line: &[u8]) -> Result<(), ItemError> {
    match validate(line) {
        // The line is JSON but not an item; a repeated name stays an error.
        Err(error) if error.is_semantic() && *error.kind() != ItemErrorKind::DuplicateName => {
            by_structure(line)
        }
        checked => checked,
    }
}

fn by_structure(line: &[u8]) -> Result<(), ItemError> {
    let mut lexer = Lexer::new(line)?;
    distinct_members(&mut lexer, |lexer, _| lexer.skip())?;
    lexer.finish()
}

/// Like [`validate`], by the lexer alone: it accepts every spelling and produces the error message.
pub(crate) fn strictly(item: &[u8]) -> Result<(), ItemError> {
    let mut lexer = Lexer::new(item)?;
    StrictCheck.map(&mut lexer, 0)?;
    lexer.finish()
}

/// Calls `each` for every member of an object, whose names must differ.
fn distinct_members<'a, F>(lexer: &mut Lexer<'a>, mut each: F) -> Result<(), ItemError>
where
    F: FnMut(&mut Lexer<'a>, JsonString<'a>) -> Result<(), ItemError>,
{
    let mut names = HashSet::new();
    lexer.members(|lexer, name| {
        if !names.insert(said(&name)) {
            return Err(ItemError::new(ItemErrorKind::DuplicateName, name.offset())
                .within(&name.lossy_text()));
        }

        each(lexer, name)
    })
}

/// The unescaped bytes of a name; a lone surrogate equals only itself.
fn said<'a>(name: &JsonString<'a>) -> Cow<'a, [u8]> {
    if let Some(plain) = name.plain() {
        return Cow::Borrowed(plain);
    }

    let mut bytes = Vec::new();
    name.unescape(&mut bytes);

    Cow::Owned(bytes)
}

/// Checks values.
struct StrictCheck;

impl ValueVisitor for StrictCheck {
    type Output = ();

    fn map(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        distinct_members(lexer, |lexer, name| {
            self.value(lexer, level)
                .map_err(|error| error.within(&name.lossy_text()))
        })
    }

    fn list(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        lexer.elements(|lexer| self.value(lexer, level))
    }

    fn set(&mut self, lexer: &mut Lexer<'_>, element: TypeTag) -> Result<(), ItemError> {
        lexer.elements(|lexer| self.scalar(lexer, element))
    }

    fn scalar(&mut self, lexer: &mut Lexer<'_>, tag: TypeTag) -> Result<(), ItemError> {
        match tag {
            TypeTag::N => {
                let quoted = lexer.string_value(tag)?;
                checked_number(&quoted, &quoted.text()?).map(drop)
            }
            TypeTag::B => decoded_length(&lexer.string_value(tag)?).map(drop),
            TypeTag::Bool | TypeTag::Null => lexer.bool_value(tag).map(drop),
            _ => lexer.string_value(tag).map(drop),
        }
    }

    fn unknown(&mut self, lexer: &mut Lexer<'_>, _: &JsonString<'_>) -> Result<(), ItemError> {
        lexer.skip()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_item;
    use super::super::testing::{Style, item, render};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_types_pass_if_they_are_json() {
        assert_eq!(
            validate(br#"{"a":{"X":[1,{"y":null}]},"b":{"S":"\ud800"}}"#),
            Ok(())
        );
        assert!(validate(br#"{"a":{"X":[1,{"y":nul}]}}"#).is_err());
        assert!(validate(br#"{"a":{"X":1},"b":5}"#).is_err());
    }

    #[test]
    fn a_name_that_occurs_twice_in_one_map_is_refused() {
        let twice = r#"{"S":"1"}"#;
        for text in [
            format!(r#"{{"a":{twice},"a":{twice}}}"#),
            format!(r#"{{"a":{twice},"\u0061":{twice}}}"#),
            format!(r#"{{"b":{{"M":{{"a":{twice},"x":{twice},"a":{twice}}}}}}}"#),
            format!(r#"{{"b":{{"L":[{{"M":{{"a":{twice},"a":{{"N":"1"}}}}}}]}}}}"#),
        ] {
            let error = validate(text.as_bytes()).expect_err(&text);
            assert_eq!(error.kind(), &ItemErrorKind::DuplicateName, "{text}");
        }

        let separate = format!(
            r#"{{"a":{{"M":{{"a":{twice}}}}},"b":{{"L":[{{"M":{{"a":{twice}}}}},{{"M":{{"a":{twice}}}}}]}}}}"#
        );
        assert_eq!(validate(separate.as_bytes()), Ok(()));

        // Above the number of names that the fast validator compares pairwise.
        for (count, is_valid) in [(500, true), (501, false)] {
            let members: Vec<_> = (0..count)
                .map(|number| format!(r#""{}":{twice}"#, number % 500))
                .collect();
            assert_eq!(
                validate(format!("{{{}}}", members.join(",")).as_bytes()).is_ok(),
                is_valid,
                "{count}"
            );
        }
    }

    #[test]
    fn a_line_that_is_sent_is_one_object() {
        for line in [
            r#"{"id":{"S":"a"}}"#,
            r#"{"id":{"B":"?"}}"#,
            r#"{"id":5,"x":{"N":"x"}}"#,
            r#"{"id":{"S":"\ud800"}}"#,
        ] {
            assert_eq!(check_object(line.as_bytes()), Ok(()), "{line}");
        }

        for line in [
            r#"{"id":{"S":"a"}}}},{"DeleteRequest":{"Key":{"id":{"S":"b"}}"#,
            r#"{"id":{"S":"a"}}}},{"DeleteRequest":{"Key":{"id":{"S":"b"}}}},{"PutRequest":{"Item":{"id":{"S":"c"}}"#,
            r#"{"id":{"S":"a"}},{"id":{"S":"b"}}"#,
            r#"{"id":{"S":"a"}"#,
            r#"{"id":{"S":"a"},}"#,
            r#"{"id":{"S":"a" /* " */ }}"#,
            r#"{"id":{"S":"a"},"id":{"S":"b"}}"#,
            r#"{"id":5,"id":{"S":"b"}}"#,
            r#"{"x":{"B":"?"},"id":{"S":"a"},"\u0069d":{"S":"b"}}"#,
            "[]",
            "",
        ] {
            assert!(check_object(line.as_bytes()).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn takes_what_the_typed_parser_takes(
            item in item(), seed in any::<u64>(), at in any::<proptest::sample::Index>(), byte in "[a-zA-Z\"{}:,\\[\\]0-9\\\\]"
        ) {
            let text = render(&item, Style::Random(seed));
            prop_assert_eq!(strictly(text.as_bytes()), Ok(()));
            let at = at.index(text.len());
            let changed = [&text.as_bytes()[..at], byte.as_bytes(), &text.as_bytes()[at + 1..]].concat();
            match parse_item(&changed).map_err(|error| error.kind().clone()) {
                Err(ItemErrorKind::UnknownType(_) | ItemErrorKind::LoneSurrogate) => {}
                parsed => prop_assert_eq!(strictly(&changed).is_ok(), parsed.is_ok()),
            }
        }
    }
}
