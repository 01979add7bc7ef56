//! Splits the text of an env file into logical lines that `dotenvy` parses as their author meant
//! them.
//!
//! `dotenvy` does not count lines, substitutes `$NAME` from the process environment, and does not
//! recognize a comment after two spaces, so that an apostrophe in such a comment swallows the lines
//! that follow. Therefore each logical line (several lines of the file if a quoted value spans
//! them) is passed to it separately, without its comment and with each `$` escaped. Where the line
//! splitter and the value parser of `dotenvy` disagree about a quote, the line is refused.

use super::keys;

/// One assignment, possibly of several lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogicalLine {
    /// Number of its first line, counted from 1.
    pub(crate) number: usize,
    /// Text for `dotenvy`.
    pub(crate) text: String,
}

/// A line that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    /// Number of the line, counted from 1.
    pub(crate) number: usize,
    /// The key that the line sets, if this program reads it.
    pub(crate) key: Option<&'static str>,
    /// A fragment that continues a sentence about the key.
    pub(crate) reason: String,
}

/// State of the scanner before the next character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum QuoteState {
    Unquoted,
    /// Unquoted, after a space or after the `=`, where a `#` starts a comment.
    AfterSpace,
    /// Unquoted, after a backslash.
    Escaped,
    SingleQuoted,
    DoubleQuoted,
    /// In double quotes, after a backslash.
    DoubleQuotedEscape,
}

impl QuoteState {
    fn is_in_quotes(self) -> bool {
        matches!(
            self,
            Self::SingleQuoted | Self::DoubleQuoted | Self::DoubleQuotedEscape
        )
    }
}

/// The logical lines of `text`, without blank lines and comments.
pub(crate) fn logical_lines(text: &str) -> Result<Vec<LogicalLine>, LineError> {
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut lines = Vec::new();
    let mut scanner = LineScanner::new(1);
    for (number, line) in (1..).zip(text.lines()) {
        if !scanner.state.is_in_quotes() {
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                continue;
            }

            scanner = LineScanner::new(number);
        } else if let Some(key) = recognized_key(line) {
            // The quote before it was most likely never meant to be open.
            return Err(scanner.error(format!(
                "has an unclosed quote: {key} follows on line {number}"
            )));
        }

        scanner.push_line(line)?;
        if !scanner.state.is_in_quotes() {
            lines.push(LogicalLine {
                number: scanner.number,
                text: std::mem::take(&mut scanner.text),
            });
        }
    }

    if scanner.state.is_in_quotes() {
        Err(scanner.error("has an unclosed quote"))
    } else {
        Ok(lines)
    }
}

/// The key that `line` sets, if this program reads it. Errors do not name other keys: the text
/// before the `=` of a broken line may be part of a secret.
fn recognized_key(line: &str) -> Option<&'static str> {
    let (before, _) = line.split_once('=')?;
    let before = before.trim();
    keys::recognized(
        before
            .strip_prefix("export")
            .map_or(before, str::trim_start),
    )
}

/// Collects one logical line.
struct LineScanner {
    number: usize,
    state: QuoteState,
    has_value: bool,
    text: String,
}

impl LineScanner {
    fn new(number: usize) -> Self {
        Self {
            number,
            state: QuoteState::Unquoted,
            has_value: false,
            text: String::new(),
        }
    }

    fn error(&self, reason: impl Into<String>) -> LineError {
        LineError {
            number: self.number,
            key: recognized_key(&self.text),
            reason: reason.into(),
        }
    }

    /// Adds one line of the file, without its line feed.
    fn push_line(&mut self, line: &str) -> Result<(), LineError> {
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            if self.state == QuoteState::AfterSpace && c == '#' {
                break;
            }

            // The two parsers of `dotenvy` disagree about whether this ends the quote.
            if self.state == QuoteState::SingleQuoted && c == '\\' && rest.peek() == Some(&'\'') {
                return Err(self.error("contains an escaped single quote within single quotes"));
            }

            // Escaped, so that `dotenvy` does not substitute a variable.
            if c == '$'
                && matches!(
                    self.state,
                    QuoteState::Unquoted | QuoteState::AfterSpace | QuoteState::DoubleQuoted
                )
            {
                self.text.push('\\');
            }

            self.text.push(c);
            self.state = self.next_state(c);
        }

