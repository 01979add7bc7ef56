//! Rust function as a step.

use bytes::Bytes;

use super::check::check_item;
use super::item_step::{ItemStep, ItemWorker};
use super::outcome::{Outcome, RejectReason};

/// A function of the library's user. All threads share it.
pub(crate) struct FunctionStep<F>(pub(crate) F);

impl<F: Fn(&Bytes) -> Outcome + Send + Sync> ItemStep for FunctionStep<F> {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(FunctionWorker(&self.0))
    }
}

struct FunctionWorker<'a, F>(&'a F);

impl<F: Fn(&Bytes) -> Outcome> ItemWorker for FunctionWorker<'_, F> {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        let outcome = (self.0)(item);
        let results = match &outcome {
            Outcome::Changed(result) => std::slice::from_ref(result),
            Outcome::Several(results) => results,
            Outcome::Unchanged | Outcome::Skipped | Outcome::Rejected(_) => &[],
        };
        let checked = results
            .iter()
            .try_for_each(|result| check_item(result, item));

        match checked {
            Ok(()) => outcome,
            Err(reason) => Outcome::Rejected(RejectReason::External(reason)),
        }
    }
}
