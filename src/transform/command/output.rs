//! Reader of a process's standard output: matches its lines with the items that were sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::TransformCommand;
use super::input::UnansweredBytes;
use crate::event::Reporter;
use crate::limits::ITEM_TEXT_BYTES;
use crate::transform::job::ItemProgress;
use crate::transform::outcome::Outcome;

/// Bytes that are read at a time: the usual size of a pipe.
const READ_BYTES: usize = 64 * 1024;

/// Why an item has no usable answer.
pub(crate) enum OutputError {
    /// The output ended before the answer for this item.
    Missing(Bytes),
    /// The program printed nothing until the timeout; with the next item that it must answer.
    TimedOut(Option<Bytes>),
    /// The line for this item is not an answer.
    Invalid { item: Bytes, line: Bytes },
    /// The program printed more lines than it was sent items.
    ExtraLine,
    /// The output cannot be read.
    Unreadable(io::Error),
}

/// Why there is no next line.
enum LineError {
    TimedOut,
    Unreadable(io::Error),
}

impl LineError {
    fn about(self, item: Option<&Bytes>) -> OutputError {
        match self {
            Self::TimedOut => OutputError::TimedOut(item.cloned()),
            Self::Unreadable(error) => OutputError::Unreadable(error),
        }
    }
}

/// Reads the answers of one process.
pub(crate) struct AnswerReader {
    command: TransformCommand,
    reporter: Arc<dyn Reporter>,
    stdout: ChildStdout,
    /// What was read and is not part of a returned line.
    buffer: BytesMut,
    /// Bytes of the buffer that contain no line feed.
    searched: usize,
    /// Since when the process has as much input as it may have.
    waiting_since: watch::Receiver<Option<Instant>>,
}

impl AnswerReader {
    pub(crate) fn new(
        command: TransformCommand,
        reporter: Arc<dyn Reporter>,
        stdout: ChildStdout,
        waiting_since: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            command,
            reporter,
            stdout,
            buffer: BytesMut::new(),
            searched: 0,
            waiting_since,
        }
    }

    /// Reads one answer for each item, and applies them.
    pub(crate) async fn read_job(
        &mut self,
        items: Vec<ItemProgress>,
        unanswered: &UnansweredBytes,
    ) -> Result<Vec<ItemProgress>, OutputError> {
        let mut lines = Vec::new();
        let mut failure = None;

        for item in items.iter().flat_map(ItemProgress::current) {
            match self.next_line().await {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => failure = Some(OutputError::Missing(item.clone())),
                Err(error) => failure = Some(error.about(Some(item))),
            }

            if failure.is_some() {
                break;
            }

            unanswered.answer(item);
        }

        if lines.is_empty() {
            return failure.map_or(Ok(items), Err);
        }

        // Parsing takes a core for milliseconds, so it must not block the other tasks.
        let (command, reporter) = (self.command.clone(), Arc::clone(&self.reporter));
        let applied =
            spawn_blocking(move || apply_answers(items, lines, &command, &*reporter)).await;

        // An invalid answer is the cause of what follows it.
        let items = applied.map_err(|error| OutputError::Unreadable(io::Error::other(error)))??;
        failure.map_or(Ok(items), Err)
    }

    /// Checks that the output ends after the last answer.
    pub(crate) async fn expect_end(&mut self) -> Result<(), OutputError> {
        match self.next_line().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(OutputError::ExtraLine),
            Err(error) => Err(error.about(None)),
        }
    }

    /// Reads the next line, without its line feed; `None` at the end of the output. A line longer than any answer is an error.
    async fn next_line(&mut self) -> Result<Option<Bytes>, LineError> {
        loop {
            if let Some(length) = memchr(b'\n', &self.buffer[self.searched..]) {
                let line = self.buffer.split_to(self.searched + length + 1).freeze();
                self.searched = 0;
                return Ok(Some(line.slice(..line.len() - 1)));
            }

            self.searched = self.buffer.len();
            if self.searched > ITEM_TEXT_BYTES {
                let what = format!("a line of more than {ITEM_TEXT_BYTES} bytes");
                return Err(LineError::Unreadable(io::Error::new(
                    io::ErrorKind::InvalidData,
                    what,
                )));
            }

            self.buffer.reserve(READ_BYTES);
            let count = tokio::select! {
                biased;
                read = self.stdout.read_buf(&mut self.buffer) => read.map_err(LineError::Unreadable)?,
                () = timed_out(&mut self.waiting_since, self.command.timeout) => return Err(LineError::TimedOut),
            };

            // The last line may have no line feed.
            if count == 0 {
                self.searched = 0;
                let line = self.buffer.split().freeze();
                return Ok((!line.is_empty()).then_some(line));
            }
        }
    }
}

/// Waits until a process has had as much input as it may have for the whole timeout. Until then it may be waiting for more input, for
/// example to fill its output buffer.
async fn timed_out(waiting_since: &mut watch::Receiver<Option<Instant>>, timeout: Duration) {
    let began = Instant::now();

    loop {
        let since = *waiting_since.borrow_and_update();
        let elapsed = async {
            match since {
                Some(since) => sleep_until(since.max(began) + timeout).await,
                None => std::future::pending().await,
            }
        };

        tokio::select! {
            () = elapsed => return,
            changed = waiting_since.changed() => if changed.is_err() {
                // The input has ended: the time does not change any more.
                let since = waiting_since.borrow().unwrap_or(began);
                sleep_until(since.max(began) + timeout).await;
                return;
            },
        }
    }
}

/// Applies one line to each item. Items without a line, after an error, are skipped.
fn apply_answers(
    items: Vec<ItemProgress>,
    lines: Vec<Bytes>,
    command: &TransformCommand,
    reporter: &dyn Reporter,
) -> Result<Vec<ItemProgress>, OutputError> {
    let mut lines = lines.into_iter();
    let mut invalid = None;
    let mut answer = |item: &Bytes| {
        let Some(line) = lines.next() else {
            return Outcome::Skipped;
        };

        let Ok(answer) = command.program.parse_answer(item, &line) else {
            let item = item.clone();
            invalid.get_or_insert(OutputError::Invalid { item, line });
            return Outcome::Skipped;
        };

        if let Some(traceback) = answer.traceback {
            command.report_traceback(item, &traceback, reporter);
        }

        answer.outcome
    };

    // Every item was sent and has a line, even after a rejection.
    let items = items
        .into_iter()
        .map(|item| item.apply_to_all(&mut answer))
        .collect();

    invalid.map_or(Ok(items), Err)
}
