//! Validates items in DynamoDB's own compact form, several times faster than the lexer does.
//!
//! It is incomplete on purpose: no whitespace between tokens, no unknown types, no escapes outside string values. What it accepts
//! is a valid item; all other text goes to the lexer, which decides and produces the error. So the only harmful bug is to accept
//! too much; the property test below looks for that.
//!
//! Names are compared by their 64-bit hashes: equal hashes of different names send an item to the lexer, which compares the names.

use super::base64;
use super::json::blocks::string_end;
use super::number::Number;
use super::visit::MAX_NESTING;
use smallvec::SmallVec;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// Names of one map up to which each is compared with all others; above that they are sorted.
const FEW_NAMES: usize = 16;

/// Whether `item` certainly is one well-formed item.
pub(crate) fn is_certainly_valid(item: &[u8]) -> bool {
    valid_item_length(item) == Some(item.len())
}

/// Length of the item at the beginning of `text` if it is certainly well-formed and on one line. `None` means "unknown".
#[must_use]
pub(crate) fn valid_item_length(text: &[u8]) -> Option<usize> {
    read::<false>(text, &mut Vec::new(), |_, _| {})
}

/// The required form of a value's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Text,
    Number,
    Binary,
}

/// The text of a value, or of an element of a set: where it is, between its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScalarSpan {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) kind: ScalarKind,
}

/// [`valid_item_length`], which lists the texts of all values; `each` is called with the name of every attribute, without its quotes, and the
/// place of its value. The names have no escapes, and no two in one map are equal if the function returns a length.
pub(crate) fn valid_item_scalars<'a>(
    text: &'a [u8],
    scalars: &mut Vec<ScalarSpan>,
    each: impl FnMut(&'a [u8], Range<usize>),
) -> Option<usize> {
    read::<true>(text, scalars, each)
}

fn read<'a, const LISTS: bool>(
    text: &'a [u8],
    scalars: &mut Vec<ScalarSpan>,
    mut each: impl FnMut(&'a [u8], Range<usize>),
) -> Option<usize> {
    let mut reader = FastReader::<LISTS> {
        text,
        at: 0,
        names: SmallVec::new(),
        scalars,
    };

    reader.take(b'{')?;
    reader.members(|reader, name| {
        let start = reader.at;
        reader.value(0)?;
        each(name, start..reader.at);
        Some(())
    })?;

    is_plain_text(&text[..reader.at]).then_some(reader.at)
}

/// Whether it is UTF-8 without control characters.
#[inline]
pub(crate) fn is_plain_text(item: &[u8]) -> bool {
    // A plain loop, which the compiler turns into vector instructions.
    let (least, bits) = item.iter().fold((u8::MAX, 0), |(least, bits), byte| {
        (least.min(*byte), bits | byte)
    });
    least >= b' ' && (bits.is_ascii() || std::str::from_utf8(item).is_ok())
}

