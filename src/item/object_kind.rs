//! Distinguishes a map of attributes from a single attribute value in DynamoDB JSON.
//!
//! `{"Item":X}` is a line of an export if `X` has attributes of its own, and an item with one attribute if `X` is a value. The
//! two never overlap: the value of every tag except `M` is not an object, and the value of every name is one. For
//! `{"M":Y}` it depends on `Y`: a map of that type if `Y` has names, an item with an attribute called `M` if `Y` is a value.

use super::error::ItemError;
use super::json::lexer::Lexer;
use super::type_tag::TypeTag;

/// The kind of a JSON object in DynamoDB JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// Names, each with an attribute value: an item, or the contents of a map. The empty object is one.
    AttributeMap,
    /// One type tag with its value.
    AttributeValue,
    /// Neither, as plain JSON is.
    Other,
}

/// Determines the kind of the object `json`, looking no deeper than necessary.
///
/// # Errors
/// The text is not JSON.
pub fn object_kind(json: &[u8]) -> Result<ObjectKind, ItemError> {
    let mut lexer = Lexer::new(json)?;
    let form = form(&mut lexer)?;
    lexer.finish()?;

    Ok(form)
}

/// Determines the kind of the next value. The lexer limits the depth of the recursion.
fn form(lexer: &mut Lexer<'_>) -> Result<ObjectKind, ItemError> {
    if lexer.peek() != b'{' {
        return lexer.skip().map(|()| ObjectKind::Other);
    }

    let (mut members, mut objects, mut single) = (0_usize, true, ObjectKind::AttributeMap);
    lexer.members(|lexer, name| {
        members += 1;
        let first = lexer.peek();
        objects &= first == b'{';
        let tag = name.tag();
        // A value has exactly one member, so from the second on only the values' kinds count.
        if members > 1 {
            return lexer.skip();
        }

        // `M` is ambiguous: a type tag, or an attribute of that name. Its value decides.
        if tag == Some(TypeTag::M) && first == b'{' {
            single = match form(lexer)? {
                ObjectKind::AttributeMap => ObjectKind::AttributeValue,
                ObjectKind::AttributeValue => ObjectKind::AttributeMap,
                ObjectKind::Other => ObjectKind::Other,
            };

            return Ok(());
        }

        single = match tag {
            Some(tag) if tag.begins_with(first) => ObjectKind::AttributeValue,
            _ if first == b'{' => ObjectKind::AttributeMap,
            _ => ObjectKind::Other,
        };

        lexer.skip()
    })?;

    Ok(match members {
        0 | 1 => single,
        _ if objects => ObjectKind::AttributeMap,
        _ => ObjectKind::Other,
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
            // With more than one member it is not an attribute value.
            key = members == 1
                && matches!(tag.tag(), Some(TypeTag::S | TypeTag::N | TypeTag::B))
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
            ("{}", ObjectKind::AttributeMap),
            (r#"{"S":"x"}"#, ObjectKind::AttributeValue),
            (r#"{"S":{"S":"x"}}"#, ObjectKind::AttributeMap),
            (r#"{"M":{}}"#, ObjectKind::AttributeValue),
            (r#"{"M":{"S":"x"}}"#, ObjectKind::AttributeMap),
            (r#"{"M":{"name":{"S":"x"}}}"#, ObjectKind::AttributeValue),
            (r#"{"M":{"S":{"S":"x"}}}"#, ObjectKind::AttributeValue),
            (r#"{"M":{"M":{"S":"x"}}}"#, ObjectKind::AttributeValue),
            (
                r#"{"M":{"M":{"name":{"S":"x"}}}}"#,
                ObjectKind::AttributeMap,
            ),
            (r#"{"M":{"M":{}}}"#, ObjectKind::AttributeMap),
            (r#"{"M":{"S":"x","N":"1"}}"#, ObjectKind::Other),
            (
                r#"{"M":{"S":"x"},"pk":{"S":"x"}}"#,
                ObjectKind::AttributeMap,
            ),
            (r#"{"L":{"L":[]}}"#, ObjectKind::AttributeMap),
            (r#"{"pk":{"S":"x"}}"#, ObjectKind::AttributeMap),
            (r#"{"id":5}"#, ObjectKind::Other),
            (r#"{"S":5}"#, ObjectKind::Other),
            ("[]", ObjectKind::Other),
        ] {
            assert_eq!(object_kind(json.as_bytes()), Ok(form), "{json}");
        }
    }

    #[test]
    fn hostile_nesting_ends() {
        assert!(object_kind(r#"{"M":"#.repeat(2_000_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn items_are_names_and_maps_are_values(item in item(), seed in any::<u64>()) {
            let text = render(&item, Style::Random(seed));
            prop_assert_eq!(object_kind(text.as_bytes()), Ok(ObjectKind::AttributeMap));
            prop_assert_eq!(object_kind(format!("{{\"M\":{text}}}").as_bytes()), Ok(ObjectKind::AttributeValue));
            prop_assert_eq!(has_key_type(render(&item, Style::Compact).as_bytes()), Ok(true));
        }
    }
}
