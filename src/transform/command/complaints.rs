//! The standard error of a program: reported while it comes, within bounds, and kept for the error that ends the run.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};

use super::answer::printable;
use crate::event::{Event, Reporter};
use crate::limits::ITEM_TEXT_BYTES;

/// Lines of standard error that an error shows.
const LAST_LINES: usize = 20;

/// Lines of standard error that are reported as they come.
const REPORTED_LINES: usize = 50;

/// Characters of one such line.
const LINE_CHARS: usize = 500;

/// Replaces what the program prints on standard error while values are masked.
const WITHHELD: &str =
    "its standard error is not shown while a mask is active, because it may quote masked values";

/// What a program prints on standard error.
#[derive(Clone)]
pub(crate) struct Complaints {
    last: Arc<Mutex<VecDeque<String>>>,
    /// Whether nothing of it is shown: it may quote values that are masked.
    is_quiet: bool,
}

impl Complaints {
    /// None yet. With `is_quiet`, none is shown.
    pub(crate) fn new(is_quiet: bool) -> Self {
        Self {
            last: Arc::default(),
            is_quiet,
        }
    }

    /// Reads them to their end.
    pub(crate) fn listen(&self, stderr: ChildStderr, reporter: &dyn Reporter) {
        let mut reader = BufReader::new(stderr);
        let mut count = 0;
        while let Ok(Some(line)) = next_line(&mut reader, ITEM_TEXT_BYTES) {
            if self.is_quiet {
                if count == 0 {
                    reporter.report(Event::Info(format!("--transform-command: {WITHHELD}")));
                }

                count += 1;
                continue;
            }

            let line = printable(&String::from_utf8_lossy(&line), LINE_CHARS);
            if count < REPORTED_LINES {
                reporter.report(Event::Info(format!("--transform-command: {line}")));
            } else if count == REPORTED_LINES {
                reporter.report(Event::Info(
                    "--transform-command: … (more is not shown)".to_owned(),
                ));
            }

            count += 1;
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }

            last.push_back(line);
        }
    }

    /// The last lines, for an error.
    pub(crate) fn last(&self) -> Vec<String> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|line| format!("  {line}"))
            .collect()
    }
}

/// The next line without its end; `None` at the end of the stream.
pub(crate) fn next_line(reader: &mut impl BufRead, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = io::Read::take(&mut *reader, most as u64 + 1).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line of more than {most} bytes"),
        ));
    }

    Ok((read > 0).then_some(line))
}
