use super::*;
use proptest::prelude::*;

fn accepts(text: &[u8]) -> bool {
    Lexer::new(text)
        .and_then(|mut lexer| lexer.skip().and_then(|()| lexer.finish()))
        .is_ok()
}

#[test]
fn half_a_surrogate_pair_equals_nothing_else() {
    let bytes = |json: &str| {
        let mut out = Vec::new();
        Lexer::new(json.as_bytes())
            .and_then(|mut lexer| lexer.string())
            .expect("a string")
            .unescape(&mut out);
        out
    };

    assert_eq!(bytes(r#""\ud83d\ude00""#), "😀".as_bytes());
    assert_eq!(bytes(r#""\ude00""#), [0xed, 0xb8, 0x80]);
    assert_eq!(bytes(r#""\ud83d\u0041""#), [0xed, 0xa0, 0xbd, b'A']);
    assert_eq!(
        bytes(r#""\ud83d\ud83d\ude00""#),
        [&[0xed, 0xa0, 0xbd], "😀".as_bytes()].concat()
    );
    assert_eq!(bytes(r#""\ud83d""#), [0xed, 0xa0, 0xbd]);
}

proptest! {
    #[test]
    fn takes_what_serde_json_takes(text in "[\\[\\]{}:,\"a\\\\u0-2\\.eE+\\- \n\u{1}]{0,12}|\"(\\\\[\"/bfnrtux]|[0-9a-f]{4}|é){0,8}\"") {
        // Except for lone surrogates, which this lexer accepts.
        let surrogate = text.to_ascii_lowercase().contains("\\ud");
        prop_assume!(!surrogate);
        prop_assert_eq!(accepts(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn unescapes_as_serde_json_does(text in any::<String>(), ascii in any::<bool>()) {
        let mut json = serde_json::to_string(&text).expect("a string");
        if ascii {
            let escaped: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            json = format!("\"{}\"", escaped.concat());
        }
        let said = Lexer::new(json.as_bytes()).and_then(|mut lexer| lexer.string()).expect("a string");
        prop_assert_eq!(said.text().expect("no half pairs"), text);
    }

    #[test]
    fn never_panics(bytes in any::<Vec<u8>>()) {
        let _ = accepts(&bytes);
    }
}
