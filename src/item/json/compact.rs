//! Removes the whitespace between the tokens of a JSON text, so that a value fits on one line.

/// `json` without the whitespace outside its strings. Strings keep every byte. Text that is not JSON stays invalid: two tokens
/// that only whitespace separates, such as `1 2`, keep one space between them.
#[must_use]
pub fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    compact_into(json, &mut out);
    out
}

/// Like [`compact`], appending to `out`.
pub(crate) fn compact_into(json: &[u8], out: &mut Vec<u8>) {
    let mut is_in_string = false;
    let mut is_escaped = false;
    let mut skipped_whitespace = false;
    for &byte in json {
        if !is_in_string && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            skipped_whitespace = true;
            continue;
        }

        if skipped_whitespace
            && is_part_of_token(byte)
            && out.last().copied().is_some_and(is_part_of_token)
        {
            out.push(b' ');
        }

        skipped_whitespace = false;

        if byte == b'"' && !is_escaped {
            is_in_string = !is_in_string;
        }

        // A backslash that is itself escaped does not escape the next byte.
        is_escaped = byte == b'\\' && !is_escaped;
        out.push(byte);
    }
}

/// Whether `byte` may continue the token before it if nothing separates the two: anything but JSON's punctuation. Valid JSON
/// never has two such bytes around whitespace.
fn is_part_of_token(byte: u8) -> bool {
    !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',')
}

/// Whether `text` holds a line feed or carriage return.
#[must_use]
pub fn has_line_breaks(text: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_blanks_and_escapes() {
        let pretty = "{ \"a b\\\" \" :\r\n\t{ \"S\" : \" \\\\\" } }";
        assert_eq!(compact(pretty.as_bytes()), br#"{"a b\" ":{"S":" \\"}}"#);
    }

    #[test]
    fn compaction_never_repairs_invalid_json() {
        for invalid in [
            "{\"x\":tru\ne}",
            "[1 2]",
            "[- 1]",
            "[1\r\n.5]",
            "[\"a\" \"b\"]",
            "[1 \"b\"]",
            "[\\ \"]",
        ] {
            let compacted = compact(invalid.as_bytes());
            assert!(
                serde_json::from_slice::<serde_json::Value>(&compacted).is_err(),
                "{invalid}"
            );
        }
    }
}
