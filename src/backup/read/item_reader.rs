//! Streams the items of a file, in any of the common containers, which are distinguished by
//! content.
//!
//! These are this project's `table-data.json`; the output of `aws dynamodb scan`, pretty-printed or
//! not, also several documents in one file; a JSON array of items; items line by line; the
//! `{"Item":{…}}` lines of an export. Items are copied byte for byte, except that each is returned
//! on one line. Memory is bounded by the longest item. Only the structure is checked, and that the
//! first item is DynamoDB JSON.

mod container;
mod lines;
mod summary;
mod window;

use self::container::{ContainerClue, line_container, member_clue, value_clue};
use self::window::InputWindow;
use crate::error::{Error, Result};
use crate::item::{ShapeCache, compact, has_key_type, has_line_breaks};
use crate::limits;
use bytes::Bytes;
use std::io::Read;
use std::sync::{Arc, OnceLock};

pub use self::container::ItemContainer;
pub(crate) use self::lines::LineReader;
pub use self::summary::ContainerSummary;

/// Bytes read at a time: large enough to make a read cheap, small enough for the processor's cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// An item and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedItem {
    /// Its JSON text, on one line.
    pub text: Bytes,
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The byte at which it begins, from 0.
    pub offset: u64,
    /// Whether the fast path recognized it as a valid item. If not, it is not validated yet.
    pub is_valid: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    /// Before a document, array or line, or the end of the file.
    BetweenDocuments,
    /// In a document, before a member or the closing brace.
    Members {
        first: bool,
    },
    /// In an array of items, before an element or the closing bracket.
    Elements {
        first: bool,
    },
    End,
    Failed,
}

/// State of the current document.
#[derive(Debug, Clone, Copy, Default)]
struct ScanDocument {
    /// It has a member `Items`, which may be null.
    has_items: bool,
    /// Its array `Items` was read.
    array_seen: bool,
    count: Option<u64>,
    /// Items read before this document.
    items_before: u64,
}

/// Reads items one by one.
pub struct ItemReader<R> {
    window: InputWindow<R>,
    state: ReaderState,
    summary: ContainerSummary,
    document: ScanDocument,
    /// Receives the summary after the last item.
    summary_slot: Option<Arc<OnceLock<ContainerSummary>>>,
    /// Recognises items while they are cut, for those who want that.
    shape_cache: Option<ShapeCache>,
}

impl<R: Read> ItemReader<R> {
    /// A reader at the beginning of a file, which must not be compressed.
    pub fn new(source: R) -> Self {
        Self::with_blocks(source, BLOCK_BYTES)
    }

    fn with_blocks(source: R, block_bytes: usize) -> Self {
        let summary = ContainerSummary {
            container: ItemContainer::Empty,
            count: None,
            continues: None,
            miscounted: None,
            lacks_items: false,
            items: 0,
        };

        let window = InputWindow::new(source, block_bytes);
        let document = ScanDocument::default();
        Self {
            window,
            state: ReaderState::BetweenDocuments,
            summary,
            document,
            summary_slot: None,
            shape_cache: None,
        }
    }

    /// Stores the summary in `summary_slot` after the last item.
    #[must_use]
    pub(crate) fn with_summary_slot(self, summary_slot: Arc<OnceLock<ContainerSummary>>) -> Self {
        Self {
            summary_slot: Some(summary_slot),
            ..self
        }
    }

    /// Validates items while they are scanned, where the fast path can: for callers that would
    /// validate them anyway.
    #[must_use]
    pub fn validating(self) -> Self {
        Self {
            shape_cache: Some(ShapeCache::default()),
            ..self
        }
    }

    /// The summary of the file; final after [`Self::next_item`] returned `None`.
    pub fn summary(&self) -> &ContainerSummary {
        &self.summary
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged), with line and byte, if the text is truncated,
    /// is not a known container, or contains anything but items, or if the source reports damaged
    /// data. Any other error of the source, with its cause. Nothing can be read after an error.
    pub fn next_item(&mut self) -> Result<Option<LocatedItem>> {
        let result = self.advance();
        if result.is_err() {
            self.state = ReaderState::Failed;
        }

        result
    }

