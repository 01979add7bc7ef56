//! What a transform would do, found out by doing it to every item, but for the writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::cost::{Costing, Tariff, WriteCost};
use super::through::{Meetings, Misfit, bytes_of, cut_to, through};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::item::KeySchema;
use crate::transform::{Outcome, RejectReason, Transform, TransformedChunk};

/// Different reasons that are told.
const REASONS: usize = 10;

/// What a transform would do to all items.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Trial {
    /// Items that went in.
    pub items_in: u64,
    /// Of those, items in whose place others came out.
    pub changed: u64,
    /// Of those, items that were left out on purpose.
    pub left_out: u64,
    /// Of those, items that could not go on.
    pub rejected: u64,
    /// Items that came out.
    pub items_out: u64,
    /// Bytes of their text.
    pub bytes_out: u64,
    /// The first reasons for which items were rejected, each with the number of items.
    pub reasons: Vec<(String, u64)>,
    /// Items that came out, or would have, without the key that the table has or is to have.
    pub without_key: u64,
    /// Items that came out, or would have, larger than DynamoDB takes.
    pub too_large: u64,
    /// Items whose key another item has that had another key before: one would overwrite the other.
    pub collisions: u64,
    /// The first of them, by their place among what comes out, counted from 1: who had the key first, and who meets it.
    pub collided: Vec<(u64, u64)>,
    /// What it costs to write what came out.
    #[serde(flatten)]
    pub cost: WriteCost,
    /// Items to look at.
    #[serde(skip)]
    pub shown: Vec<Shown>,
}

/// Items that a dry run keeps to be shown before and after the transform.
#[derive(Debug, Clone, Copy, Default)]
pub struct Show {
    /// How many of those that change.
    pub items: usize,
    /// Show masked values of the items as they were read.
    pub originals: bool,
}

/// An item before and after a transform.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As it was, in DynamoDB JSON; masked values are replaced by a placeholder.
    pub before: Bytes,
    /// What stands in its place.
    pub after: Vec<Bytes>,
    /// Why it could not go on.
    pub rejected: Option<String>,
}

/// A dry run that was stopped.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted: nothing was written")
}

/// Makes a trial.
pub(crate) struct Trying {
    trial: Trial,
    key: KeySchema,
    costing: Costing,
    /// Whether items that do not fit the key, or are too large, are rejected.
    rejects_misfits: bool,
    meetings: Option<Meetings>,
    reasons: BTreeMap<String, u64>,
    show: Show,
    /// Conceals masked values of the items shown.
    transform: Transform,
    /// Items that may still come out.
    left: Option<u64>,
}

impl Trying {
    /// A trial of items that go to a table with the key `key` that charges by `tariff`. A restore rejects what does not fit.
    pub(crate) fn new(
        key: KeySchema,
        tariff: Tariff,
        transform: &Transform,
        meetings: Option<Meetings>,
        rejects_misfits: bool,
        show: Show,
    ) -> Self {
        Self {
            trial: Trial::default(),
            key,
            costing: Costing::new(tariff),
            rejects_misfits,
            meetings,
            reasons: BTreeMap::new(),
            show,
            transform: transform.clone(),
            left: None,
        }
    }

    /// No more than so many items come out.
    pub(crate) fn limited(mut self, left: Option<u64>) -> Self {
        self.left = left;
        self
    }

    /// Puts items through the transform, as they come and until no more are to come out; what was found.
    ///
    /// # Errors
    /// Those of `chunks`; a program fails; interrupted.
    pub(crate) fn all<T: Send + 'static>(
        mut self,
        chunks: impl Iterator<Item = Result<(Vec<Bytes>, T)>> + Send + 'static,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<Trial> {
        for chunk in through(&self.transform, reporter, chunks)? {
            if cancel.is_cancelled() {
                return Err(interrupted());
            }

            let chunk = chunk?;
            reporter.report(Event::Progress {
                items: chunk.items.len() as u64,
                bytes: bytes_of(&chunk.items),
            });
            self.take(chunk)?;

            if self.is_full() {
                break;
            }
        }

        self.transform
            .warnings()
            .into_iter()
            .for_each(|warning| reporter.report(Event::Warning(warning)));
        self.end()
    }

    /// Whether no more items come out.
    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    fn take<T>(&mut self, chunk: TransformedChunk<T>) -> Result<()> {
        for (item, outcome) in chunk.items.iter().zip(chunk.outcomes) {
            if self.is_full() {
                break;
            }

            self.one(item, outcome)?;
        }

        Ok(())
    }

    fn one(&mut self, item: &Bytes, outcome: Outcome) -> Result<()> {
        let misfit = outcome
            .items(item)
            .iter()
            .find_map(|made| Misfit::of(made, &self.key));
        match &misfit {
            Some(Misfit::Key(_)) => self.trial.without_key += 1,
            Some(Misfit::Size(_)) => self.trial.too_large += 1,
            None => {}
        }

        let rejected = misfit
            .filter(|_| self.rejects_misfits)
            .map(|misfit| match outcome {
                Outcome::Unchanged => RejectReason::internal(misfit.words()),
                _ => misfit.reason(),
            });

        let outcome = match rejected {
            Some(reason) => Outcome::Rejected(reason),
            None => self.within_limit(outcome),
        };
        if let Some(meetings) = &mut self.meetings {
            meetings.take(item, &outcome)?;
        }

        let trial = &mut self.trial;
        trial.items_in += 1;

        match &outcome {
            Outcome::Unchanged => {}
            Outcome::Changed(_) | Outcome::Several(_) => trial.changed += 1,
            Outcome::Skipped => trial.left_out += 1,
            Outcome::Rejected(reason) => {
                trial.rejected += 1;
                let reason = reason.to_string();
                if self.reasons.len() < REASONS || self.reasons.contains_key(&reason) {
                    *self.reasons.entry(reason).or_default() += 1;
                }
            }
        }

        for made in outcome.items(item) {
            trial.items_out += 1;
            trial.bytes_out += made.len() as u64;
            self.costing.take(made);
        }

        self.keep(item, outcome);

        Ok(())
    }

    fn within_limit(&mut self, mut outcome: Outcome) -> Outcome {
        let Some(left) = &mut self.left else {
            return outcome;
        };

        cut_to(&mut outcome, *left);
        let out = match &outcome {
            Outcome::Unchanged | Outcome::Changed(_) => 1,
            Outcome::Several(items) => items.len() as u64,
            Outcome::Skipped | Outcome::Rejected(_) => 0,
        };

        *left -= out;

        outcome
    }

    fn keep(&mut self, item: &Bytes, outcome: Outcome) {
        let shown = match &outcome {
            Outcome::Unchanged => return,
            _ if self.trial.shown.len() >= self.show.items => return,
            other => other.items(item).to_vec(),
        };

        let rejected = if let Outcome::Rejected(reason) = outcome {
            Some(reason.to_string())
        } else {
            None
        };

        let before = if self.show.originals {
            item.clone()
        } else {
            self.transform.displayable_item(item)
        };

        self.trial.shown.push(Shown {
            before,
            after: shown,
            rejected,
        });
    }

    /// What was found. Keys that meet are looked for now.
    fn end(self) -> Result<Trial> {
        let mut trial = self.trial;
        trial.cost = self.costing.end();
        if let Some(meetings) = &self.meetings {
            let found = meetings.judge()?;
            (trial.collisions, trial.collided) = (found.count, found.first);
        }

        trial.reasons = self.reasons.into_iter().collect();
        trial
            .reasons
            .sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));

        Ok(trial)
    }
}
