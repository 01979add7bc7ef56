//! An item as a JSON document that can be changed: read from its bytes, written back in the order of its attributes.
//!
//! The values are jaq's, since filters run over them: strings are shared, not copied, and objects keep their order. Numbers of
//! DynamoDB are strings in its JSON, so nothing is rounded.

use bytes::Bytes;
use jaq_json::{Map, Num, Val};

use crate::item::{DEPTH, validate};

/// What is wrong with an item. It may name attributes that a filter made.
pub(crate) type Words = String;

/// Reads an item.
pub(crate) fn read(item: &[u8]) -> Result<Val, Words> {
    validate(item).map_err(|error| format!("not DynamoDB JSON: {error}"))?;
    jaq_json::read::parse_single(item).map_err(|error| format!("not JSON: {error}"))
}

/// Writes `item`; what it has in common with `before`, in the same order, then the rest.
pub(crate) fn write(item: &Map, before: &Map) -> Result<Bytes, Words> {
    let mut out = Vec::with_capacity(1024);
    let common = before.keys().filter_map(|name| item.get_key_value(name));
    let added = item.iter().filter(|(name, _)| !before.contains_key(*name));
    members(common.chain(added), &mut out, 1)?;

    Ok(Bytes::from(out))
}

fn members<'v>(
    members: impl Iterator<Item = (&'v Val, &'v Val)>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Words> {
    if depth > DEPTH {
        return Err(format!("nested more than {DEPTH} levels deep"));
    }

    let mut before = b'{';
    for (name, member) in members {
        out.push(before);
        before = b',';
        let Val::TStr(name) = name else {
            return Err("an attribute's name is not a string".to_owned());
        };

        string(name, out)?;
        out.push(b':');
        value(member, out, depth)?;
    }

    if before == b'{' {
        out.push(before);
    }

    out.push(b'}');

    Ok(())
}

fn value(value: &Val, out: &mut Vec<u8>, depth: usize) -> Result<(), Words> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(Num::Float(number)) if !number.is_finite() => {
            return Err("a number that JSON does not have".to_owned());
        }
        Val::Num(_) => out.extend_from_slice(value.to_string().as_bytes()),
        Val::TStr(text) => string(text, out)?,
        Val::BStr(_) => {
            return Err(
                "bytes where a string is due; binary values are base64: B(… | @base64)".to_owned(),
            );
        }
        Val::Arr(elements) => list(elements, out, depth + 1)?,
        Val::Obj(map) => members(map.iter(), out, depth + 1)?,
    }

    Ok(())
}

fn list(elements: &[Val], out: &mut Vec<u8>, depth: usize) -> Result<(), Words> {
    if depth > DEPTH {
        return Err(format!("nested more than {DEPTH} levels deep"));
    }

    out.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }

        value(element, out, depth)?;
    }

    out.push(b']');

    Ok(())
}

fn string(text: &[u8], out: &mut Vec<u8>) -> Result<(), Words> {
    let text = std::str::from_utf8(text).map_err(|_| "a string that is not UTF-8".to_owned())?;
    serde_json::to_writer(out, text).map_err(|error| error.to_string())
}

/// What a value is, for a message.
pub(crate) fn kind_of(value: &Val) -> &'static str {
    match value {
        Val::Null => "null",
        Val::Bool(_) => "a boolean",
        Val::Num(_) => "a number",
        Val::BStr(_) | Val::TStr(_) => "a string",
        Val::Arr(_) => "an array",
        Val::Obj(_) => "an object",
    }
}

/// A plain string value.
pub(crate) fn text(text: impl Into<String>) -> Val {
    Val::from(text.into())
}
