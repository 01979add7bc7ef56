//! Cursor over the members of JSON objects that skips values by structure; for large texts and hot paths.

use super::blocks::string_end;
use super::lexer::Lexer;
use super::scanner::{JsonScanError, JsonScanner, ScanStatus};
use std::ops::Range;

/// A position in a complete JSON text.
pub(crate) struct JsonCursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> JsonCursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// An error at the current position.
    pub(crate) fn error(&self, what: &'static str) -> JsonScanError {
        JsonScanError { at: self.at, what }
    }

    /// Skips whitespace and returns the next byte without consuming it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Consumes `byte`, which must be next. `what` describes the error otherwise.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8, what: &'static str) -> Result<(), JsonScanError> {
        if self.peek() != Some(byte) {
            return Err(self.error(if self.at == self.text.len() {
                "unexpected end of text"
            } else {
                what
            }));
        }

        self.at += 1;
        Ok(())
    }

    /// Moves to the value of the next member and returns the member's name with quotes and escapes; `None` after the closing
    /// brace. The cursor must be after the opening brace (`first`) or after the previous value.
    pub(crate) fn next_member(&mut self, first: bool) -> Result<Option<&'a [u8]>, JsonScanError> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(None);
            }
            Some(b',') if !first => self.at += 1,
            _ if !first => {
                return self
                    .take(b',', "expected a comma or a closing brace")
                    .map(|()| None);
            }
            _ => {}
        }

        let name = self.name()?;
        self.take(b':', "expected a colon")?;
        self.peek();

        Ok(Some(name))
    }

    /// Consumes a name; returns it with its quotes.
    fn name(&mut self) -> Result<&'a [u8], JsonScanError> {
        self.take(b'"', "expected a name in quotes")?;
        let start = self.at;
        let mut end = start;
        loop {
            let found = self.text.get(end..).and_then(string_end);
            end += found.ok_or(JsonScanError {
                at: start,
                what: "unterminated name",
            })?;
            if self.text[end] == b'"' {
                break;
            }

            // Skip the backslash and the byte that it escapes.
            end += 2;
        }

        self.at = end + 1;

        Ok(&self.text[start - 1..self.at])
    }

    /// Skips the value at the cursor and returns its range.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<Range<usize>, JsonScanError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        match JsonScanner::new()
            .feed(rest)
            .map_err(|error| JsonScanError {
                at: start + error.at,
                ..error
            })? {
            ScanStatus::Complete(length) => self.at += length,
            ScanStatus::Incomplete => {
                return Err(JsonScanError {
                    at: self.text.len(),
                    what: "unexpected end of text",
                });
            }
        }

        Ok(start..self.at)
    }

    /// Like [`Self::skip_value`], optimized for attribute values, most of which are short strings.
    #[inline]
    pub(crate) fn skip_attribute(&mut self) -> Result<Range<usize>, JsonScanError> {
        let start = self.at;
        // Other values, and strings with escapes, need the scanner.
        let Some(length) = self.text.get(start..).and_then(scalar_end) else {
            return self.skip_value();
        };

        self.at += length;

        Ok(start..self.at)
    }

    /// Advances by `length` bytes.
    pub(crate) fn skip(&mut self, length: usize) {
        self.at += length;
    }

    /// Checks that only whitespace is left.
    pub(crate) fn finish(&mut self) -> Result<(), JsonScanError> {
        if self.peek().is_some() {
            Err(self.error("unexpected text after the document"))
        } else {
            Ok(())
        }
    }
}

/// Returns the length of the string, number or binary value at the beginning of `text` if it is compact, as DynamoDB writes it,
/// and has no escapes.
fn scalar_end(text: &[u8]) -> Option<usize> {
    let (head, string) = text.split_first_chunk::<6>()?;
    let (b"{\"S\":\"" | b"{\"N\":\"" | b"{\"B\":\"") = head else {
        return None;
    };

    let end = string_end(string)?;

    string[end..].starts_with(b"\"}").then_some(6 + end + 2)
}

/// Whether `quoted`, a name with its quotes and escapes, equals `name` once unescaped.
pub(crate) fn name_equals(quoted: &[u8], name: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    if inner.len() <= name.len() {
        return inner == name.as_bytes();
    }

    // Only escapes make the quoted form longer than the name.
    memchr::memchr(b'\\', inner).is_some()
        && Lexer::new(quoted)
            .and_then(|mut lexer| lexer.string())
            .is_ok_and(|string| string.equals(name))
}
