//! The primary key of an item: read without parsing the rest, comparable as DynamoDB compares it.
//!
//! The values of all other attributes are skipped by structure, and reading stops behind the last key attribute.

use super::error::{Clipped, ItemError};
use super::json::compact::{compact, has_line_breaks};
use super::json::lexer::Lexer;
use super::json::members::{Cursor, says};
use super::json::scanner::ScanError;
use super::type_tag::Tag;
use super::value::{append_binary, checked_number};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::xxh3_128;

/// The type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
}

impl KeyType {
    /// The tag of this type in DynamoDB JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }

    fn tag(self) -> Tag {
        match self {
            Self::S => Tag::S,
            Self::N => Tag::N,
            Self::B => Tag::B,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One attribute of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// The attribute's type.
    pub kind: KeyType,
}

/// What the primary key of a table is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeySchema {
    /// The partition key.
    pub partition: KeyAttribute,
    /// The sort key, if the table has one.
    pub sort: Option<KeyAttribute>,
}

/// The key of one item. Two keys are equal exactly when DynamoDB takes them for the same: numbers by their value, strings by
/// what they say, binaries by their bytes. The order is total, but not DynamoDB's.
#[derive(Debug, Clone)]
pub struct Key {
    /// For each attribute its type, its length, and its canonical value.
    identity: Vec<u8>,
    /// As it stands in the item.
    json: String,
}

/// An item has no usable key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The attribute is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// The attribute is of another type than the table's key.
    WrongType {
        /// Its name.
        name: String,
        /// The type that the table's key has.
        expected: KeyType,
        /// The type tag that the item has.
        found: String,
    },
    /// A key of type S or B must not be empty.
    Empty {
        /// Its name.
        name: String,
    },
    /// The item cannot be read.
    Item(ItemError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "key attribute {} is missing", Clipped(name)),
            Self::WrongType {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "key attribute {} has type {}, the table's key has type {expected}",
                    Clipped(name),
                    Clipped(found)
                )
            }
            Self::Empty { name } => write!(f, "key attribute {} is empty", Clipped(name)),
            Self::Item(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<ItemError> for KeyError {
    fn from(error: ItemError) -> Self {
        Self::Item(error)
    }
}

impl From<ScanError> for KeyError {
    fn from(error: ScanError) -> Self {
        Self::Item(ItemError::syntax(error.what, error.at))
    }
}

/// A key attribute as it stands in the item: its name and its value.
pub(crate) type Member<'a> = (&'a [u8], &'a [u8]);

/// The partition key and the sort key, where an item has them.
pub(crate) type KeyMembers<'a> = (Option<Member<'a>>, Option<Member<'a>>);

impl KeySchema {
    /// The key of `item`.
    ///
    /// # Errors
    /// A key attribute is missing, of another type, or empty; or the text is no item as far as it was read.
    pub fn extract(&self, item: &[u8]) -> Result<Key, KeyError> {
        let (partition, sort) = self.find(item)?;
        let mut key = Key {
            identity: Vec::with_capacity(128),
            json: String::with_capacity(128),
        };
        key.push('{', &self.partition, partition)?;

        if let Some(attribute) = &self.sort {
            key.push(',', attribute, sort)?;
        }

        key.json.push('}');

        Ok(key)
    }

    /// The hash of the key of `item`: [`Key::hash128`] without making the key.
    ///
    /// # Errors
    /// Those of [`Self::extract`].
    pub fn hash128(&self, item: &[u8]) -> Result<u128, KeyError> {
        self.hash128_with(&mut Vec::with_capacity(128), item)
    }

    /// [`Self::hash128`] for many items: `identity` is memory that can be used again, whatever it holds.
    ///
    /// # Errors
    /// Those of [`Self::extract`].
    pub fn hash128_with(&self, identity: &mut Vec<u8>, item: &[u8]) -> Result<u128, KeyError> {
        let members = self.find(item)?;
        self.hash_of(members, identity)
    }

    /// The hash of the key that these members make.
    pub(crate) fn hash_of(
        &self,
        (partition, sort): KeyMembers<'_>,
        identity: &mut Vec<u8>,
    ) -> Result<u128, KeyError> {
        identity.clear();
        identify(&self.partition, partition, identity)?;
        if let Some(attribute) = &self.sort {
            identify(attribute, sort, identity)?;
        }

        Ok(xxh3_128(identity))
    }

    /// The attributes' names, partition key first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.partition)
            .chain(&self.sort)
            .map(|attribute| attribute.name.as_str())
    }

    fn find<'a>(&self, item: &'a [u8]) -> Result<KeyMembers<'a>, KeyError> {
        let (mut partition, mut sort) = (None, None);
        let mut cursor = Cursor::new(item);
        cursor.take(b'{', "not a JSON object")?;
        let mut first = true;
        while let Some(name) = cursor.next_member(first)? {
            first = false;
            let range = cursor.skip_attribute()?;
            if partition.is_none() && says(name, &self.partition.name) {
                partition = Some((name, &item[range]));
            } else if sort.is_none()
                && self
                    .sort
                    .as_ref()
                    .is_some_and(|sort| says(name, &sort.name))
            {
                sort = Some((name, &item[range]));
            } else {
                continue;
            }

            if partition.is_some() && sort.is_some() == self.sort.is_some() {
                break;
            }
        }

        Ok((partition, sort))
    }
}