/// The index after the escape whose letter is at `at`.
#[inline]
pub(crate) fn escape_end(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = text.get(at + 1..)?.first_chunk::<4>()?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

/// Whether a text without escapes is a decimal number.
#[inline]
pub(crate) fn is_number(number: &[u8]) -> bool {
    let unsigned = number.strip_prefix(b"-").unwrap_or(number);
    let mut others = unsigned.iter().filter(|byte| !byte.is_ascii_digit());
    let is_plain = match (others.next(), others.next()) {
        (None, _) => !unsigned.is_empty(),
        (Some(b'.'), None) => unsigned.len() > 1,
        _ => false,
    };

    // Other spellings, such as exponents, need the full parser.
    is_plain || std::str::from_utf8(number).is_ok_and(|number| Number::parse(number).is_ok())
}

/// Whether a text without escapes is base64.
#[inline]
pub(crate) fn is_binary(text: &[u8]) -> bool {
    base64::decoded_length(text).is_some()
}

/// With `LISTS`, the texts of the values are listed.
struct FastReader<'a, 's, const LISTS: bool> {
    text: &'a [u8],
    at: usize,
    scalars: &'s mut Vec<ScalarSpan>,
    /// Hashes of the names in all maps that are open.
    names: SmallVec<[u64; 32]>,
}

impl<'a, const LISTS: bool> FastReader<'a, '_, LISTS> {
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// Consumes `text` if it is next.
    #[inline]
    fn take_all<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let next = self.text.get(self.at..)?.first_chunk::<N>()?;
        (next == text).then(|| self.at += N)
    }

    /// Reads members after the opening brace; `value` must consume the value of each.
    #[inline]
    fn members(&mut self, mut value: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        if self.text.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Some(());
        }

        let first = self.names.len();
        loop {
            self.take(b'"')?;
            let name = self.plain()?;
            self.names.push(xxh3_64(name));
            self.take(b':')?;
            value(self, name)?;

            match self.next()? {
                b',' => {}
                b'}' => return self.distinct(first),
                _ => return None,
            }
        }
    }

    /// Removes the names from `first` on; `None` if two of them are equal.
    #[inline]
    fn distinct(&mut self, first: usize) -> Option<()> {
        let names = &mut self.names[first..];
        // Comparing all pairs is faster than sorting for few names, and quadratic for many.
        let is_distinct = if names.len() <= FEW_NAMES {
            names
                .iter()
                .enumerate()
                .all(|(at, name)| !names[..at].contains(name))
        } else {
            names.sort_unstable();
            names.windows(2).all(|pair| pair[0] != pair[1])
        };

        self.names.truncate(first);

        is_distinct.then_some(())
    }

    fn map(&mut self, level: usize) -> Option<()> {
        self.members(|reader, _| reader.value(level))
    }

    fn value(&mut self, level: usize) -> Option<()> {
        if level > MAX_NESTING {
            return None;
        }

        // No value is shorter than this.
        let head = self.text.get(self.at..)?.first_chunk::<6>()?;
        self.at += 6;

        match head {
            b"{\"S\":\"" => self.scalar(ScalarKind::Text)?,
            b"{\"N\":\"" => self.scalar(ScalarKind::Number)?,
            b"{\"M\":{" => self.map(level + 1)?,
            b"{\"L\":[" => self.elements(|reader| reader.value(level + 1))?,
            _ => {
                self.at -= 6;
                self.rarer()?;
            }
        }

        self.take(b'}')
    }

    /// Reads a value of a rarer type, up to the closing brace.
    fn rarer(&mut self) -> Option<()> {
        self.take_all(b"{\"")?;
        match self.next()? {
            b'S' => self.set(ScalarKind::Text),
            b'N' => self
                .take_all(b"ULL\":true")
                .or_else(|| self.set(ScalarKind::Number)),
            b'B' => self.binary_bool_or_set(),
            _ => None,
        }
    }

    /// Reads a set after the first letter of its type tag.
    fn set(&mut self, kind: ScalarKind) -> Option<()> {
        self.take_all(b"S\":[")?;
        self.elements(|reader| {
            reader.take(b'"')?;
            reader.scalar(kind)
        })
    }

    fn binary_bool_or_set(&mut self) -> Option<()> {
        if self.take_all(b"\":\"").is_some() {
            return self.scalar(ScalarKind::Binary);
        }

        match self.take_all(b"OOL\":") {
            Some(()) => self.take_all(b"true").or_else(|| self.take_all(b"false")),
            None => self.set(ScalarKind::Binary),
        }
    }

    /// Reads elements after the opening bracket.
    #[inline]
    fn elements(&mut self, each: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        if self.text.get(self.at) == Some(&b']') {
            self.at += 1;
            return Some(());
        }

        loop {
            each(self)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Consumes a string after its opening quote.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            self.special()?;
            match self.next()? {
                b'"' => return Some(()),
                _ => self.escape()?,
            }
        }
    }

    /// Like [`Self::string`] for a string without escapes; returns its text.
    #[inline]
    fn plain(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        self.special()?;
        let plain = &self.text[start..self.at];

        self.take(b'"').map(|()| plain)
    }

    /// Moves to the next quote or backslash.
    #[inline]
    fn special(&mut self) -> Option<()> {
        self.at += string_end(self.text.get(self.at..)?)?;
        Some(())
    }

    /// Consumes an escape after its backslash.
    fn escape(&mut self) -> Option<()> {
        self.at = escape_end(self.text, self.at)?;
        Some(())
    }

    /// Consumes the text of a value and its closing quote.
    #[inline]
    fn scalar(&mut self, kind: ScalarKind) -> Option<()> {
        let start = self.at;
        match kind {
            ScalarKind::Text => self.string()?,
            ScalarKind::Number => is_number(self.plain()?).then_some(())?,
            ScalarKind::Binary => is_binary(self.plain()?).then_some(())?,
        }

        // A constant parameter, so that validation alone does not pay for the list.
        if LISTS {
            self.scalars.push(ScalarSpan {
                start,
                end: self.at - 1,
                kind,
            });
        }

        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::scanner::{JsonScanner, ScanStatus};
    use super::super::testing::{Style, item, render};
    use super::super::validate::strictly;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_dynamodb_writes() {
        for text in [
            "{}",
            r#"{"a":{"S":""},"b":{"N":"-1.50E+7"},"c":{"B":"AAECAw=="},"d":{"BOOL":false},"e":{"NULL":true}}"#,
            r#"{"a":{"SS":["é\"\u00e9","x"]},"b":{"NS":["1","2"]},"c":{"BS":["AA==",""]},"d":{"L":[{"M":{}},{"L":[]}]}}"#,
        ] {
            assert!(is_certainly_valid(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn compact_items_are_accepted_independently_of_the_text_after_them(item in item(), behind in "[,\\n}\"é]{0,5}") {
            let text = render(&item, Style::Compact);
            match valid_item_length(format!("{text}{behind}").as_bytes()) {
                Some(length) => prop_assert_eq!(length, text.len()),
                // A name with an escape is for the lexer.
                None => prop_assert!(text.contains('\\'), "{}", text),
            }
        }

        #[test]
        fn ends_where_the_structure_does(text in "\\{(\"[ab]\":\\{\"(S|N|L|M|SS)\":(\"1\"|\\[\\]|\\{\\}|\"\\\\\"\")\\},?){0,3}[{}\\[\\]\",]{0,6}") {
            if let Some(length) = valid_item_length(text.as_bytes()) {
                prop_assert_eq!(JsonScanner::new().feed(text.as_bytes()), Ok(ScanStatus::Complete(length)));
            }
        }

        #[test]
        fn takes_nothing_that_the_lexer_refuses(
            item in item(), seed in any::<u64>(), wild in any::<bool>(), at in any::<proptest::sample::Index>(), cut in 0usize..3,
            put in "[SNBMLUOtrue\"{}:,\\[\\]0-9a-f.eE+\\-=/\\\\ \u{1}é]{0,3}"
        ) {
            let text = render(&item, if wild { Style::Random(seed) } else { Style::Compact }).into_bytes();
            let at = at.index(text.len());
            let behind = (at + cut).min(text.len());
            for changed in [[&text[..at], put.as_bytes(), &text[behind..]].concat(), text[..at].to_vec()] {
                if is_certainly_valid(&changed) {
                    prop_assert_eq!(strictly(&changed), Ok(()), "{}", String::from_utf8_lossy(&changed));
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&changed).is_ok() || changed.windows(2).any(|two| two == b"\\u"));
                }
            }
        }

        #[test]
        fn never_panics(text in "[{}\\[\\]\",:\\\\SNBML1a]{0,60}", bytes in any::<Vec<u8>>()) {
            let text = format!("{{\"a\":{text}");
            let is_strict = |text: &[u8]| !is_certainly_valid(text) || strictly(text).is_ok();
            prop_assert!(is_strict(text.as_bytes()) && is_strict(&bytes));
        }
    }
}
