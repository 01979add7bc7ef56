//! A strict pull lexer for the JSON of one item; all typed access to items uses it.
//!
//! Own code rather than `serde_json`, because it hands out borrowed strings in any number of passes, keeps lone surrogates (an
//! item may hold them and must still get a digest), names the attribute in errors, and allocates nothing.

use super::blocks::string_end;
use super::scanner::MAX_JSON_DEPTH;
use crate::item::error::{ItemError, ItemErrorKind};
use crate::item::type_tag::TypeTag;
use std::borrow::Cow;

/// A validated JSON string in the item's text, still escaped, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonString<'a> {
    raw: &'a str,
    escaped: bool,
    at: usize,
}

/// A position in the text of an item. Copy it to return to that position later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// No byte below 0x20 in the whole text, so that strings need not be searched for them.
    printable: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Result<Self, ItemError> {
        // Checked once per item, instead of once per string.
        let printable = text
            .iter()
            .fold(0, |found, byte| found | u8::from(*byte < b' '))
            == 0;
        let text = std::str::from_utf8(text)
            .map_err(|error| ItemError::syntax("not UTF-8", error.valid_up_to()))?;
        Ok(Self {
            text,
            at: 0,
            depth: 0,
            printable,
        })
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The text from `from` up to here.
    pub(crate) fn since(&self, from: usize) -> &'a str {
        &self.text[from..self.at]
    }

    /// The next byte that is not whitespace; 0 at the end.
    #[inline]
    pub(crate) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(byte) => return *byte,
                None => return 0,
            }
        }
    }

    #[inline]
    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), ItemError> {
        if self.peek() != byte {
            return Err(ItemError::syntax(what, self.at));
        }

        self.at += 1;
        Ok(())
    }

    /// Checks that only whitespace is left.
    pub(crate) fn finish(&mut self) -> Result<(), ItemError> {
        match self.peek() {
            // `peek` also returns 0 for a NUL byte in the text.
            0 if self.at == self.text.len() => Ok(()),
            _ => Err(ItemError::syntax("unexpected text after the item", self.at)),
        }
    }

    /// Calls `each` with the name of every member of an object; `each` must consume the value.
    #[inline]
    pub(crate) fn members<F>(&mut self, mut each: F) -> Result<(), ItemError>
    where
        F: FnMut(&mut Self, JsonString<'a>) -> Result<(), ItemError>,
    {
        self.items(b'{', b'}', "expected an object", |lexer| {
            let name = lexer.name()?;
            each(lexer, name)
        })
    }

    /// Consumes a member's name and the colon after it.
    #[inline]
    fn name(&mut self) -> Result<JsonString<'a>, ItemError> {
        let name = self.string()?;
        self.take(b':', "expected a colon")?;
        Ok(name)
    }

    /// Consumes an opening bracket; the caller has seen it.
    #[inline]
    fn open(&mut self) -> Result<(), ItemError> {
        if self.depth == MAX_JSON_DEPTH {
            return Err(ItemError::new(ItemErrorKind::TooDeep, self.at + 1));
        }

        self.at += 1;
        self.depth += 1;

        Ok(())
    }

    #[inline]
    fn close(&mut self, bracket: u8) -> Result<(), ItemError> {
        self.depth -= 1;
        self.take(bracket, "expected a comma or a closing bracket")
    }

    /// Calls `each` for every element of an array; `each` must consume the element.
    #[inline]
    pub(crate) fn elements<F>(&mut self, each: F) -> Result<(), ItemError>
    where
        F: FnMut(&mut Self) -> Result<(), ItemError>,
    {
        self.items(b'[', b']', "expected an array", each)
    }

    #[inline]
    fn items<F>(
        &mut self,
        open: u8,
        close: u8,
        what: &'static str,
        mut each: F,
    ) -> Result<(), ItemError>
    where
        F: FnMut(&mut Self) -> Result<(), ItemError>,
    {
        if self.peek() != open {
            return Err(ItemError::syntax(what, self.at));
        }

        self.open()?;
        if self.peek() != close {
            each(self)?;
            while self.peek() == b',' {
                self.at += 1;
                each(self)?;
            }
        }

        self.close(close)
    }

    /// An attribute value: an object with exactly one member, named by its type tag. `each` must consume the tag's value.
    #[inline]
    pub(crate) fn tagged<T, F>(&mut self, each: F) -> Result<T, ItemError>
    where
        F: FnOnce(&mut Self, JsonString<'a>) -> Result<T, ItemError>,
    {
        let not_typed = |at| ItemError::new(ItemErrorKind::NotTyped, at);
        if self.peek() != b'{' {
            return Err(not_typed(self.at));
        }

        let start = self.at;
        self.open()?;

        if self.peek() == b'}' {
            return Err(not_typed(start));
        }

        let tag = self.name()?;
        let result = each(self, tag)?;
        // A second member. Its name is read first, because a syntax error takes precedence.
        if self.peek() == b',' {
            self.at += 1;
            self.name()?;
            return Err(not_typed(start));
        }

        self.close(b'}')?;

        Ok(result)
    }

    /// The string that is the value of `tag`.
    #[inline]
    pub(crate) fn string_value(&mut self, tag: TypeTag) -> Result<JsonString<'a>, ItemError> {
        self.begins(tag)?;
        self.string()
    }

    /// The boolean that is the value of `tag`.
    pub(crate) fn bool_value(&mut self, tag: TypeTag) -> Result<bool, ItemError> {
        self.begins(tag)?;
        let value = self.peek() == b't';
        self.word(if value { "true" } else { "false" })?;

        Ok(value)
    }

    /// Checks that the first byte of the next value fits `tag`.
    #[inline]
    pub(crate) fn begins(&mut self, tag: TypeTag) -> Result<(), ItemError> {
        if tag.begins_with(self.peek()) {
            return Ok(());
        }

        Err(ItemError::new(
            ItemErrorKind::WrongValue(tag.name()),
            self.at,
        ))
    }

    /// A string, with its escapes checked.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<JsonString<'a>, ItemError> {
        self.take(b'"', "expected a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = self
                .plain_end()
                .ok_or_else(|| ItemError::syntax("unterminated string", start - 1))?;
            if self.text.as_bytes()[self.at] == b'"' {
                break;
            }

            escaped = true;
            self.escape()?;
        }

        let raw = self.since(start);
        self.at += 1;

        if !self.printable && raw.bytes().any(|byte| byte < b' ') {
            return Err(ItemError::syntax("a control character in a string", start));
        }

        Ok(JsonString {
            raw,
            escaped,
            at: start,
        })
    }

    /// The next quote or backslash.
    #[inline]
    fn plain_end(&self) -> Option<usize> {
        string_end(&self.text.as_bytes()[self.at..]).map(|found| self.at + found)
    }

    /// Consumes the escape at the current position.
    fn escape(&mut self) -> Result<(), ItemError> {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let length = match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if rest.len() >= 5 && rest[1..5].iter().all(u8::is_ascii_hexdigit) => 6,
            _ => {
                return Err(ItemError::syntax("invalid escape sequence", self.at));
            }
        };

        self.at += length;

        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), ItemError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(ItemError::syntax("expected a value", self.at));
        }

        self.at += word.len();
        Ok(())
    }

    /// A JSON number: `-` digits, fraction, exponent; no leading zeros.
    pub(crate) fn number(&mut self) -> Result<&'a str, ItemError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            let first = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }

            if at == first {
                Err(ItemError::syntax("expected a digit", at))
            } else {
                Ok(at)
            }
        };

        let first = start + usize::from(bytes.get(start) == Some(&b'-'));
        // JSON has no leading zeros: after a first zero, the integer part ends.
        let mut at = if bytes.get(first) == Some(&b'0') {
            first + 1
        } else {
            digits(first)?
        };

        if bytes.get(at) == Some(&b'.') {
            at = digits(at + 1)?;
        }

        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at = digits(at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-'))))?;
        }

        self.at = at;

        Ok(self.since(start))
    }

    /// Consumes any JSON value.
    pub(crate) fn skip(&mut self) -> Result<(), ItemError> {
        match self.peek() {
            b'{' => self.members(|lexer, _| lexer.skip()),
            b'[' => self.elements(Self::skip),
            b'"' => self.string().map(drop),
            _ => self.scalar().map(drop),
        }
    }

    /// A number, `true`, `false` or `null`, verbatim.
    pub(crate) fn scalar(&mut self) -> Result<&'a str, ItemError> {
        let byte = self.peek();
        let start = self.at;
        match byte {
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return Err(ItemError::syntax("expected a value", self.at)),
        }

        Ok(self.since(start))
    }
}

