//! Writer of a process's standard input: the items that it must answer, one per line.

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::program_job::ProgramJob;
use crate::item::{compact, has_line_breaks};
use crate::transform::job::ItemProgress;

/// Bytes that are written at a time: the usual size of a pipe.
const WRITE_BYTES: usize = 64 * 1024;

/// Limit of the bytes that a process was sent and has not answered.
pub(crate) struct UnansweredBytes {
    permits: Semaphore,
    max_item_bytes: usize,
}

impl UnansweredBytes {
    pub(crate) fn new(max_bytes: usize) -> Self {
        let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);

        Self {
            permits: Semaphore::new(max_bytes),
            max_item_bytes: max_bytes / 2,
        }
    }

    /// Counts an item as sent, if there is room for it.
    fn try_send(&self, item: &Bytes) -> bool {
        let permit = self.permits.try_acquire_many(self.counted(item));
        permit.map(tokio::sync::SemaphorePermit::forget).is_ok()
    }

    /// Waits until there is room for an item, and counts it as sent.
    async fn send(&self, item: &Bytes) {
        // The semaphore is never closed.
        if let Ok(permit) = self.permits.acquire_many(self.counted(item)).await {
            permit.forget();
        }
    }

    /// Counts an item as answered.
    pub(crate) fn answer(&self, item: &Bytes) {
        self.permits.add_permits(self.counted(item) as usize);
    }

    /// A large item counts as half of the limit: a process may hold some answers back until it has the next item.
    fn counted(&self, item: &Bytes) -> u32 {
        u32::try_from(item.len().min(self.max_item_bytes)).unwrap_or(u32::MAX)
    }
}

/// Passes jobs on to the reader of the answers and writes their items. Ends the input after the last job.
///
/// While the process has as much input as it may have, `waiting_since` has the time since when it could answer.
pub(crate) async fn write_jobs(
    mut stdin: ChildStdin,
    mut jobs: Receiver<ProgramJob>,
    pending: Sender<ProgramJob>,
    unanswered: &UnansweredBytes,
    waiting_since: watch::Sender<Option<Instant>>,
) {
    let mut is_open = true;

    while let Some(job) = jobs.recv().await {
        let items: Vec<Bytes> = job
            .items
            .iter()
            .flat_map(ItemProgress::current)
            .cloned()
            .collect();

        // Before its items, because they may be answered before all of them are written.
        waiting_since.send_replace(Some(Instant::now()));
        if pending.send(job).await.is_err() {
            return;
        }

        if is_open {
            is_open = write_items(&mut stdin, &items, unanswered, &waiting_since).await;
        }

        // A program that has closed its input gets no more. Whether that is an error depends on its answers.
        if is_open {
            waiting_since.send_replace(None);
        }
    }

    waiting_since.send_replace(Some(Instant::now()));
}

/// Writes items. Returns whether the program accepts more.
async fn write_items(
    stdin: &mut ChildStdin,
    items: &[Bytes],
    unanswered: &UnansweredBytes,
    waiting_since: &watch::Sender<Option<Instant>>,
) -> bool {
    let mut text = Vec::new();

    for item in items {
        if !unanswered.try_send(item) {
            // The answers that make room may depend on what was not written yet.
            if !write_text(stdin, &mut text, waiting_since).await {
                return false;
            }

            unanswered.send(item).await;
        }

        if has_line_breaks(item) {
            text.extend_from_slice(&compact(item));
        } else {
            text.extend_from_slice(item);
        }

        text.push(b'\n');

        if text.len() >= WRITE_BYTES && !write_text(stdin, &mut text, waiting_since).await {
            return false;
        }
    }

    write_text(stdin, &mut text, waiting_since).await
}

/// Writes and clears a text. Returns whether the program accepts more.
async fn write_text(
    stdin: &mut ChildStdin,
    text: &mut Vec<u8>,
    waiting_since: &watch::Sender<Option<Instant>>,
) -> bool {
    let is_open = stdin.write_all(text).await.is_ok();
    text.clear();

    // A program that reads its input makes progress.
    waiting_since.send_replace(Some(Instant::now()));

    is_open
}
