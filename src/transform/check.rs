//! Would DynamoDB take this item? Asked of everything that a transform made.
//!
//! Sizes and keys are judged by whoever writes the item.

use std::collections::HashSet;
use std::hash::Hash;

use super::document::Words;
use crate::item::{Attributes, ItemErrorKind, Value, canonical_number, parse_item, validate};
use crate::limits::NESTING_LEVELS;

/// Significant digits of a number (AWS).
const DIGITS: usize = 38;

/// Powers of ten of the first digit of a number (AWS: 1E-130 to 9.99…E+125).
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;

/// Checks an item that was made from `before`.
///
/// # Errors
/// What DynamoDB would refuse, with the attribute's name. A type that this version does not know passes where `before` has
/// such a type, too.
pub(crate) fn check(item: &[u8], before: &[u8]) -> Result<(), Words> {
    match parse_item(item) {
        Ok(attributes) => attributes_check(&attributes, 1)
            .map_err(|(path, what)| format!("attribute {path:?}: {what}")),
        Err(error) => {
            let unknown = |error: &crate::item::ItemError| {
                matches!(error.kind(), ItemErrorKind::UnknownType(_))
            };
            let newer = unknown(&error) && parse_item(before).is_err_and(|error| unknown(&error));
            if newer && validate(item).is_ok() {
                Ok(())
            } else {
                Err(error.to_string())
            }
        }
    }
}

type Fault = (String, &'static str);

fn attributes_check(attributes: &Attributes, level: usize) -> Result<(), Fault> {
    for (name, value) in attributes {
        value_check(value, level).map_err(|(path, what)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{name}.{path}")
            };

            (path, what)
        })?;
    }

    Ok(())
}

fn value_check(value: &Value, level: usize) -> Result<(), Fault> {
    if level > NESTING_LEVELS {
        return Err((
            String::new(),
            "maps and lists nested deeper than DynamoDB takes",
        ));
    }

    let here = |result: Result<(), &'static str>| result.map_err(|what| (String::new(), what));
    match value {
        Value::M(attributes) => attributes_check(attributes, level + 1),
        Value::L(elements) => elements
            .iter()
            .try_for_each(|element| value_check(element, level + 1)),
        Value::N(number) => here(in_range(number)),
        Value::Ss(elements) => here(distinct(elements.iter())),
        Value::Bs(elements) => here(distinct(elements.iter())),
        Value::Ns(elements) => {
            here(elements.iter().try_for_each(|number| in_range(number)))?;
            here(distinct(
                elements
                    .iter()
                    .filter_map(|number| canonical_number(number).ok()),
            ))
        }
        Value::S(_) | Value::B(_) | Value::Bool(_) | Value::Null => Ok(()),
    }
}

fn distinct<T: Eq + Hash>(elements: impl Iterator<Item = T>) -> Result<(), &'static str> {
    let mut seen = HashSet::new();
    for element in elements {
        if !seen.insert(element) {
            return Err("an element stands twice in a set");
        }
    }

    if seen.is_empty() {
        Err("a set without elements")
    } else {
        Ok(())
    }
}

/// Whether DynamoDB holds the number exactly.
pub(crate) fn in_range(number: &str) -> Result<(), &'static str> {
    let canonical = canonical_number(number).map_err(|_| "not a decimal number")?;
    let (mantissa, power) = canonical.split_once('e').unwrap_or((&canonical, "0"));
    let digits = mantissa.trim_start_matches('-').len();
    let power: i64 = power
        .parse()
        .map_err(|_| "a number too large or too small for DynamoDB")?;

    // An integer keeps its zeros in the exponent, so that the mantissa has the significant digits alone.
    let first = power + i64::try_from(digits).unwrap_or(i64::MAX) - 1;
    if digits > DIGITS {
        return Err("a number of more than 38 digits");
    }

    if mantissa != "0" && !POWERS.contains(&first) {
        return Err("a number too large or too small for DynamoDB");
    }

    Ok(())
}
