//! Finds the end of a JSON value by its structure, without parsing its contents.
//!
//! A state machine over brackets and strings: it can stop at any byte and continue in the next buffer, so that a value may lie
//! across any number of reads. It holds one bit per open bracket and no recursion, up to [`MAX_JSON_DEPTH`] levels; brackets that do not
//! match are refused. It checks structure only: the lexer checks what is between the brackets.
//!
//! Containers are read in blocks of 64 bytes (see `blocks`), since the short strings of DynamoDB JSON make a search for the
//! next quote slower than looking at every byte.

use super::blocks::{BLOCK, BlockMasks, block_masks};
use std::fmt;

/// Levels of brackets that are followed. The deepest item that DynamoDB takes needs some 70 (each of its 32 levels is two
/// brackets deep); more than this is an attack or another kind of file.
pub const MAX_JSON_DEPTH: usize = 512;

/// Result of [`JsonScanner::feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanStatus {
    /// The value ends before this index of the bytes just fed.
    Complete(usize),
    /// The value continues after the bytes just fed.
    Incomplete,
}

/// Why a text cannot be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonScanError {
    /// Index into the bytes just fed.
    pub at: usize,
    /// Description of the error, as a lowercase fragment.
    pub what: &'static str,
}

impl fmt::Display for JsonScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for JsonScanError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    Start,
    Container,
    Text,
    Scalar,
}

/// Incremental scanner for the end of one JSON value. Feed it the bytes from the value's first byte on; do not reuse it after [`ScanStatus::Complete`].
#[derive(Debug, Clone)]
pub struct JsonScanner {
    state: ScanState,
    depth: usize,
    /// One bit per open bracket, set for a brace; the innermost is the lowest.
    braces: u64,
    /// The bits of the outer brackets, 64 levels each.
    outer: [u64; MAX_JSON_DEPTH / 64 - 1],
    /// All ones while inside a string.
    quoted: u64,
    /// The next byte is escaped by a backslash.
    escaped: bool,
}

impl Default for JsonScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonScanner {
    /// A scanner before the first byte of a value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: ScanState::Start,
            depth: 0,
            braces: 0,
            outer: [0; MAX_JSON_DEPTH / 64 - 1],
            quoted: 0,
            escaped: false,
        }
    }

    /// Scans the next bytes. A number or word ends before the first byte that cannot belong to it, so its end is recognized only
    /// with the byte after it.
    ///
    /// # Errors
    /// Brackets that do not match, more than [`MAX_JSON_DEPTH`] levels, or a first byte that begins no value.
    #[inline]
    pub fn feed(&mut self, bytes: &[u8]) -> Result<ScanStatus, JsonScanError> {
        match self.state {
            ScanState::Start => self.start(bytes),
            ScanState::Container => self.container(bytes),
            ScanState::Text => Ok(self.text(bytes, 0)),
            ScanState::Scalar => Ok(scalar(bytes)),
        }
    }

    fn start(&mut self, bytes: &[u8]) -> Result<ScanStatus, JsonScanError> {
        match bytes.first() {
            None => Ok(ScanStatus::Incomplete),
            Some(b'{' | b'[') => {
                self.state = ScanState::Container;
                self.container(bytes)
            }
            Some(b'"') => {
                self.state = ScanState::Text;
                Ok(self.text(bytes, 1))
            }
            Some(b'a'..=b'z' | b'0'..=b'9' | b'-') => {
                self.state = ScanState::Scalar;
                Ok(scalar(bytes))
            }
            Some(_) => Err(JsonScanError {
                at: 0,
                what: "not a JSON value",
            }),
        }
    }

    fn container(&mut self, bytes: &[u8]) -> Result<ScanStatus, JsonScanError> {
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(step) = self.block(block, BLOCK, index * BLOCK)? {
                return Ok(step);
            }
        }

        if !tail.is_empty() {
            // Spaces have no meaning for the structure, so they can pad the last block.
            let mut padded = [b' '; BLOCK];
            padded[..tail.len()].copy_from_slice(tail);
            if let Some(step) = self.block(&padded, tail.len(), blocks.len() * BLOCK)? {
                return Ok(step);
            }
        }

        Ok(ScanStatus::Incomplete)
    }

    /// One block, of which `length` bytes are real; `base` is its index in the bytes fed.
    #[inline]
    fn block(
        &mut self,
        block: &[u8; BLOCK],
        length: usize,
        base: usize,
    ) -> Result<Option<ScanStatus>, JsonScanError> {
        let BlockMasks {
            mut quotes,
            backslashes,
            brackets,
        } = block_masks(block);

        if backslashes != 0 || self.escaped {
            quotes &= !self.escapes(backslashes, length);
        }

        // A block that begins in a string has all bits inverted.
        let strings = running_parity(quotes) ^ self.quoted;
        let stray = backslashes & !strings;
        // The last bit, copied to all others for the next block.
        self.quoted = 0u64.wrapping_sub(strings >> 63);

        // Errors after the end of the value belong to another value.
        let before_stray = (stray & stray.wrapping_neg()).wrapping_sub(1);
        let end = self.brackets(block, brackets & !strings & before_stray, base)?;
        if end.is_none() && stray != 0 {
            return Err(JsonScanError {
                at: base + first_bit(stray),
                what: "a backslash outside a string",
            });
        }

        Ok(end)
    }

    /// Follows the brackets of one block. Works on copies: through `self`, each bracket would wait for the one before.
    #[inline]
    fn brackets(
        &mut self,
        block: &[u8; BLOCK],
        mut brackets: u64,
        base: usize,
    ) -> Result<Option<ScanStatus>, JsonScanError> {
        let (mut braces, mut depth) = (self.braces, self.depth);
        while brackets != 0 {
            let at = first_bit(brackets);
            // Clears the lowest bit.
            brackets &= brackets - 1;
            // Bit 5 is set in braces and clear in square brackets.
            let brace = u64::from(block[at] >> 5 & 1);
            if matches!(block[at], b'{' | b'[') {
                // 64 levels fill the word; store it until these levels are closed.
                if depth % 64 == 0 && depth != 0 {
                    let full = self.outer.get_mut(depth / 64 - 1);
                    *full.ok_or(JsonScanError {
                        at: base + at,
                        what: "nested more than 512 levels deep",
                    })? = braces;
                }

                braces = braces << 1 | brace;
                depth += 1;
                continue;
            }

            if braces & 1 != brace || depth == 0 {
                return Err(JsonScanError {
                    at: base + at,
                    what: "mismatched bracket",
                });
            }

            braces >>= 1;
            depth -= 1;

            if depth % 64 == 0 {
                if depth == 0 {
                    return Ok(Some(ScanStatus::Complete(base + at + 1)));
                }

                braces = self.outer[depth / 64 - 1];
            }
        }

        (self.braces, self.depth) = (braces, depth);

        Ok(None)
    }

    /// The bytes that a backslash before them escapes: only every other backslash of a run escapes. A run is found by adding a
    /// bit to its beginning, which carries to its end (as simdjson does, <https://arxiv.org/abs/1902.08318>, section 3.1.1).
    #[inline]
    fn escapes(&mut self, backslashes: u64, length: usize) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;

        let first = u64::from(self.escaped);
        let backslashes = backslashes & !first;
        let behind = backslashes << 1 | first;
        let (runs, carried) = (backslashes & !EVEN & !behind).overflowing_add(backslashes);
        let escaped = (EVEN ^ runs << 1) & behind;
        self.escaped = if length == BLOCK {
            carried
        } else {
            escaped >> length & 1 != 0
        };

        escaped
    }

    fn text(&mut self, bytes: &[u8], mut at: usize) -> ScanStatus {
        // The bytes before ended with a backslash.
        if self.escaped && !bytes.is_empty() {
            self.escaped = false;
            at += 1;
        }

        loop {
            let Some(found) = bytes
                .get(at..)
                .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
            else {
                return ScanStatus::Incomplete;
            };

            at += found + 1;
            if bytes[at - 1] == b'"' {
                return ScanStatus::Complete(at);
            }

            if at == bytes.len() {
                self.escaped = true;
                return ScanStatus::Incomplete;
            }

            at += 1;
        }
    }
}

