//! The keys of a table's indexes, and the items that violate them.
//!
//! An item violates the key of an index if its value for a key attribute has another type, is an empty string or binary, or is too long
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.ViolationDetection.html>). An item without the
//! attribute is merely not in the index.

use super::json::members::{JsonCursor, name_equals};
use super::json::scanner::JsonScanError;
use super::key::{KeyAttribute, KeyError, KeyType, append_canonical};

/// Maximum number of key attributes of all indexes together: they are bits of a number.
const MAX_ATTRIBUTES: usize = u64::BITS as usize;

/// Bytes that a value of a partition key may have.
const PARTITION_BYTES: usize = 2048;

/// Bytes that a value of a sort key may have. Shorter values need not be measured.
pub(crate) const SORT_BYTES: usize = 1024;

/// The key attributes of all indexes of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexKeys {
    names: Vec<String>,
    attributes: Vec<IndexAttribute>,
}

/// One key attribute of one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexAttribute {
    pub(crate) attribute: KeyAttribute,
    max_bytes: usize,
    /// Position of the index.
    index: usize,
}

/// Violations of one item: a bit for each index, in their order.
pub(crate) type Violations = u64;

impl IndexKeys {
    /// Adds an index by its partition and sort key attributes. `None` if there are too many.
    #[must_use]
    pub fn with_index(
        mut self,
        name: &str,
        partition: impl IntoIterator<Item = KeyAttribute>,
        sort: impl IntoIterator<Item = KeyAttribute>,
    ) -> Option<Self> {
        let index = self.names.len();
        let of_key = |max_bytes| {
            move |attribute| IndexAttribute {
                attribute,
                max_bytes,
                index,
            }
        };

        self.names.push(name.to_owned());
        self.attributes
            .extend(partition.into_iter().map(of_key(PARTITION_BYTES)));
        self.attributes
            .extend(sort.into_iter().map(of_key(SORT_BYTES)));

        (self.names.len() <= MAX_ATTRIBUTES && self.attributes.len() <= MAX_ATTRIBUTES)
            .then_some(self)
    }

    /// The names of the indexes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Adds the violations of `item` to `counts`, which has one number for each index.
    ///
    /// # Errors
    /// The text is not an item, as far as its structure was read.
    pub fn count(&self, item: &[u8], counts: &mut [u64]) -> Result<(), JsonScanError> {
        add(self.violations(item)?, counts);
        Ok(())
    }

    /// A zero for each index.
    #[must_use]
    pub fn zeros(&self) -> Vec<u64> {
        vec![0; self.names.len()]
    }

    /// The violations of `item`.
    pub(crate) fn violations(&self, item: &[u8]) -> Result<Violations, JsonScanError> {
        let mut violations = 0;
        if self.attributes.is_empty() {
            return Ok(violations);
        }

        let mut cursor = JsonCursor::new(item);
        cursor.take(b'{', "not a JSON object")?;
        let mut first = true;
        while let Some(name) = cursor.next_member(first)? {
            first = false;
            let value = &item[cursor.skip_attribute()?];
            for attribute in &self.attributes {
                if name_equals(name, &attribute.attribute.name) && !attribute.fits(value) {
                    violations |= attribute.violation();
                }
            }
        }

        Ok(violations)
    }

    /// The violations of an attribute whose name has no escapes, and the bits of those key attributes whose other values may violate the
    /// key although they have the same type.
    pub(crate) fn violations_of(&self, name: &[u8], value: &[u8]) -> (Violations, u64) {
        let (mut violations, mut measured) = (0, 0);
        for (bit, attribute) in self.attributes.iter().enumerate() {
            if attribute.attribute.name.as_bytes() != name {
                continue;
            }

            match attribute.length(value) {
                Ok(_) if attribute.attribute.kind != KeyType::N => measured |= 1 << bit,
                Ok(_) => {}
                Err(_) => violations |= attribute.violation(),
            }
        }

        (violations, measured)
    }

    /// The violations of a value that has the type of the key attributes with these bits.
    #[cold]
    pub(crate) fn violations_by_length(&self, mut measured: u64, value: &[u8]) -> Violations {
        let mut violations = 0;
        while measured != 0 {
            let attribute = &self.attributes[measured.trailing_zeros() as usize];
            if !attribute.fits(value) {
                violations |= attribute.violation();
            }

            measured &= measured - 1;
        }

        violations
    }
}

impl IndexAttribute {
    fn violation(&self) -> Violations {
        1 << self.index
    }

    /// Whether the index can store the value.
    fn fits(&self, value: &[u8]) -> bool {
        let is_number = self.attribute.kind == KeyType::N;
        self.length(value)
            .is_ok_and(|length| is_number || (1..=self.max_bytes).contains(&length))
    }

    fn length(&self, value: &[u8]) -> Result<usize, KeyError> {
        append_canonical(&self.attribute, value, &mut Vec::new())
    }
}

/// Adds violations to the counts of the indexes.
#[inline]
pub(crate) fn add(mut violations: Violations, counts: &mut [u64]) {
    while violations != 0 {
        counts[violations.trailing_zeros() as usize] += 1;
        violations &= violations - 1;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn keys() -> IndexKeys {
        let attribute = |name: &str, kind| KeyAttribute {
            name: name.to_owned(),
            kind,
        };
        let text = attribute("when", KeyType::S);
        let number = attribute("a", KeyType::N);

        IndexKeys::default()
            .with_index("by-when", [text.clone()], [number])
            .and_then(|keys| keys.with_index("by-pk", [attribute("pk", KeyType::S)], [text]))
            .unwrap()
    }

    #[test]
    fn items_with_another_type_or_an_empty_or_long_value_violate_the_key() {
        let long = |bytes| "x".repeat(bytes);
        for (item, expected) in [
            ("{}".to_owned(), 0),
            (
                r#"{"pk":{"S":"a"},"when":{"S":"b"},"a":{"N":"1"}}"#.to_owned(),
                0,
            ),
            (r#"{"when":{"N":"3"}}"#.to_owned(), 0b11),
            (r#"{"when":{"S":""}}"#.to_owned(), 0b11),
            (r#"{"when":{"M":{"when":{"S":"b"}}}}"#.to_owned(), 0b11),
            (r#"{"when":{"NULL":true},"a":{"S":""}}"#.to_owned(), 0b11),
            (r#"{"m":{"M":{"when":{"N":"3"}}}}"#.to_owned(), 0),
            (r#"{"wh\u0065n":{"N":"3"}}"#.to_owned(), 0b11),
            (r#"{"a":{"S":"1"}}"#.to_owned(), 0b01),
            (r#"{"pk":{"B":"AAAA"}}"#.to_owned(), 0b10),
            (format!(r#"{{"when":{{"S":"{}"}}}}"#, long(1024)), 0),
            (format!(r#"{{"when":{{"S":"{}"}}}}"#, long(1025)), 0b10),
            (format!(r#"{{"when":{{"S":"{}\u0041"}}}}"#, long(1023)), 0),
            (format!(r#"{{"when":{{"S":"{}"}}}}"#, long(2049)), 0b11),
        ] {
            assert_eq!(keys().violations(item.as_bytes()), Ok(expected), "{item}");
        }
    }

    #[test]
    fn violations_are_counted_by_index() {
        let mut counts = keys().zeros();
        for violations in [0b01, 0b11, 0] {
            add(violations, &mut counts);
        }

        assert_eq!(counts, [2, 1]);
    }
}
