//! An item as typed values, for the few places that need them; everywhere else an item is raw bytes.
//!
//! Strict: exactly one known type tag per value, numbers that are numbers, base64 that decodes, no name twice. An item that
//! fails here can still be dumped and restored as it is.

use super::base64;
use super::error::{ItemError, ItemErrorKind};
use super::json::lexer::{JsonString, Lexer};
use super::number::Number;
use super::type_tag::TypeTag;
use super::visit::ValueVisitor;
use std::collections::BTreeMap;

/// A map of attributes, in the order of their names.
pub type Attributes = BTreeMap<String, AttributeValue>;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A string.
    S(String),
    /// A number, in the spelling it was given.
    N(String),
    /// Binary.
    B(Vec<u8>),
    /// A boolean.
    Bool(bool),
    /// Null.
    Null,
    /// A map.
    M(Attributes),
    /// A list.
    L(Vec<AttributeValue>),
    /// A set of strings, in the order it was given.
    Ss(Vec<String>),
    /// A set of numbers, in the spelling and order they were given.
    Ns(Vec<String>),
    /// A set of binaries, in the order it was given.
    Bs(Vec<Vec<u8>>),
}

/// Parses an item.
///
/// # Errors
/// The text is not strict DynamoDB JSON; the error names the attribute or the byte.
pub fn parse_item(item: &[u8]) -> Result<Attributes, ItemError> {
    let mut lexer = Lexer::new(item)?;
    let attributes = attributes(&mut lexer, 0)?;
    lexer.finish()?;

    Ok(attributes)
}

fn attributes(lexer: &mut Lexer<'_>, level: usize) -> Result<Attributes, ItemError> {
    let mut attributes = Attributes::new();
    lexer.members(|lexer, name| {
        let name = name.text()?.into_owned();
        let value = ValueParser
            .value(lexer, level)
            .map_err(|error| error.within(&name))?;
        // Checked before the insertion, which would replace the first value.
        if attributes.contains_key(&name) {
            return Err(ItemError::new(ItemErrorKind::DuplicateName, lexer.offset()).within(&name));
        }

        attributes.insert(name, value);
        Ok(())
    })?;

    Ok(attributes)
}

/// Parses values.
struct ValueParser;

impl ValueVisitor for ValueParser {
    type Output = AttributeValue;

    fn map(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<AttributeValue, ItemError> {
        attributes(lexer, level).map(AttributeValue::M)
    }

    fn list(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<AttributeValue, ItemError> {
        list(lexer, |lexer| self.value(lexer, level)).map(AttributeValue::L)
    }

    fn set(
        &mut self,
        lexer: &mut Lexer<'_>,
        element: TypeTag,
    ) -> Result<AttributeValue, ItemError> {
        match element {
            TypeTag::N => list(lexer, number).map(AttributeValue::Ns),
            TypeTag::B => list(lexer, binary).map(AttributeValue::Bs),
            _ => list(lexer, string).map(AttributeValue::Ss),
        }
    }

    fn scalar(&mut self, lexer: &mut Lexer<'_>, tag: TypeTag) -> Result<AttributeValue, ItemError> {
        match tag {
            TypeTag::N => number(lexer).map(AttributeValue::N),
            TypeTag::B => binary(lexer).map(AttributeValue::B),
            TypeTag::Bool => lexer.bool_value(tag).map(AttributeValue::Bool),
            TypeTag::Null => lexer.bool_value(tag).map(|_| AttributeValue::Null),
            _ => string(lexer).map(AttributeValue::S),
        }
    }

    fn unknown(
        &mut self,
        _: &mut Lexer<'_>,
        tag: &JsonString<'_>,
    ) -> Result<AttributeValue, ItemError> {
        Err(ItemError::new(
            ItemErrorKind::UnknownType(tag.lossy_text()),
            tag.offset(),
        ))
    }
}

fn list<'a, T, F>(lexer: &mut Lexer<'a>, mut element: F) -> Result<Vec<T>, ItemError>
where
    F: FnMut(&mut Lexer<'a>) -> Result<T, ItemError>,
{
    let mut list = Vec::new();
    lexer.elements(|lexer| {
        list.push(element(lexer)?);
        Ok(())
    })?;
    Ok(list)
}

fn string(lexer: &mut Lexer<'_>) -> Result<String, ItemError> {
    Ok(lexer.string_value(TypeTag::S)?.text()?.into_owned())
}

fn number(lexer: &mut Lexer<'_>) -> Result<String, ItemError> {
    let quoted = lexer.string_value(TypeTag::N)?;
    let text = quoted.text()?;
    checked_number(&quoted, &text)?;

    Ok(text.into_owned())
}

fn binary(lexer: &mut Lexer<'_>) -> Result<Vec<u8>, ItemError> {
    let quoted = lexer.string_value(TypeTag::B)?;
    let mut bytes = Vec::new();
    append_binary(&quoted, &mut bytes)?;

    Ok(bytes)
}

/// The number that `quoted` says.
pub(crate) fn checked_number<'t>(
    quoted: &JsonString<'_>,
    text: &'t str,
) -> Result<Number<'t>, ItemError> {
    Number::parse(text).map_err(|_| ItemError::new(ItemErrorKind::NotANumber, quoted.offset()))
}

