//! The items of one Scan page: each is well-formed and has the table's key, and no key occurs twice.
//!
//! A checksum of the response proves that it arrived as it was sent, and not every endpoint sends one. Items are checked here by the
//! rules that an inspection of the dump applies to each of them. Keys are compared within a page, and with the last 4,096 of the page
//! before it; only an inspection compares all keys of a dump. Items are validated while they are cut, in the pass that finds their
//! ends.

use super::index_keys::{self, IndexKeys};
use super::key::{KeyMembers, KeySchema};
use super::key_hash::KeyHashes;
use super::shape_cache::ShapeCache;
use super::split::{SplitError, SplitResponse, length_of, split_with};
use super::validate::validate;
use crate::limits;
use bytes::Bytes;
use std::borrow::Cow;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// Keys of a page that are remembered for the next one. Pages of items that are smaller than 256 bytes have more.
const MAX_REMEMBERED_KEYS: usize = 4096;

/// Hashes of the keys of one page, its last 4,096 at most. One such list is kept for each segment that is being read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageKeys(Box<[u128]>);

/// Cuts the items out of the body of a Scan response, as [`split_items`](super::split_items) does, and checks them: each is well-formed
/// by the rules of [`validate`](fn@validate) and has a key of the table, which neither an item before it nor one of the keys of
/// `before` has. Returns the keys for the next page, and for each index the number of items that violate its key.
///
/// # Errors
/// Those of [`split_items`](super::split_items); an item that fails one of these checks, with its number.
pub fn split_page(
    body: Bytes,
    key: &KeySchema,
    index_keys: &Arc<IndexKeys>,
    before: &PageKeys,
) -> Result<(SplitResponse, PageKeys, Vec<u64>), SplitError> {
    let shape_cache = ShapeCache::new(Some(key.clone()), Arc::clone(index_keys));
    let identity = Vec::with_capacity(128);
    let mut found =
        KeyHashes::with_capacity_and_hasher(2 * before.0.len(), BuildHasherDefault::default());
    found.extend(&before.0);
    let mut check = PageChecker {
        key,
        shape_cache,
        identity,
        order: Vec::with_capacity(before.0.len()),
        found,
        index_keys,
        violations: index_keys.zeros(),
    };

    let cut = split_with(body, &["Items"], |text| check.item(text))?;

    let violations = std::mem::take(&mut check.violations);
    Ok((cut, check.keys(), violations))
}

/// A pass over the items of a page.
struct PageChecker<'a> {
    key: &'a KeySchema,
    shape_cache: ShapeCache,
    /// Memory for the key under consideration.
    identity: Vec<u8>,
    /// The hashes of the keys in the order of the items.
    order: Vec<u128>,
    /// The same, with those of the page before.
    found: KeyHashes,
    index_keys: &'a IndexKeys,
    /// The number of items that violate the key of each index.
    violations: Vec<u64>,
}

