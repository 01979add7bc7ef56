//! Standard error of a program: reported line by line up to a limit, with the last lines kept for
//! an error.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStderr;

use super::answer::printable;
use crate::event::{Event, Reporter};
use crate::field::Field;
use crate::limits::ITEM_TEXT_BYTES;

/// Maximum number of lines that an error shows.
const LAST_LINES: usize = 20;

/// Maximum number of lines that are reported.
const REPORTED_LINES: usize = 50;

/// Maximum number of characters of a line that are reported or kept.
const LINE_CHARS: usize = 500;

/// Reported once in place of all lines while values are masked.
const WITHHELD: &str =
    "its standard error is not shown while a mask is active, because it may quote masked values";

/// The last lines that a program printed on standard error. Clones share them.
#[derive(Clone)]
pub(crate) struct StderrLog {
    last_lines: Arc<Mutex<VecDeque<String>>>,
    /// Names the program.
    field: Field,
    /// Whether no line is shown, because it may quote masked values.
    hides_output: bool,
}

impl StderrLog {
    /// An empty log. With `hides_output`, lines are neither reported nor kept.
    pub(crate) fn new(field: Field, hides_output: bool) -> Self {
        Self {
            last_lines: Arc::default(),
            field,
            hides_output,
        }
    }

    /// Reads standard error to its end.
    pub(crate) async fn read(&self, stderr: ChildStderr, reporter: &dyn Reporter) {
        let mut reader = BufReader::new(stderr);
        let mut count = 0;
        while let Ok(Some(line)) = next_line(&mut reader).await {
            if self.hides_output {
                if count == 0 {
                    reporter.report(Event::Info(format!("{}: {WITHHELD}", self.field)));
                }

                count += 1;
                continue;
            }

            let line = printable(&String::from_utf8_lossy(&line), LINE_CHARS);
            if count < REPORTED_LINES {
                reporter.report(Event::Info(format!("{}: {line}", self.field)));
            } else if count == REPORTED_LINES {
                reporter.report(Event::Info(format!(
                    "{}: … (more is not shown)",
                    self.field
                )));
            }

            count += 1;
            let mut last = self
                .last_lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }

            last.push_back(line);
        }
    }

    /// The last lines, indented.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.last_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|line| format!("  {line}"))
            .collect()
    }
}

/// Reads the next line, without its line feed; `None` at the end of the stream. A line longer than any item is an
/// error.
async fn next_line(reader: &mut BufReader<ChildStderr>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = reader.take(ITEM_TEXT_BYTES as u64 + 1);
    let count = limited.read_until(b'\n', &mut line).await?;

    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > ITEM_TEXT_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }

    Ok((count > 0).then_some(line))
}
