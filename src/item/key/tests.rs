use super::super::AttributeValue;
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
fn key_errors_name_the_problem() {
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
        item.insert("s.k".to_owned(), AttributeValue::N(number.clone()));
        item.insert("pk".to_owned(), AttributeValue::S("\u{1f600}\"pk\"".to_owned()));
        let schema = schema(KeyType::S, Some(KeyType::N));
        let compact = schema.extract(render(&item, Style::Compact).as_bytes()).expect("a key");
        let wild = schema.extract(render(&item, Style::Random(seed)).as_bytes()).expect("a key");
        prop_assert!(!has_line_breaks(wild.to_json().as_bytes()));
        prop_assert_eq!(&compact, &wild);
        prop_assert_eq!(schema.hash128(render(&item, Style::Random(seed)).as_bytes()), Ok(compact.hash128()));
        prop_assert_eq!(&schema.extract(wild.to_json().as_bytes()).expect("a key"), &compact);
        item.insert("s.k".to_owned(), AttributeValue::N(other.clone()));
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
