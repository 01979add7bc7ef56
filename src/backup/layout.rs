//! Counts the items of a data file by its lines, if it has this program's layout: one item per
//! line, with a header and a footer line in the JSON format.
//!
//! If the checksum matches, its lines are the items that were validated when they were written.
//! They need not be parsed again to be counted; callers that write a line to a table check that it
//! is one item.

use std::io::Read;
use std::ops::AddAssign;

use super::format::{DataFormat, JSON_HEAD};
use super::read::item_reader::LineReader;
use crate::error::Result;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Number of items, and bytes of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LineCounts {
    pub(crate) items: u64,
    pub(crate) text_bytes: u64,
}

impl AddAssign for LineCounts {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.text_bytes += other.text_bytes;
    }
}

/// Counts the items by lines. `None` if the file has another layout.
///
/// # Errors
/// Errors of the source.
pub(crate) fn count_lines(
    source: impl Read,
    format: DataFormat,
    mut each: impl FnMut(LineCounts),
) -> Result<Option<LineCounts>> {
    let mut lines = LineReader::new(source, BLOCK_BYTES);
    let is_json = format == DataFormat::Json;
    if is_json
        && lines
            .next_line()?
            .is_none_or(|line| *line.text != *JSON_HEAD.trim_ascii_end())
    {
        return Ok(None);
    }

    let mut counts = LineCounts::default();

    // Whether the last line ended with a comma, so that another item must follow.
    let mut continues = false;
    let mut is_last = false;
    while let Some(line) = lines.next_line()? {
        if is_json && !continues && *line.text == *tail(counts.items) {
            return Ok(lines.next_line()?.is_none().then_some(counts));
        }

        let item = line.text.strip_suffix(b",").unwrap_or(&line.text);
        continues = item.len() < line.text.len();
        let is_item = item.starts_with(b"{") && item.ends_with(b"}");
        if !is_item || is_last || (continues && !is_json) {
            return Ok(None);
        }

        is_last = is_json && !continues;
        let text_bytes = item.len() as u64;
        counts = LineCounts {
            items: counts.items + 1,
            text_bytes: counts.text_bytes + text_bytes,
        };
        each(LineCounts {
            items: 1,
            text_bytes,
        });
    }

    Ok((!is_json).then_some(counts))
}

/// The footer line of the JSON format.
fn tail(items: u64) -> Vec<u8> {
    format!(r#"],"Count":{items},"ScannedCount":{items}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, format: DataFormat) -> Option<(u64, u64)> {
        let mut reported = LineCounts::default();
        let each = |one: LineCounts| {
            reported = LineCounts {
                items: reported.items + one.items,
                text_bytes: reported.text_bytes + one.text_bytes,
            };
        };

        let counts = count_lines(text.as_bytes(), format, each).unwrap()?;
        assert_eq!(counts, reported);

        Some((counts.items, counts.text_bytes))
    }

    #[test]
    fn items_are_counted_where_the_layout_is_ours() {
        for (text, format, counts) in [
            (
                "{\"Items\":[\n],\"Count\":0,\"ScannedCount\":0}\n",
                DataFormat::Json,
                (0, 0),
            ),
            (
                "{\"Items\":[\n{1},\n{22}\n],\"Count\":2,\"ScannedCount\":2}\n",
                DataFormat::Json,
                (2, 7),
            ),
            ("", DataFormat::Jsonl, (0, 0)),
            ("{1}\n{22}\n", DataFormat::Jsonl, (2, 7)),
        ] {
            assert_eq!(count(text, format), Some(counts), "{text}");
        }
    }

    #[test]
    fn another_layout_is_not_counted() {
        for (text, format) in [
            ("", DataFormat::Json),
            ("{\"Items\":[\n", DataFormat::Json),
            ("{\"Items\":[\n{1}\n", DataFormat::Json),
            (
                "{\"Items\":[ \n{1}\n],\"Count\":1,\"ScannedCount\":1}\n",
                DataFormat::Json,
            ),
            (
                "{\"Items\":[\n{1}\n],\"Count\":2,\"ScannedCount\":2}\n",
                DataFormat::Json,
            ),
            (
                "{\"Items\":[\n{1},\n],\"Count\":1,\"ScannedCount\":1}\n",
                DataFormat::Json,
            ),
            (
                "{\"Items\":[\n{1}\n{2}\n],\"Count\":2,\"ScannedCount\":2}\n",
                DataFormat::Json,
            ),
            (
                "{\"Items\":[\n{1}\n],\"Count\":1,\"ScannedCount\":1}\n\n",
                DataFormat::Json,
            ),
            (
                "{\"Items\":[\n {1}\n],\"Count\":1,\"ScannedCount\":1}\n",
                DataFormat::Json,
            ),
            ("{1},\n{2}\n", DataFormat::Jsonl),
            ("{1}\n\n", DataFormat::Jsonl),
            ("[{1}]\n", DataFormat::Jsonl),
        ] {
            assert_eq!(count(text, format), None, "{text}");
        }
    }
}
