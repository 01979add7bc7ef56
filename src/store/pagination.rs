//! Pagination: the key at which a page ends, and the check that a list of pages ends.
//!
//! A server that returns the same position again would be asked for the same pages forever. Brent's
//! algorithm finds a cycle of any period in constant memory: each position is compared with an
//! anchor, which moves to the current position after 1, 2, 4, 8, … pages. Every paginated list uses
//! this check.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_128;

use crate::aws::error::RequestError;

/// Detects a cycle in the positions at which the pages of one list end (Brent's algorithm).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CycleDetector {
    anchor: Option<u128>,
    /// Number of pages since the anchor was set.
    pages: u64,
    /// Number of pages after which the anchor moves.
    limit: u64,
}

impl CycleDetector {
    /// Records the position at which a page ends.
    ///
    /// # Errors
    /// Fails if an earlier page ended there.
    pub(crate) fn advance(&mut self, position: &str) -> Result<(), RequestError> {
        self.advance_hash(xxh3_128(position.as_bytes()))
    }

    fn advance_hash(&mut self, position: u128) -> Result<(), RequestError> {
        if self.anchor == Some(position) {
            return Err(RequestError::not_dynamodb(
                "a page ends where an earlier page ended, so the list would never end",
            ));
        }

        self.pages += 1;
        // Doubling the distance makes the anchor enter any cycle and stay long enough to meet it
        // again.
        if self.pages >= self.limit {
            *self = Self {
                anchor: Some(position),
                pages: 0,
                limit: (self.limit * 2).max(1),
            };
        }

        Ok(())
    }
}

/// The key at which a Scan page ends (`LastEvaluatedKey`), as the JSON that DynamoDB sent. It is
/// sent back unchanged as `ExclusiveStartKey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageKey {
    json: Box<str>,
    /// The cycle check of the pages up to this one.
    cycle: CycleDetector,
}

impl PageKey {
    /// Returns the JSON that DynamoDB sent.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// Restores a key that [`as_json`](Self::as_json) returned. `None` if the text is not a JSON
    /// object with at least one attribute: it becomes part of a request unchanged.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        Self::after(None, text).ok()
    }

    /// Creates the key at which the page after `previous` ends.
    ///
    /// # Errors
    /// Fails if it is not a key, or if an earlier page of the segment ended there.
    pub(crate) fn after(previous: Option<&Self>, json: &str) -> Result<Self, RequestError> {
        let attributes = serde_json::from_str::<Map<String, Value>>(json)
            .ok()
            .filter(|key| !key.is_empty());
        let attributes = attributes
            .ok_or_else(|| RequestError::not_dynamodb("LastEvaluatedKey is not a key"))?;

        // Compared in canonical form: the same key may be sent with other spaces, or with its
        // attributes in another order.
        let mut cycle = previous.map_or_else(CycleDetector::default, |previous| previous.cycle);
        cycle.advance(&Value::Object(attributes).to_string())?;
        Ok(Self {
            json: json.into(),
            cycle,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> String {
        format!(r#"{{"pk":{{"N":"{number}"}}}}"#)
    }

    proptest! {
        #[test]
        fn a_cycle_of_any_period_is_found_within_a_few_times_its_length(before in 0_u64..200, period in 1_u64..200) {
            let mut last: Option<PageKey> = None;
            let found = (0..3 * (before + period) + 2).find(|page| {
                let number = if *page < before { *page } else { before + (page - before) % period };
                match PageKey::after(last.as_ref(), &key(number)) {
                    Ok(next) => last = Some(next),
                    Err(_) => return true,
                }
                false
            });
            let found = found.expect("the cycle is found");
            prop_assert!(found >= before + period, "{found}: no key was repeated by then");
        }

        #[test]
        fn keys_that_differ_are_not_a_cycle(pages in 1_u64..2000) {
            let mut last: Option<PageKey> = None;
            for page in 0..pages {
                last = Some(PageKey::after(last.as_ref(), &key(page)).expect("no key is repeated"));
            }
        }
    }

    #[test]
    fn a_key_with_another_spelling_is_the_same() {
        let first = PageKey::after(None, r#"{"pk":{"S":"a"},"sk":{"N":"1"}}"#).unwrap();
        assert!(
            PageKey::after(Some(&first), r#"{ "sk": {"N":"1"}, "pk": {"S":"\u0061"} }"#).is_err()
        );
    }

    #[test]
    fn a_scan_that_is_resumed_from_a_key_does_not_return_to_it() {
        let start = PageKey::from_json(&key(1)).unwrap();
        assert!(PageKey::after(Some(&start), start.as_json()).is_err());
    }

    #[test]
    fn only_an_object_with_attributes_is_a_key() {
        for text in [
            "{}",
            "[]",
            "\"a\"",
            "7",
            "true",
            "null",
            "",
            "{",
            r#"{"a":{"S":"x"}}, "Limit": 1"#,
        ] {
            assert_eq!(PageKey::from_json(text), None, "{text}");
        }
    }
}