/// The number of bytes that `quoted` says in base64.
pub(crate) fn decoded_length(quoted: &JsonString<'_>) -> Result<usize, ItemError> {
    base64::decoded_length(quoted.text()?.as_bytes())
        .ok_or_else(|| ItemError::new(ItemErrorKind::NotBase64, quoted.offset()))
}

/// Appends the bytes that `quoted` says in base64.
pub(crate) fn append_binary(quoted: &JsonString<'_>, out: &mut Vec<u8>) -> Result<(), ItemError> {
    base64::decode_into(quoted.text()?.as_bytes(), out)
        .ok_or_else(|| ItemError::new(ItemErrorKind::NotBase64, quoted.offset()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Style, item, render};
    use super::super::visit::MAX_NESTING;
    use super::*;
    use crate::limits;
    use proptest::prelude::*;

    fn message(text: &str) -> String {
        parse_item(text.as_bytes())
            .expect_err("not an item")
            .to_string()
    }

    #[test]
    fn value_errors_name_the_problem_and_its_position() {
        for (text, expected) in [
            (
                r#"{"a":{"M":{"b":{"X":1}}}}"#,
                r#"attribute "a.b": unknown type "X""#,
            ),
            (
                r#"{"id":5}"#,
                r#"attribute "id": not an object with one type tag, like {"S":"…"}"#,
            ),
            (
                r#"{"a":{}}"#,
                r#"attribute "a": not an object with one type tag, like {"S":"…"}"#,
            ),
            (
                r#"{"a":{"S":"x","N":"1"}}"#,
                r#"attribute "a": not an object with one type tag, like {"S":"…"}"#,
            ),
            (
                r#"{"a":{"S":5}}"#,
                r#"attribute "a": not a value of type S"#,
            ),
            (
                r#"{"a":{"N":"five"}}"#,
                r#"attribute "a": not a decimal number"#,
            ),
            (
                r#"{"a":{"NS":["1","x"]}}"#,
                r#"attribute "a": not a decimal number"#,
            ),
            (r#"{"a":{"B":"AAA"}}"#, r#"attribute "a": not base64"#),
            (
                r#"{"a":{"NULL":false}}"#,
                r#"attribute "a": not a value of type NULL"#,
            ),
            (
                r#"{"a":{"S":"\ud800"}}"#,
                r#"attribute "a": half of a surrogate pair"#,
            ),
            (
                r#"{"a":{"S":"1"},"\u0061":{"S":"2"}}"#,
                r#"attribute "a": the name occurs twice in one map"#,
            ),
            (
                r#"{"a":{"S":"1"}"#,
                "byte 14: expected a comma or a closing bracket",
            ),
            (r#"{"a" {"S":"1"}}"#, "byte 5: expected a colon"),
            (
                r#"{"a":{"S":"1"}} {}"#,
                "byte 16: unexpected text after the item",
            ),
        ] {
            assert_eq!(message(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| {
            format!(
                r#"{{"a":{}{{"S":""}}{}}}"#,
                r#"{"L":["#.repeat(levels),
                "]}".repeat(levels)
            )
        };

        assert!(parse_item(nested(limits::NESTING_LEVELS).as_bytes()).is_ok());
        assert!(message(&nested(MAX_NESTING + 1)).contains("nested deeper than DynamoDB allows"));
        assert!(message(&nested(3_000_000)).contains("nested"));
    }

    proptest! {
        #[test]
        fn any_spelling_of_an_item_parses_to_it(item in item(), seed in any::<u64>()) {
            for style in [Style::Compact, Style::Pretty, Style::Random(seed)] {
                let text = render(&item, style);
                prop_assert_eq!(&parse_item(text.as_bytes()).expect("an item"), &item, "{}", text);
            }
        }

        #[test]
        fn never_panics(item in item(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            let mut text = render(&item, Style::Compact).into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            let _ = parse_item(&text);
            let _ = parse_item(&text[..at]);
        }
    }
}
