//! Splits a response body into its items and the rest of the document.
//!
//! The items stay where they are: a list of spans over the one buffer, so that a page of a thousand items costs one
//! allocation. Only the structure of the body is looked at. The text `"Items":[` inside a string, an attribute called
//! `Items`, any order of members and any whitespace make no difference.

use super::json::compact::{compact_into, has_line_breaks};
use super::json::members::{JsonCursor, name_equals};
use super::json::scanner::{JsonScanError, JsonScanner, ScanStatus};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// The reason why a body cannot be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitError {
    /// The byte of the body at which it was noticed.
    pub offset: usize,
    /// Description of the error, as a lowercase fragment.
    pub what: Cow<'static, str>,
}

impl From<JsonScanError> for SplitError {
    fn from(error: JsonScanError) -> Self {
        Self {
            offset: error.at,
            what: Cow::Borrowed(error.what),
        }
    }
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for SplitError {}

/// A response body, split into items and the rest.
#[derive(Debug, Clone, Default)]
pub struct SplitResponse {
    /// The elements of the array, each on one line.
    pub items: Items,
    /// The same document with that array emptied.
    pub rest: Vec<u8>,
}

/// Byte range of an item in the text.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

/// Items, each on one line, as slices of one text.
#[derive(Debug, Clone, Default)]
pub struct Items {
    text: Bytes,
    spans: Vec<Span>,
}

/// Copies items into one text.
#[derive(Debug)]
pub(crate) struct ItemsBuilder {
    text: Vec<u8>,
    spans: Vec<Span>,
    has_line_breaks: bool,
}

impl ItemsBuilder {
    /// A builder with room for this number of items and bytes of text.
    pub(crate) fn with_capacity(items: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(items),
            has_line_breaks: false,
        }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// All together have more than 4 GiB of text.
    pub(crate) fn push(&mut self, item: &[u8]) -> Result<(), SplitError> {
        let start = self.text.len();
        self.text.extend_from_slice(item);
        self.spans.push(span(start, self.text.len())?);
        self.has_line_breaks |= has_line_breaks(item);

        Ok(())
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Bytes of text.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The items, each on one line.
    ///
    /// # Errors
    /// One has a line break inside a string.
    pub(crate) fn build(self) -> Result<Items, SplitError> {
        let items = Items {
            text: Bytes::from(self.text),
            spans: self.spans,
        };

        if self.has_line_breaks {
            items.on_lines()
        } else {
            Ok(items)
        }
    }
}

impl Items {
    /// Concatenates `items`.
    ///
    /// # Errors
    /// One holds a line break inside a string, or all together have more than 4 GiB of text.
    pub fn concat<'a>(items: impl IntoIterator<Item = &'a Bytes>) -> Result<Self, SplitError> {
        let mut builder = ItemsBuilder::with_capacity(0, 0);
        for item in items {
            builder.push(item)?;
        }

        builder.build()
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The items in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        self.spans
            .iter()
            .map(|span| &self.text[span.start as usize..span.end as usize])
    }

    /// The item at `index`, sharing the text it is cut from.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Bytes> {
        self.spans
            .get(index)
            .map(|span| self.text.slice(span.start as usize..span.end as usize))
    }

    /// The items in `range`, sharing the text they are cut from. Indexes past the end are ignored.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(self.spans.len());
        let start = range.start.min(end);

        Self {
            text: self.text.clone(),
            spans: self.spans[start..end].to_vec(),
        }
    }

    /// The items in `range` with a copy of their text, so that the rest of the text can be dropped. Indexes past the end are ignored.
    #[must_use]
    pub(crate) fn copied(&self, range: std::ops::Range<usize>) -> Self {
        let Self { text, mut spans } = self.slice(range);
        let (Some(first), Some(last)) = (spans.first().copied(), spans.last().copied()) else {
            return Self::default();
        };

        for span in &mut spans {
            span.start -= first.start;
            span.end -= first.start;
        }

        Self {
            text: Bytes::copy_from_slice(&text[first.start as usize..last.end as usize]),
            spans,
        }
    }

    /// Keeps the first `most` items.
    pub fn truncate(&mut self, most: usize) {
        self.spans.truncate(most);
    }

    /// Bytes of all items' text together.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.spans
            .iter()
            .map(|span| u64::from(span.end - span.start))
            .sum()
    }

    /// The same items, each on one line.
    fn on_lines(self) -> Result<Self, SplitError> {
        let mut text = Vec::with_capacity(self.text.len());
        let mut spans = Vec::with_capacity(self.spans.len());
        for (item, from) in self.iter().zip(&self.spans) {
            let start = text.len();
            if has_line_breaks(item) {
                compact_into(item, &mut text);
                // Compacting removes line breaks between tokens only; one in a string is not JSON.
                if has_line_breaks(&text[start..]) {
                    return Err(SplitError {
                        offset: from.start as usize,
                        what: Cow::Borrowed("a line break inside a string"),
                    });
                }
            } else {
                text.extend_from_slice(item);
            }

            spans.push(span(start, text.len())?);
        }

        Ok(Self {
            text: Bytes::from(text),
            spans,
        })
    }
}

