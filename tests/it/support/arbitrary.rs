//! Arbitrary items of all ten attribute types, up to the limits of DynamoDB.
//!
//! The bounds are those of the developer guide: 38 digits, magnitudes from 1E-130 to 9.9…E+125, 32 levels, no empty set.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::client::Item;

/// Levels below an attribute: with the attribute itself, DynamoDB's 32.
const LEVELS: u32 = 31;

/// Items with different keys: `id` (a string) and `at` (a number).
pub(crate) fn items(most: usize) -> impl Strategy<Value = Vec<Item>> {
    btree_map(key_text(), attributes(), 1..=most).prop_map(|items| {
        let keyed = |(number, (id, mut item)): (usize, (String, Item))| {
            item.insert("id".to_owned(), AttributeValue::S(id));
            item.insert("at".to_owned(), AttributeValue::N(number.to_string()));
            item
        };

        items.into_iter().enumerate().map(keyed).collect()
    })
}

fn attributes() -> impl Strategy<Value = Item> {
    btree_map(name(), value(), 0..8)
        .prop_map(|attributes: BTreeMap<_, _>| attributes.into_iter().collect())
}

/// One value, nested or not.
pub(crate) fn value() -> impl Strategy<Value = AttributeValue> {
    let nested = leaf().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(AttributeValue::L),
            btree_map(name(), inner, 0..5)
                .prop_map(|map| AttributeValue::M(map.into_iter().collect())),
        ]
    });

    prop_oneof![8 => nested, 1 => deepest()]
}

fn leaf() -> impl Strategy<Value = AttributeValue> {
    prop_oneof![
        3 => text().prop_map(AttributeValue::S),
        3 => number().prop_map(AttributeValue::N),
        2 => bytes().prop_map(AttributeValue::B),
        1 => any::<bool>().prop_map(AttributeValue::Bool),
        1 => Just(AttributeValue::Null(true)),
        1 => btree_set(nonempty_text(), 1..6).prop_map(|set| AttributeValue::Ss(Vec::from_iter(set))),
        1 => btree_set(any::<i64>(), 1..6).prop_map(|set| AttributeValue::Ns(set.iter().map(i64::to_string).collect())),
        1 => btree_set(vec(any::<u8>(), 1..20), 1..6).prop_map(|set: BTreeSet<_>| {
            AttributeValue::Bs(set.into_iter().map(Blob::new).collect())
        }),
    ]
}

/// A leaf at the last level.
fn deepest() -> impl Strategy<Value = AttributeValue> {
    (leaf(), any::<bool>()).prop_map(|(leaf, lists)| {
        (1..LEVELS).fold(leaf, |inner, _| {
            if lists {
                AttributeValue::L(vec![inner])
            } else {
                AttributeValue::M([("n".to_owned(), inner)].into())
            }
        })
    })
}

/// Numbers with up to 38 digits, down to both ends of the exponent.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "0",
            "-0.5",
            "99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999999",
            "9.9999999999999999999999999999999999999E+125",
            "-9.9999999999999999999999999999999999999E+125",
            "1E-130",
            "-1E-130",
            "1.2345678901234567890123456789012345678",
            "0.00000000000000000000000000000000000001",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{0,30}\\.[0-9]{1,6}[1-9]",
        "-?[1-9](\\.[0-9]{0,36}[1-9])?E(-[1-9][0-9]|[1-9][0-9])",
    ]
}

/// Characters that somebody's reader gets wrong.
fn character() -> impl Strategy<Value = char> {
    prop_oneof![
        4 => any::<char>(),
        4 => proptest::char::range(' ', '~'),
        2 => proptest::char::range('\u{0}', '\u{1f}'),
        3 => select(vec!['"', '\\', '/', '{', '}', '[', ']', ',', ':', '\u{7f}', '\u{2028}', '\u{feff}', '\u{ffff}', '🎬', 'ü', '\u{0}']),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(character(), 0..24).prop_map(String::from_iter),
        1 => select(vec![
            "",
            r#"{"Items":["#,
            r#"],"Count":1,"ScannedCount":1}"#,
            r#"{"S":"x"}"#,
            "],\n[",
            r#"\"Items\":["#,
            "\\u0000\\ud83c",
            "NaN",
        ])
        .prop_map(str::to_owned),
    ]
}

fn nonempty_text() -> impl Strategy<Value = String> {
    text().prop_filter("a set has no empty text", |text| !text.is_empty())
}

fn key_text() -> impl Strategy<Value = String> {
    nonempty_text()
}

/// Attribute names with whatever a name may hold; `id` and `at` are the key's.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => vec(character(), 1..12).prop_map(String::from_iter),
        1 => select(vec!["a.b", "a.b[0]", "#n", ":v", "S", "N", "M", "Items", "Count", "LastEvaluatedKey", "🎬", "Item", " "])
            .prop_map(str::to_owned),
    ]
    .prop_filter("the key has its own values", |name| name != "id" && name != "at")
}

fn bytes() -> impl Strategy<Value = Blob> {
    vec(any::<u8>(), 0..40).prop_map(Blob::new)
}
