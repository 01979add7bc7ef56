//! Cuts the text of an env file into logical lines that `dotenvy` reads as their author meant them.
//!
//! `dotenvy` knows no line numbers, substitutes `$NAME` from the process environment, and takes a `#` after two spaces for
//! text, so that an apostrophe in such a comment swallows the lines that follow. So each logical line (more than one line of
//! the file where quotes are open) is handed to it alone, its comment cut off and its `$` made literal. Where `dotenvy`'s
//! line splitter and its value parser would disagree about a quote, the line is refused.

use super::keys;

/// One assignment, possibly of several lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogicalLine {
    /// The line it begins on, counted from 1.
    pub(crate) number: usize,
    /// What `dotenvy` is to read.
    pub(crate) text: String,
}

/// A line that cannot be read, and why, worded to follow the key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LineError {
    pub(crate) number: usize,
    pub(crate) key: Option<&'static str>,
    pub(crate) reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Space,
    Escape,
    Single,
    Double,
    DoubleEscape,
}

impl State {
    fn in_quotes(self) -> bool {
        matches!(self, Self::Single | Self::Double | Self::DoubleEscape)
    }
}

/// The logical lines of `text`, without blank lines and comments.
pub(crate) fn logical_lines(text: &str) -> Result<Vec<LogicalLine>, LineError> {
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut found = Vec::new();
    let mut open = Scanner::at(1);
    for (number, line) in (1..).zip(text.lines()) {
        if !open.state.in_quotes() {
            if line.trim_start().starts_with('#') || line.trim().is_empty() {
                continue;
            }

            open = Scanner::at(number);
        } else if let Some(key) = key_of(line) {
            return Err(open.error(format!(
                "opens a quote that is still open where {key} follows on line {number}"
            )));
        }

        open.take(line)?;
        if !open.state.in_quotes() {
            found.push(LogicalLine {
                number: open.number,
                text: std::mem::take(&mut open.text),
            });
        }
    }

    if open.state.in_quotes() {
        Err(open.error("opens a quote that is never closed"))
    } else {
        Ok(found)
    }
}

/// The key that `line` sets, if this program reads it. Others are not named in errors: what stands before the `=` of a
/// broken line may be part of a secret.
fn key_of(line: &str) -> Option<&'static str> {
    let (before, _) = line.split_once('=')?;
    let before = before.trim();
    keys::known(
        before
            .strip_prefix("export")
            .map_or(before, str::trim_start),
    )
}

struct Scanner {
    number: usize,
    state: State,
    value_began: bool,
    text: String,
}

impl Scanner {
    fn at(number: usize) -> Self {
        Self {
            number,
            state: State::Plain,
            value_began: false,
            text: String::new(),
        }
    }

    fn error(&self, reason: impl Into<String>) -> LineError {
        LineError {
            number: self.number,
            key: key_of(&self.text),
            reason: reason.into(),
        }
    }

    /// Takes one line of the file, without its end.
    fn take(&mut self, line: &str) -> Result<(), LineError> {
        let mut rest = line.chars().peekable();
        while let Some(c) = rest.next() {
            if self.state == State::Space && c == '#' {
                break;
            }

            if self.state == State::Single && c == '\\' && rest.peek() == Some(&'\'') {
                return Err(
                    self.error("has a backslash before a single quote inside single quotes")
                );
            }

            if c == '$' && matches!(self.state, State::Plain | State::Space | State::Double) {
                self.text.push('\\');
            }

            self.text.push(c);
            self.state = self.after(c);
        }

        if self.state == State::Escape {
            return Err(self.error("ends with a backslash"));
        }

        self.text.push('\n');

        Ok(())
    }

    fn after(&mut self, c: char) -> State {
        match (self.state, c) {
            (State::Escape, _) | (State::Single, '\'') | (State::Double, '"') => State::Plain,
            (State::Single, _) => State::Single,
            (State::Double, '\\') => State::DoubleEscape,
            (State::Double | State::DoubleEscape, _) => State::Double,
            (State::Plain | State::Space, c) => self.after_unquoted(c),
        }
    }

    fn after_unquoted(&mut self, c: char) -> State {
        match c {
            '\\' => State::Escape,
            '\'' => State::Single,
            '"' => State::Double,
            // A `#` right after the `=` begins a comment too.
            '=' if !self.value_began => {
                self.value_began = true;
                State::Space
            }
            c if c.is_whitespace() => State::Space,
            _ => State::Plain,
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
            "opens a quote that is still open where AWS_REGION follows on line 3"
        );
    }

    #[test]
    fn what_dotenvy_would_misread_is_refused() {
        for (text, reason) in [
            ("AWS_PROFILE=\"a\nb", "opens a quote that is never closed"),
            (
                "AWS_PROFILE='a\\'",
                "has a backslash before a single quote inside single quotes",
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