impl<'a> JsonString<'a> {
    /// Its text between the quotes, escapes and all.
    pub(crate) fn raw(&self) -> &'a str {
        self.raw
    }

    /// Offset of the string in the text of the item.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// The unescaped text.
    pub(crate) fn text(&self) -> Result<Cow<'a, str>, ItemError> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.raw));
        }

        let mut out = Vec::with_capacity(self.raw.len());
        self.unescape(&mut out);
        String::from_utf8(out)
            .map(Cow::Owned)
            .map_err(|_| ItemError::new(ItemErrorKind::LoneSurrogate, self.at))
    }

    /// The string as a type tag.
    pub(crate) fn tag(&self) -> Option<TypeTag> {
        if self.escaped {
            self.text().ok().and_then(|text| TypeTag::parse(&text))
        } else {
            TypeTag::parse(self.raw)
        }
    }

    /// The unescaped text for messages; the raw text if it has a lone surrogate.
    pub(crate) fn lossy_text(&self) -> String {
        self.text()
            .map_or_else(|_| self.raw.to_owned(), Cow::into_owned)
    }

    /// Whether the unescaped text equals `name`.
    pub(crate) fn equals(&self, name: &str) -> bool {
        if self.escaped {
            self.text().is_ok_and(|text| text == name)
        } else {
            self.raw == name
        }
    }

    /// The bytes of a string without escapes.
    #[inline]
    pub(crate) fn plain(&self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw.as_bytes())
    }

    /// Appends the unescaped text in UTF-8. A lone surrogate becomes the three bytes that UTF-8 would have for it, which are
    /// not UTF-8, so that it equals no other text.
    pub(crate) fn unescape(&self, out: &mut Vec<u8>) {
        if !self.escaped {
            return out.extend_from_slice(self.raw.as_bytes());
        }

        let mut rest = self.raw.as_bytes();
        while let Some(found) = memchr::memchr(b'\\', rest) {
            out.extend_from_slice(&rest[..found]);
            rest = unescape_one(&rest[found + 1..], out);
        }

        out.extend_from_slice(rest);
    }
}

