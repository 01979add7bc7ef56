use super::*;
use crate::error::ErrorKind;
use crate::item::testing::{Style, item, render};
use crate::item::{compact, item_digest, validate};
use proptest::prelude::*;
use std::error::Error as _;
use std::io;

const A: &str = r#"{"pk":{"S":"a"},"Items":{"L":[{"S":"]},{"}]},"Count":{"N":"7"}}"#;
const B: &str = r#"{"pk":{"S":"\"Items\":[{"},"n":{"N":"1"}}"#;

fn read(text: &str, block: usize) -> Result<(Vec<LocatedItem>, ContainerSummary)> {
    let mut reader = ItemReader::with_blocks(text.as_bytes(), block);
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }

    assert!(reader.next_item()?.is_none(), "the end stays the end");

    Ok((items, *reader.summary()))
}

/// Reads with the fast path. The result differs only in `is_valid`, which is cleared.
fn recognise(text: &str, block: usize) -> Result<(Vec<LocatedItem>, ContainerSummary)> {
    let mut reader = ItemReader::with_blocks(text.as_bytes(), block).validating();
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        assert!(!item.is_valid || validate(&item.text).is_ok());
        items.push(LocatedItem {
            is_valid: false,
            ..item
        });
    }

    Ok((items, *reader.summary()))
}

fn texts(items: &[LocatedItem]) -> Vec<&str> {
    items
        .iter()
        .map(|item| std::str::from_utf8(&item.text).expect("text"))
        .collect()
}

fn assert_reads(text: &str, shape: ItemContainer, expected: &[&str]) -> ContainerSummary {
    let (items, summary) =
        read(text, BLOCK_BYTES).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(texts(&items), expected, "{text}");
    assert_eq!(
        (summary.container, summary.items),
        (shape, expected.len() as u64),
        "{text}"
    );

    summary
}

fn failure(text: &str) -> Error {
    read(text, BLOCK_BYTES)
        .err()
        .unwrap_or_else(|| panic!("read: {text}"))
}

#[test]
fn every_container_gives_the_same_items() {
    let own = format!("{{\"Items\":[\n{A},\n{B}\n],\"Count\":2,\"ScannedCount\":2}}\n");
    assert_eq!(
        assert_reads(&own, ItemContainer::Document, &[A, B]).count,
        Some(2)
    );
    let late = format!(
        "{{\"Count\":2, \"ScannedCount\":9,\"ConsumedCapacity\":null,\"Items\":[{A} , {B}]}}"
    );
    assert_eq!(
        assert_reads(&late, ItemContainer::Document, &[A, B]).count,
        Some(2)
    );
    assert_reads(&format!("[{A},{B}]"), ItemContainer::Array, &[A, B]);
    assert_reads(&format!("{A}\n{B}"), ItemContainer::Lines, &[A, B]);
    assert_reads(
        &format!("\u{feff}\r\n\n{A}\r\n\r\n{B}\r\n"),
        ItemContainer::Lines,
        &[A, B],
    );

    assert_reads(
        &format!("{{\"Item\":{A}}}\n{{ \"Item\" : {B} }}\n"),
        ItemContainer::ExportLines,
        &[A, B],
    );

    let rejects = format!(
        "{{\"reason\":\"a \\\"b\\\", {{\",\"item\":{A}}}\n{{\"reason\":\"\",\"item\":{B}}}\n"
    );
    assert_reads(&rejects, ItemContainer::RejectLines, &[A, B]);
    assert_reads(
        &format!("{{\"Items\":[{A}]}}\n{{\"Items\":[{B}],\"Count\":1}}"),
        ItemContainer::Document,
        &[A, B],
    );
}

#[test]
fn no_items_at_all() {
    for text in ["", "\n\n", "\u{feff}", " \r\n"] {
        assert_reads(text, ItemContainer::Empty, &[]);
    }

    assert_reads("[]", ItemContainer::Array, &[]);
    assert_reads(
        "{\"Items\":[\n],\"Count\":0,\"ScannedCount\":0}\n",
        ItemContainer::Document,
        &[],
    );

    assert_reads("{\"Count\":0}", ItemContainer::Document, &[]);
    assert_reads("{\"Items\":null,\"Count\":0}", ItemContainer::Document, &[]);
}

