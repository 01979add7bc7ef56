//! Items as mutable JSON documents: parsed from bytes, written back in the original order of
//! attributes.
//!
//! The values are jaq's, because filters process them. Strings are shared, not copied, and objects
//! keep their order. DynamoDB JSON contains numbers as strings, so no number is rounded.

use bytes::Bytes;
use jaq_json::{Map, Num, Val};

use crate::item::{MAX_JSON_DEPTH, validate};

/// Message about an invalid item. It may contain attribute names that a filter created.
pub(crate) type ErrorMessage = String;

/// Parses an item.
pub(crate) fn parse(item: &[u8]) -> Result<Val, ErrorMessage> {
    validate(item).map_err(|error| format!("not DynamoDB JSON: {error}"))?;
    jaq_json::read::parse_single(item).map_err(|error| format!("not JSON: {error}"))
}

/// Writes `item`: first the attributes that `original` has, in the same order, then the others.
pub(crate) fn write(item: &Map, original: &Map) -> Result<Bytes, ErrorMessage> {
    let mut out = Vec::with_capacity(1024);
    let common = original.keys().filter_map(|name| item.get_key_value(name));
    let added = item
        .iter()
        .filter(|(name, _)| !original.contains_key(*name));
    write_members(common.chain(added), &mut out, 1)?;

    Ok(Bytes::from(out))
}

fn write_members<'v>(
    members: impl Iterator<Item = (&'v Val, &'v Val)>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), ErrorMessage> {
    if depth > MAX_JSON_DEPTH {
        return Err(format!("nested more than {MAX_JSON_DEPTH} levels deep"));
    }

    let mut separator = b'{';
    for (name, member) in members {
        out.push(separator);
        separator = b',';
        let Val::TStr(name) = name else {
            return Err("an attribute's name is not a string".to_owned());
        };

        write_string(name, out)?;
        out.push(b':');
        write_value(member, out, depth)?;
    }

    if separator == b'{' {
        // There was no member.
        out.push(separator);
    }

    out.push(b'}');

    Ok(())
}

fn write_value(value: &Val, out: &mut Vec<u8>, depth: usize) -> Result<(), ErrorMessage> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(Num::Float(number)) if !number.is_finite() => {
            return Err("a number that JSON cannot express".to_owned());
        }
        Val::Num(_) => out.extend_from_slice(value.to_string().as_bytes()),
        Val::TStr(text) => write_string(text, out)?,
        Val::BStr(_) => {
            return Err(
                "bytes instead of a string; binary values are base64: B(… | @base64)".to_owned(),
            );
        }
        Val::Arr(elements) => write_list(elements, out, depth + 1)?,
        Val::Obj(map) => write_members(map.iter(), out, depth + 1)?,
    }

    Ok(())
}

fn write_list(elements: &[Val], out: &mut Vec<u8>, depth: usize) -> Result<(), ErrorMessage> {
    if depth > MAX_JSON_DEPTH {
        return Err(format!("nested more than {MAX_JSON_DEPTH} levels deep"));
    }

    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }

        write_value(element, out, depth)?;
    }

    out.push(b']');

    Ok(())
}

fn write_string(text: &[u8], out: &mut Vec<u8>) -> Result<(), ErrorMessage> {
    let text = std::str::from_utf8(text).map_err(|_| "a string that is not UTF-8".to_owned())?;
    serde_json::to_writer(out, text).map_err(|error| error.to_string())
}

/// The JSON type of a value, for a message.
pub(crate) fn json_type_name(value: &Val) -> &'static str {
    match value {
        Val::Null => "null",
        Val::Bool(_) => "a boolean",
        Val::Num(_) => "a number",
        Val::BStr(_) | Val::TStr(_) => "a string",
        Val::Arr(_) => "an array",
        Val::Obj(_) => "an object",
    }
}

/// A JSON string.
pub(crate) fn string_value(text: impl Into<String>) -> Val {
    Val::from(text.into())
}
