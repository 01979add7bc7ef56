//! Masks values of each of DynamoDB's types, so that a number stays a number, a set a set, and a key a key.

use std::collections::HashSet;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jaq_json::{Map, Val};

use super::super::document::{ErrorMessage, string_value};
use super::dates;
use super::fakes::FakeKind;
use super::format;
use super::secret::MaskKey;
use crate::item::canonical_number;

/// What stands for a text that was taken out.
pub(crate) const REDACTED: &str = "[redacted]";

/// Numbers that a hash can become: 38 digits, as many as DynamoDB keeps.
const NUMBERS: u128 = 10_u128.pow(38);

/// Base64 as DynamoDB reads it: bits that the padding leaves over do not count.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What is done to a value, for an action that keeps its type.
#[derive(Clone, Copy)]
pub(crate) enum ValueMask<'k> {
    Redact,
    Hash(&'k MaskKey),
    Fake(FakeKind, &'k MaskKey),
    KeepFormat(&'k MaskKey),
    ShiftDate {
        /// How far dates move.
        days: i64,
    },
}

/// One value without its type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ScalarValue {
    S(String),
    /// A number in the spelling it stands in.
    N(String),
    B(Vec<u8>),
}

impl ScalarValue {
    fn read(tag: &str, value: &Val) -> Option<Self> {
        let Val::TStr(bytes) = value else { return None };
        let text = std::str::from_utf8(bytes).ok()?;
        Some(match tag {
            "S" | "SS" => Self::S(text.to_owned()),
            "N" | "NS" => Self::N(text.to_owned()),
            "B" | "BS" => Self::B(BASE64.decode(text).ok()?),
            _ => return None,
        })
    }

    fn write(self) -> Val {
        match self {
            Self::S(string) | Self::N(string) => string_value(string),
            Self::B(bytes) => string_value(BASE64.encode(bytes)),
        }
    }

    /// What is hashed: equal for values that DynamoDB takes for equal.
    pub(crate) fn identity(&self) -> Vec<u8> {
        match self {
            Self::S(text) => text.clone().into_bytes(),
            Self::N(number) => canonical_number(number)
                .unwrap_or_else(|_| number.clone())
                .into_bytes(),
            Self::B(bytes) => bytes.clone(),
        }
    }
}

/// The tag and value of an attribute value; `None` if it is none.
pub(crate) fn typed(value: &Val) -> Option<(&str, &Val)> {
    let Val::Obj(map) = value else { return None };
    let (Val::TStr(tag), value) = map.first().filter(|_| map.len() == 1)? else {
        return None;
    };

    std::str::from_utf8(tag).ok().map(|tag| (tag, value))
}

/// All strings, numbers and binaries in an attribute value, at any depth; `names` hears of the names in maps.
pub(crate) fn visit_scalars(
    value: &Val,
    scalar: &mut impl FnMut(ScalarValue),
    name: &mut impl FnMut(&str),
) {
    match typed(value) {
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
            None => texts(value, scalar, name),
        },
        None => texts(value, scalar, name),
    }
}

/// All strings in a value of a type that this version does not know.
fn texts(value: &Val, scalar: &mut impl FnMut(ScalarValue), name: &mut impl FnMut(&str)) {
    match value {
        Val::TStr(text) => scalar(ScalarValue::S(String::from_utf8_lossy(text).into_owned())),
        Val::Arr(list) => list.iter().for_each(|element| texts(element, scalar, name)),
        Val::Obj(map) => map.iter().for_each(|(key, value)| {
            if let Val::TStr(key) = key {
                name(&String::from_utf8_lossy(key));
            }

            texts(value, scalar, name);
        }),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) => {}
    }
}

