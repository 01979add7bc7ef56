//! The item cutter: what it takes for a page of items must be one, and the items must come out as they went in.
//!
//! `serde_json` is the judge. The cutter looks at structure alone and may take what is no JSON; but what `serde_json` takes, it must
//! cut to the same items, and what is left must be the same document without them.
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

/// A page is taken if its items are intact, have the key, and no two have the same one; its items are the same then.
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
    match split_page(Bytes::copy_from_slice(data), &key, &PageKeys::default()) {
        Ok((page, _)) => assert!(
            are_intact && page.items.iter().eq(items.iter()),
            "a damaged page is taken"
        ),
        Err(error) => assert!(!are_intact, "an intact page is refused: {error}"),
    }
}

/// All that looks inside an item says the same of whether it is one.
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

/// The texts of `Items`, if this is one JSON object that has it once, with objects in it.
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

/// The same document comes of the rest and the items.
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

/// The members of a JSON object in their order, those that stand twice included.
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

    // A value of a document counts its members' last version, so that documents with two cannot be compared as values.
    let names: HashSet<_> = members.iter().map(|(name, _)| name).collect();
    (names.len() == members.len() && serde_json::from_slice::<Value>(data).is_ok())
        .then_some(members)
}
