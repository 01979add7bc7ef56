use super::super::testing::{Style, item, render};
use super::super::{item_digest, parse_item};
use super::*;
use proptest::prelude::*;

fn cut(body: &str, path: &[&str]) -> Result<(Vec<String>, String), SplitError> {
    let SplitResponse { items, rest } = split_items(Bytes::copy_from_slice(body.as_bytes()), path)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    Ok((items.iter().map(text).collect(), text(&rest)))
}

#[test]
fn the_array_is_found_by_structure() {
    let item = r#"{"Items":{"L":[{"S":"\"Items\":[{\"a"}]},"Count":{"S":"],"}}"#;
    let body = format!(
        r#"{{"Note":"\"Items\":[{{}}]","More":{{"Items":[{{}}]}},"I\u0074ems":[{item} , {item}],"Count":2}}"#
    );
    let (items, rest) = cut(&body, &["Items"]).expect("cut");
    assert_eq!(items, [item, item]);
    assert_eq!(
        rest,
        r#"{"Note":"\"Items\":[{}]","More":{"Items":[{}]},"I\u0074ems":[],"Count":2}"#
    );
}

#[test]
fn a_longer_path() {
    let body = r#"{"UnprocessedKeys":{"t.1":{"Keys":[]}},"Responses":{"Items":[{"x":1}],"t.1":[{"a":{"S":"b"}}]}}"#;
    let (items, rest) = cut(body, &["Responses", "t.1"]).expect("cut");
    assert_eq!(items, [r#"{"a":{"S":"b"}}"#]);
    assert_eq!(
        rest,
        r#"{"UnprocessedKeys":{"t.1":{"Keys":[]}},"Responses":{"Items":[{"x":1}],"t.1":[]}}"#
    );
}

#[test]
fn a_missing_array_means_no_items() {
    for body in [
        "{}",
        r#"{"Count":3}"#,
        r#"{"Items":null}"#,
        r#"{"Items":[]}"#,
        " { \"Items\" : [ ] } \n",
    ] {
        assert_eq!(cut(body, &["Items"]).expect(body).0, [""; 0], "{body}");
    }

    assert_eq!(
        cut(r#"{"Responses":null}"#, &["Responses", "t"])
            .expect("cut")
            .0,
        [""; 0]
    );
}

#[test]
fn broken_documents_are_refused_with_the_byte() {
    for (body, offset) in [
        ("", 0),
        ("[]", 0),
        (r#"{"Items":[{}"#, 12),
        (r#"{"Items":[{"#, 11),
        (r#"{"Items":[{},]}"#, 13),
        (r#"{"Items":[,]}"#, 10),
        (r#"{"Items":[{}{}]}"#, 12),
        (r#"{"Items":[5]}"#, 10),
        (r#"{"Items":{}}"#, 9),
        (r#"{"Items":[]}{"#, 12),
        (r#"{"Items":[],"Items":[]}"#, 20),
        (r#"{"Items":[{]]}"#, 11),
        (r#"{"Items":[],}"#, 12),
        (r#"{"Items":[] "Count":1}"#, 12),
        (r#"{,"Items":[]}"#, 1),
        ("{\"Items\":[{\"a\":\n{\"S\":\"b\nc\"}}]}", 10),
    ] {
        assert_eq!(
            cut(body, &["Items"]).map_err(|error| error.offset),
            Err(offset),
            "{body}"
        );
    }
}

proptest! {
    #[test]
    fn items_are_returned_unchanged(
        items in proptest::collection::vec(item(), 0..5), seed in any::<u64>(), style in 0..3,
        end in any::<proptest::sample::Index>()
    ) {
        let style = [Style::Compact, Style::Pretty, Style::Random(seed)][usize::try_from(style).expect("small")];
        let texts: Vec<String> = items.iter().map(|item| render(item, style)).collect();
        let body = format!("{{\"Count\": 3, \"Items\":[ {} ]\n, \"ScannedCount\":3}}", texts.join("\n,"));
        let (cut, rest) = cut(&body, &["Items"]).expect("cut");
        prop_assert_eq!(rest, "{\"Count\": 3, \"Items\":[]\n, \"ScannedCount\":3}");
        prop_assert_eq!(cut.len(), items.len());
        for ((cut, text), item) in cut.iter().zip(&texts).zip(&items) {
            prop_assert!(!has_line_breaks(cut.as_bytes()));
            if !has_line_breaks(text.as_bytes()) {
                prop_assert_eq!(cut, text);
            }
            prop_assert_eq!(item_digest(cut.as_bytes()), item_digest(text.as_bytes()));
            prop_assert_eq!(&parse_item(cut.as_bytes()).expect("an item"), item);
        }
        let put = Items::concat(&texts.into_iter().map(Bytes::from).collect::<Vec<_>>()).expect("put together");
        prop_assert_eq!(put.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), cut.iter().map(|cut| cut.clone().into_bytes()).collect::<Vec<_>>());
        let end = end.index(body.len());
        prop_assert!(split_items(Bytes::copy_from_slice(&body.as_bytes()[..end]), &["Items"]).is_err());
    }

    #[test]
    fn never_panics(text in "[{}\\[\\]\",:\\\\I \n]{0,40}", bytes in any::<Vec<u8>>()) {
        for body in [format!("{{\"I\":{text}").into_bytes(), text.into_bytes(), bytes] {
            let _ = split_items(Bytes::from(body), &["I"]);
        }
    }
}
