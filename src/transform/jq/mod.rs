//! Filters and conditions in jq, for items in DynamoDB JSON.

mod context;
mod guard;
mod instrument;
mod program;
mod syntax;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use jaq_json::{Map, Val};

use self::guard::Guard;
pub(crate) use self::guard::STACK_BYTES;
pub(crate) use self::program::Program;
use super::check::check_item;
use super::document::{self, json_type_name};
use super::item_step::{ItemStep, ItemWorker};
use super::outcome::{Outcome, RejectReason};
use crate::error::Result;
use crate::field::Field;

/// Maximum number of items that a filter may create from one.
const MAX_OUTPUTS: usize = 10_000;

/// Maximum length of a filter's error message, in characters.
const MESSAGE_CHARS: usize = 300;

/// A filter: replaces each item by none, one or several.
pub(crate) struct Filter(Arc<Program>);

impl Filter {
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        Ok(Self(Arc::new(Program::compile(name, code)?)))
    }
}

impl ItemStep for Filter {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(FilterWorker {
            program: &self.0,
            guard: Guard::new(),
        })
    }
}

struct FilterWorker<'a> {
    program: &'a Program,
    guard: Guard,
}

impl ItemWorker for FilterWorker<'_> {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        catch_interpreter_panics(|| self.outcome(item)).unwrap_or_else(Outcome::Rejected)
    }
}

impl FilterWorker<'_> {
    fn outcome(&self, item: &Bytes) -> std::result::Result<Outcome, RejectReason> {
        let input = document::parse(item)?;
        let Val::Obj(before) = &input else {
            return Err(RejectReason::internal("not an item"));
        };

        let mut items = Vec::new();
        let mut is_unchanged = true;
        for output in self.program.run(&self.guard, input.clone()) {
            let output = output.map_err(|error| error_message(&error.into_val()))?;
            if items.len() == MAX_OUTPUTS {
                return Err(RejectReason::internal(format!(
                    "it gives more than {MAX_OUTPUTS} items"
                )));
            }

            // An equal output keeps the original bytes.
            if output == input {
                items.push(item.clone());
                continue;
            }

            is_unchanged = false;
            items.push(write_output(&output, before, item)?);
        }

        Ok(match items.len() {
            0 => Outcome::Skipped,
            1 if is_unchanged => Outcome::Unchanged,
            1 => Outcome::Changed(items.remove(0)),
            _ => Outcome::Several(items),
        })
    }
}

/// Converts an output of a filter to an item.
fn write_output(
    output: &Val,
    before: &Map,
    item: &Bytes,
) -> std::result::Result<Bytes, RejectReason> {
    let Val::Obj(map) = output else {
        return Err(RejectReason::internal(format!(
            "it gives {}, not an item",
            json_type_name(output)
        )));
    };

    let text = document::write(map, before)?;
    check_item(&text, item)?;

    Ok(text)
}

/// A condition on items: true unless its first output is `false` or `null`, or it has none.
#[derive(Clone)]
pub(crate) struct Condition(Arc<Program>);

impl Condition {
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        Ok(Self(Arc::new(Program::compile(name, code)?)))
    }

    /// Creates an evaluator for one thread.
    pub(crate) fn evaluator(&self) -> ConditionEvaluator<'_> {
        ConditionEvaluator {
            program: &self.0,
            guard: Guard::new(),
        }
    }
}

/// Evaluates a condition on one thread.
pub(crate) struct ConditionEvaluator<'a> {
    program: &'a Program,
    guard: Guard,
}

impl ConditionEvaluator<'_> {
    /// Whether the condition holds for `item`.
    pub(crate) fn holds(&self, item: &Val) -> std::result::Result<bool, RejectReason> {
        catch_interpreter_panics(
            || match self.program.run(&self.guard, item.clone()).next() {
                Some(Ok(value)) => Ok(!matches!(value, Val::Null | Val::Bool(false))),
                Some(Err(error)) => Err(error_message(&error.into_val())),
                None => Ok(false),
            },
        )
    }
}

/// Step that skips items for which a condition is false.
pub(crate) struct ConditionStep(pub(crate) Condition);

impl ItemStep for ConditionStep {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(ConditionWorker(self.0.evaluator()))
    }
}

struct ConditionWorker<'a>(ConditionEvaluator<'a>);

impl ItemWorker for ConditionWorker<'_> {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        match document::parse(item)
            .map_err(RejectReason::from)
            .and_then(|item| self.0.holds(&item))
        {
            Ok(true) => Outcome::Unchanged,
            Ok(false) => Outcome::Skipped,
            Err(reason) => Outcome::Rejected(reason.with_context(Field::Where)),
        }
    }
}

/// Turns a panic into a rejection: the interpreter panics in a few cases, such as a reversed range
/// in a date.
fn catch_interpreter_panics<T>(
    run: impl FnOnce() -> std::result::Result<T, RejectReason>,
) -> std::result::Result<T, RejectReason> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(RejectReason::internal("the jq interpreter failed on it")))
}

/// The error message of a filter, on one line and shortened.
fn error_message(value: &Val) -> RejectReason {
    let text = match value {
        Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    };
    let mut kept: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_CHARS)
        .collect();

    if text.chars().nth(MESSAGE_CHARS).is_some() {
        kept.push('…');
    }

    RejectReason::External(kept)
}