        if self.state == QuoteState::Escaped {
            return Err(self.error("ends with a backslash"));
        }

        self.text.push('\n');

        Ok(())
    }

    fn next_state(&mut self, c: char) -> QuoteState {
        match (self.state, c) {
            (QuoteState::Escaped, _)
            | (QuoteState::SingleQuoted, '\'')
            | (QuoteState::DoubleQuoted, '"') => QuoteState::Unquoted,
            (QuoteState::SingleQuoted, _) => QuoteState::SingleQuoted,
            (QuoteState::DoubleQuoted, '\\') => QuoteState::DoubleQuotedEscape,
            (QuoteState::DoubleQuoted | QuoteState::DoubleQuotedEscape, _) => {
                QuoteState::DoubleQuoted
            }
            (QuoteState::Unquoted | QuoteState::AfterSpace, c) => self.next_unquoted_state(c),
        }
    }

    fn next_unquoted_state(&mut self, c: char) -> QuoteState {
        match c {
            '\\' => QuoteState::Escaped,
            '\'' => QuoteState::SingleQuoted,
            '"' => QuoteState::DoubleQuoted,
            // A `#` directly after the `=` starts a comment, too.
            '=' if !self.has_value => {
                self.has_value = true;
                QuoteState::AfterSpace
            }
            c if c.is_whitespace() => QuoteState::AfterSpace,
            _ => QuoteState::Unquoted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        logical_lines(text)
            .unwrap()
            .into_iter()
            .map(|line| (line.number, line.text))
            .collect()
    }

    #[test]
    fn lines_are_counted_and_comments_cut() {
        let lines = texts("\u{feff}# one\r\nA=1\r\n\r\n  # it's\rB=2  # it's\nC=#it's\nD=a#b");
        let expected = [(2, "A=1\n"), (5, "B=2  \n"), (6, "C=\n"), (7, "D=a#b\n")];
        assert_eq!(
            lines,
            expected.map(|(number, text)| (number, text.to_owned()))
        );
    }

    #[test]
    fn dollars_become_literal_outside_single_quotes() {
        let lines = texts("A=$a\\$b\nB=\"$a\\$b\"\nC='$a'$b\n");
        let expected = [
            (1, "A=\\$a\\$b\n"),
            (2, "B=\"\\$a\\$b\"\n"),
            (3, "C='$a'\\$b\n"),
        ];

        assert_eq!(
            lines,
            expected.map(|(number, text)| (number, text.to_owned()))
        );
    }

    #[test]
    fn quotes_may_span_lines_but_never_over_a_key_this_program_reads() {
        assert_eq!(
            texts("PEM=\"a\nb=\n\"\nX=1"),
            [(1, "PEM=\"a\nb=\n\"\n".to_owned()), (4, "X=1\n".to_owned())]
        );
        let error = logical_lines("A=1\nNAME=it's\nexport AWS_REGION=x\nB='y'").unwrap_err();
        assert_eq!((error.number, error.key), (2, None));
        assert_eq!(
            error.reason,
            "has an unclosed quote: AWS_REGION follows on line 3"
        );
    }

    #[test]
    fn what_dotenvy_would_misread_is_refused() {
        for (text, reason) in [
            ("AWS_PROFILE=\"a\nb", "has an unclosed quote"),
            (
                "AWS_PROFILE='a\\'",
                "contains an escaped single quote within single quotes",
            ),
            ("AWS_PROFILE=a\\", "ends with a backslash"),
        ] {
            let error = logical_lines(text).unwrap_err();
            assert_eq!(
                (error.number, error.key, error.reason.as_str()),
                (1, Some("AWS_PROFILE"), reason)
            );
        }
    }
}