#[test]
fn capacity_and_tokens_may_stand_anywhere() {
    let capacity = r#""ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5}"#;
    for (member, continues) in [
        (r#""NextToken":"eyJ""#, Some("NextToken")),
        (
            r#""LastEvaluatedKey":{"pk":{"S":"a"}}"#,
            Some("LastEvaluatedKey"),
        ),
        (
            r#""LastEvaluatedKey":{"M":{"S":"a"}}"#,
            Some("LastEvaluatedKey"),
        ),
        (r#""LastEvaluatedKey":null"#, None),
        (r#""$metadata":{"httpStatusCode":200}"#, None),
    ] {
        for text in [
            format!("{{{member},{capacity},\"Items\":[{A}]}}"),
            format!("{{{capacity},{member},\"Items\":[{A}]}}"),
            format!("{{\"Items\":[{A}],{capacity},{member}}}"),
        ] {
            assert_eq!(
                assert_reads(&text, ItemContainer::Document, &[A]).continues,
                continues,
                "{text}"
            );
        }
    }

    let pages = format!(
        "{{\"Items\":[{A}],\"LastEvaluatedKey\":{{\"pk\":{{\"S\":\"a\"}}}}}}{{\"Items\":[{B}],\"Count\":1}}"
    );
    assert_eq!(
        assert_reads(&pages, ItemContainer::Document, &[A, B]).continues,
        None
    );
}

#[test]
fn items_with_attributes_called_like_a_container() {
    for item in [
        r#"{"Items":{"L":[{"S":"x"}]},"pk":{"S":"a"}}"#,
        r#"{"Count":{"N":"5"},"pk":{"S":"a"}}"#,
        r#"{"LastEvaluatedKey":{"M":{"pk":{"S":"a"}}},"pk":{"S":"a"}}"#,
        r#"{"ConsumedCapacity":{"S":"a"}}"#,
        r#"{"Item":{"S":"x"}}"#,
        r#"{"Item":{"S":"x"},"pk":{"S":"a"}}"#,
        r#"{"Item":{"M":{"name":{"S":"x"}}},"pk":{"S":"a"}}"#,
        r#"{"pk":{"S":"a"},"Item":{"pk":{"S":"x"}}}"#,
        r#"{"NextToken":{"S":"x"}}"#,
    ] {
        assert_reads(item, ItemContainer::Lines, &[item]);
    }
}

#[test]
fn an_export_line_is_not_an_item_called_item() {
    for item in [
        r#"{"pk":{"S":"a"}}"#,
        r#"{"M":{"S":"a"}}"#,
        r#"{"S":{"S":"a"}}"#,
        r#"{"Item":{"S":"a"}}"#,
        r#"{"M":{"M":{"name":{"S":"a"}}},"pk":{"N":"1"}}"#,
    ] {
        assert_reads(
            &format!("{{\"Item\":{item}}}\n"),
            ItemContainer::ExportLines,
            &[item],
        );
    }

    // An attribute of type M cannot be a key: no table has such an item, and the line is not an
    // export line.
    let lines = format!("{}\n{A}", r#"{"Item":{"M":{"name":{"S":"x"}}}}"#);
    assert!(
        failure(&lines)
            .to_string()
            .contains("type tags are missing")
    );
}

#[test]
fn lines_and_bytes_are_counted() {
    let pretty = "[\n  {\n    \"pk\": {\n \"S\": \"a\\n b\" } },\r\n {\"pk\":{\"S\":\"b\"}}\n]";
    let (items, _) = read(pretty, BLOCK_BYTES).expect("items");
    let places: Vec<_> = items.iter().map(|item| (item.line, item.offset)).collect();
    assert_eq!(
        places,
        [
            (2, 4),
            (
                5,
                u64::try_from(pretty.find("{\"pk\"").expect("there")).expect("small")
            )
        ]
    );

    assert_eq!(
        texts(&items),
        [r#"{"pk":{"S":"a\n b"}}"#, r#"{"pk":{"S":"b"}}"#]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn damage_is_named_with_line_and_byte() {
    for (text, message) in [
        (
            format!("{{\"Items\":[\n{A},\n"),
            format!("line 3, byte {}: unexpected end of text", A.len() + 13),
        ),
        (
            format!("{{\"Items\":[\n{A}\n]"),
            format!("line 3, byte {}: unexpected end of text", A.len() + 13),
        ),
        (
            format!("{A}\n{{\"pk\":{{\"S\""),
            format!("line 2, byte {}: unexpected end of text", A.len() + 11),
        ),
        (
            format!("{A}\n5"),
            format!(
                "line 2, byte {}: expected an item, which is an object",
                A.len() + 1
            ),
        ),
        (
            format!("{A},\n{B}"),
            format!(
                "line 1, byte {}: expected an item, which is an object",
                A.len()
            ),
        ),
        (
            format!("[{A}{B}]"),
            format!(
                "line 1, byte {}: expected a comma or a closing bracket between items",
                A.len() + 1
            ),
        ),
        (
            format!("[{A},]"),
            format!(
                "line 1, byte {}: expected an item, which is an object",
                A.len() + 2
            ),
        ),
        (
            format!("[{A}] x"),
            format!(
                "line 1, byte {}: expected an array of items or the end of the file",
                A.len() + 3
            ),
        ),
        (
            format!("{{\"Item\":{A}}}\n{A}"),
            format!(
                "line 2, byte {}: expected {{\"Item\":{{…}}}}, as on the first line",
                A.len() + 11
            ),
        ),
        (
            "[5]".to_owned(),
            "line 1, byte 1: expected an item, which is an object".to_owned(),
        ),
        (
            "pk,sk\n1,2".to_owned(),
            "line 1, byte 0: neither an object nor an array: not a file of items".to_owned(),
        ),
        (
            "{\"Items\":[],\"Items\":[]}".to_owned(),
            "line 1, byte 20: Items occurs twice in one document".to_owned(),
        ),
        (
            format!("{A}\n{{\"a\":[}}}}"),
            format!("line 2, byte {}: mismatched bracket", A.len() + 7),
        ),
        (
            "{\"pk\":{\"S\":\"a\nb\"}}".to_owned(),
            "line 1, byte 0: the first item is not JSON: byte 12: a control character in a string"
                .to_owned(),
        ),
    ] {
        let error = failure(&text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}

#[test]
fn plain_json_is_named_as_such() {
    for text in [
        r#"{"id": 5}"#,
        r#"[{"id": 5}]"#,
        r#"{"id": {"first": "x"}}"#,
        r#"{"Items":[{"id": "x"}]}"#,
        r#"{"Table":{"TableName":"x","KeySchema":[]}}"#,
        r#"{"TableNames":["a"]}"#,
        r#"{"Item":{"id":5}}"#,
    ] {
        let error = failure(text);
        assert!(
            error.to_string().contains("type tags are missing"),
            "{text}: {error}"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("DynamoDB JSON")),
            "{text}"
        );
    }
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut reader = ItemReader::new(&b"[5]"[..]);
    assert!(reader.next_item().is_err());
    assert!(reader.next_item().is_err());
}

#[test]
fn hostile_nesting_and_endless_items_are_refused() {
    for text in [
        "{\"a\":".repeat(3_000_000),
        "[".repeat(3_000_000),
        format!("{A}\n{}", "{\"a\":[".repeat(3_000_000)),
    ] {
        assert_eq!(failure(&text).kind(), ErrorKind::Damaged);
    }

    let endless = io::Cursor::new(b"{\"pk\":{\"S\":\"".to_vec()).chain(io::repeat(b'x'));
    let error = ItemReader::new(endless).next_item().expect_err("too long");
    assert!(error.to_string().contains("more than 16 MiB"), "{error}");
}

#[test]
fn failures_of_the_source_keep_their_cause() {
    struct Broken(io::ErrorKind);

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(self.0, "the cause"))
        }
    }

    for (kind, expected) in [
        (io::ErrorKind::InvalidData, ErrorKind::Damaged),
        (io::ErrorKind::UnexpectedEof, ErrorKind::Damaged),
        (io::ErrorKind::PermissionDenied, ErrorKind::Failed),
    ] {
        let error = ItemReader::new(format!("{A}\n").as_bytes().chain(Broken(kind)))
            .next_item()
            .expect_err("broken");
        assert_eq!(error.kind(), expected);
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("the cause")
        );
    }
}

proptest! {
    #[test]
    fn any_container_any_spelling_any_block(
        items in proptest::collection::vec(item(), 1..5), container in 0..5, style in 0..3, seed in any::<u64>(),
        block in 1usize..90, end in any::<proptest::sample::Index>(),
    ) {
        let style = [Style::Compact, Style::Pretty, Style::Random(seed)][usize::try_from(style).expect("small")];
        let rendered: Vec<String> = items.iter().map(|item| render(item, style)).collect();
        let text = match container {
            0 => rendered.join("\n"),
            1 => format!("[{}]", rendered.join(" ,\r\n")),
            2 => format!("{{\"Item\":{}}}", rendered.join("}
{\"Item\":")),
            3 => format!("{{\"Items\":[\n{}\n],\"Count\":1,\"ScannedCount\":1}}\n", rendered.join(",\n")),
            _ => format!("{{\"Count\":1,\"Items\": [{}]}}", rendered.join("], \"ConsumedCapacity\": null}{\"Items\":[")),
        };
        let (whole, summary) = read(&text, BLOCK_BYTES).expect("items");
        prop_assert_eq!(whole.len(), items.len());
        for (found, rendered) in whole.iter().zip(&rendered) {
            let broken = has_line_breaks(rendered.as_bytes());
            let expected = if broken { compact(rendered.as_bytes()) } else { rendered.clone().into_bytes() };
            prop_assert_eq!(&found.text[..], &expected[..]);
            prop_assert_eq!(item_digest(&found.text), item_digest(rendered.as_bytes()));
            let offset = usize::try_from(found.offset).expect("small");
            prop_assert!(text[offset..].starts_with(rendered.as_str()));
            prop_assert_eq!(found.line, 1 + text[..offset].matches('\n').count() as u64);
        }
        let (pieces, pieces_summary) = read(&text, block).expect("items");
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(summary, pieces_summary);
        for block in [BLOCK_BYTES, block] {
            prop_assert_eq!(&recognise(&text, block).expect("items"), &(whole.clone(), summary));
        }
        // The block of a dropped item is reused.
        let mut reader = ItemReader::with_blocks(text.as_bytes(), block);
        for item in &whole {
            let next = reader.next_item().expect("an item");
            prop_assert_eq!(next.as_ref(), Some(item));
        }
        if container == 1 || container == 3 {
            let cuts: Vec<usize> = text.trim_end().char_indices().map(|(at, _)| at).filter(|at| *at > 0).collect();
            prop_assert!(read(&text[..*end.get(&cuts)], BLOCK_BYTES).is_err());
        }
    }

    #[test]
    fn never_panics_and_blocks_make_no_difference(
        text in "(\\{\"(Items|Item|Count|a|M)\":|\\{\"S\":\"x\"\\}|[{}\\[\\],:\"\\\\5 \n]|null){0,20}", bytes in any::<Vec<u8>>(),
        block in 1usize..9,
    ) {
        let outcome = |block| read(&text, block).map_err(|error| error.to_string());
        prop_assert_eq!(outcome(BLOCK_BYTES), outcome(block));
        for block in [BLOCK_BYTES, block] {
            let recognised = recognise(&text, block).map_err(|error| error.to_string());
            prop_assert_eq!(recognised, outcome(BLOCK_BYTES));
        }
        let mut reader = ItemReader::with_blocks(&bytes[..], block);
        while let Ok(Some(_)) = reader.next_item() {}
    }
}
