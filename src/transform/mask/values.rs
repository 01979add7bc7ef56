//! Masks of single values. Each keeps the DynamoDB type: a number remains a number, a set a set.

use std::collections::HashSet;

use jaq_json::{Map, Val};

use super::super::document::{ErrorMessage, string_value};
use super::dates;
use super::fakes::FakeKind;
use super::format::keep_format;
use super::scalar::{REDACTED, ScalarValue, is_searchable, tag_and_value};
use super::secret::MaskKey;

/// Exclusive limit of hashed numbers: 38 digits, the precision of DynamoDB.
const MAX_HASHED_NUMBER: u128 = 10_u128.pow(38);

/// A mask that keeps the type of a value.
#[derive(Clone, Copy)]
pub(crate) enum ValueMask<'k> {
    Redact,
    Hash(&'k MaskKey),
    Fake(FakeKind, &'k MaskKey),
    KeepFormat(&'k MaskKey),
    ShiftDate {
        /// Number of days; negative for the past.
        days: i64,
    },
}

impl ValueMask<'_> {
    /// The masked value, of the same type. Booleans become false and nulls are kept, so that
    /// neither says anything.
    pub(crate) fn apply(&self, value: &Val) -> Result<Val, ErrorMessage> {
        let Some((tag, inner)) = tag_and_value(value) else {
            return Err("is not a typed value".to_owned());
        };

        let masked = match (tag, inner) {
            ("BOOL", _) => Val::Bool(false),
            ("NULL", _) => return Ok(value.clone()),
            // Names and the number of elements may be sensitive, too.
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
            ("SS" | "NS" | "BS", Val::Arr(set)) => self.apply_to_set(tag, set)?,
            _ => self
                .apply_to_scalar(
                    &ScalarValue::read(tag, inner).ok_or("has a type that masks do not support")?,
                )?
                .write(),
        };

        Ok(Val::obj(
            [(string_value(tag), masked)].into_iter().collect(),
        ))
    }

    fn apply_to_set(&self, tag: &str, set: &[Val]) -> Result<Val, ErrorMessage> {
        let mut seen = HashSet::new();
        let mut masked = Vec::with_capacity(set.len());
        for element in set {
            let scalar = ScalarValue::read(tag, element).ok_or("has a set that cannot be read")?;
            let scalar = self.apply_to_scalar(&scalar)?;
            // Different elements may have the same mask, and a set must not contain duplicates.
            if seen.insert(scalar.canonical_bytes()) {
                masked.push(scalar.write());
            }
        }

        Ok(Val::from_iter(masked))
    }

    fn apply_to_scalar(&self, scalar: &ScalarValue) -> Result<ScalarValue, ErrorMessage> {
        let masked = match self {
            Self::Redact => return Ok(redacted(scalar)),
            Self::Hash(key) => hashed(scalar, key),
            Self::Fake(fake, key) => faked(*fake, scalar, key)?,
            Self::KeepFormat(key) => keep_format(scalar, |round| {
                key.stream(&format!("keep-format {round}"), &scalar.canonical_bytes())
            }),
            Self::ShiftDate { days } => shift(scalar, *days)?,
        };

        // An unchanged value would be written in plain text.
        if masked == *scalar && is_searchable(scalar) {
            return Err("cannot be masked by this action: it would not change".to_owned());
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
    let hash = key.hash(&scalar.canonical_bytes());
    match scalar {
        ScalarValue::S(_) => ScalarValue::S(hex::encode(hash)),
        ScalarValue::N(_) => {
            // 128 bits are enough for 38 digits.
            let number = hash
                .iter()
                .take(16)
                .fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
            ScalarValue::N((number % MAX_HASHED_NUMBER).to_string())
        }
        ScalarValue::B(_) => ScalarValue::B(hash.to_vec()),
    }
}

fn faked(fake: FakeKind, scalar: &ScalarValue, key: &MaskKey) -> Result<ScalarValue, ErrorMessage> {
    let identity = scalar.canonical_bytes();
    let mut stream = key.stream(fake.name(), &identity);
    Ok(match scalar {
        ScalarValue::S(_) => ScalarValue::S(fake.text(&mut stream)),
        ScalarValue::B(_) => ScalarValue::B(fake.text(&mut stream).into_bytes()),
        ScalarValue::N(_) => ScalarValue::N(
            fake.number(&mut stream)
                .ok_or_else(|| format!("is a number, which cannot be a fake {}", fake.name()))?,
        ),
    })
}

fn shift(scalar: &ScalarValue, days: i64) -> Result<ScalarValue, ErrorMessage> {
    let shift = match scalar {
        ScalarValue::S(text) => dates::shift_text(text, days).map(ScalarValue::S),
        ScalarValue::N(number) => dates::shift_number(number, days).map(ScalarValue::N),
        ScalarValue::B(_) => None,
    };

    shift.ok_or_else(|| "is not a date in a format that shift-date supports".to_owned())
}
