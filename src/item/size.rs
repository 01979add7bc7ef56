//! Item sizes and capacity units as DynamoDB computes them.
//!
//! From "DynamoDB item sizes and formats" and "DynamoDB read and write operations" in AWS's developer guide
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>). AWS calls the size of a
//! number approximate, so the result is an estimate by a byte or so per number. The 100 bytes per item that AWS bills for
//! storage count neither here nor against the limit of an item.

use super::error::ItemError;
use super::json::lexer::{JsonString, Lexer};
use super::type_tag::TypeTag;
use super::value::{checked_number, decoded_length};
use super::visit::ValueVisitor;

/// Overhead of a map or list, in bytes.
const CONTAINER: u64 = 3;
/// Bytes that each element of a map or list takes in addition to its own size.
const ELEMENT: u64 = 1;
/// Bytes of one read unit.
const READ_UNIT: u64 = 4 * 1024;
/// Bytes of one write unit.
pub const WRITE_UNIT: u64 = 1024;

/// The size of an item by DynamoDB's count: the UTF-8 bytes of its names and the sizes of its values. A value of a type that
/// this version does not know counts as its JSON text.
///
/// # Errors
/// The text is not an item.
pub fn item_size(item: &[u8]) -> Result<u64, ItemError> {
    let mut lexer = Lexer::new(item)?;
    let size = members(&mut lexer, 0, 0)?;
    lexer.finish()?;

    Ok(size)
}

/// Calls `each` with every attribute of an item: its name, and the size of name and value together by DynamoDB's count. Their sum is
/// [`item_size`].
///
/// # Errors
/// The text is not an item; `each` may have been called for some attributes by then.
pub fn for_each_attribute_size(
    item: &[u8],
    mut each: impl FnMut(&str, u64),
) -> Result<(), ItemError> {
    let mut lexer = Lexer::new(item)?;
    lexer.members(|lexer, name| {
        let of_value = Size
            .value(lexer, 0)
            .map_err(|error| error.within(&name.lossy_text()))?;
        let said = name.text();
        each(
            said.as_deref().unwrap_or(name.raw()),
            text_size(&name) + of_value,
        );
        Ok(())
    })?;

    lexer.finish()
}

/// Read units for one read of `bytes`: one for each 4 KB begun, half of that for an eventually consistent read.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "units of any table are far below 2^53"
)]
pub fn read_units(bytes: u64, consistent: bool) -> f64 {
    let units = bytes.div_ceil(READ_UNIT).max(1) as f64;
    if consistent { units } else { units / 2.0 }
}

/// Write units for one write of an item of `bytes`: one for each 1 KB begun.
#[must_use]
pub fn write_units(bytes: u64) -> u64 {
    bytes.div_ceil(WRITE_UNIT).max(1)
}

/// Computes the size of values.
struct Size;

impl ValueVisitor for Size {
    type Output = u64;