    fn advance(&mut self) -> Result<Option<LocatedItem>> {
        loop {
            let item = match self.state {
                ReaderState::Elements { first } => self.next_element(first)?,
                ReaderState::BetweenDocuments => self.next_document()?,
                ReaderState::Members { first } => {
                    self.next_member(first)?;
                    None
                }
                ReaderState::End => {
                    if let Some(summary_slot) = self.summary_slot.take() {
                        // A source that is read twice has the same summary twice.
                        let _ = summary_slot.set(self.summary);
                    }

                    return Ok(None);
                }
                ReaderState::Failed => {
                    return Err(Error::failed("reading continued after an error"));
                }
            };

            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn next_document(&mut self) -> Result<Option<LocatedItem>> {
        // Some Windows tools begin UTF-8 files with a byte order mark.
        if self.window.offset() == 0 {
            self.skip_byte_order_mark()?;
        }

        let Some(first) = self.window.skip_blanks()? else {
            self.state = ReaderState::End;
            return Ok(None);
        };

        if self.summary.container == ItemContainer::Empty {
            self.summary.container = self.container(first)?;
        }

        match self.summary.container {
            ItemContainer::Array => {
                self.expect(b'[', "expected an array of items or the end of the file")?;
                self.state = ReaderState::Elements { first: true };
                Ok(None)
            }
            ItemContainer::Document => {
                self.expect(b'{', "expected another document or the end of the file")?;
                self.state = ReaderState::Members { first: true };
                self.summary.continues = None;
                self.document = ScanDocument {
                    items_before: self.summary.items,
                    ..ScanDocument::default()
                };
                Ok(None)
            }
            ItemContainer::ExportLines => self.export_line().map(Some),
            ItemContainer::RejectLines => self.reject_line().map(Some),
            ItemContainer::Lines | ItemContainer::Empty => self.item().map(Some),
        }
    }

    fn skip_byte_order_mark(&mut self) -> Result<()> {
        self.window.peek(2)?;
        if self.window.rest().starts_with("\u{feff}".as_bytes()) {
            self.window.skip(3);
        }

        Ok(())
    }

    /// Consumes whitespace and `byte`, which must come next.
    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        match self.window.skip_blanks()? {
            Some(found) if found == byte => {
                self.window.skip(1);
                Ok(())
            }
            Some(_) => Err(self.window.damage_at(0, what)),
            None => Err(self.window.truncated()),
        }
    }

    /// Determines the container from the first bytes.
    fn container(&mut self, first: u8) -> Result<ItemContainer> {
        match first {
            b'[' => Ok(ItemContainer::Array),
            b'{' => self.object_container(),
            _ => Err(self
                .window
                .damage_at(0, "neither an object nor an array: not a file of items")
                .with_hint(FORMATS)),
        }
    }

    fn object_container(&mut self) -> Result<ItemContainer> {
        let (mut at, mut seen) = (1, false);
        loop {
            let (begin, byte) = self.window.peek_non_blank_at(at)?;
            match byte {
                Some(b'}') => {
                    return Ok(if seen {
                        ItemContainer::Document
                    } else {
                        ItemContainer::Lines
                    });
                }
                Some(b',') if seen => at = begin + 1,
                Some(b'"') => {
                    let (name, value, first) = self.member_at(begin)?;
                    let mut clue = member_clue(&name, first, seen);
                    if clue == ContainerClue::NeedsValue {
                        let end = self.window.value_end(value)?;
                        clue = value_clue(&self.window.rest()[value..end]).map_err(|error| {
                            self.window.damage_at(value + error.offset(), error)
                        })?;
                    }

                    match clue {
                        ContainerClue::Document => return Ok(ItemContainer::Document),
                        ContainerClue::Line if &*name == b"Item" => {
                            return self.line_container(value);
                        }
                        ContainerClue::Line | ContainerClue::NeedsValue => {
                            return Ok(ItemContainer::Lines);
                        }
                        ContainerClue::Reject => return Ok(ItemContainer::RejectLines),
                        ContainerClue::Plain => return Err(self.plain_json(0)),
                        ContainerClue::DocumentMember => {
                            (at, seen) = (self.window.value_end(value)?, true);
                        }
                    }
                }
                Some(_) => return Err(self.window.damage_at(begin, "expected a name in quotes")),
                None => return Err(self.window.truncated()),
            }
        }
    }

    /// The member whose name begins at index `at`: its name, the index of its value, the value's
    /// first byte.
    fn member_at(&mut self, at: usize) -> Result<(Bytes, usize, u8)> {
        let end = self.window.value_end(at)?;
        let (colon, byte) = self.window.peek_non_blank_at(end)?;
        if byte.is_some_and(|byte| byte != b':') {
            return Err(self.window.damage_at(colon, "expected a colon"));
        }

        let (value, first) = self.window.peek_non_blank_at(colon + 1)?;
        let first = first.ok_or_else(|| self.window.truncated())?;
        Ok((
            Bytes::copy_from_slice(&self.window.rest()[at + 1..end - 1]),
            value,
            first,
        ))
    }

    /// Whether the object, whose first member `Item` has its value at index `value`, is an export
    /// line.
    fn line_container(&mut self, value: usize) -> Result<ItemContainer> {
        let end = self.window.value_end(value)?;
        let (_, behind) = self.window.peek_non_blank_at(end)?;
        let item = (behind == Some(b'}')).then(|| &self.window.rest()[value..end]);

        line_container(item).map_err(|error| self.window.damage_at(value + error.offset(), error))
    }

    fn export_line(&mut self) -> Result<LocatedItem> {
        const WHAT: &str = "expected {\"Item\":{…}}, as on the first line";

        self.expect(b'{', WHAT)?;
        self.enter_member(b"Item", WHAT)?;
        let item = self.item()?;
        self.expect(b'}', WHAT)?;

        Ok(item)
    }

    fn reject_line(&mut self) -> Result<LocatedItem> {
        const WHAT: &str = "expected {\"reason\":\"…\",\"item\":{…}}, as on the first line";

        self.expect(b'{', WHAT)?;
        self.enter_member(b"reason", WHAT)?;
        let end = self.window.value_end(0)?;
        self.window.consume(end);
        self.expect(b',', WHAT)?;

        if self.window.skip_blanks()? == Some(b'"')
            && self.member_at(0)?.0 == b"unreadable".as_slice()
        {
            const NO_ITEM: &str =
                "an entry that could not be read during a salvage: it contains no item";

            let hint =
                "correct it and write it as {\"reason\":\"…\",\"item\":{…}}, or remove the line";
            return Err(self.window.damage_at(0, NO_ITEM).with_hint(hint));
        }

        self.enter_member(b"item", WHAT)?;
        let item = self.item()?;

        // The output of a transform: it was written for the item and is not restored.
        if self.window.skip_blanks()? == Some(b',') {
            self.window.skip(1);
            self.enter_member(b"output", WHAT)?;
            let end = self.window.value_end(0)?;
            self.window.consume(end);
        }

        self.expect(b'}', WHAT)?;

        Ok(item)
    }

    /// Moves to the value of the member `name`, which must come next.
    fn enter_member(&mut self, name: &[u8], what: &'static str) -> Result<()> {
        if self.window.skip_blanks()? == Some(b'"') {
            let (found, value, _) = self.member_at(0)?;
            if &*found == name {
                self.window.consume(value);
                return Ok(());
            }
        }

        Err(self.window.damage_at(0, what))
    }

    fn next_member(&mut self, first: bool) -> Result<()> {
        self.state = ReaderState::Members { first: false };
        if self.window.skip_blanks()? == Some(b'}') {
            self.window.skip(1);
            self.state = ReaderState::BetweenDocuments;
            self.end_document();
            return Ok(());
        }

        if !first {
            self.expect(b',', "expected a comma or a closing brace")?;
            self.window.skip_blanks()?;
        }

        if self.window.peek(0)?.is_some_and(|byte| byte != b'"') {
            return Err(self.window.damage_at(0, "expected a name in quotes"));
        }

        let (name, value, begin) = self.member_at(0)?;
        self.window.consume(value);

        if &*name == b"Items" {
            self.document.has_items = true;
            if begin != b'n' {
                return self.enter_items();
            }
        }

        let end = self.window.value_end(0)?;
        self.note_member(&name, end)?;
        self.window.consume(end);

        Ok(())
    }

    /// Compares the document's `Count` with the number of its items.
    fn end_document(&mut self) {
        let ScanDocument {
            has_items,
            count,
            items_before,
            ..
        } = self.document;

        let items = self.summary.items - items_before;
        let wrong = count
            .filter(|count| *count != items)
            .map(|count| (count, items));
        self.summary.miscounted = self.summary.miscounted.or(wrong);
        self.summary.lacks_items |= !has_items;
    }

    fn enter_items(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.document.array_seen, true) {
            return Err(self
                .window
                .damage_at(0, "Items occurs twice in one document"));
        }

        self.state = ReaderState::Elements { first: true };
        self.expect(b'[', "Items is not an array")
    }

