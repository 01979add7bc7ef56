use super::super::fast_validator::valid_item_length;
use super::super::index_keys::tests::keys as index_keys;
use super::super::testing::{Style, item, render};
use super::*;
use crate::item::{KeyAttribute, KeyType};
use proptest::prelude::*;

fn key() -> KeySchema {
    let attribute = |name: &str, kind| KeyAttribute {
        name: name.to_owned(),
        kind,
    };
    KeySchema {
        partition: attribute("pk", KeyType::S),
        sort: Some(attribute("a", KeyType::N)),
    }
}

#[test]
fn an_item_of_a_known_shape_is_held_to_the_same_rules() {
    let mut cache = ShapeCache::default();
    let item = |text: &str, number: &str, binary: &str, element: &str| {
        format!(
            r#"{{"pk":{{"S":"{text}"}},"n":{{"N":"{number}"}},"m":{{"M":{{"b":{{"B":"{binary}"}}}}}},"s":{{"NS":["1","{element}"]}},"o":{{"BOOL":true}}}}"#
        )
    };

    assert!(
        cache
            .item_length(item("a", "1", "AAAA", "2").as_bytes())
            .is_some()
    );

    let is_known = |cache: &mut ShapeCache, text: String| {
        let (hits, length) = (cache.hits, cache.item_length(text.as_bytes()));
        assert_eq!(length, valid_item_length(text.as_bytes()), "{text}");
        (length.is_some(), cache.hits > hits)
    };

    for good in [
        item("", "-1.5", "", "1E5"),
        item(
            r#"\"\\\u00e9é "#,
            "99999999999999999999999999999999999999",
            "AA==",
            ".5",
        ),
        item(
            &"long text ".repeat(20),
            "0",
            "AAECAwQFBgcICQoLDA0ODw==",
            "5",
        ),
    ] {
        assert_eq!(is_known(&mut cache, good.clone()), (true, true), "{good}");
    }

    for bad in [
        item("\u{1}", "1", "AAAA", "2"),
        item(r"\x", "1", "AAAA", "2"),
        item(r"\u00g0", "1", "AAAA", "2"),
        item("a", "", "AAAA", "2"),
        item("a", "1x", "AAAA", "2"),
        item("a", r"\u0031", "AAAA", "2"),
        item("a", "1", "AAA", "2"),
        item("a", "1", "AAAA", "two"),
    ] {
        assert!(!is_known(&mut cache, bad.clone()).0, "{bad}");
    }
}

#[test]
fn more_shapes_than_fit_are_still_recognised() {
    let mut cache = ShapeCache::default();
    for number in 0..2 * MAX_NODES {
        let text = format!(r#"{{"name {number}":{{"S":"a"}},"pk":{{"S":"b"}}}}"#);
        assert_eq!(cache.item_length(text.as_bytes()), Some(text.len()));
    }

    assert!(cache.nodes.len() <= MAX_NODES && cache.pieces.len() <= MAX_PIECE_BYTES);
    assert_eq!(
        cache.misses, MIN_MISSES_TO_JUDGE,
        "it is not tried in vain forever"
    );
}

#[test]
fn violations_of_index_keys_are_noted_in_items_of_known_shapes() {
    let mut cache = ShapeCache::new(Some(key()), Arc::new(index_keys()));
    let texts = ["", "b", &"x".repeat(1025), &"x".repeat(2049)];
    let values = texts.map(|text| format!(r#"{{"S":"{text}"}}"#));
    let others = [
        r#"{"N":"3"}"#,
        r#"{"BOOL":true}"#,
        r#"{"M":{}}"#,
        r#"{"L":[{"S":""}]}"#,
    ];
    for round in 0..2 {
        for value in values.iter().map(String::as_str).chain(others) {
            let item = format!(r#"{{"pk":{{"S":"k"}},"when":{value},"a":{{"N":"1"}}}}"#);
            let (hits, mut members) = (cache.hits, KeyMembers::default());
            let length = cache.item_length_and_key(item.as_bytes(), &mut members);
            assert_eq!(length, Some(item.len()), "{item}");
            assert!(round == 0 || cache.hits > hits, "{item}");
            let expected = index_keys().violations(item.as_bytes());
            assert_eq!(Ok(members.violations), expected, "{item}");
        }
    }
}

proptest! {
    #[test]
    fn gives_the_same_result_as_the_reader_without_a_cache(
        items in proptest::collection::vec(item(), 1..4), turns in proptest::collection::vec((any::<proptest::sample::Index>(),
        any::<proptest::sample::Index>(), 0usize..3, "[SNBMLUOtrue\"{}:,\\[\\]0-9a-f.eE+\\-=/\\\\ \u{1}é]{0,3}", any::<bool>()), 1..12)
    ) {
        let texts: Vec<_> = items.iter().map(|item| render(item, Style::Compact).into_bytes()).collect();
        let mut cache = ShapeCache::new(Some(key()), Arc::new(index_keys()));
        for (which, at, cut, put, changes) in turns {
            let text = &texts[which.index(texts.len())];
            let at = at.index(text.len());
            let behind = (at + cut).min(text.len());
            let changed = [&text[..at], put.as_bytes(), &text[behind..]].concat();
            let text = if changes { &changed } else { text };
            let mut members = KeyMembers::default();
            let length = cache.item_length_and_key(text, &mut members);
            prop_assert_eq!(length, valid_item_length(text));
            if length.is_some() {
                prop_assert_eq!(index_keys().violations(text), Ok(members.violations));
                let hash = key().hash128(text);
                if let Ok(found) = key().hash_members(members, &mut Vec::new()) {
                    prop_assert_eq!(Ok(found), hash);
                } else {
                    prop_assert!(hash.is_err());
                }
            }
        }
    }
}
