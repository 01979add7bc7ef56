//! A 128-bit digest of the content of an item.
//!
//! All encodings of an item have the same digest: the order of attributes and of set elements, the spelling of numbers, JSON escapes
//! and whitespace make no difference; the order of a list and the types do. Every part is written with its type and its length
//! before it is hashed, so that no two items share a digest by construction. The hash is xxh3: fast, and good against accident,
//! not against an adversary; a checksum of a file is SHA-256.
//!
//! A value that is not DynamoDB JSON as this version knows it (a new type, say) is digested as plain JSON.

use super::error::{ItemError, ItemErrorKind};
use super::json::lexer::{JsonString, Lexer};
use super::number::Number;
use super::type_tag::TypeTag;
use super::value::{append_binary, checked_number};
use super::visit::ValueVisitor;
use xxhash_rust::xxh3::xxh3_128;

/// The digest of one item.
///
/// # Errors
/// The text is not a JSON object, or it is nested more than [`super::MAX_JSON_DEPTH`] levels deep.
pub fn item_digest(item: &[u8]) -> Result<u128, ItemError> {
    let mut lexer = Lexer::new(item)?;
    let mut encoder = CanonicalEncoder {
        out: Vec::with_capacity(512),
        parts: Vec::with_capacity(32),
    };
    // Type letter of an item, so that it does not equal a map with the same members.
    encoder.out.push(b'I');
    encoder.members(&mut lexer, 0)?;
    lexer.finish()?;

    Ok(xxh3_128(&encoder.out))
}

/// Writes the canonical form: a type letter (capitals for DynamoDB's types, small letters for plain JSON), then the length or
/// count, then the contents. What has no order is hashed part by part; the hashes are sorted.
struct CanonicalEncoder {
    out: Vec<u8>,
    /// Digests of the parts of all maps and sets that are open.
    parts: Vec<u128>,
}

impl CanonicalEncoder {
    /// The names and values of an object.
    fn members(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        let base = self.parts.len();
        lexer.members(|lexer, name| {
            let start = self.out.len();
            self.text(&name);
            self.value_or_plain(lexer, level)?;
            self.part(start);
            Ok(())
        })?;

        self.sorted(base);

        Ok(())
    }

    /// A typed value, or any other JSON value.
    fn value_or_plain(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        let (mark, start, base) = (*lexer, self.out.len(), self.parts.len());
        match self.value(lexer, level) {
            // Not DynamoDB JSON: discard the partial output and digest the value as plain JSON.
            Err(error) if error.is_semantic() => {
                *lexer = mark;
                self.out.truncate(start);
                self.parts.truncate(base);
                self.plain(lexer)
            }
            done => done,
        }
    }