impl ValueMask<'_> {
    /// The masked value, of the same type. Booleans become false and nulls stay: neither can be told from others like it.
    pub(crate) fn apply(&self, value: &Val) -> Result<Val, ErrorMessage> {
        let Some((tag, inner)) = typed(value) else {
            return Err("is no typed value".to_owned());
        };

        let masked = match (tag, inner) {
            ("BOOL", _) => Val::Bool(false),
            ("NULL", _) => return Ok(value.clone()),
            ("M" | "L", _) if matches!(self, Self::Redact) => empty(inner),
            ("M", Val::Obj(map)) => {
                let masked = map
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.apply(value)?)));
                Val::obj(masked.collect::<Result<_, ErrorMessage>>()?)
            }
            ("L", Val::Arr(list)) => Val::from_iter(
                list.iter()
                    .map(|value| self.apply(value))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            ("SS" | "NS" | "BS", Val::Arr(set)) => self.set(tag, set)?,
            _ => self
                .scalar(
                    &ScalarValue::read(tag, inner).ok_or("has a type that masks do not support")?,
                )?
                .write(),
        };

        Ok(Val::obj(
            [(string_value(tag), masked)].into_iter().collect(),
        ))
    }

    fn set(&self, tag: &str, set: &[Val]) -> Result<Val, ErrorMessage> {
        let mut seen = HashSet::new();
        let mut masked = Vec::with_capacity(set.len());
        for element in set {
            let scalar = ScalarValue::read(tag, element).ok_or("has a set that cannot be read")?;
            let scalar = self.scalar(&scalar)?;
            if seen.insert(scalar.identity()) {
                masked.push(scalar.write());
            }
        }

        Ok(Val::from_iter(masked))
    }

    fn scalar(&self, scalar: &ScalarValue) -> Result<ScalarValue, ErrorMessage> {
        let masked = match self {
            Self::Redact => return Ok(redacted(scalar)),
            Self::Hash(key) => hashed(scalar, key),
            Self::Fake(fake, key) => faked(*fake, scalar, key)?,
            Self::KeepFormat(key) => format::keep(scalar, |round| {
                key.stream(&format!("keep-format {round}"), &scalar.identity())
            }),
            Self::ShiftDate { days } => shift(scalar, *days)?,
        };

        if masked == *scalar && is_searchable(scalar) {
            return Err("cannot be masked by this action: nothing in it would change".to_owned());
        }

        Ok(masked)
    }
}

fn empty(container: &Val) -> Val {
    match container {
        Val::Arr(_) => Val::from_iter([]),
        _ => Val::obj(Map::default()),
    }
}

fn redacted(scalar: &ScalarValue) -> ScalarValue {
    match scalar {
        ScalarValue::S(_) => ScalarValue::S(REDACTED.to_owned()),
        ScalarValue::N(_) => ScalarValue::N("0".to_owned()),
        ScalarValue::B(_) => ScalarValue::B(REDACTED.into()),
    }
}

fn hashed(scalar: &ScalarValue, key: &MaskKey) -> ScalarValue {
    let hash = key.hash(&scalar.identity());
    match scalar {
        ScalarValue::S(_) => ScalarValue::S(hex::encode(hash)),
        ScalarValue::N(_) => {
            let number = hash
                .iter()
                .take(16)
                .fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
            ScalarValue::N((number % NUMBERS).to_string())
        }
        ScalarValue::B(_) => ScalarValue::B(hash.to_vec()),
    }
}

fn faked(fake: FakeKind, scalar: &ScalarValue, key: &MaskKey) -> Result<ScalarValue, ErrorMessage> {
    let identity = scalar.identity();
    let mut stream = key.stream(fake.name(), &identity);
    Ok(match scalar {
        ScalarValue::S(_) => ScalarValue::S(fake.text(&mut stream)),
        ScalarValue::B(_) => ScalarValue::B(fake.text(&mut stream).into_bytes()),
        ScalarValue::N(_) => ScalarValue::N(
            fake.number(&mut stream)
                .ok_or_else(|| format!("is a number, which no fake {} is", fake.name()))?,
        ),
    })
}

fn shift(scalar: &ScalarValue, days: i64) -> Result<ScalarValue, ErrorMessage> {
    let shift = match scalar {
        ScalarValue::S(text) => dates::shift_text(text, days).map(ScalarValue::S),
        ScalarValue::N(number) => dates::shift_number(number, days).map(ScalarValue::N),
        ScalarValue::B(_) => None,
    };

    shift.ok_or_else(|| "is no date that shift-date knows".to_owned())
}

/// Whether a value says enough that seeing it elsewhere is no accident: four characters, digits or bytes. A country code or an
/// age is found in many places that have nothing to do with each other.
pub(crate) fn is_searchable(scalar: &ScalarValue) -> bool {
    const LEAST: usize = 4;

    match scalar {
        ScalarValue::S(text) => text.chars().count() >= LEAST && text != REDACTED,
        ScalarValue::N(number) => number.bytes().filter(u8::is_ascii_digit).count() >= LEAST,
        ScalarValue::B(bytes) => bytes.len() >= LEAST && bytes != REDACTED.as_bytes(),
    }
}
