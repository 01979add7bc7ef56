//! Validates items that a transform created against the rules of DynamoDB.
//!
//! Size and key are checked later, by the code that writes the item.

use std::collections::HashSet;
use std::hash::Hash;

use super::document::ErrorMessage;
use crate::item::{
    AttributeValue, Attributes, ItemError, ItemErrorKind, canonical_number, parse_item, validate,
};
use crate::limits::NESTING_LEVELS;

/// Maximum number of significant digits (AWS).
const DIGITS: usize = 38;

/// Power of ten of the first significant digit (AWS: 1E-130 to 9.99…E+125).
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;

/// Validates `item`, which was created from `original`.
///
/// # Errors
/// DynamoDB would refuse the item; the message names the attribute. A type that this version does
/// not know is accepted if `original` has an unknown type, too.
pub(crate) fn check_item(item: &[u8], original: &[u8]) -> Result<(), ErrorMessage> {
    match parse_item(item) {
        Ok(attributes) => check_attributes(&attributes, 1)
            .map_err(|Violation { path, message }| format!("attribute {path:?}: {message}")),
        Err(error) => {
            // A newer DynamoDB may have returned the type. Then only the JSON structure can be
            // checked.
            let is_unknown =
                |error: &ItemError| matches!(error.kind(), ItemErrorKind::UnknownType(_));
            let is_accepted = is_unknown(&error)
                && parse_item(original).is_err_and(|error| is_unknown(&error))
                && validate(item).is_ok();

            if is_accepted {
                Ok(())
            } else {
                Err(error.to_string())
            }
        }
    }
}

/// A rule of DynamoDB that a value violates.
struct Violation {
    /// Path of the value, relative to the value that was checked.
    path: String,
    message: &'static str,
}

impl From<&'static str> for Violation {
    fn from(message: &'static str) -> Self {
        Self {
            path: String::new(),
            message,
        }
    }
}

fn check_attributes(attributes: &Attributes, level: usize) -> Result<(), Violation> {
    for (name, value) in attributes {
        check_value(value, level).map_err(|Violation { path, message }| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{name}.{path}")
            };

            Violation { path, message }
        })?;
    }

    Ok(())
}

fn check_value(value: &AttributeValue, level: usize) -> Result<(), Violation> {
    if level > NESTING_LEVELS {
        return Err("maps and lists nested deeper than DynamoDB allows".into());
    }

    match value {
        AttributeValue::M(attributes) => check_attributes(attributes, level + 1)?,
        AttributeValue::L(elements) => elements
            .iter()
            .try_for_each(|element| check_value(element, level + 1))?,
        AttributeValue::N(number) => check_number(number)?,
        AttributeValue::Ss(elements) => check_set(elements.iter())?,
        AttributeValue::Bs(elements) => check_set(elements.iter())?,
        AttributeValue::Ns(elements) => {
            elements
                .iter()
                .try_for_each(|number| check_number(number))?;
            // DynamoDB compares numbers by value: `1` and `1.0` are the same element.
            let canonical = elements
                .iter()
                .filter_map(|number| canonical_number(number).ok());
            check_set(canonical)?;
        }
        AttributeValue::S(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null => {}
    }

    Ok(())
}

/// Checks that a set has elements and that they are distinct.
fn check_set<T: Eq + Hash>(elements: impl Iterator<Item = T>) -> Result<(), &'static str> {
    let mut seen = HashSet::new();
    for element in elements {
        if !seen.insert(element) {
            return Err("a set contains an element twice");
        }
    }

    if seen.is_empty() {
        Err("a set without elements")
    } else {
        Ok(())
    }
}

/// Checks that DynamoDB can represent the number exactly.
pub(crate) fn check_number(number: &str) -> Result<(), &'static str> {
    let canonical = canonical_number(number).map_err(|_| "not a decimal number")?;
    let (mantissa, power) = canonical.split_once('e').unwrap_or((&canonical, "0"));
    let digits = mantissa.trim_start_matches('-').len();
    let power: i64 = power
        .parse()
        .map_err(|_| "a number too large or too small for DynamoDB")?;

    // The canonical form moves trailing zeros into the exponent, so the mantissa has only
    // significant digits.
    let first_power = power + i64::try_from(digits).unwrap_or(i64::MAX) - 1;
    if digits > DIGITS {
        return Err("a number of more than 38 digits");
    }

    if mantissa != "0" && !POWERS.contains(&first_power) {
        return Err("a number too large or too small for DynamoDB");
    }

    Ok(())
}
