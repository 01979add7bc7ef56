use super::super::check::check_item;
use super::super::item_step::ItemStep;
use super::super::outcome::{Outcome, RejectReason};
use super::*;
use crate::error::ErrorKind;
use crate::item::testing::{Style, item, render};
use crate::item::{AttributeValue, Attributes, KeyAttribute, KeySchema, KeyType, parse_item};
use crate::transform::jq::STACK_BYTES;
use proptest::prelude::*;

fn key() -> MaskKey {
    MaskKey::new(b"a key that is long enough").unwrap()
}

fn masks(rules: &str) -> Masks {
    let rules = MaskRules::parse("rules.toml", rules).unwrap_or_else(|error| panic!("{error:?}"));
    Masks::new(rules, Some(key())).unwrap()
}

fn apply(masks: &Masks, item: &str) -> Outcome {
    apply_to(masks, item, item)
}

/// Masks `item`, which earlier steps made from `read`.
fn apply_to(masks: &Masks, item: &str, read: &str) -> Outcome {
    std::thread::scope(|scope| {
        let run = || {
            masks
                .worker()
                .apply(&Bytes::from(item.to_owned()), &Bytes::from(read.to_owned()))
        };

        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .unwrap()
            .join()
            .unwrap()
    })
}

fn masked(rules: &str, item: &str) -> String {
    match apply(&masks(rules), item) {
        Outcome::Changed(item) => String::from_utf8(item.to_vec()).unwrap(),
        other => panic!("{rules}: {other:?}"),
    }
}

fn rule(path: &str, rest: &str) -> String {
    format!("[[rule]]\npath = '{path}'\n{rest}\n")
}

const EVERY: &str = r#"{"pk":{"S":"key"},"s":{"S":"Ada-1815"},"n":{"N":"-1234.50"},"b":{"B":"AQIDBAU="},"t":{"BOOL":true},"z":{"NULL":true},"ss":{"SS":["alpha","beta"]},"ns":{"NS":["10001","20002"]},"bs":{"BS":["AQIDBA=="]},"l":{"L":[{"S":"list-1"},{"M":{"deep":{"S":"list-2"}}}]},"m":{"M":{"x":{"S":"map-1"},"y":{"N":"77777"}}}}"#;

