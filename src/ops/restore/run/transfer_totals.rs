//! Totals of the items that a restore has transferred.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::backup::KeyCollisions;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{count, counted};
use crate::ops::restore::{RestoreRequest, SourceFacts};
use crate::ops::sink::table::{AcknowledgedKeys, RestoreCounts, TableSink};

/// Totals of this run and of the interrupted runs that it resumes.
#[derive(Debug, Default)]
pub(crate) struct TransferTotals {
    pub(crate) counts: RestoreCounts,
    /// Whether a request was sent that may have written items.
    pub(crate) is_sent: bool,
    /// Items read but not counted, because the run stopped.
    pub(crate) open: usize,
    pub(crate) write_units: f64,
    /// Read units of a live source.
    pub(crate) read_units: f64,
    pub(crate) throttled_calls: u64,
    pub(crate) rejects_file: Option<PathBuf>,
    pub(crate) conflicts_file: Option<PathBuf>,
    /// The most frequent reasons of rejects, each with its number of items.
    pub(crate) reject_reasons: Vec<(String, u64)>,
    /// Rejected items of this run by the index that refused them.
    pub(crate) rejected_by_index: BTreeMap<String, u64>,
    /// Items of this run that have the same key after the transform.
    pub(crate) collisions: KeyCollisions,
}

impl TransferTotals {
    /// The totals of a sink, and the keys of the items that were acknowledged.
    ///
    /// # Errors
    /// The rejects files cannot be written.
    pub(crate) fn of_sink<P: Clone + Send>(sink: TableSink<P>) -> Result<(Self, AcknowledgedKeys)> {
        let result = sink.into_result()?;
        let totals = Self {
            counts: result.counts,
            is_sent: result.is_sent,
            open: result.open_items,
            write_units: result.costs.write_units,
            read_units: result.costs.read_units,
            throttled_calls: result.costs.throttled_calls,
            rejects_file: result.files.rejects,
            conflicts_file: result.files.conflicts,
            reject_reasons: result.files.reject_reasons,
            rejected_by_index: result.files.rejected_by_index,
            collisions: KeyCollisions::default(),
        };

        Ok((totals, result.acknowledged))
    }

    /// Checks that every item to write is accounted for, and that as many items were read as `expected`.
    pub(crate) fn check(&self, expected: Option<u64>) -> Result<()> {
        let RestoreCounts { read, out, .. } = self.counts;
        let accounted = self.counts.accounted();
        if out != accounted || self.open > 0 {
            let message = format!(
                "{} items were to be written, and {accounted} are accounted for",
                out + self.open as u64
            );
            return Err(Error::failed(message)
                .with_hint("compare source and target with verifydb; this should be reported"));
        }

        match expected {
            Some(expected) if expected != read => {
                let message =
                    format!("the dump changed: {expected} items were checked, {read} were read");
                Err(Error::damaged(message).with_hint("run the same command again"))
            }
            _ => Ok(()),
        }
    }

    /// Adds to an error how many items of the source were written before it.
    pub(crate) fn describe_stop(
        &self,
        request: &RestoreRequest,
        source: &SourceFacts,
        error: Error,
    ) -> Error {
        let progress = self.progress(source);
        if error.kind() == ErrorKind::Interrupted {
            return Error::new(ErrorKind::Interrupted, format!("interrupted: {progress}"))
                .with_hint("run the same command again: items already written are written again, with the same result");
        }

        let stopped = Error::new(
            error.kind(),
            format!("the {} stopped: {progress}", request.noun()),
        );
        let hint = error
            .hint()
            .unwrap_or("fix the cause, then run the same command again")
            .to_owned();

        stopped.with_hint(hint).with_source(error)
    }

    /// How many items were written, of those that the source has. Without a count of them, of those that were read.
    fn progress(&self, source: &SourceFacts) -> String {
        let RestoreCounts {
            written, filtered, ..
        } = self.counts;
        // DynamoDB's own count of a live table may be old.
        let about = if source.items.is_some() { "" } else { "~" };
        let (about, items) = match source.expected_items() {
            Some(items) if items >= written + filtered => (about, items),
            _ => ("", self.counts.read + self.open as u64),
        };
        let filtered_out = match filtered {
            0 => String::new(),
            filtered => format!(", and {} filtered out", count(filtered)),
        };

        format!(
            "{} of {about}{} had been written{filtered_out}",
            count(written),
            counted(items, "item")
        )
    }

    /// Why the table may lack items that the source has, or have them under other keys; `None` if each is written.
    pub(crate) fn unwritten_reason(&self) -> Option<String> {
        let RestoreCounts {
            rejected,
            skipped,
            filtered,
            ..
        } = self.counts;
        let reasons = [
            (rejected, "rejected"),
            (skipped, "skipped"),
            (filtered, "filtered out"),
        ];
        let (count, reason) = reasons.into_iter().find(|(count, _)| *count > 0)?;

        Some(format!(
            "{} of the source {} {reason}",
            counted(count, "item"),
            if count == 1 { "was" } else { "were" }
        ))
    }

    /// The files of rejected and skipped items.
    pub(crate) fn unwritten_files(&self) -> Vec<PathBuf> {
        [&self.rejects_file, &self.conflicts_file]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }
}