    /// The elements of an array, in their order.
    fn elements<F>(
        &mut self,
        lexer: &mut Lexer<'_>,
        letter: u8,
        mut each: F,
    ) -> Result<(), ItemError>
    where
        F: FnMut(&mut Self, &mut Lexer<'_>) -> Result<(), ItemError>,
    {
        self.out.push(letter);
        // The count is known only at the end, but must precede the elements to make the form unambiguous.
        let place = self.reserve();
        let mut count = 0;
        lexer.elements(|lexer| {
            count += 1;
            each(self, lexer)
        })?;
        self.fill(place, count);

        Ok(())
    }

    /// Any JSON value.
    fn plain(&mut self, lexer: &mut Lexer<'_>) -> Result<(), ItemError> {
        match lexer.peek() {
            b'{' => self.plain_object(lexer),
            b'[' => self.elements(lexer, b'a', Self::plain),
            b'"' => {
                self.out.push(b's');
                self.text(&lexer.string()?);
                Ok(())
            }
            _ => {
                self.plain_scalar(lexer.scalar()?);
                Ok(())
            }
        }
    }

    fn plain_object(&mut self, lexer: &mut Lexer<'_>) -> Result<(), ItemError> {
        self.out.push(b'o');
        let base = self.parts.len();
        lexer.members(|lexer, name| {
            let start = self.out.len();
            self.text(&name);
            self.plain(lexer)?;
            self.part(start);
            Ok(())
        })?;

        self.sorted(base);

        Ok(())
    }

    /// A number, or one of JSON's three words.
    fn plain_scalar(&mut self, text: &str) {
        self.out.push(b'w');
        let place = self.reserve();
        let start = self.out.len();
        // Numbers by value, so that `1.0` equals `1`.
        match Number::parse(text) {
            Ok(number) => number.write(&mut self.out),
            Err(_) => self.out.extend_from_slice(text.as_bytes()),
        }

        self.fill(place, self.out.len() - start);
    }

    fn text(&mut self, quoted: &JsonString<'_>) {
        if let Some(plain) = quoted.plain() {
            self.out
                .extend_from_slice(&(plain.len() as u64).to_le_bytes());
            return self.out.extend_from_slice(plain);
        }

        let place = self.reserve();
        let start = self.out.len();
        quoted.unescape(&mut self.out);
        self.fill(place, self.out.len() - start);
    }

    /// Reserves room for a length that is filled in later; returns its offset.
    fn reserve(&mut self) -> usize {
        let place = self.out.len();
        self.out.extend_from_slice(&[0; 8]);
        place
    }

    fn fill(&mut self, place: usize, length: usize) {
        self.out[place..place + 8].copy_from_slice(&(length as u64).to_le_bytes());
    }

    /// Replaces the bytes written since `start` with a part.
    fn part(&mut self, start: usize) {
        self.parts.push(xxh3_128(&self.out[start..]));
        self.out.truncate(start);
    }

    /// Writes the parts since `base`, in the order of their digests.
    fn sorted(&mut self, base: usize) {
        // Sorting by digest makes the order of members and set elements irrelevant.
        self.parts[base..].sort_unstable();
        let place = self.reserve();
        self.fill(place, self.parts.len() - base);

        for part in self.parts.drain(base..) {
            self.out.extend_from_slice(&part.to_le_bytes());
        }
    }
}

impl ValueVisitor for CanonicalEncoder {
    type Output = ();

    fn map(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        self.out.push(b'M');
        self.members(lexer, level)
    }

