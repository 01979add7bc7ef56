//! The primary key of an item, extracted without parsing the other attributes, and compared as DynamoDB does.
//!
//! The values of other attributes are skipped by structure, and reading stops after the last key attribute.

use super::error::{ClippedName, ItemError};
use super::json::compact::{compact, has_line_breaks};
use super::json::lexer::Lexer;
use super::json::members::{JsonCursor, name_equals};
use super::json::scanner::JsonScanError;
use super::type_tag::TypeTag;
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

    fn tag(self) -> TypeTag {
        match self {
            Self::S => TypeTag::S,
            Self::N => TypeTag::N,
            Self::B => TypeTag::B,
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

/// The primary key of a table: names and types of its key attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeySchema {
    /// The partition key.
    pub partition: KeyAttribute,
    /// The sort key, if the table has one.
    pub sort: Option<KeyAttribute>,
}

/// The primary key of one item. Keys are equal if and only if DynamoDB considers them equal: numbers by value, strings by their
/// unescaped text, binaries by their bytes. The order is total, but it is not DynamoDB's.
#[derive(Debug, Clone)]
pub struct Key {
    /// Type, length and canonical value of each attribute.
    identity: Vec<u8>,
    /// The key attributes as JSON, values verbatim.
    json: String,
}

/// The reason why an item has no usable key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The attribute is missing.
    Missing {
        /// Its name.
        name: String,
    },
    /// The attribute has another type than the table's key.
    WrongType {
        /// Its name.
        name: String,
        /// The type of the table's key.
        expected: KeyType,
        /// The type tag in the item.
        found: String,
    },
    /// The attribute is empty, which keys of type S and B must not be.
    Empty {
        /// Its name.
        name: String,
    },
    /// The item is not valid.
    Item(ItemError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "key attribute {} is missing", ClippedName(name)),
            Self::WrongType {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "key attribute {} has type {}, the table's key has type {expected}",
                    ClippedName(name),
                    ClippedName(found)
                )
            }
            Self::Empty { name } => write!(f, "key attribute {} is empty", ClippedName(name)),
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

impl From<JsonScanError> for KeyError {
    fn from(error: JsonScanError) -> Self {
        Self::Item(ItemError::syntax(error.what, error.at))
    }
}

/// A key attribute of an item, as slices of the item's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyMember<'a> {
    /// The name, with its quotes and escapes.
    pub(crate) name: &'a [u8],
    /// The attribute value, such as `{"S":"a"}`.
    pub(crate) value: &'a [u8],
}

/// The key attributes that an item has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeyMembers<'a> {
    pub(crate) partition: Option<KeyMember<'a>>,
    pub(crate) sort: Option<KeyMember<'a>>,
    /// The indexes whose keys the item violates, if they were looked for.
    pub(crate) violations: u64,
}

impl KeySchema {
    /// Extracts the key of `item`.
    ///
    /// # Errors
    /// A key attribute is missing, empty or of another type, or the text is not an item as far as it was read.
    pub fn extract(&self, item: &[u8]) -> Result<Key, KeyError> {
        let members = self.find_members(item)?;
        let mut key = Key {
            identity: Vec::with_capacity(128),
            json: String::with_capacity(128),
        };
        key.push_attribute('{', &self.partition, members.partition)?;

        if let Some(attribute) = &self.sort {
            key.push_attribute(',', attribute, members.sort)?;
        }

        key.json.push('}');

        Ok(key)
    }

    /// Hashes the key of `item`, like [`Key::hash128`] but without building the key.
    ///
    /// # Errors
    /// Those of [`Self::extract`].
    pub fn hash128(&self, item: &[u8]) -> Result<u128, KeyError> {
        self.hash128_with(&mut Vec::with_capacity(128), item)
    }

    /// Like [`Self::hash128`], with a reusable buffer. The contents of `identity` are overwritten.
    ///
    /// # Errors
    /// Those of [`Self::extract`].
    pub fn hash128_with(&self, identity: &mut Vec<u8>, item: &[u8]) -> Result<u128, KeyError> {
        let members = self.find_members(item)?;
        self.hash_members(members, identity)
    }

    /// Hashes the key that consists of `members`. `identity` is a reusable buffer.
    pub(crate) fn hash_members(
        &self,
        members: KeyMembers<'_>,
        identity: &mut Vec<u8>,
    ) -> Result<u128, KeyError> {
        identity.clear();
        append_identity(&self.partition, members.partition, identity)?;
        if let Some(attribute) = &self.sort {
            append_identity(attribute, members.sort, identity)?;
        }

        Ok(xxh3_128(identity))
    }