/// Cuts the elements of the array at `path` out of a JSON document: `["Items"]` for a Scan, `["Responses", table]` for a
/// `BatchGetItem`. If the array is missing or `null`, there are no items. Elements that hold line breaks are compacted to one
/// line; all others stay byte for byte.
///
/// # Errors
/// The document is truncated or has text after its end, its brackets do not match, it has the array twice, or one of its
/// elements is not an object.
pub fn split_items(body: Bytes, path: &[&str]) -> Result<SplitResponse, SplitError> {
    let by_structure = |text: &[u8]| length_of(text).map(|length| (length, false));
    split_with(body, path, by_structure)
}

/// Like [`split_items`]; `element` returns the length of the element at the beginning of its text, and whether it certainly is on one line.
pub(crate) fn split_with<F>(
    body: Bytes,
    path: &[&str],
    element: F,
) -> Result<SplitResponse, SplitError>
where
    F: FnMut(&[u8]) -> Result<(usize, bool), SplitError>,
{
    let mut splitter = BodySplitter {
        text: &body,
        cursor: JsonCursor::new(&body),
        spans: Vec::new(),
        array: None,
        element,
        on_lines: true,
    };

    splitter.object(path)?;
    splitter.cursor.finish()?;
    let BodySplitter {
        spans,
        array,
        on_lines,
        ..
    } = splitter;

    let Some((start, end)) = array else {
        return Ok(SplitResponse {
            items: Items::default(),
            rest: body.to_vec(),
        });
    };

    let rest = [&body[..start], b"[]", &body[end..]].concat();
    // Searched only if some element was not known to be on one line.
    let broken = !on_lines && has_line_breaks(&body[start..end]);
    let items = Items { text: body, spans };
    Ok(SplitResponse {
        items: if broken { items.on_lines()? } else { items },
        rest,
    })
}

/// The length of the value at the beginning of `text`, by its structure.
pub(crate) fn length_of(text: &[u8]) -> Result<usize, SplitError> {
    match JsonScanner::new().feed(text)? {
        ScanStatus::Complete(length) => Ok(length),
        ScanStatus::Incomplete => Err(SplitError {
            offset: text.len(),
            what: Cow::Borrowed("unexpected end of text"),
        }),
    }
}

struct BodySplitter<'a, F> {
    text: &'a [u8],
    cursor: JsonCursor<'a>,
    spans: Vec<Span>,
    /// Byte range of the array, brackets included.
    array: Option<(usize, usize)>,
    element: F,
    /// Whether each element so far certainly is on one line.
    on_lines: bool,
}

impl<F> BodySplitter<'_, F>
where
    F: FnMut(&[u8]) -> Result<(usize, bool), SplitError>,
{
    /// The object that holds the rest of `path`; as many calls deep as the path is long.
    fn object(&mut self, path: &[&str]) -> Result<(), SplitError> {
        self.cursor.take(b'{', "not a JSON object")?;
        let mut first = true;
        while let Some(name) = self.cursor.next_member(first)? {
            first = false;
            match (path, self.cursor.peek()) {
                // `null` in place of the array means no items.
                ([last], Some(byte)) if byte != b'n' && name_equals(name, last) => self.array()?,
                ([outer, inner @ ..], Some(b'{'))
                    if !inner.is_empty() && name_equals(name, outer) =>
                {
                    self.object(inner)?;
                }
                _ => {
                    self.cursor.skip_value()?;
                }
            }
        }

        Ok(())
    }

    fn array(&mut self) -> Result<(), SplitError> {
        if self.array.is_some() {
            return Err(self.cursor.error("the array of items occurs twice").into());
        }

        let start = self.cursor.offset();
        self.cursor.take(b'[', "the items are not an array")?;

        if self.cursor.peek() != Some(b']') {
            self.element()?;
            while self.cursor.peek() == Some(b',') {
                self.cursor.take(b',', "expected a comma")?;
                self.element()?;
            }
        }

        self.cursor
            .take(b']', "expected a comma or a closing bracket between items")?;
        self.array = Some((start, self.cursor.offset()));

        Ok(())
    }

    #[inline]
    fn element(&mut self) -> Result<(), SplitError> {
        match self.cursor.peek() {
            Some(b'{') | None => {}
            Some(_) => return Err(self.cursor.error("an item that is not an object").into()),
        }

        // The callback sees only the text from this item on, so its offsets are relative.
        let start = self.cursor.offset();
        let element = (self.element)(&self.text[start..]);
        let (length, on_line) = element.map_err(|error| SplitError {
            offset: start + error.offset,
            what: error.what,
        })?;
        self.cursor.skip(length);
        self.on_lines &= on_line;
        self.spans.push(span(start, start + length)?);

        Ok(())
    }
}

fn span(start: usize, end: usize) -> Result<Span, SplitError> {
    let bounded = |at: usize| {
        u32::try_from(at).map_err(|_| SplitError {
            offset: at,
            what: Cow::Borrowed("more than 4 GiB of text"),
        })
    };

    Ok(Span {
        start: bounded(start)?,
        end: bounded(end)?,
    })
}

#[cfg(test)]
mod tests;