fn scalar(bytes: &[u8]) -> ScanStatus {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match bytes.iter().position(|byte| !belongs(byte)) {
        Some(end) => ScanStatus::Complete(end),
        None => ScanStatus::Incomplete,
    }
}

/// Each bit is the parity of the bits up to and including it: set from an opening quote to before the closing one.
#[inline]
fn running_parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }

    bits
}

#[inline]
fn first_bit(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end(text: &str) -> Result<ScanStatus, JsonScanError> {
        JsonScanner::new().feed(text.as_bytes())
    }

    #[test]
    fn ends_after_the_closing_bracket_or_quote() {
        for (value, behind) in [
            (r#"{"a":"}"}"#, ",{}"),
            ("[]", "]"),
            (r#""a\"b""#, r#","c""#),
            (r#"{"a\\":"\\\"}"}"#, "}"),
            ("-1.5e+7", "}"),
            ("null", "\n"),
            ("{}", "\\]"),
        ] {
            assert_eq!(
                end(&format!("{value}{behind}")),
                Ok(ScanStatus::Complete(value.len())),
                "{value}"
            );
        }
    }

    #[test]
    fn an_open_value_wants_more() {
        for text in ["", "{", r#"{"a"#, r#"{"a\"}"#, r#""a\"#, "12"] {
            assert_eq!(end(text), Ok(ScanStatus::Incomplete), "{text}");
        }
    }

    #[test]
    fn refuses_what_cannot_be_json() {
        for (text, at) in [
            ("{]", 1),
            ("[}", 1),
            (r#"{\"a"}"#, 1),
            ("}", 0),
            (",", 0),
            (" {}", 0),
            ("[{]}", 2),
        ] {
            assert_eq!(end(text).map_err(|error| error.at), Err(at), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(
            end(&nested(MAX_JSON_DEPTH)),
            Ok(ScanStatus::Complete(2 * MAX_JSON_DEPTH))
        );
        assert_eq!(
            end(&nested(MAX_JSON_DEPTH + 1)).map_err(|error| error.at),
            Err(MAX_JSON_DEPTH)
        );
        assert!(end(&"[".repeat(5_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn may_stop_at_any_byte(
            text in "[{\\[](\"([a{}\\[\\]]|\\\\\\\\|\\\\\"){0,90}\"|[{}\\[\\]:,]){0,60}", cut in 1usize..40
        ) {
            let whole = JsonScanner::new().feed(text.as_bytes());
            let mut scanner = JsonScanner::new();
            let mut pieces = Ok(ScanStatus::Incomplete);
            for (index, piece) in text.as_bytes().chunks(cut).enumerate() {
                let base = index * cut;
                pieces = match scanner.feed(piece) {
                    Ok(ScanStatus::Incomplete) => continue,
                    Ok(ScanStatus::Complete(end)) => Ok(ScanStatus::Complete(base + end)),
                    Err(error) => Err(JsonScanError { at: base + error.at, ..error }),
                };
                break;
            }
            prop_assert_eq!(whole, pieces);
        }

        #[test]
        fn never_panics(bytes in any::<Vec<u8>>()) {
            let _ = JsonScanner::new().feed(&bytes);
        }
    }
}
