//! Layout of text for people: rows in two columns, counts with separators, sentence case, and escaping. Plans, summaries and
//! `dump-summary.txt` share it.

use std::borrow::Cow;
use std::fmt::Write as _;

use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};
use unit_prefix::NumberPrefix;

/// Labels and values in groups. Each caller lists its rows; [`Rows::lines`] aligns and wraps them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    groups: Vec<RowGroup>,
}

/// Rows with a heading of their own, or without one.
#[derive(Debug, Clone)]
pub(crate) struct RowGroup {
    heading: Option<&'static str>,
    rows: Vec<Row>,
}

/// A label and its value.
#[derive(Debug, Clone)]
struct Row {
    label: String,
    value: String,
    shown: Shown,
}

/// When a row is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Always,
    /// Only with details, such as `--verbose`.
    WithDetails,
    /// Only without details, because more detailed rows replace it.
    WithoutDetails,
}

/// One line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Heading(&'static str),
    /// An indented row, or a part of one.
    Row(String),
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Rows without a heading.
    pub(crate) fn plain(fill: impl FnOnce(&mut RowGroup)) -> Self {
        let mut rows = Self::new();
        fill(rows.start_group(None));
        rows
    }

    /// Adds a group of rows. A group whose rows are all hidden has no heading.
    pub(crate) fn group(&mut self, heading: &'static str) -> &mut RowGroup {
        self.start_group(Some(heading))
    }

    fn start_group(&mut self, heading: Option<&'static str>) -> &mut RowGroup {
        self.groups.push(RowGroup {
            heading,
            rows: Vec::new(),
        });
        self.groups.last_mut().expect("a group was just added")
    }

    /// The text, escaped, in two columns for all groups, and wrapped at spaces to `width`. A label is not repeated in the next row.
    pub(crate) fn lines(&self, with_details: bool, width: usize) -> Vec<Line> {
        let hidden = if with_details {
            Shown::WithoutDetails
        } else {
            Shown::WithDetails
        };
        let shown = |group: &'_ RowGroup| -> Vec<Row> {
            let rows = group.rows.iter().filter(|row| row.shown != hidden);
            rows.cloned().collect()
        };
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|group| (group.heading, shown(group)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        let label_width = groups
            .iter()
            .flat_map(|(_, rows)| rows)
            .map(|row| display_width(&row.label))
            .max()
            .unwrap_or(0);

        let mut lines = Vec::new();
        for (heading, rows) in groups {
            lines.extend(heading.map(Line::Heading));
            let mut above = "";
            for row in &rows {
                let label = if row.label == above { "" } else { &row.label };
                lines.extend(row_lines(label, label_width, &row.value, width).map(Line::Row));
                above = &row.label;
            }
        }

        lines
    }
}

/// The lines of one row. Long words, such as paths, are not broken, so that they can be copied.
fn row_lines(
    label: &str,
    label_width: usize,
    value: &str,
    width: usize,
) -> impl Iterator<Item = String> {
    let padding = " ".repeat(label_width - display_width(label));
    let first = format!("  {label}{padding}  ");
    let next = " ".repeat(label_width + 4);
    let options = Options::new(width)
        .initial_indent(&first)
        .subsequent_indent(&next)
        .word_splitter(WordSplitter::NoHyphenation)
        .break_words(false);

    let value = escape(value);
    let lines = textwrap::wrap(&value, options).into_iter();
    lines.map(Cow::into_owned).collect::<Vec<_>>().into_iter()
}

impl RowGroup {
    /// Adds a row.
    pub(crate) fn row(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.add(label, value.into(), Shown::Always)
    }

    /// Adds a row that is only shown with details.
    pub(crate) fn detail(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.add(label, value.into(), Shown::WithDetails)
    }

    /// Adds a row for something with a name of its own, which is not changed. `is_detail`: only with details.
    pub(crate) fn named(
        &mut self,
        name: &str,
        value: impl Into<String>,
        is_detail: bool,
    ) -> &mut Self {
        self.rows.push(Row {
            label: escape(name).into_owned(),
            value: value.into(),
            shown: if is_detail {
                Shown::WithDetails
            } else {
                Shown::Always
            },
        });
        self
    }

    /// Adds a row that more detailed rows replace.
    pub(crate) fn short(&mut self, label: &str, value: impl Into<String>) -> &mut Self {
        self.add(label, value.into(), Shown::WithoutDetails)
    }

    /// Adds a row for each value.
    pub(crate) fn list<V: Into<String>>(
        &mut self,
        label: &str,
        values: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        for value in values {
            self.row(label, value);
        }

        self
    }

    fn add(&mut self, label: &str, value: String, shown: Shown) -> &mut Self {
        self.rows.push(Row {
            label: escape(&sentence_case(label)).into_owned(),
            value,
            shown,
        });
        self
    }
}

/// Lines with a column for each cell, escaped and aligned.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<[Cow<'_, str>; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| escape(cell)))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| display_width(&row[column]));
        widths.max().unwrap_or(0)
    });

    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(widths);
            let padded = cells
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - display_width(cell))));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// A text with a capital first letter. Texts that start with a name, a path, a flag or a command stay as they are.
pub(crate) fn sentence_case(text: &str) -> Cow<'_, str> {
    const COMMANDS: [&str; 5] = ["copydb", "dumpdb", "restoredb", "servedb", "verifydb"];

    let word = text.split_whitespace().next().unwrap_or_default();
    let word = word.trim_end_matches([':', ',', ';', '.']);
    let is_plain = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    if !is_plain || COMMANDS.contains(&word) {
        return Cow::Borrowed(text);
    }

    Cow::Owned(text[..1].to_ascii_uppercase() + &text[1..])
}