    fn list(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<(), ItemError> {
        self.elements(lexer, b'L', |encoder, lexer| {
            encoder.value_or_plain(lexer, level)
        })
    }

    fn set(&mut self, lexer: &mut Lexer<'_>, element: TypeTag) -> Result<(), ItemError> {
        let base = self.parts.len();
        self.out.push(b'Z');
        self.out.extend_from_slice(element.name().as_bytes());
        lexer.elements(|lexer| {
            let start = self.out.len();
            self.scalar(lexer, element)?;
            self.part(start);
            Ok(())
        })?;

        self.sorted(base);

        Ok(())
    }

    fn scalar(&mut self, lexer: &mut Lexer<'_>, tag: TypeTag) -> Result<(), ItemError> {
        if matches!(tag, TypeTag::Bool | TypeTag::Null) {
            let value = lexer.bool_value(tag)?;
            self.out.push(match (tag, value) {
                (TypeTag::Null, _) => b'0',
                (_, true) => b'T',
                (_, false) => b'F',
            });

            return Ok(());
        }

        let quoted = lexer.string_value(tag)?;
        self.out.extend_from_slice(tag.name().as_bytes());

        if tag == TypeTag::S {
            self.text(&quoted);
            return Ok(());
        }

        let place = self.reserve();
        let start = self.out.len();
        match tag {
            TypeTag::N => checked_number(&quoted, &quoted.text()?)?.write(&mut self.out),
            _ => append_binary(&quoted, &mut self.out)?,
        }

        self.fill(place, self.out.len() - start);

        Ok(())
    }

    /// `value_or_plain` turns this error into plain JSON, so its text is never shown.
    fn unknown(&mut self, _: &mut Lexer<'_>, tag: &JsonString<'_>) -> Result<(), ItemError> {
        Err(ItemError::new(
            ItemErrorKind::UnknownType(String::new()),
            tag.offset(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Style, item, render};
    use super::super::{AttributeValue, parse_item};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn digest(value: &str) -> u128 {
        item_digest(format!(r#"{{"a":{value}}}"#).as_bytes()).expect(value)
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (left, right) in [
            (r#"{"SS":["a","b"]}"#, r#"{"SS":["b","\u0061"]}"#),
            (r#"{"NS":["1.0","2"]}"#, r#"{"NS":["2e0","1"]}"#),
            (r#"{"BS":["AAA=","AQ=="]}"#, r#"{"BS":["AQ==","AAA="]}"#),
            (r#"{"N":"100"}"#, r#"{"N":"1E+2"}"#),
            (
                r#"{"M":{"x":{"S":"1"},"y":{"S":"2"}}}"#,
                r#"{ "M" : {"y":{"S":"2"},"x":{"S":"1"} } }"#,
            ),
            (r#"{"B":"+/8="}"#, r#"{"B":"+\/8="}"#),
            (
                r#"{"X":{"p":1.0,"q":[null]}}"#,
                r#"{"X":{"q":[null],"p":1}}"#,
            ),
        ] {
            assert_eq!(digest(left), digest(right), "{left} {right}");
        }
    }

    #[test]
    fn what_means_something_else_differs() {
        let values = [
            r#"{"S":"1"}"#,
            r#"{"N":"1"}"#,
            r#"{"B":"MQ=="}"#,
            r#"{"SS":["1"]}"#,
            r#"{"NS":["1"]}"#,
            r#"{"BS":["MQ=="]}"#,
            r#"{"L":[{"S":"1"}]}"#,
            r#"{"M":{"1":{"S":"1"}}}"#,
            r#"{"BOOL":true}"#,
            r#"{"BOOL":false}"#,
            r#"{"NULL":true}"#,
            r#"{"L":[]}"#,
            r#"{"M":{}}"#,
            r#"{"S":""}"#,
            r#"{"SS":[]}"#,
            r#"{"NS":[]}"#,
            r#"{"BS":[]}"#,
            r#"{"B":""}"#,
            r#"{"L":[{"S":"a"},{"S":"b"}]}"#,
            r#"{"L":[{"S":"b"},{"S":"a"}]}"#,
            r#"{"L":[{"S":"ab"}]}"#,
            r#"{"SS":["1","1"]}"#,
            r#"{"N":"one"}"#,
            r#"{"S":1}"#,
            r#"{"X":"1"}"#,
            "5",
            r#""5""#,
            "null",
            "[]",
            "{}",
            r#"{"S":"\ud800"}"#,
            r#"{"S":"\udc00"}"#,
            r#"{"S":"\ufffd"}"#,
            r#"{"N":"1e99999999999999999999999"}"#,
            r#"{"S":"1","N":"1"}"#,
        ];

        let mut seen = BTreeMap::new();
        for value in values {
            assert_eq!(seen.insert(digest(value), value), None, "{value}");
        }
    }

    #[test]
    fn only_broken_json_has_no_digest() {
        for text in [
            "",
            "[]",
            "{",
            r#"{"a":}"#,
            r#"{"a":{"X":[1,]}}"#,
            r#"{"a":{"S":"x"}}}"#,
            r#"{"a":{"N":"x}"#,
        ] {
            assert!(item_digest(text.as_bytes()).is_err(), "{text}");
        }

        let nested = format!(
            r#"{{"a":{}{}}}"#,
            r#"{"L":["#.repeat(3_000_000),
            "]}".repeat(3_000_000)
        );

        assert!(item_digest(nested.as_bytes()).is_err());
        let deep = format!(
            r#"{{"a":{}{}}}"#,
            r#"{"M":{"a":"#.repeat(100),
            "}}".repeat(100)
        );

        assert!(item_digest(deep.replace(":}", ":1}").as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn spelling_does_not_count(item in item(), seed in any::<u64>()) {
            let compact = item_digest(render(&item, Style::Compact).as_bytes());
            prop_assert!(compact.is_ok());
            prop_assert_eq!(&compact, &item_digest(render(&item, Style::Pretty).as_bytes()));
            prop_assert_eq!(&compact, &item_digest(render(&item, Style::Random(seed)).as_bytes()));
        }

        #[test]
        fn a_changed_value_counts(item in item(), other in item()) {
            let same = item_digest(render(&item, Style::Compact).as_bytes()) == item_digest(render(&other, Style::Compact).as_bytes());
            prop_assert!(!same || item == other || item.values().any(|value| !matches!(value, AttributeValue::S(_))));
            let mut changed = parse_item(render(&item, Style::Compact).as_bytes()).expect("an item");
            changed.insert("pk".to_owned(), AttributeValue::S("\u{1}changed\u{1}".to_owned()));
            prop_assert_ne!(
                item_digest(render(&item, Style::Compact).as_bytes()),
                item_digest(render(&changed, Style::Compact).as_bytes())
            );
        }
    }
}