    /// Names of the key attributes, partition key first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.partition)
            .chain(&self.sort)
            .map(|attribute| attribute.name.as_str())
    }

    /// Finds the key attributes of `item`. The first of several members with the same name counts.
    fn find_members<'a>(&self, item: &'a [u8]) -> Result<KeyMembers<'a>, KeyError> {
        let mut members = KeyMembers::default();
        let mut cursor = JsonCursor::new(item);
        cursor.take(b'{', "not a JSON object")?;
        let mut first = true;
        while let Some(name) = cursor.next_member(first)? {
            first = false;
            let range = cursor.skip_attribute()?;
            if members.partition.is_none() && name_equals(name, &self.partition.name) {
                members.partition = Some(KeyMember {
                    name,
                    value: &item[range],
                });
            } else if members.sort.is_none()
                && self
                    .sort
                    .as_ref()
                    .is_some_and(|sort| name_equals(name, &sort.name))
            {
                members.sort = Some(KeyMember {
                    name,
                    value: &item[range],
                });
            } else {
                continue;
            }

            // Keys usually come first, so this skips most of the item.
            if members.partition.is_some() && members.sort.is_some() == self.sort.is_some() {
                break;
            }
        }

        Ok(members)
    }
}

impl Key {
    /// Hash of the key; equal for equal keys.
    #[must_use]
    pub fn hash128(&self) -> u128 {
        xxh3_128(&self.identity)
    }

    /// The key as DynamoDB JSON, values verbatim: `{"pk":{"S":"a"}}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.json.clone()
    }

    /// Appends one attribute, with `separator` before it in the JSON text.
    fn push_attribute(
        &mut self,
        separator: char,
        attribute: &KeyAttribute,
        member: Option<KeyMember<'_>>,
    ) -> Result<(), KeyError> {
        let member = append_identity(attribute, member, &mut self.identity)?;
        self.json.push(separator);
        self.json.push_str(&String::from_utf8_lossy(member.name));
        self.json.push(':');

        // Keys are written to files that hold one JSON document per line.
        let value = if has_line_breaks(member.value) {
            Cow::Owned(compact(member.value))
        } else {
            Cow::Borrowed(member.value)
        };

        self.json.push_str(&String::from_utf8_lossy(&value));

        Ok(())
    }
}

/// Appends the bytes that identify the value of a key attribute; returns `member`, which must exist.
fn append_identity<'a>(
    attribute: &KeyAttribute,
    member: Option<KeyMember<'a>>,
    out: &mut Vec<u8>,
) -> Result<KeyMember<'a>, KeyError> {
    let member = member.ok_or_else(|| KeyError::Missing {
        name: attribute.name.clone(),
    })?;
    let length = append_canonical(attribute, member.value, out)?;
    if length == 0 && attribute.kind != KeyType::N {
        return Err(KeyError::Empty {
            name: attribute.name.clone(),
        });
    }

    Ok(member)
}

/// The text of a compact string attribute in printable ASCII without escapes. Such a text needs no lexer.
fn plain_ascii_text(value: &[u8]) -> Option<&[u8]> {
    let text = value.strip_prefix(b"{\"S\":\"")?.strip_suffix(b"\"}")?;
    // No early exit, so that the compiler can use vector instructions.
    let other = text.iter().fold(0, |other, byte| {
        other | u8::from(!matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))
    });
    (other == 0).then_some(text)
}

/// Appends the type, length and canonical value of a key attribute; returns that length.
pub(crate) fn append_canonical(
    attribute: &KeyAttribute,
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, KeyError> {
    // Fast path: most keys are plain strings.
    if attribute.kind == KeyType::S
        && let Some(text) = plain_ascii_text(value)
    {
        out.extend_from_slice(attribute.kind.as_str().as_bytes());
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text);
        return Ok(text.len());
    }

    let within = |error: ItemError| KeyError::Item(error.within(&attribute.name));
    let mut lexer = Lexer::new(value).map_err(within)?;
    let mut other_type = None;
    out.extend_from_slice(attribute.kind.as_str().as_bytes());
    let length_at = out.len();
    // Placeholder for the length, which is known only after decoding.
    out.extend_from_slice(&[0; 8]);
    let start = out.len();
    lexer
        .tagged(|lexer, tag| {
            if tag.tag() != Some(attribute.kind.tag()) {
                // Not returned as an error here: `ItemError` has no kind for it.
                other_type = Some(tag.lossy_text());
                return lexer.skip();
            }

            let quoted = lexer.string_value(attribute.kind.tag())?;
            let text = quoted.text()?;
            match attribute.kind {
                KeyType::S => out.extend_from_slice(text.as_bytes()),
                KeyType::N => checked_number(&quoted, &text)?.write(out),
                KeyType::B => append_binary(&quoted, out)?,
            }

            Ok(())
        })
        .map_err(within)?;

    if let Some(found) = other_type {
        return Err(KeyError::WrongType {
            name: attribute.name.clone(),
            expected: attribute.kind,
            found,
        });
    }

    let length = out.len() - start;
    out[length_at..start].copy_from_slice(&(length as u64).to_le_bytes());

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
mod tests;