impl PageChecker<'_> {
    /// The length of the item at the beginning of `text`, and whether it certainly is on one line.
    fn item(&mut self, text: &[u8]) -> Result<(usize, bool), SplitError> {
        // Items before this one are all valid, so their keys count them.
        let number = self.order.len() + 1;
        let mut members = KeyMembers::default();
        let recognized = self.shape_cache.item_length_and_key(text, &mut members);
        let damaged = |what: String| SplitError {
            offset: 0,
            what: Cow::Owned(format!("item {number}: {what}")),
        };
        let (length, hash) = if let Some(length) = recognized {
            let hash = self.key.hash_members(members, &mut self.identity);
            // A key of a type that no key has is not among the members; its error is found in the item.
            (
                length,
                hash.or_else(|_| self.key.hash128_with(&mut self.identity, &text[..length])),
            )
        } else {
            // `None` means unknown, not invalid: the validator decides.
            let length = length_of(text)?;
            validate(&text[..length]).map_err(|error| damaged(error.to_string()))?;
            let violations = self.index_keys.violations(&text[..length]);
            members.violations = violations.map_err(|error| damaged(error.what.to_owned()))?;
            (
                length,
                self.key.hash128_with(&mut self.identity, &text[..length]),
            )
        };

        index_keys::add(members.violations, &mut self.violations);
        let hash = hash.map_err(|error| damaged(error.to_string()))?;

        if length > limits::ITEM_TEXT_BYTES {
            return Err(damaged(format!(
                "longer than {} MiB",
                limits::ITEM_TEXT_BYTES >> 20
            )));
        }

        if !self.found.insert(hash) {
            // `found` also has the keys of the page before; `order` distinguishes the two cases.
            let is_in_page = self.order.contains(&hash);
            let what = if is_in_page {
                "its key occurs twice in the page"
            } else {
                "the previous page contains the same key"
            };

            return Err(damaged(what.to_owned()));
        }

        self.order.push(hash);

        Ok((length, recognized.is_some()))
    }

    fn keys(self) -> PageKeys {
        let first = self.order.len().saturating_sub(MAX_REMEMBERED_KEYS);
        PageKeys(self.order[first..].into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::{KeyAttribute, KeyType};
    use super::*;

    fn key() -> KeySchema {
        let attribute = |name: &str, kind| KeyAttribute {
            name: name.to_owned(),
            kind,
        };
        KeySchema {
            partition: attribute("id", KeyType::S),
            sort: Some(attribute("at", KeyType::N)),
        }
    }

    fn cut(items: &[&str], before: &PageKeys) -> Result<(SplitResponse, PageKeys), String> {
        let body = format!(r#"{{"Count":1,"Items":[{}]}}"#, items.join(","));
        split_page(Bytes::from(body), &key(), &Arc::default(), before)
            .map(|(cut, keys, _)| (cut, keys))
            .map_err(|error| error.to_string())
    }

    /// The error about the second item of a page.
    fn fault(item: &str) -> String {
        cut(
            &[r#"{"id":{"S":"a"},"at":{"N":"1"}}"#, item],
            &PageKeys::default(),
        )
        .expect_err(item)
    }

    #[test]
    fn what_an_inspection_would_call_damaged_is_refused_with_its_number() {
        for (item, what) in [
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"B":"AAA"}}"#,
                "not base64",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"N":"five"}}"#,
                "not a decimal number",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"S":5}}"#,
                "not a value of type S",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"S":"\u{1}"}}"#,
                "control character",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":5}"#,
                "not an object with one type tag",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x" {"S":""}}"#,
                "expected a colon",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"S":""},"\u0078":{"S":""}}"#,
                "twice",
            ),
            (
                r#"{"id":{"S":"b"},"at":{"N":"2"},"x":{"S":""},"x":{"S":""}}"#,
                "twice",
            ),
            (r#"{"id":{"S":"b"}}"#, r#"key attribute "at" is missing"#),
            (r#"{"id":{"S":"b"},"at":{"S":"2"}}"#, r#"has type "S""#),
            (
                r#"{"id":{"S":""},"at":{"N":"2"}}"#,
                r#"key attribute "id" is empty"#,
            ),
            (
                r#"{"at":{"N":"1.0"},"id":{"S":"\u0061"}}"#,
                "its key occurs twice in the page",
            ),
            (
                r#"{"id" : {"S":"a"},"at":{"N":"1"}}"#,
                "its key occurs twice in the page",
            ),
        ] {
            // The escape is the test's own: JSON has no other for a control character.
            let item = item.replace("\\u{1}", "\u{1}");
            let error = fault(&item);
            assert!(
                error.contains("item 2: ") && error.contains(what),
                "{item}: {error}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused() {
        let body = [
            &br#"{"Items":[{"id":{"S":"a"},"at":{"N":"1"},"x":{"S":""#[..],
            b"\xff",
            br#""}}]}"#,
        ]
        .concat();

        let error = split_page(
            Bytes::from(body),
            &key(),
            &Arc::default(),
            &PageKeys::default(),
        )
        .expect_err("not UTF-8");
        assert!(
            error.to_string().contains("item 1: byte 41: not UTF-8"),
            "{error}"
        );
    }

    #[test]
    fn an_item_of_the_page_before_is_refused_in_any_place_and_spelling() {
        let (first, keys) = cut(
            &[
                r#"{"id":{"S":"a"},"at":{"N":"1"}}"#,
                r#"{"id":{"S":"b"},"at":{"N":"1"}}"#,
            ],
            &PageKeys::default(),
        )
        .expect("a page");

        assert_eq!(first.items.len(), 2);
        for repeated in [
            r#"{"id":{"S":"a"},"at":{"N":"1"}}"#,
            r#"{"at":{"N":"1e0"}, "id":{"S":"b"}}"#,
        ] {
            let error =
                cut(&[r#"{"id":{"S":"c"},"at":{"N":"1"}}"#, repeated], &keys).expect_err(repeated);
            assert!(
                error.contains("item 2: the previous page contains the same key"),
                "{error}"
            );
        }

        assert!(cut(&[r#"{"id":{"S":"a"},"at":{"N":"2"}}"#], &keys).is_ok());
    }

    #[test]
    fn the_number_of_remembered_keys_is_limited() {
        let items: Vec<_> = (0..=MAX_REMEMBERED_KEYS)
            .map(|number| format!(r#"{{"id":{{"S":"{number}"}},"at":{{"N":"1"}}}}"#))
            .collect();
        let items: Vec<&str> = items.iter().map(String::as_str).collect();
        let (_, keys) = cut(&items, &PageKeys::default()).expect("a page");
        assert_eq!(keys.0.len(), MAX_REMEMBERED_KEYS);
        assert!(cut(&[items[MAX_REMEMBERED_KEYS]], &keys).is_err());
        assert!(cut(&[items[0]], &keys).is_ok());
    }

    #[test]
    fn items_of_any_layout_come_out_on_one_line_each() {
        let (cut, _) = cut(
            &[
                "{\"id\":{\"S\":\"a\"},\n \"at\":{\"N\":\"1\"}}",
                r#"{"id":{"S":"b"},"at":{"N":"1"},"x":{"NEW":[1]}}"#,
            ],
            &PageKeys::default(),
        )
        .expect("a page");

        let items: Vec<_> = cut.items.iter().map(String::from_utf8_lossy).collect();
        assert_eq!(
            items,
            [
                r#"{"id":{"S":"a"},"at":{"N":"1"}}"#,
                r#"{"id":{"S":"b"},"at":{"N":"1"},"x":{"NEW":[1]}}"#
            ]
        );

        assert_eq!(cut.rest, br#"{"Count":1,"Items":[]}"#);
    }
}
