//! Filters and conditions in jq, over items in DynamoDB JSON.

mod guard;
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
use super::check::check;
use super::document::{self, kind_of};
use super::outcome::{Outcome, Reason};
use super::stage::{Stage, Worker};
use crate::error::Result;

/// Items that may stand for one.
const OUTPUTS: usize = 10_000;

/// Characters of a filter's own message that are kept.
const MESSAGE_CHARS: usize = 300;

/// A filter: none, one or several items for each.
pub(crate) struct Filter(Arc<Program>);

impl Filter {
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        Ok(Self(Arc::new(Program::compile(name, code)?)))
    }
}

impl Stage for Filter {
    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(Filtering {
            program: &self.0,
            guard: Guard::new(),
        })
    }
}

struct Filtering<'a> {
    program: &'a Program,
    guard: Guard,
}

impl Worker for Filtering<'_> {
    fn apply(&mut self, item: &Bytes, _read: &Bytes) -> Outcome {
        guarded(|| self.outcome(item)).unwrap_or_else(Outcome::Rejected)
    }
}

impl Filtering<'_> {
    fn outcome(&self, item: &Bytes) -> std::result::Result<Outcome, Reason> {
        let input = document::read(item)?;
        let Val::Obj(before) = &input else {
            return Err(Reason::own("not an item"));
        };

        let mut made = Vec::new();
        let mut untouched = true;
        for output in self.program.run(&self.guard, input.clone()) {
            let output = output.map_err(|error| message(&error.into_val()))?;
            if made.len() == OUTPUTS {
                return Err(Reason::own(format!("it gives more than {OUTPUTS} items")));
            }

            if output == input {
                made.push(item.clone());
                continue;
            }

            untouched = false;
            made.push(written(&output, before, item)?);
        }

        Ok(match made.len() {
            0 => Outcome::Skipped,
            1 if untouched => Outcome::Unchanged,
            1 => Outcome::Changed(made.remove(0)),
            _ => Outcome::Several(made),
        })
    }
}

/// The text of what a filter gave, if it is an item.
fn written(output: &Val, before: &Map, item: &Bytes) -> std::result::Result<Bytes, Reason> {
    let Val::Obj(map) = output else {
        return Err(Reason::own(format!(
            "it gives {}, not an item",
            kind_of(output)
        )));
    };

    let text = document::write(map, before)?;
    check(&text, item)?;

    Ok(text)
}

/// A condition on items: true unless its first output is `false` or `null`, or it has none.
#[derive(Clone)]
pub(crate) struct Condition(Arc<Program>);

impl Condition {
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        Ok(Self(Arc::new(Program::compile(name, code)?)))
    }

    /// What asks the condition on this thread.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker {
            program: &self.0,
            guard: Guard::new(),
        }
    }
}

/// Asks a condition, on one thread.
pub(crate) struct Asker<'a> {
    program: &'a Program,
    guard: Guard,
}

impl Asker<'_> {
    /// Whether the condition holds for `item`.
    pub(crate) fn holds(&self, item: &Val) -> std::result::Result<bool, Reason> {
        guarded(
            || match self.program.run(&self.guard, item.clone()).next() {
                Some(Ok(value)) => Ok(!matches!(value, Val::Null | Val::Bool(false))),
                Some(Err(error)) => Err(message(&error.into_val())),
                None => Ok(false),
            },
        )
    }
}

/// Leaves items out for which a condition does not hold.
pub(crate) struct Where(pub(crate) Condition);

impl Stage for Where {
    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(Choosing(self.0.asker()))
    }
}

struct Choosing<'a>(Asker<'a>);

impl Worker for Choosing<'_> {
    fn apply(&mut self, item: &Bytes, _read: &Bytes) -> Outcome {
        match document::read(item)
            .map_err(Reason::from)
            .and_then(|item| self.0.holds(&item))
        {
            Ok(true) => Outcome::Unchanged,
            Ok(false) => Outcome::Skipped,
            Err(reason) => Outcome::Rejected(reason.after("--where: ")),
        }
    }
}

/// The interpreter panics on a few odd programs (a reversed range in a date, say); that is one more reason to reject an item.
fn guarded<T>(
    run: impl FnOnce() -> std::result::Result<T, Reason>,
) -> std::result::Result<T, Reason> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Reason::own("the jq interpreter failed on it")))
}

/// The message of a filter, on one line and cut.
fn message(value: &Val) -> Reason {
    let words = match value {
        Val::TStr(text) => String::from_utf8_lossy(text).into_owned(),
        other => other.to_string(),
    };
    let mut kept: String = words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_CHARS)
        .collect();

    if words.chars().nth(MESSAGE_CHARS).is_some() {
        kept.push('…');
    }

    Reason::Foreign(kept)
}