/// Decodes the escape whose letter is the first byte of `rest`; returns the bytes after it.
fn unescape_one<'r>(rest: &'r [u8], out: &mut Vec<u8>) -> &'r [u8] {
    let Some((letter, rest)) = rest.split_first() else {
        return rest;
    };

    match letter {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'u' => return unescape_unit(rest, out),
        other => out.push(*other),
    }

    rest
}

/// Decodes one `\uXXXX`, or a surrogate pair of two.
fn unescape_unit<'r>(rest: &'r [u8], out: &mut Vec<u8>) -> &'r [u8] {
    let (unit, after) = unit(rest);
    if (0xd800..0xdc00).contains(&unit) && after.starts_with(b"\\u") {
        let (low, after) = self::unit(&after[2..]);
        // Only a low surrogate completes the pair.
        if (0xdc00..0xe000).contains(&low) {
            push_code_point(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), out);
            return after;
        }
    }

    push_code_point(unit, out);

    after
}

fn unit(digits: &[u8]) -> (u32, &[u8]) {
    let (digits, after) = digits.split_at(digits.len().min(4));
    (
        digits.iter().fold(0, |unit, digit| {
            unit * 16 + char::from(*digit).to_digit(16).unwrap_or(0)
        }),
        after,
    )
}

fn push_code_point(code: u32, out: &mut Vec<u8>) {
    if let Some(character) = char::from_u32(code) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        // A lone surrogate, encoded in the three bytes of its code point.
        let low_six = |bits: u32| 0x80 | bits.to_le_bytes()[0] & 0x3f;
        out.extend_from_slice(&[0xed, low_six(code >> 6), low_six(code)]);
    }
}

#[cfg(test)]
mod tests;