/// Escapes the characters that control a terminal, break a line or reorder it, as in `\u{1b}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    // Most text needs no escaping and is not copied.
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }

    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_unsafe(character) {
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }

    Cow::Owned(escaped)
}

/// Control characters (C0, C1, DEL), line and paragraph separators, and the marks that reorder text
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// `12,345`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }

        text.push(digit);
    }

    text
}

/// `512 B`, `1.50 MB`.
pub(crate) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for display")]
    match NumberPrefix::decimal(count as f64) {
        NumberPrefix::Standalone(number) => format!("{number} B"),
        NumberPrefix::Prefixed(prefix, number) => format!("{number:.2} {prefix}B"),
    }
}

/// `1 segment`, `12,345 segments`.
pub(crate) fn counted(number: u64, unit: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", count(number))
}

/// Names in a list: `a, b, c and 30 more`, or `all` of them.
pub(crate) fn names(names: &[String], all: bool) -> String {
    const MAX_NAMES: usize = 10;

    let shown = if all {
        names.len()
    } else {
        MAX_NAMES.min(names.len())
    };
    let mut text = names[..shown].join(", ");
    if shown < names.len() {
        let _ = write!(text, " and {} more", count((names.len() - shown) as u64));
    }

    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Line {
        Line::Row(text.to_owned())
    }

    fn plan() -> Rows {
        let mut rows = Rows::new();
        rows.group("Source")
            .row("Größe", "1")
            .short("keys", "2 attributes")
            .detail("partition key", "id (S)")
            .detail("partition key", "again");
        rows.group("Target").detail("x", "hidden");
        rows
    }

    #[test]
    fn columns_are_aligned_over_all_groups_and_empty_groups_are_omitted() {
        assert_eq!(
            plan().lines(false, 80),
            [
                Line::Heading("Source"),
                row("  Größe  1"),
                row("  Keys   2 attributes"),
            ]
        );
        assert!(Rows::new().lines(true, 80).is_empty());
    }

    #[test]
    fn details_replace_short_rows_and_a_label_is_not_repeated() {
        assert_eq!(
            plan().lines(true, 80),
            [
                Line::Heading("Source"),
                row("  Größe          1"),
                row("  Partition key  id (S)"),
                row("                 again"),
                Line::Heading("Target"),
                row("  X              hidden"),
            ]
        );
    }

    #[test]
    fn the_name_of_a_row_keeps_its_case() {
        let rows = Rows::plain(|group| {
            group.named("films", "1", false).named("more", "2", true);
        });
        assert_eq!(rows.lines(false, 80), [row("  films  1")]);
        assert_eq!(rows.lines(true, 80), [row("  films  1"), row("  more   2")]);
    }

    #[test]
    fn values_are_wrapped_at_spaces_below_their_column_and_paths_are_not_broken() {
        let rows = Rows::plain(|group| {
            group.row("to", "one two three /a/path/that-is/long");
        });
        assert_eq!(
            rows.lines(false, 14),
            [
                row("  To  one two"),
                row("      three"),
                row("      /a/path/that-is/long")
            ]
        );
        assert_eq!(
            rows.lines(false, usize::MAX),
            [row("  To  one two three /a/path/that-is/long")]
        );
    }

    #[test]
    fn values_cannot_break_lines_or_control_the_terminal() {
        let rows = Rows::plain(|group| {
            group.row("a\u{1b}", "x\n[INFO] y\u{1b}[2J");
        });
        assert_eq!(
            rows.lines(false, usize::MAX),
            [row(r"  a\u{1b}  x\u{a}[INFO] y\u{1b}[2J")]
        );
    }

    #[test]
    fn sentences_start_with_a_capital_letter_unless_a_name_is_first() {
        for (text, expected) in [
            ("reading items", "Reading items"),
            ("interrupted: the dump", "Interrupted: the dump"),
            ("table \"x\" does not exist", "Table \"x\" does not exist"),
            ("`out` is damaged", "`out` is damaged"),
            ("envs/.env.dev line 2", "envs/.env.dev line 2"),
            ("--profile needs", "--profile needs"),
            ("dumpdb was killed", "dumpdb was killed"),
            ("1 item", "1 item"),
            ("", ""),
        ] {
            assert_eq!(sentence_case(text), expected);
        }
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("\u{1b}[2Jgone\r\n"), r"\u{1b}[2Jgone\u{d}\u{a}");
        assert_eq!(escape("a\u{9b}31m\u{7f}\u{0}"), r"a\u{9b}31m\u{7f}\u{0}");
        assert_eq!(
            escape("user\u{202e}txt.exe\u{2066}"),
            r"user\u{202e}txt.exe\u{2066}"
        );

        for harmless in ["music", "Größe → 🎵", "{\"id\":{\"S\":\"a\"}}", "e\u{301}"] {
            assert!(
                matches!(escape(harmless), Cow::Borrowed(text) if text == harmless),
                "{harmless}"
            );
        }
    }

    #[test]
    fn counts_have_separators_and_units() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), expected);
        }

        assert_eq!(counted(1, "segment"), "1 segment");
        assert_eq!(counted(0, "item"), "0 items");
        assert_eq!(counted(1_000, "item"), "1,000 items");
    }
}
