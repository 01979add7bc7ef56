//! Tells what a JSON object is in DynamoDB JSON: names with their attribute values, or one attribute value.
//!
//! `{"Item":X}` is a line of an export if `X` has attributes of its own, and an item with one attribute if `X` is a value. The
//! two never overlap: every tag but `M` stands before something that is no object, and names stand before objects only. For
//! `{"M":Y}` it depends on `Y`: a map of that type if `Y` has names, an item with an attribute called `M` if `Y` is a value.

use super::error::ItemError;
use super::json::lexer::Lexer;
use super::type_tag::Tag;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Names, each with an attribute value: an item, or the contents of a map. The empty object is one.
    Names,
    /// One type tag with its value.
    Value,
    /// Neither, as plain JSON is.
    Other,
}

/// What the object `json` is. Looks no deeper than it must.
///
/// # Errors
/// The text is not JSON.
pub fn form_of(json: &[u8]) -> Result<Form, ItemError> {
    let mut lexer = Lexer::new(json)?;
    let form = form(&mut lexer)?;
    lexer.finish()?;

    Ok(form)
}

/// As deep as the lexer lets it go.
fn form(lexer: &mut Lexer<'_>) -> Result<Form, ItemError> {
    if lexer.peek() != b'{' {
        return lexer.skip().map(|()| Form::Other);
    }

    let (mut members, mut objects, mut single) = (0_usize, true, Form::Names);
    lexer.members(|lexer, name| {
        members += 1;
        let first = lexer.peek();
        objects &= first == b'{';
        let tag = name.tag();
        if members > 1 {
            return lexer.skip();
        }

        if tag == Some(Tag::M) && first == b'{' {
            single = match form(lexer)? {
                Form::Names => Form::Value,
                Form::Value => Form::Names,
                Form::Other => Form::Other,
            };

            return Ok(());
        }

        single = match tag {
            Some(tag) if tag.begins_with(first) => Form::Value,
            _ if first == b'{' => Form::Names,
            _ => Form::Other,
        };

        lexer.skip()
    })?;

    Ok(match members {
        0 | 1 => single,
        _ if objects => Form::Names,
        _ => Form::Other,
    })
}

/// Whether one of the item's attributes has a type that a key can have. Every item of DynamoDB has such a one; plain JSON has
/// none.
///
/// # Errors
/// The text is not a JSON object.
pub fn has_key_type(item: &[u8]) -> Result<bool, ItemError> {
    let mut lexer = Lexer::new(item)?;
    let mut found = false;
    lexer.members(|lexer, _| {
        if lexer.peek() != b'{' {
            return lexer.skip();
        }

        let (mut members, mut key) = (0_usize, false);
        lexer.members(|lexer, tag| {
            members += 1;
            key = members == 1
                && matches!(tag.tag(), Some(Tag::S | Tag::N | Tag::B))
                && lexer.peek() == b'"';
            lexer.skip()
        })?;

        found |= key;
        Ok(())
    })?;

    lexer.finish()?;

    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Style, item, render};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_looks_like_a_tag() {
        for (json, form) in [
            ("{}", Form::Names),
            (r#"{"S":"x"}"#, Form::Value),
            (r#"{"S":{"S":"x"}}"#, Form::Names),
            (r#"{"M":{}}"#, Form::Value),
            (r#"{"M":{"S":"x"}}"#, Form::Names),
            (r#"{"M":{"name":{"S":"x"}}}"#, Form::Value),
            (r#"{"M":{"S":{"S":"x"}}}"#, Form::Value),
            (r#"{"M":{"M":{"S":"x"}}}"#, Form::Value),
            (r#"{"M":{"M":{"name":{"S":"x"}}}}"#, Form::Names),
            (r#"{"M":{"M":{}}}"#, Form::Names),
            (r#"{"M":{"S":"x","N":"1"}}"#, Form::Other),
            (r#"{"M":{"S":"x"},"pk":{"S":"x"}}"#, Form::Names),
            (r#"{"L":{"L":[]}}"#, Form::Names),
            (r#"{"pk":{"S":"x"}}"#, Form::Names),
            (r#"{"id":5}"#, Form::Other),
            (r#"{"S":5}"#, Form::Other),
            ("[]", Form::Other),
        ] {
            assert_eq!(form_of(json.as_bytes()), Ok(form), "{json}");
        }
    }

    #[test]
    fn hostile_nesting_ends() {
        assert!(form_of(r#"{"M":"#.repeat(2_000_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn items_are_names_and_maps_are_values(item in item(), seed in any::<u64>()) {
            let text = render(&item, Style::Wild(seed));
            prop_assert_eq!(form_of(text.as_bytes()), Ok(Form::Names));
            prop_assert_eq!(form_of(format!("{{\"M\":{text}}}").as_bytes()), Ok(Form::Value));
            prop_assert_eq!(has_key_type(render(&item, Style::Compact).as_bytes()), Ok(true));
        }
    }
}
