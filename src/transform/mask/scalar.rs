//! Strings, numbers and binaries inside attribute values.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jaq_json::Val;

use super::super::document::string_value;
use crate::item::canonical_number;

/// Text that replaces a redacted text.
pub(crate) const REDACTED: &str = "[redacted]";

/// Base64 as DynamoDB decodes it: unused bits before the padding are ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A string, number or binary, also as an element of a set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ScalarValue {
    S(String),
    /// A number as written.
    N(String),
    B(Vec<u8>),
}

impl ScalarValue {
    /// Decodes the value of the type `tag`; `None` if the type is not scalar or the value is
    /// invalid.
    pub(crate) fn read(tag: &str, value: &Val) -> Option<Self> {
        let Val::TStr(bytes) = value else { return None };
        let text = std::str::from_utf8(bytes).ok()?;
        Some(match tag {
            "S" | "SS" => Self::S(text.to_owned()),
            "N" | "NS" => Self::N(text.to_owned()),
            "B" | "BS" => Self::B(BASE64.decode(text).ok()?),
            _ => return None,
        })
    }

    pub(crate) fn write(self) -> Val {
        match self {
            Self::S(string) | Self::N(string) => string_value(string),
            Self::B(bytes) => string_value(BASE64.encode(bytes)),
        }
    }

    /// Input of hashes. It is equal for values that DynamoDB considers equal.
    pub(crate) fn canonical_bytes(&self) -> Vec<u8> {
        match self {
            Self::S(text) => text.clone().into_bytes(),
            Self::N(number) => canonical_number(number)
                .unwrap_or_else(|_| number.clone())
                .into_bytes(),
            Self::B(bytes) => bytes.clone(),
        }
    }
}

/// The type tag and the inner value of an attribute value; `None` if it has another structure.
pub(crate) fn tag_and_value(value: &Val) -> Option<(&str, &Val)> {
    let Val::Obj(map) = value else { return None };
    if map.len() != 1 {
        return None;
    }

    let (Val::TStr(tag), value) = map.first()? else {
        return None;
    };

    std::str::from_utf8(tag).ok().map(|tag| (tag, value))
}

/// Calls `scalar` for all strings, numbers and binaries in an attribute value, at any depth, and
/// `name` for all names in maps.
pub(crate) fn visit_scalars(
    value: &Val,
    scalar: &mut impl FnMut(ScalarValue),
    name: &mut impl FnMut(&str),
) {
    match tag_and_value(value) {
        Some(("M", Val::Obj(map))) => {
            for (key, value) in &**map {
                if let Val::TStr(key) = key {
                    name(&String::from_utf8_lossy(key));
                }

                visit_scalars(value, scalar, name);
            }
        }
        Some(("L", Val::Arr(list))) => list
            .iter()
            .for_each(|element| visit_scalars(element, scalar, name)),
        Some((tag, Val::Arr(set)))
            if set
                .iter()
                .all(|element| ScalarValue::read(tag, element).is_some()) =>
        {
            set.iter()
                .filter_map(|element| ScalarValue::read(tag, element))
                .for_each(scalar);
        }
        Some((tag, value)) => match ScalarValue::read(tag, value) {
            Some(read) => scalar(read),
            None => visit_unknown(value, scalar, name),
        },
        None => visit_unknown(value, scalar, name),
    }
}

/// Calls `scalar` for all strings in a value of an unknown type, so that they are searched for,
/// too.
fn visit_unknown(value: &Val, scalar: &mut impl FnMut(ScalarValue), name: &mut impl FnMut(&str)) {
    match value {
        Val::TStr(text) => scalar(ScalarValue::S(String::from_utf8_lossy(text).into_owned())),
        Val::Arr(list) => list
            .iter()
            .for_each(|element| visit_unknown(element, scalar, name)),
        Val::Obj(map) => map.iter().for_each(|(key, value)| {
            if let Val::TStr(key) = key {
                name(&String::from_utf8_lossy(key));
            }

            visit_unknown(value, scalar, name);
        }),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) => {}
    }
}

/// Whether a value is long enough to be searched for: four characters, digits or bytes. A country
/// code or an age occurs in many unrelated places.
pub(crate) fn is_searchable(scalar: &ScalarValue) -> bool {
    const MIN_LENGTH: usize = 4;

    match scalar {
        ScalarValue::S(text) => text.chars().count() >= MIN_LENGTH && text != REDACTED,
        ScalarValue::N(number) => number.bytes().filter(u8::is_ascii_digit).count() >= MIN_LENGTH,
        ScalarValue::B(bytes) => bytes.len() >= MIN_LENGTH && bytes != REDACTED.as_bytes(),
    }
}