#[test]
fn redact_null_and_drop_on_every_type() {
    let redacted = |name: &str| masked(&rule(name, "action = 'redact'"), EVERY);
    for (name, value) in [
        ("s", r#"{"S":"[redacted]"}"#),
        ("n", r#"{"N":"0"}"#),
        ("b", r#"{"B":"W3JlZGFjdGVkXQ=="}"#),
        ("t", r#"{"BOOL":false}"#),
        ("z", r#"{"NULL":true}"#),
        ("ss", r#"{"SS":["[redacted]"]}"#),
        ("ns", r#"{"NS":["0"]}"#),
        ("l", r#"{"L":[]}"#),
        ("m", r#"{"M":{}}"#),
        (
            "m.x",
            r#""m":{"M":{"x":{"S":"[redacted]"},"y":{"N":"77777"}}}"#,
        ),
        ("l.*", r#"{"L":[{"S":"[redacted]"},{"M":{}}]}"#),
    ] {
        assert!(redacted(name).contains(value), "{name}: {}", redacted(name));
        let nulls = masked(&rule(name, "action = 'null'"), EVERY)
            .matches("NULL")
            .count();
        assert!(nulls > 1 || name == "z", "{name}");
    }

    assert_eq!(
        masked(&rule("l.*.deep", "action = 'drop'"), EVERY),
        EVERY.replace(r#""deep":{"S":"list-2"}"#, "")
    );
    assert_eq!(
        masked(&rule("l.*", "action = 'drop'"), EVERY),
        EVERY.replace(r#"{"S":"list-1"},{"M":{"deep":{"S":"list-2"}}}"#, "")
    );
    assert!(!masked(&rule("ss.*", "action = 'drop'"), EVERY).contains("ss"));
}

#[test]
fn hashes_equal_those_of_openssl() {
    // printf %s Ada-1815 | openssl dgst -sha256 -hmac 'a key that is long enough'
    let hex = "600c1b583db41adbe70e851a38239af56f97884230e9689c8f9491c2b6da8482";
    assert_eq!(
        masked(&rule("s", "action = 'hash'"), EVERY),
        EVERY.replace("Ada-1815", hex)
    );
}

#[test]
fn equal_values_get_equal_masks_and_others_different_ones() {
    for action in ["hash", "keep-format"] {
        let of = |value: &str| {
            masked(
                &rule("v", &format!("action = '{action}'")),
                &format!(r#"{{"v":{value}}}"#),
            )
        };

        assert_eq!(
            of(r#"{"N":"15000"}"#) == of(r#"{"N":"15000.0"}"#),
            action == "hash",
            "{action}"
        );

        assert_ne!(of(r#"{"N":"15000"}"#), of(r#"{"N":"15001"}"#));
        assert_eq!(
            of(r#"{"S":"abcdefgh"}"#),
            of(r#"{ "S" : "\u0061bcdefgh" }"#)
        );
        assert_ne!(of(r#"{"S":"abcdefgh"}"#), of(r#"{"S":"abcdefgi"}"#));
    }
}

#[test]
fn keep_format_keeps_the_format() {
    let of = |value: &str| {
        masked(
            &rule("v", "action = 'keep-format'"),
            &format!(r#"{{"v":{value}}}"#),
        )
    };

    let shape = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_digit() {
                    '9'
                } else if c.is_uppercase() {
                    'A'
                } else if c.is_alphabetic() {
                    'a'
                } else {
                    c
                }
            })
            .collect()
    };

    for text in [
        "AB-1234 (x)",
        "a@b.c",
        "1",
        "x",
        "Zoë-Straße 5",
        "2024-05-17",
    ] {
        let item = of(&format!(r#"{{"S":"{text}"}}"#));
        let Some(AttributeValue::S(new)) = parse_item(item.as_bytes()).unwrap().remove("v") else {
            panic!("a string")
        };

        assert_eq!(shape(&new), shape(text));
        assert_ne!(new, text);
    }

    for number in ["0", "7", "-12.50", "0.0012", "9.99E+125", "-1e-130", "100"] {
        let item = of(&format!(r#"{{"N":"{number}"}}"#));
        let Some(AttributeValue::N(new)) = parse_item(item.as_bytes()).unwrap().remove("v") else {
            panic!("a number")
        };

        assert_eq!(shape(&new), shape(number));
        assert_ne!(new, number);
    }
}

#[test]
fn fakes_are_of_their_kind_and_always_the_same() {
    let of = |kind: &str, value: &str| {
        let item = masked(
            &rule("v", &format!("action = 'fake'\nkind = '{kind}'")),
            &format!(r#"{{"v":{value}}}"#),
        );
        match parse_item(item.as_bytes()).unwrap().remove("v") {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text,
            other => panic!("{other:?}"),
        }
    };

    let mail = of("email", r#"{"S":"ada@real.org"}"#);
    assert!(
        mail.ends_with("@example.com") && mail.split('@').count() == 2,
        "{mail}"
    );
    assert_eq!(mail, of("email", r#"{"S":"ada@real.org"}"#));
    assert_ne!(mail, of("email", r#"{"S":"bob@real.org"}"#));
    assert!(of("name", r#"{"S":"Ada"}"#).contains(' '));
    assert!(of("address", r#"{"S":"12 Main St"}"#).contains(", "));
    assert!(of("phone", r#"{"S":"+49 30 1234"}"#).contains(|c: char| c.is_ascii_digit()));
    assert_eq!(of("phone", r#"{"N":"49301234"}"#).len(), 10);
    let refused = apply(
        &masks(&rule("v", "action = 'fake'\nkind = 'name'")),
        r#"{"v":{"N":"5"}}"#,
    );
    assert_eq!(
        refused,
        Outcome::Rejected(RejectReason::internal(
            "`mask`: attribute \"v\" is a number, which cannot be a fake name"
        ))
    );
}

#[test]
fn dates_move_together() {
    let rules = rule("from", "action = 'shift-date'\nby = 'who'")
        + &rule("to.*", "action = 'shift-date'\nby = 'who'");
    let of = |who: &str| {
        let item = format!(
            r#"{{"who":{{"S":"{who}"}},"from":{{"S":"2020-02-28"}},"to":{{"L":[{{"S":"2020-03-01T10:00:00Z"}},{{"N":"1583056800"}}]}}}}"#
        );
        let mut item = parse_item(masked(&rules, &item).as_bytes()).unwrap();
        let (Some(AttributeValue::S(from)), Some(AttributeValue::L(to))) =
            (item.remove("from"), item.remove("to"))
        else {
            panic!("both")
        };

        let date = |text: &str| chrono::NaiveDate::parse_from_str(&text[..10], "%Y-%m-%d").unwrap();
        let (AttributeValue::S(text), AttributeValue::N(number)) = (&to[0], &to[1]) else {
            panic!("both")
        };

        assert_eq!((date(text) - date(&from)).num_days(), 2);
        assert_eq!(
            chrono::DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp()
                .to_string(),
            *number
        );

        assert_ne!(from, "2020-02-28");
        from
    };

    assert_eq!(of("ada"), of("ada"));
    assert!((0..20).any(|other| of(&other.to_string()) != of("ada")));
    let missing = apply(&masks(&rules), r#"{"from":{"S":"2020-02-28"}}"#);
    assert_eq!(
        missing,
        Outcome::Rejected(RejectReason::internal(
            "`mask`: shift-date by `who`: the item has no such attribute"
        ))
    );

    let other = apply(
        &masks(&rule("v", "action = 'shift-date'")),
        r#"{"v":{"S":"soon"}}"#,
    );
    assert_eq!(
        other,
        Outcome::Rejected(RejectReason::internal(
            "`mask`: attribute \"v\" is not a date in a format that shift-date supports"
        ))
    );
}

#[test]
fn a_rule_wants_nothing_of_items_that_it_does_not_match() {
    let dates = rule("born", "action = 'shift-date'\nby = 'customer'");
    let asked = rule(
        "note",
        "action = 'redact'\nwhen = '.type | str == \"person\"'",
    );
    let rules = masks(&(dates + &asked));
    assert_eq!(apply(&rules, r#"{"pk":{"S":"a"}}"#), Outcome::Unchanged);

    for lacking in [
        r#"{"born":{"S":"1815-12-10"}}"#,
        r#"{"note":{"S":"secret"}}"#,
    ] {
        assert!(
            matches!(apply(&rules, lacking), Outcome::Rejected(_)),
            "{lacking}"
        );
    }
}

/// The rules of the example in the documentation, unchanged.
#[test]
fn the_rules_of_the_page_hide_what_they_name() {
    let page = include_str!("../../../docs/masking.md");
    let rules = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("rules");

    let plain = masked(
        rules,
        r#"{"id":{"S":"1"},"email":{"S":"ada@example.org"},"title":{"S":"x"}}"#,
    );
    assert!(
        !plain.contains("ada@") && plain.contains(r#""title":{"S":"x"}"#),
        "{plain}"
    );
    let full = r#"{"type":{"S":"person"},"customer_id":{"S":"c1"},"born":{"S":"1815-12-10"},"note":{"S":"secret"},"a.b":{"S":"gone"},
        "orders":{"L":[{"M":{"address":{"S":"12 St James's Square"},"no":{"N":"1"}}}]}}"#;
    let full = masked(rules, full);
    for original in ["1815-12-10", "secret", "gone", "St James"] {
        assert!(!full.contains(original), "{original}: {full}");
    }
}

#[test]
fn a_value_that_survives_elsewhere_rejects_the_item() {
    let mail = rule("email", "action = 'hash'");
    for survivor in [
        r#""note":{"S":"wrote to ada@x.org today"}"#,
        r#""m":{"M":{"ada@x.org":{"S":"x"}}}"#,
        r#""m":{"L":[{"SS":["b","ada@x.org"]}]}"#,
        r#""b":{"B":"YWRhQHgub3Jn"}"#,
    ] {
        let item = format!(r#"{{"email":{{"S":"ada@x.org"}},{survivor}}}"#);
        let Outcome::Rejected(reason) = apply(&masks(&mail), &item) else {
            panic!("{survivor}")
        };

        let reason = reason.to_string();
        assert!(
            reason.contains("a masked value is also in attribute") && !reason.contains("ada"),
            "{reason}"
        );
    }

    let number = rule("tel", "action = 'hash'");
    for (survivor, found) in [
        (r#"{"N":"4930.0"}"#, true),
        (r#"{"S":"4930"}"#, false),
        (r#"{"N":"49301"}"#, false),
    ] {
        let outcome = apply(
            &masks(&number),
            &format!(r#"{{"tel":{{"N":"4930"}},"x":{survivor}}}"#),
        );
        assert_eq!(matches!(outcome, Outcome::Rejected(_)), found, "{survivor}");
    }

    let Outcome::Rejected(reason) = apply(
        &masks(&rule("v", "action = 'keep-format'")),
        r#"{"v":{"S":"----"}}"#,
    ) else {
        panic!("nothing to change")
    };

    assert!(
        reason.to_string().contains("it would not change"),
        "{reason}"
    );

    // No error if both values are masked, or if the value is too short to be searched for.
    masked(
        &(mail.clone() + &rule("copy", "action = 'redact'")),
        r#"{"email":{"S":"ada@x.org"},"copy":{"S":"ada@x.org"}}"#,
    );
    masked(
        &rule("a", "action = 'hash'"),
        r#"{"a":{"S":"DE"},"b":{"S":"DE"}}"#,
    );
}

#[test]
fn a_value_that_survives_as_a_name_in_its_own_place_rejects_the_item() {
    let item = r#"{"m":{"L":[{"M":{"ada@x.org":{"L":[{"S":"ada@x.org"}]}}}]}}"#;
    for action in ["'hash'", "'keep-format'", "'fake'\nkind = 'email'"] {
        let Outcome::Rejected(reason) =
            apply(&masks(&rule("m", &format!("action = {action}"))), item)
        else {
            panic!("{action}: the name stays")
        };

        let reason = reason.to_string();
        assert!(
            reason.contains(r#"is also in a name in attribute "m""#) && !reason.contains("ada"),
            "{reason}"
        );
    }

    for action in ["redact", "null", "drop"] {
        assert!(
            !masked(&rule("m", &format!("action = '{action}'")), item).contains("ada"),
            "{action}"
        );
    }

    masked(
        &rule("m", "action = 'hash'"),
        r#"{"m":{"M":{"mail":{"S":"ada@x.org"}}}}"#,
    );
}

/// Steps before the masks may move, rename or copy a value, or change the input of a condition.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn values_as_read_are_found_wherever_earlier_steps_put_them() {
    let read = r#"{"id":{"S":"1"},"ssn":{"S":"123-45 \"6789"},"type":{"S":"person"}}"#;
    let hash = masks(&rule("ssn", "action = 'hash'"));
    let when = masks(&rule(
        "ssn",
        "action = 'hash'\nwhen = '.type | str == \"person\"'",
    ));
    let keeps = masks(&(rule("ssn", "action = 'hash'") + &rule("note", "action = 'keep-format'")));
    let rejected = |masks: &Masks, made: &str, place: &str| {
        let Outcome::Rejected(RejectReason::Internal(reason)) = apply_to(masks, made, read) else {
            panic!("{made}")
        };

        assert!(
            reason.contains(place) && !reason.contains("6789"),
            "{made}: {reason}"
        );
    };

    for (made, place) in [
        (
            r#"{"id":{"S":"1"},"contact":{"S":"123-45 \"6789"}}"#,
            "attribute \"contact\"",
        ),
        (
            r#"{"id":{"S":"1"},"123-45 \"6789":{"S":"x"}}"#,
            "the name of an attribute",
        ),
        (
            r#"{"id":{"S":"1"},"m":{"M":{"x 123-45 \"6789 y":{"S":"x"}}}}"#,
            "attribute \"m\"",
        ),
        // In base64, as the text of another JSON document, in a list of bytes.
        (
            r#"{"id":{"S":"1"},"t":{"S":"MTIzLTQ1ICI2Nzg5"}}"#,
            "attribute \"t\"",
        ),
        (
            r#"{"id":{"S":"1"},"t":{"S":"{\"ssn\":\"123-45 \\\"6789\"}"}}"#,
            "attribute \"t\"",
        ),
        (
            r#"{"id":{"S":"1"},"t":{"BS":["MTIzLTQ1ICI2Nzg5"]}}"#,
            "attribute \"t\"",
        ),
        // The mask of the current value does not cover the original one.
        (
            r#"{"id":{"S":"1"},"type":{"S":"x"},"ssn":{"S":"other"},"t":{"S":"123-45 \"6789"}}"#,
            "attribute \"t\"",
        ),
    ] {
        rejected(&hash, made, place);
        rejected(&when, made, place);
    }

    // This mask keeps characters that are neither digits nor letters.
    let read_signs = r#"{"ssn":{"S":"*-*-*"},"note":{"S":"a"}}"#;
    let signs = apply_to(&keeps, r#"{"note":{"S":"a *-*-* b"}}"#, read_signs);
    assert!(
        matches!(&signs, Outcome::Rejected(RejectReason::Internal(reason)) if reason.contains("keeps that part")),
        "{signs:?}"
    );

    // A condition that holds for the original applies: a step that changes its input does not
    // disable the rule.
    let Outcome::Changed(masked) = apply_to(&when, &read.replace("person", "other"), read) else {
        panic!("masked")
    };

    assert!(!String::from_utf8_lossy(&masked).contains("6789"));
    assert_eq!(
        apply_to(&hash, r#"{"id":{"S":"1"}}"#, read),
        Outcome::Unchanged
    );
}

#[test]
fn an_item_is_shown_without_masked_values() {
    let masks = masks(
        &(rule("ssn", "action = 'hash'") + &rule("l.*.x", "action = 'drop'\nwhen = 'false'")),
    );
    let read = r#"{"id":{"S":"1"},"ssn":{"S":"123-45"},"l":{"L":[{"M":{"x":{"N":"98765"}}}]},"copy":{"S":"a 123-45"},"123-45":{"S":"b"},"n":{"N":"98765"}}"#;
    assert_eq!(
        masks.displayable_item(read.as_bytes()),
        r#"{"id":{"S":"1"},"ssn":"[masked]","l":{"L":[{"M":{"x":"[masked]"}}]},"copy":"[masked]","n":"[masked]","[masked]":{"S":"b"}}"#
    );
    assert_eq!(masks.displayable_item(b"123-45"), "\"[masked]\"");
    assert!(masks.hides(read.as_bytes(), br#"{"pk":{"S":"x#123-45"}}"#));
    assert!(!masks.hides(read.as_bytes(), br#"{"pk":{"S":"1"}}"#));
}

#[test]
fn conditions_are_asked_of_the_original() {
    let rules = rule("a", "action = 'redact'\nwhen = '.a | str == \"one1\"'")
        + &rule("b", "action = 'redact'\nwhen = '.a | str == \"one1\"'");
    assert_eq!(
        masked(&rules, r#"{"a":{"S":"one1"},"b":{"S":"two2"}}"#),
        r#"{"a":{"S":"[redacted]"},"b":{"S":"[redacted]"}}"#
    );
    assert_eq!(
        apply(&masks(&rules), r#"{"a":{"S":"two"},"b":{"S":"x"}}"#),
        Outcome::Unchanged
    );
    let broken = apply(
        &masks(&rule("a", "action = 'redact'\nwhen = 'error(\"x\")'")),
        r#"{"a":{"S":"two"}}"#,
    );
    assert_eq!(
        broken,
        Outcome::Rejected(RejectReason::External(
            "`mask`: the condition of the rule for `a`: x".to_owned()
        ))
    );
}

#[test]
fn a_rule_without_matches_is_reported() {
    let masks = masks(&(rule("a", "action = 'redact'") + &rule("typo", "action = 'redact'")));
    apply(&masks, r#"{"a":{"S":"two"}}"#);
    let warnings: Vec<_> = masks.warnings().collect();
    assert_eq!(
        warnings,
        ["rules.toml line 4, column 1: the rule for `typo` matched no item"]
    );
}

#[test]
fn rule_files_are_refused_with_line_and_column() {
    for (text, expected) in [
        ("", "rules.toml contains no rules"),
        (
            "[[rule]]\npath = 'a'\naction = 'hide'",
            "rules.toml line 3, column 10: unknown variant `hide`",
        ),
        (
            "[[rule]]\npath = 'a'\naction = 'hash'\nsalt = 'x'",
            "rules.toml line 4, column 1: unknown field `salt`",
        ),
        (
            "[[rules]]\n",
            "rules.toml line 1, column 3: unknown field `rules`",
        ),
        ("[[rule]]\naction = 'hash'", "missing field `path`"),
        ("[[rule]]\npath = 'a'\n", "missing field `action`"),
        (
            "[[rule]]\npath = 5\naction = 'hash'",
            "rules.toml line 2, column 8: invalid type",
        ),
        (
            "[[rule]]\npath = 'a..b'\naction = 'hash'",
            "rules.toml line 2, column 8: the path has an empty name",
        ),
        (
            "[[rule]]\npath = 'a'\naction = 'fake'",
            "rules.toml line 3, column 10: fake requires a kind",
        ),
        (
            "[[rule]]\npath = 'a'\naction = 'hash'\nkind = 'name'",
            "rules.toml line 4, column 8: kind requires",
        ),
        (
            "[[rule]]\npath = 'a'\naction = 'hash'\nby = 'b'",
            "rules.toml line 4, column 6: by requires",
        ),
        (
            "[[rule]]\npath = 'a'\naction = 'hash'\nwhen = '.a =='",
            "rules.toml line 4, column 8: when, line 1, column 6",
        ),
        ("[[rule]\n", "rules.toml line 1"),
    ] {
        let error = MaskRules::parse("rules.toml", text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn keys_are_not_removed() {
    let attribute = |name: &str| KeyAttribute {
        name: name.to_owned(),
        kind: KeyType::S,
    };
    let table = KeySchema {
        partition: attribute("pk"),
        sort: Some(attribute("sk")),
    };
    let check = |path: &str, action: &str| {
        MaskRules::parse("r", &rule(path, &format!("action = '{action}'")))
            .unwrap()
            .check_keys(&table, &[attribute("gsi")])
    };

    for (path, action) in [("pk", "drop"), ("sk", "null"), ("gsi", "null")] {
        let error = check(path, action).expect_err(path);
        assert!(
            error
                .to_string()
                .contains(&format!("r line 1, column 1: `{path}` is a key")),
            "{error}"
        );
    }

    for (path, action) in [
        ("pk", "hash"),
        ("sk", "redact"),
        ("gsi", "drop"),
        ("other", "null"),
        ("pk.x", "drop"),
    ] {
        check(path, action).expect(path);
    }

    let rules = MaskRules::parse("r", &rule("sk", "action = 'hash'")).unwrap();
    assert!(rules.change_key(&table) && rules.need_key() && rules.sha256().len() == 64);
    assert_eq!(
        Masks::new(rules, None).unwrap_err().kind(),
        ErrorKind::Environment
    );
}

/// All texts in an item, independent of JSON formatting.
fn texts(value: &AttributeValue, found: &mut Vec<Vec<u8>>) {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => found.push(text.clone().into_bytes()),
        AttributeValue::B(bytes) => found.push(bytes.clone()),
        AttributeValue::Bool(_) | AttributeValue::Null => {}
        AttributeValue::M(map) => map.values().for_each(|value| texts(value, found)),
        AttributeValue::L(list) => list.iter().for_each(|value| texts(value, found)),
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => {
            found.extend(set.iter().map(|text| text.clone().into_bytes()));
        }
        AttributeValue::Bs(set) => found.extend(set.iter().cloned()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Fake and shifted values differ from the original, and an item that still contains a copy of
    /// it is rejected.
    #[test]
    fn inventions_and_dates_never_leave_the_original(
        others in item(),
        seed in any::<u64>(),
        (rest, original) in prop_oneof![
            ("[A-Z][a-z]{3,8} [A-Z][a-z]{3,8}", prop::sample::select(vec!["fake'\nkind = 'name", "fake'\nkind = 'address"]))
                .prop_map(|(text, action)| (action, text)),
            "[a-z]{4,9}@example\\.org".prop_map(|text| ("fake'\nkind = 'email", text)),
            "\\+49 [1-9][0-9]{6,9}".prop_map(|text| ("fake'\nkind = 'phone", text)),
            (1950..2020, 1..=12, 1..=28).prop_map(|(y, m, d)| ("shift-date", format!("{y}-{m:02}-{d:02}"))),
        ],
        place in 0..6usize,
    ) {
        let mut item: Attributes = others;
        prop_assume!(!item.contains_key("secret") && !item.contains_key("copy"));
        item.insert("secret".to_owned(), AttributeValue::S(original.clone()));
        let rules = masks(&rule("secret", &format!("action = '{rest}'")));
        let stands_in = |text: &str| text.contains(&original);
        let Outcome::Changed(changed) = apply(&rules, &render(&item, Style::Random(seed))) else {
            // Items that the generator makes invalid for other reasons are not the subject of this
            // test.
            prop_assume!(check_item(render(&item, Style::Compact).as_bytes(), render(&item, Style::Compact).as_bytes()).is_ok());
            return Err(TestCaseError::fail("rejected"));
        };
        let mut new = parse_item(&changed).unwrap();
        let Some(AttributeValue::S(masked)) = new.remove("secret") else { return Err(TestCaseError::fail("no text")) };
        prop_assert!(!stands_in(&masked), "{}", masked);
        item.remove("secret");
        prop_assert_eq!(&new, &item);

        let within = format!("a {original} b");
        let copy = match place {
            0 => AttributeValue::S(within),
            1 => AttributeValue::B(within.into_bytes()),
            2 => AttributeValue::L(vec![AttributeValue::Null, AttributeValue::S(within)]),
            3 => AttributeValue::M(Attributes::from([(within, AttributeValue::Null)])),
            4 => AttributeValue::Ss(vec!["x".to_owned(), within]),
            _ => AttributeValue::M(Attributes::from([("deep".to_owned(), AttributeValue::L(vec![AttributeValue::S(original.clone())]))])),
        };
        item.insert("copy".to_owned(), copy);
        item.insert("secret".to_owned(), AttributeValue::S(original.clone()));
        let outcome = apply(&rules, &render(&item, Style::Random(seed)));
        prop_assert!(matches!(&outcome, Outcome::Rejected(reason) if !stands_in(&reason.to_string())), "{:?}", outcome);
    }

    /// For all types and formattings, the result has the same types and contains no original value,
    /// or the item is rejected.
    #[test]
    fn masks_never_leave_the_original(
        item in item(),
        seed in any::<u64>(),
        action in prop::sample::select(vec!["redact", "null", "drop", "hash", "keep-format"]),
        secret in "[a-z]{4,9}[0-9]{2,4}",
    ) {
        let mut item: Attributes = item;
        item.insert("secret".to_owned(), AttributeValue::S(secret));
        let names: Vec<_> = item.keys().filter(|name| !name.is_empty() && !name.contains(['.', '*', '\\', '\'', '\n', '\r', '\0'])
            && !name.chars().any(char::is_control)).take(3).cloned().chain(["secret".to_owned()]).collect();
        let rules: String = names.iter().map(|name| rule(name, &format!("action = '{action}'"))).collect();
        match apply(&masks(&rules), &render(&item, Style::Random(seed))) {
            Outcome::Rejected(_) => {}
            Outcome::Changed(changed) => {
                let new = parse_item(&changed).unwrap();
                let mut originals = Vec::new();
                for name in &names {
                    texts(&item[name], &mut originals);
                }
                let mut left = Vec::new();
                for value in new.values() {
                    texts(value, &mut left);
                }
                for original in originals.iter().filter(|original| std::str::from_utf8(original).map_or(original.len(), |text| text.chars().count()) >= 4) {
                    prop_assert!(original == b"[redacted]" || !left.contains(original), "{:?}", String::from_utf8_lossy(original));
                }
                let kept = item.iter().filter(|(name, _)| !names.contains(name));
                for (name, value) in kept {
                    prop_assert_eq!(new.get(name), Some(value));
                }
                if matches!(action, "redact" | "hash" | "keep-format") {
                    for name in &names {
                        prop_assert_eq!(std::mem::discriminant(&item[name]), std::mem::discriminant(&new[name]));
                    }
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