impl Key {
    /// A hash of the key; equal for equal keys.
    #[must_use]
    pub fn hash128(&self) -> u128 {
        xxh3_128(&self.identity)
    }

    /// The key in DynamoDB JSON, its values as they stand in the item: `{"pk":{"S":"a"}}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.json.clone()
    }

    fn push(
        &mut self,
        before: char,
        attribute: &KeyAttribute,
        member: Option<Member<'_>>,
    ) -> Result<(), KeyError> {
        let (quoted, value) = identify(attribute, member, &mut self.identity)?;
        self.json.push(before);
        self.json.push_str(&String::from_utf8_lossy(quoted));
        self.json.push(':');
        let broken = has_line_breaks(value);
        let value = if broken {
            Cow::Owned(compact(value))
        } else {
            Cow::Borrowed(value)
        };

        self.json.push_str(&String::from_utf8_lossy(&value));

        Ok(())
    }
}

/// Appends what tells the key attribute from every other; where it stands in the item.
fn identify<'a>(
    attribute: &KeyAttribute,
    member: Option<Member<'a>>,
    out: &mut Vec<u8>,
) -> Result<Member<'a>, KeyError> {
    let member = member.ok_or_else(|| KeyError::Missing {
        name: attribute.name.clone(),
    })?;
    let length = canonical(attribute, member.1, out)?;
    if length == 0 && attribute.kind != KeyType::N {
        return Err(KeyError::Empty {
            name: attribute.name.clone(),
        });
    }

    Ok(member)
}

/// What a string attribute says, if it is written as DynamoDB writes it, in ASCII and with nothing escaped: then it says what stands
/// there, and the lexer need not be asked.
fn plain_text(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"{\"S\":\"")?.strip_suffix(b"\"}")?;
    let other = text.iter().fold(0, |other, byte| {
        other | u8::from(!matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))
    });
    (other == 0).then_some(text)
}