    /// Records a document's member, whose value is the next `length` bytes.
    fn note_member(&mut self, name: &[u8], length: usize) -> Result<()> {
        let value = &self.window.rest()[..length];
        let present = !matches!(value, b"null" | b"\"\"" | b"{}");
        match name {
            b"NextToken" if present => self.summary.continues = Some("NextToken"),
            b"LastEvaluatedKey" if present => self.summary.continues = Some("LastEvaluatedKey"),
            b"Count" if present => {
                let count = std::str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.parse::<u64>().ok());
                let Some(count) = count else {
                    return Err(self.window.damage_at(0, "Count is not a number"));
                };

                self.document.count = Some(self.document.count.unwrap_or(0).saturating_add(count));
                self.summary.count = Some(self.summary.count.unwrap_or(0).saturating_add(count));
            }
            _ => {}
        }

        Ok(())
    }

    #[inline]
    fn next_element(&mut self, first: bool) -> Result<Option<LocatedItem>> {
        let mut next = self.window.skip_blanks()?;
        if next == Some(b']') {
            self.window.skip(1);
            let in_document = self.summary.container == ItemContainer::Document;
            self.state = if in_document {
                ReaderState::Members { first: false }
            } else {
                ReaderState::BetweenDocuments
            };

            return Ok(None);
        }

        if !first {
            self.expect(b',', "expected a comma or a closing bracket between items")?;
            next = self.window.skip_blanks()?;
        }

        self.state = ReaderState::Elements { first: false };

        match next {
            None => Err(self.window.truncated()),
            Some(_) => self.item().map(Some),
        }
    }

    /// Reads the item that begins here.
    #[inline]
    fn item(&mut self) -> Result<LocatedItem> {
        match self.window.peek(0)? {
            Some(b'{') => {}
            Some(_) => {
                return Err(self
                    .window
                    .damage_at(0, "expected an item, which is an object"));
            }
            None => return Err(self.window.truncated()),
        }

        let recognized = self.recognize();
        let length = recognized.map_or_else(|| self.window.value_end(0), Ok)?;
        if self.summary.items == 0 {
            self.check_first_item(length)?;
        }

        let (line, offset) = (self.window.line(), self.window.offset());
        // The fast path accepts only items without line breaks.
        let broken = recognized.is_none() && has_line_breaks(&self.window.rest()[..length]);
        let text = if broken {
            self.take_compacted(length)?
        } else {
            self.window.consume_line(length)
        };

        self.summary.items += 1;
        Ok(LocatedItem {
            text,
            line,
            offset,
            is_valid: recognized.is_some(),
        })
    }

    /// The length of the item that begins here, if the fast path recognizes it.
    fn recognize(&mut self) -> Option<usize> {
        let recognized = self.shape_cache.as_mut()?.item_length(self.window.rest());
        recognized.filter(|length| *length <= limits::ITEM_TEXT_BYTES)
    }

    fn take_compacted(&mut self, length: usize) -> Result<Bytes> {
        let text = compact(&self.window.rest()[..length]);
        if has_line_breaks(&text) {
            return Err(self.window.damage_at(0, "a line break inside a string"));
        }

        self.window.consume(length);

        Ok(Bytes::from(text))
    }

    /// Rejects plain JSON by its first item: the missing types cannot be guessed.
    fn check_first_item(&self, length: usize) -> Result<()> {
        match has_key_type(&self.window.rest()[..length]) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.plain_json(0)),
            Err(error) => Err(self
                .window
                .damage_at(0, format_args!("the first item is not JSON: {error}"))),
        }
    }

    fn plain_json(&self, at: usize) -> Error {
        self.window
            .damage_at(at, "type tags are missing: plain JSON, not DynamoDB JSON")
            .with_hint(FORMATS)
    }
}

const FORMATS: &str = "items are read in DynamoDB JSON, like {\"id\":{\"N\":\"5\"}}: one per line, in an array, as `aws dynamodb \
                       scan` prints them, or as {\"Item\":{…}} lines";

#[cfg(test)]
mod tests;
