//! Walks over the members of JSON objects and skips their values by structure alone; for large texts and hot paths.

use super::blocks::string_end;
use super::lexer::Lexer;
use super::scanner::{ScanError, Scanner, Step};
use std::ops::Range;

/// A position in a whole JSON text.
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    pub(crate) fn fault(&self, what: &'static str) -> ScanError {
        ScanError { at: self.at, what }
    }

    /// The next byte that is not whitespace.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Goes behind `byte`, which must come next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8, what: &'static str) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(self.fault(if self.at == self.text.len() {
                "the text ends too early"
            } else {
                what
            }));
        }

        self.at += 1;
        Ok(())
    }

    /// Goes to the value of the next member, behind the opening brace (`first`) or the value before; its name with quotes and
    /// escapes. `None` behind the closing brace.
    pub(crate) fn next_member(&mut self, first: bool) -> Result<Option<&'a [u8]>, ScanError> {
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

    fn name(&mut self) -> Result<&'a [u8], ScanError> {
        self.take(b'"', "expected a name in quotes")?;
        let start = self.at;
        let mut end = start;
        loop {
            let found = self.text.get(end..).and_then(string_end);
            end += found.ok_or(ScanError {
                at: start,
                what: "a name that does not end",
            })?;
            if self.text[end] == b'"' {
                break;
            }

            end += 2;
        }

        self.at = end + 1;

        Ok(&self.text[start - 1..self.at])
    }

    /// Goes behind the value that begins here; where it stands.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<Range<usize>, ScanError> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        match Scanner::new().feed(rest).map_err(|error| ScanError {
            at: start + error.at,
            ..error
        })? {
            Step::Done(length) => self.at += length,
            Step::More => {
                return Err(ScanError {
                    at: self.text.len(),
                    what: "the text ends too early",
                });
            }
        }

        Ok(start..self.at)
    }

    /// The same for the value of an attribute, which is a short string more often than not.
    #[inline]
    pub(crate) fn skip_attribute(&mut self) -> Result<Range<usize>, ScanError> {
        let start = self.at;
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

    /// Nothing but whitespace is left.
    pub(crate) fn finish(&mut self) -> Result<(), ScanError> {
        if self.peek().is_some() {
            Err(self.fault("more text behind the document"))
        } else {
            Ok(())
        }
    }
}

/// The length of the string, number or binary that stands at the beginning of `text`, if it is written as DynamoDB writes it and
/// nothing in it is escaped.
fn scalar_end(text: &[u8]) -> Option<usize> {
    let (head, string) = text.split_first_chunk::<6>()?;
    let (b"{\"S\":\"" | b"{\"N\":\"" | b"{\"B\":\"") = head else {
        return None;
    };

    let end = string_end(string)?;

    string[end..].starts_with(b"\"}").then_some(6 + end + 2)
}

/// Whether `quoted`, a name with its quotes and escapes, says `name`.
pub(crate) fn says(quoted: &[u8], name: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    if inner.len() <= name.len() {
        return inner == name.as_bytes();
    }

    // Only escapes make a name longer than what it says.
    memchr::memchr(b'\\', inner).is_some()
        && Lexer::new(quoted)
            .and_then(|mut lexer| lexer.string())
            .is_ok_and(|said| said.says(name))
}