/// Appends the type, length and canonical text of a key attribute; the length.
fn canonical(attribute: &KeyAttribute, value: &[u8], out: &mut Vec<u8>) -> Result<usize, KeyError> {
    if let Some(text) = plain_text(value).filter(|_| attribute.kind == KeyType::S) {
        out.extend_from_slice(attribute.kind.as_str().as_bytes());
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text);
        return Ok(text.len());
    }

    let within = |error: ItemError| KeyError::Item(error.within(&attribute.name));
    let mut lexer = Lexer::new(value).map_err(within)?;
    let mut found = None;
    out.extend_from_slice(attribute.kind.as_str().as_bytes());
    let place = out.len();
    out.extend_from_slice(&[0; 8]);
    let start = out.len();
    lexer
        .tagged(|lexer, tag| {
            if tag.tag() != Some(attribute.kind.tag()) {
                found = Some(tag.shown());
                return lexer.skip();
            }

            let quoted = lexer.string_of(attribute.kind.tag())?;
            let text = quoted.text()?;
            match attribute.kind {
                KeyType::S => out.extend_from_slice(text.as_bytes()),
                KeyType::N => checked_number(&quoted, &text)?.write(out),
                KeyType::B => append_binary(&quoted, out)?,
            }

            Ok(())
        })
        .map_err(within)?;

    if let Some(found) = found {
        return Err(KeyError::WrongType {
            name: attribute.name.clone(),
            expected: attribute.kind,
            found,
        });
    }

    let length = out.len() - start;
    out[place..start].copy_from_slice(&(length as u64).to_le_bytes());

    Ok(length)
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity.hash(state);
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity.cmp(&other.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::testing::{Style, item, number, render};
    use super::*;
    use proptest::prelude::*;

    fn schema(kind: KeyType, sort: Option<KeyType>) -> KeySchema {
        let attribute = |name: &str, kind| KeyAttribute {
            name: name.to_owned(),
            kind,
        };
        KeySchema {
            partition: attribute("pk", kind),
            sort: sort.map(|kind| attribute("s.k", kind)),
        }
    }

    fn key(kind: KeyType, value: &str) -> Result<Key, KeyError> {
        schema(kind, None).extract(format!(r#"{{"a":{{"S":"pk"}},"pk":{value}}}"#).as_bytes())
    }

    #[test]
    fn equal_as_dynamodb_sees_it() {
        for (kind, values) in [
            (
                KeyType::N,
                &[
                    r#"{"N":"1"}"#,
                    r#"{"N":"1.0"}"#,
                    r#"{"N":"1e0"}"#,
                    r#"{"N":"+01"}"#,
                ][..],
            ),
            (
                KeyType::S,
                &[
                    r#"{"S":"aé/"}"#,
                    r#"{"S":"\u0061\u00e9\/"}"#,
                    r#"{ "S" : "aé/" }"#,
                ],
            ),
            (KeyType::B, &[r#"{"B":"+/8="}"#, r#"{"B":"+\/8="}"#]),
        ] {
            for value in values {
                let (left, right) = (
                    key(kind, values[0]).expect("a key"),
                    key(kind, value).expect("a key"),
                );
                assert_eq!(left, right, "{value}");
                assert_eq!(left.hash128(), right.hash128(), "{value}");
            }
        }

        for (plain, escaped) in [
            ("a", r"\u0061"),
            ("a b~", r"a\u0020b\u007e"),
            ("\u{7f}", r"\u007f"),
            ("é\u{1f600}", "é\\ud83d\\ude00"),
        ] {
            let of = |text: &str| key(KeyType::S, &format!(r#"{{"S":"{text}"}}"#)).expect("a key");
            assert_eq!(of(plain), of(escaped), "{plain}");
        }

        assert_ne!(
            key(KeyType::N, r#"{"N":"1"}"#),
            key(KeyType::S, r#"{"S":"1"}"#)
        );
        assert_ne!(
            key(KeyType::N, r#"{"N":"1"}"#),
            key(KeyType::N, r#"{"N":"-1"}"#)
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        let schema = schema(KeyType::S, Some(KeyType::S));
        let of = |pk, sk| {
            schema
                .extract(format!(r#"{{"s.k":{{"S":"{sk}"}},"pk":{{"S":"{pk}"}}}}"#).as_bytes())
                .expect("a key")
        };

        assert_ne!(of("a", "bc"), of("ab", "c"));
        assert_eq!(
            of("a", "b\\n").to_json(),
            r#"{"pk":{"S":"a"},"s.k":{"S":"b\n"}}"#
        );
    }

    #[test]
    fn only_the_top_level_counts() {
        let nested = r#"{"x":{"M":{"pk":{"S":"no"}}},"p\u006b":{"S":"yes"},"rest":{"S":"#;
        assert_eq!(
            schema(KeyType::S, None)
                .extract(nested.as_bytes())
                .expect("a key")
                .to_json(),
            r#"{"p\u006b":{"S":"yes"}}"#
        );
    }

    #[test]
    fn says_what_is_wrong_with_the_key() {
        for (value, message) in [
            (
                r#"{"N":"1"}"#,
                r#"key attribute "pk" has type "N", the table's key has type S"#,
            ),
            (r#"{"S":""}"#, r#"key attribute "pk" is empty"#),
            (r#"{"S":5}"#, r#"attribute "pk": not a value of type S"#),
            (
                "5",
                r#"attribute "pk": not an object with one type tag, like {"S":"…"}"#,
            ),
        ] {
            assert_eq!(
                key(KeyType::S, value).expect_err(value).to_string(),
                message
            );
        }

        let missing = schema(KeyType::S, None).extract(b"{}").expect_err("no key");
        assert_eq!(missing.to_string(), r#"key attribute "pk" is missing"#);
        assert!(key(KeyType::B, r#"{"B":""}"#).is_err());
        assert!(key(KeyType::N, r#"{"N":""}"#).is_err());
    }

    proptest! {
        #[test]
        fn found_in_any_spelling(
            mut item in item(), number in number(), other in number(), seed in any::<u64>()
        ) {
            item.insert("s.k".to_owned(), Value::N(number.clone()));
            item.insert("pk".to_owned(), Value::S("\u{1f600}\"pk\"".to_owned()));
            let schema = schema(KeyType::S, Some(KeyType::N));
            let compact = schema.extract(render(&item, Style::Compact).as_bytes()).expect("a key");
            let wild = schema.extract(render(&item, Style::Wild(seed)).as_bytes()).expect("a key");
            prop_assert!(!has_line_breaks(wild.to_json().as_bytes()));
            prop_assert_eq!(&compact, &wild);
            prop_assert_eq!(schema.hash128(render(&item, Style::Wild(seed)).as_bytes()), Ok(compact.hash128()));
            prop_assert_eq!(&schema.extract(wild.to_json().as_bytes()).expect("a key"), &compact);
            item.insert("s.k".to_owned(), Value::N(other.clone()));
            let changed = schema.extract(render(&item, Style::Compact).as_bytes()).expect("a key");
            let same = super::super::canonical_number(&number) == super::super::canonical_number(&other);
            prop_assert_eq!(changed == compact, same);
        }

        #[test]
        fn never_panics(bytes in any::<Vec<u8>>(), text in "[{}\\[\\]\"pk:,S\\\\]{0,30}") {
            let schema = schema(KeyType::S, None);
            for item in [bytes, format!("{{\"pk\":{text}").into_bytes()] {
                prop_assert_eq!(schema.extract(&item).map(|key| key.hash128()), schema.hash128(&item));
            }
        }
    }
}
