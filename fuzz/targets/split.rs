//! Splits arbitrary bytes as a page of items and compares the result with `serde_json`.
//!
//! The splitter checks structure only and may accept text that is not JSON. Every document that `serde_json` accepts must be split
//! into the same items, and the rest must be the same document without them.
#![no_main]

use std::collections::HashSet;

use bytes::Bytes;
use dynadump_fuzz::item::{
    Items, KeyAttribute, KeySchema, KeyType, PageKeys, compact, has_line_breaks, item_digest,
    item_size, object_kind, parse_item, split_items, split_page, validate,
};
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|data: &[u8]| {
    let body = Bytes::copy_from_slice(data);
    let cut = split_items(body, &["Items"]);
    if let Some(expected) = items_of(data) {
        let cut = cut
            .as_ref()
            .unwrap_or_else(|error| panic!("a page is refused: {error}"));
        assert_eq!(cut.items.len(), expected.len());
        for (item, text) in cut.items.iter().zip(&expected) {
            assert_eq!(
                item,
                if has_line_breaks(text) {
                    compact(text)
                } else {
                    text.clone()
                }
            );
        }
        rejoins(data, &cut.rest, cut.items.iter());
    }
    let Ok(cut) = cut else { return };
    let mut bytes = 0;
    for (index, item) in cut.items.iter().enumerate() {
        assert!(!has_line_breaks(item));
        assert_eq!(cut.items.get(index).as_deref(), Some(item));
        bytes += item.len() as u64;
        looks_inside(item);
    }
    assert_eq!(cut.items.text_bytes(), bytes);
    checked(data, &cut.items);
});

/// A page is accepted if and only if its items are valid, have the key, and no two share a key; the items are then unchanged.
fn checked(data: &[u8], items: &Items) {
    let key = KeySchema {
        partition: KeyAttribute {
            name: "id".to_owned(),
            kind: KeyType::S,
        },
        sort: None,
    };

    let keys: Option<HashSet<u128>> = items
        .iter()
        .map(|item| validate(item).ok().and_then(|()| key.hash128(item).ok()))
        .collect();
    let are_intact = keys.is_some_and(|keys| keys.len() == items.len());
    match split_page(
        Bytes::copy_from_slice(data),
        &key,
        &Default::default(),
        &PageKeys::default(),
    ) {
        Ok((page, ..)) => assert!(
            are_intact && page.items.iter().eq(items.iter()),
            "a damaged page is taken"
        ),
        Err(error) => assert!(!are_intact, "an intact page is refused: {error}"),
    }
}

/// Validator, parser, digest and size agree on whether the bytes are an item.
fn looks_inside(item: &[u8]) {
    let (valid, parsed) = (validate(item), parse_item(item));
    if valid.is_ok() {
        assert!(item_digest(item).is_ok(), "valid, without a digest");
        assert!(item_size(item).is_ok(), "valid, without a size");
        assert!(
            serde_json::from_slice::<IgnoredAny>(item).is_ok(),
            "valid, and no JSON"
        );
    } else {
        assert!(parsed.is_err(), "not valid, and yet parsed: {valid:?}");
    }

    if let (Ok(one), Ok(other)) = (item_digest(item), item_digest(&compact(item))) {
        assert_eq!(one, other, "whitespace changes the digest");
    }

    let _ = object_kind(item);
}

/// The elements of `Items`, if `data` is a JSON object that has this member at most once and every element is an object.
fn items_of(data: &[u8]) -> Option<Vec<Vec<u8>>> {
    let members = members_of(data)?;
    let mut arrays = members.iter().filter(|(name, _)| name == "Items");
    let items: Vec<&RawValue> = match (arrays.next(), arrays.next()) {
        (None, _) => Vec::new(),
        (Some((_, value)), None) if value.get() == "null" => Vec::new(),
        (Some((_, value)), None) => serde_json::from_str(value.get()).ok()?,
        _ => return None,
    };

    let texts: Vec<_> = items
        .iter()
        .map(|item| item.get().as_bytes().to_vec())
        .collect();
    texts
        .iter()
        .all(|text| text.starts_with(b"{"))
        .then_some(texts)
}

/// Checks that the rest and the items together are the original document.
fn rejoins<'a>(data: &[u8], rest: &[u8], items: impl Iterator<Item = &'a [u8]>) {
    let (Ok(before), Ok(mut after)) = (
        serde_json::from_slice::<Value>(data),
        serde_json::from_slice::<Value>(rest),
    ) else {
        panic!("the rest of a page is no JSON");
    };

    let items: Vec<Value> = items
        .map(|item| serde_json::from_slice(item).expect("an item of a page is JSON"))
        .collect();
    if before.get("Items").is_some_and(Value::is_array) {
        assert_eq!(after["Items"], Value::Array(Vec::new()));
        after["Items"] = Value::Array(items);
    }

    assert_eq!(before, after);
}

type Members<'a> = Vec<(String, &'a RawValue)>;

/// The members of a JSON object in document order, duplicates included.
fn members_of(data: &[u8]) -> Option<Members<'_>> {
    struct All;

    impl<'de> Visitor<'de> for All {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }

            Ok(members)
        }
    }

    let mut reader = serde_json::Deserializer::from_slice(data);
    let members = reader.deserialize_map(All).ok()?;
    reader.end().ok()?;

    // `Value` keeps only the last of two members with the same name, so documents with duplicates cannot be compared as values.
    let names: HashSet<_> = members.iter().map(|(name, _)| name).collect();
    (names.len() == members.len() && serde_json::from_slice::<Value>(data).is_ok())
        .then_some(members)
}
