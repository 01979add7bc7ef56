//! Takes the whitespace between the tokens of a JSON text away, so that a value fits on one line.

/// `json` without the whitespace outside its strings; not a byte of a string changes. A text that is not JSON comes out
/// shortened, too, but as wrong as it was.
#[must_use]
pub fn compact(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    compact_into(json, &mut out);
    out
}

/// Like [`compact`], appending to `out`.
pub(super) fn compact_into(json: &[u8], out: &mut Vec<u8>) {
    let mut quoted = false;
    let mut escaped = false;
    for &byte in json {
        if !quoted && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        }
        if byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = byte == b'\\' && !escaped;
        out.push(byte);
    }
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
}
