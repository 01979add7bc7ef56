//! Keeps a filter within bounds: jq programs may loop and recurse, and the interpreter itself sets no limit.
//!
//! Every place where a program can go on without end gets a call of [`TICK`] before it is compiled: definitions that call
//! themselves, `reduce` and `foreach`, arrays, `range`. A tick spends fuel and looks at the stack, so that a filter that does not
//! end is an error of one item, the same on every machine, instead of a hang or a crash. Natives that make one huge value at once
//! (`"x" * 1000000000000`) are not bounded: the filter is the user's own program.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::{Fun, v};
use jaq_core::path::Part;
use jaq_core::{DataT, Exn, Native};
use jaq_json::Val;

use super::program::{Data, JqError};

/// The native that bounds a program. No word of jq begins with `!`, so no program can call or redefine it.
const TICK: &str = "!tick";

/// Ticks that one item may cost: about a second of work, and several rounds over the longest list that fits into an item.
const FUEL: u32 = 2_000_000;

/// Time that one item may take, where single steps are slow; looked at every [`TICKS_PER_LOOK`] ticks.
const PATIENCE: Duration = Duration::from_secs(30);
const TICKS_PER_LOOK: u32 = 256;

/// Bytes of one string within a filter; far more than an item may have.
const STRING_BYTES: usize = 64 * 1024 * 1024;

/// Stack of a thread that runs filters. It is reserved, not used, until a filter recurses.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Stack that recursion may use; the rest is for what runs between two ticks, and for freeing what was nested.
const RECURSION_BYTES: usize = STACK_BYTES / 4;

/// What the run for one item may still spend.
#[derive(Debug)]
pub(crate) struct Guard {
    fuel: Cell<u32>,
    /// Where the stack was when the run began.
    stack: Cell<usize>,
    recursion_bytes: usize,
    began: Cell<Instant>,
    patience: Duration,
}

impl Guard {
    /// A guard for threads with a stack of [`STACK_BYTES`].
    pub(crate) fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    /// The same with less time.
    pub(crate) fn with_patience(patience: Duration) -> Self {
        let began = Cell::new(Instant::now());
        Self {
            fuel: Cell::new(0),
            stack: Cell::new(0),
            recursion_bytes: RECURSION_BYTES,
            began,
            patience,
        }
    }

    /// Begins the run for one item.
    pub(crate) fn begin(&self) {
        self.fuel.set(FUEL);
        self.began.set(Instant::now());
        self.stack.set(stack_position());
    }

    fn spend(&self, value: &Val) -> Result<(), JqError> {
        let left = self.fuel.get();
        if left == 0 {
            return Err(JqError::str(format!(
                "it does not end: stopped after {FUEL} steps"
            )));
        }

        self.fuel.set(left - 1);

        if left.is_multiple_of(TICKS_PER_LOOK) && self.began.get().elapsed() > self.patience {
            return Err(JqError::str(format!(
                "it does not end: stopped after {} s",
                self.patience.as_secs()
            )));
        }

        if self.stack.get().abs_diff(stack_position()) > self.recursion_bytes {
            return Err(JqError::str("it recurses too deeply"));
        }

        match value {
            Val::TStr(text) | Val::BStr(text) if text.len() > STRING_BYTES => Err(JqError::str(
                format!("it makes a string of more than {STRING_BYTES} bytes"),
            )),
            _ => Ok(()),
        }
    }
}

/// About where the stack ends now.
#[inline(never)]
fn stack_position() -> usize {
    let marker = 0u8;
    (&raw const marker).addr()
}

/// The native behind [`TICK`]: gives its input, or the error that ends the run.
pub(crate) fn tick<D>() -> Fun<D>
where
    D: for<'a> DataT<V<'a> = Val, Data<'a> = Data<'a>>,
{
    let native = Native::<D>::new(|cv| {
        let spent = cv.0.data().guard.spend(&cv.1);
        box_once(spent.map(|()| cv.1).map_err(Exn::from))
    });
    let native = native
        .with_paths(|cv| {
            let spent = cv.0.data().guard.spend(&cv.1.0);
            box_once(spent.map(|()| cv.1).map_err(Exn::from))
        })
        .with_update(|cv, update| match cv.0.data().guard.spend(&cv.1) {
            Ok(()) => update(cv.1),
            Err(error) => box_once(Err(Exn::from(error))),
        });

    (TICK, v(0), native)
}

/// Puts ticks into definitions.
pub(crate) fn bound_defs<'s>(defs: impl IntoIterator<Item = Def<&'s str>>) -> Vec<Def<&'s str>> {
    defs.into_iter().map(bound_def).collect()
}

fn bound_def(def: Def<&str>) -> Def<&str> {
    let recursive = calls(&def.body, (def.name, def.args.len()));
    let body = bound(def.body);
    Def {
        body: if recursive { ticked(body) } else { body },
        ..def
    }
}

fn tick_call<'s>() -> Term<&'s str> {
    Term::Call(TICK, Vec::new())
}

/// `!tick | term`
fn ticked(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(tick_call()), BinaryOp::Pipe(None), Box::new(term))
}

