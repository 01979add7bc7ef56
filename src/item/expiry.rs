//! Whether DynamoDB deletes an item because of its TTL.

use serde::Deserialize;

use super::json::members::{JsonCursor, name_equals};
use super::json::scanner::JsonScanError;

/// Times longer ago than five years, without leap days, do not expire an item.
const MAX_AGE_SECONDS: i64 = 5 * 365 * 24 * 3600;

/// The TTL of a table at a point in time. An item expires if its attribute is a number (type N), in seconds since 1970, and in the past,
/// but not longer ago than five years
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    attribute: String,
    now: i64,
}

#[derive(Deserialize)]
struct Number {
    #[serde(rename = "N")]
    digits: String,
}

impl Expiry {
    /// The TTL on `attribute` at `now`, in seconds since 1970.
    #[must_use]
    pub fn new(attribute: String, now: i64) -> Self {
        Self { attribute, now }
    }

    /// Whether the item has expired. An invalid item has not.
    #[must_use]
    pub fn is_past(&self, item: &[u8]) -> bool {
        let value = self.value(item).ok().flatten();
        let number = value.and_then(|value| serde_json::from_slice::<Number>(value).ok());
        let time = number.and_then(|number| number.digits.parse::<f64>().ok());
        // A number may have a fraction or an exponent. The cast saturates.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "fractions of a second do not matter"
        )]
        let time = time.map(|time| time.floor() as i64);
        time.is_some_and(|time| (self.now - MAX_AGE_SECONDS..self.now).contains(&time))
    }

    /// The value of the attribute: `{"N":"1700000000"}`.
    fn value<'a>(&self, item: &'a [u8]) -> Result<Option<&'a [u8]>, JsonScanError> {
        let mut cursor = JsonCursor::new(item);
        cursor.take(b'{', "not a JSON object")?;
        let mut first = true;
        while let Some(name) = cursor.next_member(first)? {
            first = false;
            let range = cursor.skip_value()?;
            if name_equals(name, &self.attribute) {
                return Ok(Some(&item[range]));
            }
        }

        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_expires_by_a_number_of_seconds_in_the_last_five_years() {
        let now = 1_800_000_000;
        let expiry = Expiry::new("until".to_owned(), now);
        let year = 365 * 24 * 3600;
        for (value, is_past) in [
            (format!(r#"{{"N":"{}"}}"#, 1_800_000_000 - 1), true),
            (
                format!(r#"{{"N":"{}"}}"#, 1_800_000_000 - 5 * year + 60),
                true,
            ),
            (r#"{"N":"1.79e9"}"#.to_owned(), true),
            (r#" { "N" : "1799999999.5" } "#.to_owned(), true),
            (r#"{"N":"1800000000"}"#.to_owned(), false),
            (r#"{"N":"1900000000"}"#.to_owned(), false),
            // Older than five years, or milliseconds.
            (
                format!(r#"{{"N":"{}"}}"#, 1_800_000_000 - 5 * year - 60),
                false,
            ),
            (r#"{"N":"0"}"#.to_owned(), false),
            (r#"{"N":"-1"}"#.to_owned(), false),
            (r#"{"N":"1799999999000"}"#.to_owned(), false),
            // Other types.
            (r#"{"S":"1799999999"}"#.to_owned(), false),
            (r#"{"NULL":true}"#.to_owned(), false),
        ] {
            let item = format!(r#"{{"id":{{"S":"a"}},"until":{value}}}"#);
            assert_eq!(expiry.is_past(item.as_bytes()), is_past, "{item}");
        }

        for item in [
            r#"{"id":{"S":"a"}}"#,
            r#"{"id":{"M":{"until":{"N":"1799999999"}}}}"#,
            r#"{"id":"#,
            "",
        ] {
            assert!(!expiry.is_past(item.as_bytes()), "{item}");
        }
    }
}
