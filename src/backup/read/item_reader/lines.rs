//! Reads lines, each as one slice.

use std::io::Read;

use bytes::Bytes;

use super::window::InputWindow;
use crate::error::Result;
use crate::limits;

/// Bytes around an item in a line: a comma, with a margin.
const AROUND: usize = 16;

/// A line without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its bytes.
    pub(crate) text: Bytes,
    /// The offset after its line feed.
    pub(crate) end: u64,
}

/// Reads line by line. Memory is bounded by [`limits::ITEM_TEXT_BYTES`].
pub(crate) struct LineReader<R> {
    window: InputWindow<R>,
}

impl<R: Read> LineReader<R> {
    pub(crate) fn new(source: R, block_bytes: usize) -> Self {
        Self {
            window: InputWindow::new(source, block_bytes),
        }
    }

    /// Returns the next line, or `None` at the end. A line longer than any item is returned in
    /// pieces.
    ///
    /// # Errors
    /// Errors of the source.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line>> {
        let mut seen = 0;
        loop {
            let found = memchr::memchr(b'\n', &self.window.rest()[seen..]);
            if let Some(at) = found {
                let text = self.window.consume_line(seen + at);
                self.window.skip(1);
                return Ok(Some(self.line(text)));
            }

            seen = self.window.rest().len();
            let is_last =
                seen > limits::ITEM_TEXT_BYTES + AROUND || self.window.peek(seen)?.is_none();
            if is_last {
                let text = self.window.consume_line(seen);
                return Ok((seen > 0).then(|| self.line(text)));
            }
        }
    }

    fn line(&self, text: Bytes) -> Line {
        Line {
            text,
            end: self.window.offset(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lie_across_any_number_of_blocks() {
        let text = "one\n\ntwo lines long\nlast";
        for block in 1..30 {
            let mut lines = LineReader::new(text.as_bytes(), block);
            let mut found = Vec::new();
            while let Some(line) = lines.next_line().unwrap() {
                found.push((String::from_utf8(line.text.to_vec()).unwrap(), line.end));
            }

            let expected = [("one", 4), ("", 5), ("two lines long", 20), ("last", 24)];
            assert_eq!(
                found,
                expected.map(|(text, end)| (text.to_owned(), end)),
                "{block}"
            );
        }
    }
}