/// `term | !tick`
fn tick_each(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(tick_call()))
}

/// Puts ticks into a term.
pub(crate) fn bound(term: Term<&str>) -> Term<&str> {
    let boxed = |term: Box<Term<_>>| Box::new(bound(*term));
    let maybe = |term: Option<Box<Term<_>>>| term.map(boxed);
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(bound_part).collect()),
        Term::Arr(inner) => Term::Arr(inner.map(|inner| Box::new(tick_each(bound(*inner))))),
        Term::Obj(members) => Term::Obj(
            members
                .into_iter()
                .map(|(name, value)| (bound(name), value.map(bound)))
                .collect(),
        ),
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, op, right) => Term::BinOp(boxed(left), bound_op(op), boxed(right)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(name, source, pattern, arguments) => Term::Fold(
            name,
            boxed(source),
            bound_pattern(pattern),
            bound_fold(arguments),
        ),
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), maybe(catch)),
        Term::IfThenElse(branches, otherwise) => Term::IfThenElse(
            branches
                .into_iter()
                .map(|(condition, then)| (bound(condition), bound(then)))
                .collect(),
            maybe(otherwise),
        ),
        Term::Def(defs, rest) => Term::Def(bound_defs(defs), boxed(rest)),
        Term::Call(name, arguments) => {
            let arity = arguments.len();
            let call = Term::Call(name, arguments.into_iter().map(bound).collect());
            if name == "range" && arity == 3 {
                tick_each(call)
            } else {
                call
            }
        }
        Term::Path(inner, mut path) => {
            for (part, _) in &mut path.0 {
                *part = bound_path_part(std::mem::take(part));
            }

            Term::Path(boxed(inner), path)
        }
    }
}

fn bound_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(bound(term)),
        plain => plain,
    }
}

fn bound_path_part(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(index) => Part::Index(bound(index)),
        Part::Range(from, to) => Part::Range(from.map(bound), to.map(bound)),
    }
}

/// The arguments of `reduce` and `foreach`: the first value, the update, and what `foreach` gives.
fn bound_fold(arguments: Vec<Term<&str>>) -> Vec<Term<&str>> {
    let each = |(index, argument)| {
        if index == 1 {
            ticked(bound(argument))
        } else {
            bound(argument)
        }
    };

    arguments.into_iter().enumerate().map(each).collect()
}

fn bound_op(op: BinaryOp<&str>) -> BinaryOp<&str> {
    match op {
        BinaryOp::Pipe(Some(pattern)) => BinaryOp::Pipe(Some(bound_pattern(pattern))),
        other => other,
    }
}

fn bound_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(parts) => Pattern::Arr(parts.into_iter().map(bound_pattern).collect()),
        Pattern::Obj(members) => Pattern::Obj(
            members
                .into_iter()
                .map(|(name, value)| (bound(name), bound_pattern(value)))
                .collect(),
        ),
    }
}

/// Whether the definition of that name and number of arguments is called anywhere in `term`.
fn calls(term: &Term<&str>, name: (&str, usize)) -> bool {
    let within = |term: &Term<&str>| calls(term, name);
    let maybe = |term: &Option<Box<Term<&str>>>| term.as_deref().is_some_and(within);
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => false,
        Term::Str(_, parts) => parts
            .iter()
            .any(|part| matches!(part, StrPart::Term(term) if calls(term, name))),
        Term::Arr(inner) => maybe(inner),
        Term::Obj(members) => members
            .iter()
            .any(|(key, value)| calls(key, name) || value.as_ref().is_some_and(within)),
        Term::Neg(inner) | Term::Label(_, inner) => calls(inner, name),
        Term::BinOp(left, op, right) => {
            let bound = matches!(op, BinaryOp::Pipe(Some(pattern)) if pattern_calls(pattern, name));
            bound || calls(left, name) || calls(right, name)
        }
        Term::Fold(_, source, pattern, arguments) => {
            calls(source, name) || pattern_calls(pattern, name) || arguments.iter().any(within)
        }
        Term::TryCatch(inner, catch) => calls(inner, name) || maybe(catch),
        Term::IfThenElse(branches, otherwise) => {
            branches
                .iter()
                .any(|(condition, then)| calls(condition, name) || calls(then, name))
                || maybe(otherwise)
        }
        Term::Def(defs, rest) => defs.iter().any(|def| calls(&def.body, name)) || calls(rest, name),
        Term::Call(called, arguments) => {
            (*called, arguments.len()) == name || arguments.iter().any(within)
        }
        Term::Path(inner, path) => {
            calls(inner, name)
                || path.0.iter().any(|(part, _)| match part {
                    Part::Index(index) => calls(index, name),
                    Part::Range(from, to) => [from, to].into_iter().flatten().any(within),
                })
        }
    }
}

fn pattern_calls(pattern: &Pattern<&str>, name: (&str, usize)) -> bool {
    match pattern {
        Pattern::Var(_) => false,
        Pattern::Arr(parts) => parts.iter().any(|part| pattern_calls(part, name)),
        Pattern::Obj(members) => members
            .iter()
            .any(|(key, value)| calls(key, name) || pattern_calls(value, name)),
    }
}
