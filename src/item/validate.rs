//! Is this text one item in DynamoDB JSON? Asked of every item before a restore writes the first one.
//!
//! In one pass, without allocating (strings with escapes apart, where their text matters), and quickly for what DynamoDB itself
//! wrote (see `usual`). A type tag that this version does
//! not know passes if its value is well-formed JSON. What only DynamoDB can judge (keys, sizes, empty sets, names that stand
//! twice) is left to it.

use super::base64;
use super::error::{ItemError, ItemErrorKind};
use super::lex::Lexer;
use super::tag::Tag;
use super::usual::is_usual_item;
use super::value::{LEVELS, checked_number};

/// Checks that `item` is one well-formed item.
///
/// # Errors
/// What is wrong, with the attribute's name or the byte.
pub fn validate(item: &[u8]) -> Result<(), ItemError> {
    if is_usual_item(item) { Ok(()) } else { strictly(item) }
}

/// [`validate`] by the lexer alone, which knows every spelling and words the error.
pub(super) fn strictly(item: &[u8]) -> Result<(), ItemError> {
    let mut lexer = Lexer::new(item)?;
    map(&mut lexer, 0)?;
    lexer.finish()
}

fn map(lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
    lexer.members(|lexer, name| value(lexer, level).map_err(|error| error.within(&name.shown())))
}

fn value(lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
    if level > LEVELS {
        return Err(ItemError::new(ItemErrorKind::Nesting, lexer.offset()));
    }
    lexer.tagged(|lexer, tag| {
        let Some(known) = tag.tag() else { return lexer.skip() };
        lexer.begins(known)?;
        match (known, known.element()) {
            (Tag::M, _) => map(lexer, level + 1),
            (Tag::L, _) => lexer.elements(|lexer| value(lexer, level + 1)),
            (_, Some(element)) => lexer.elements(|lexer| scalar(lexer, element)),
            _ => scalar(lexer, known),
        }
    })
}

fn scalar(lexer: &mut Lexer<'_>, tag: Tag) -> Result<(), ItemError> {
    match tag {
        Tag::N => {
            let quoted = lexer.string_of(tag)?;
            checked_number(&quoted, &quoted.text()?).map(drop)
        }
        Tag::B => {
            let quoted = lexer.string_of(tag)?;
            let length = base64::decoded_length(quoted.text()?.as_bytes());
            length.map(drop).ok_or_else(|| ItemError::new(ItemErrorKind::NotBase64, quoted.offset()))
        }
        Tag::Bool | Tag::Null => lexer.bool_of(tag).map(drop),
        _ => lexer.string_of(tag).map(drop),
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
        assert_eq!(validate(br#"{"a":{"X":[1,{"y":null}]},"b":{"S":"\ud800"}}"#), Ok(()));
        assert!(validate(br#"{"a":{"X":[1,{"y":nul}]}}"#).is_err());
        assert!(validate(br#"{"a":{"X":1},"b":5}"#).is_err());
    }

    proptest! {
        #[test]
        fn takes_what_the_typed_parser_takes(
            item in item(), seed in any::<u64>(), at in any::<proptest::sample::Index>(), byte in "[a-zA-Z\"{}:,\\[\\]0-9\\\\]"
        ) {
            let text = render(&item, Style::Wild(seed));
            prop_assert_eq!(strictly(text.as_bytes()), Ok(()));
            let at = at.index(text.len());
            let changed = [&text.as_bytes()[..at], byte.as_bytes(), &text.as_bytes()[at + 1..]].concat();
            match parse_item(&changed).map_err(|error| error.kind().clone()) {
                Err(ItemErrorKind::UnknownType(_) | ItemErrorKind::LoneSurrogate | ItemErrorKind::DuplicateName) => {}
                parsed => prop_assert_eq!(strictly(&changed).is_ok(), parsed.is_ok()),
            }
        }
    }
}