    fn map(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<u64, ItemError> {
        Ok(CONTAINER + members(lexer, level, ELEMENT)?)
    }

    fn list(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<u64, ItemError> {
        Ok(CONTAINER + sum(lexer, |lexer| Ok(ELEMENT + Self.value(lexer, level)?))?)
    }

    fn set(&mut self, lexer: &mut Lexer<'_>, element: TypeTag) -> Result<u64, ItemError> {
        sum(lexer, |lexer| Self.scalar(lexer, element))
    }

    fn scalar(&mut self, lexer: &mut Lexer<'_>, tag: TypeTag) -> Result<u64, ItemError> {
        match tag {
            TypeTag::N => {
                let quoted = lexer.string_value(tag)?;
                let text = quoted.text()?;
                let number = checked_number(&quoted, &text)?;
                let digits = wide(number.significant_digits());

                Ok(digits.div_ceil(2) + 1 + u64::from(number.is_negative()))
            }
            TypeTag::B => decoded_length(&lexer.string_value(tag)?).map(wide),
            TypeTag::Bool | TypeTag::Null => lexer.bool_value(tag).map(|_| 1),
            _ => lexer.string_value(tag).map(|quoted| text_size(&quoted)),
        }
    }

    fn unknown(&mut self, lexer: &mut Lexer<'_>, _: &JsonString<'_>) -> Result<u64, ItemError> {
        // Skips whitespace, which does not count.
        lexer.peek();
        let start = lexer.offset();
        lexer.skip()?;

        Ok(wide(lexer.since(start).len()))
    }
}

/// The size of the names and values of an object, and `each` for every member.
fn members(lexer: &mut Lexer<'_>, level: usize, each: u64) -> Result<u64, ItemError> {
    let mut size = 0;
    lexer.members(|lexer, name| {
        let value = Size.value(lexer, level);
        size +=
            each + text_size(&name) + value.map_err(|error| error.within(&name.lossy_text()))?;
        Ok(())
    })?;

    Ok(size)
}

fn sum(
    lexer: &mut Lexer<'_>,
    each: impl Fn(&mut Lexer<'_>) -> Result<u64, ItemError>,
) -> Result<u64, ItemError> {
    let mut size = 0;
    lexer.elements(|lexer| {
        size += each(lexer)?;
        Ok(())
    })?;
    Ok(size)
}

fn text_size(quoted: &JsonString<'_>) -> u64 {
    wide(quoted.text().map_or(quoted.raw().len(), |text| text.len()))
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Style, item, render};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_as_the_developer_guide_does() {
        for (value, size) in [
            (r#"{"S":""}"#, 0),
            (r#"{"S":"\u00e9\n"}"#, 3),
            (r#"{"N":"0"}"#, 1),
            (r#"{"N":"100"}"#, 2),
            (r#"{"N":"-12.30"}"#, 4),
            (r#"{"N":"99999999999999999999999999999999999999"}"#, 20),
            (r#"{"B":"AAECAw=="}"#, 4),
            (r#"{"BOOL":false}"#, 1),
            (r#"{"NULL":true}"#, 1),
            (r#"{"L":[]}"#, 3),
            (r#"{"M":{}}"#, 3),
            (r#"{"L":[{"S":"ab"},{"BOOL":true}]}"#, 8),
            (r#"{"M":{"name":{"S":"ab"}}}"#, 10),
            (r#"{"SS":["a","bc"]}"#, 3),
            (r#"{"NS":["1","22"]}"#, 4),
            (r#"{"BS":["AAEC",""]}"#, 3),
            (r#"{"X": [1]}"#, 3),
        ] {
            assert_eq!(
                item_size(format!(r#"{{"é":{value}}}"#).as_bytes()),
                Ok(2 + size),
                "{value}"
            );
        }
    }

    #[test]
    fn units_are_rounded_up_per_call() {
        for (bytes, read, write) in [
            (0, 1.0, 1),
            (1, 1.0, 1),
            (1024, 1.0, 1),
            (1025, 1.0, 2),
            (4096, 1.0, 4),
            (4097, 2.0, 5),
        ] {
            assert!(
                (read_units(bytes, true) - read).abs() < f64::EPSILON,
                "{bytes}"
            );
            assert!(
                (read_units(bytes, false) - read / 2.0).abs() < f64::EPSILON,
                "{bytes}"
            );
            assert_eq!(write_units(bytes), write, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn spelling_does_not_count(item in item(), seed in any::<u64>()) {
            let size = item_size(render(&item, Style::Compact).as_bytes());
            prop_assert_eq!(size.clone(), item_size(render(&item, Style::Random(seed)).as_bytes()));
            prop_assert!(size.is_ok());
            let mut names = Vec::new();
            let mut sum = 0;
            let told = for_each_attribute_size(render(&item, Style::Random(seed)).as_bytes(), |name, size| {
                names.push(name.to_owned());
                sum += size;
            });
            prop_assert_eq!(told.map(|()| sum), size);
            names.sort();
            prop_assert_eq!(names, item.into_keys().collect::<Vec<_>>());
        }
    }
}
