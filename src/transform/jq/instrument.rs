//! Instrumentation of jq programs: adds a tick wherever a program could run without end.
//!
//! These places are definitions that call themselves, `reduce` and `foreach`, arrays and `range`.
//! See [`guard`](super::guard).

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::Part;

/// Name of the native that checks the limits. jq identifiers cannot start with `!`, so no program
/// can call or redefine it.
pub(crate) const TICK: &str = "!tick";

/// Name and number of arguments of a definition.
type Signature<'a> = (&'a str, usize);

/// Adds ticks to definitions.
pub(crate) fn instrument_defs<'s>(
    defs: impl IntoIterator<Item = Def<&'s str>>,
) -> Vec<Def<&'s str>> {
    defs.into_iter().map(instrument_def).collect()
}

fn instrument_def(def: Def<&str>) -> Def<&str> {
    // Mutual recursion is impossible: a definition can only call itself, earlier and enclosing
    // ones.
    let is_recursive = calls(&def.body, (def.name, def.args.len()));
    let body = instrument(def.body);
    Def {
        body: if is_recursive {
            tick_before(body)
        } else {
            body
        },
        ..def
    }
}

fn tick_call<'s>() -> Term<&'s str> {
    Term::Call(TICK, Vec::new())
}

/// `!tick | term`
fn tick_before(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(tick_call()), BinaryOp::Pipe(None), Box::new(term))
}

/// `term | !tick`
fn tick_after_each(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(tick_call()))
}

/// Adds ticks to a term.
pub(crate) fn instrument(term: Term<&str>) -> Term<&str> {
    let boxed = |term: Box<Term<_>>| Box::new(instrument(*term));
    let maybe = |term: Option<Box<Term<_>>>| term.map(boxed);
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => {
            Term::Str(format, parts.into_iter().map(instrument_part).collect())
        }
        Term::Arr(inner) => {
            Term::Arr(inner.map(|inner| Box::new(tick_after_each(instrument(*inner)))))
        }
        Term::Obj(members) => Term::Obj(
            members
                .into_iter()
                .map(|(name, value)| (instrument(name), value.map(instrument)))
                .collect(),
        ),
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, op, right) => Term::BinOp(boxed(left), instrument_op(op), boxed(right)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(name, source, pattern, arguments) => Term::Fold(
            name,
            boxed(source),
            instrument_pattern(pattern),
            instrument_fold(arguments),
        ),
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), maybe(catch)),
        Term::IfThenElse(branches, otherwise) => Term::IfThenElse(
            branches
                .into_iter()
                .map(|(condition, then)| (instrument(condition), instrument(then)))
                .collect(),
            maybe(otherwise),
        ),
        Term::Def(defs, rest) => Term::Def(instrument_defs(defs), boxed(rest)),
        Term::Call(name, arguments) => {
            // With a step of zero, `range/3` yields values without end.
            let arity = arguments.len();
            let call = Term::Call(name, arguments.into_iter().map(instrument).collect());
            if name == "range" && arity == 3 {
                tick_after_each(call)
            } else {
                call
            }
        }
        Term::Path(inner, mut path) => {
            for (part, _) in &mut path.0 {
                *part = instrument_path_part(std::mem::take(part));
            }

            Term::Path(boxed(inner), path)
        }
    }
}

fn instrument_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(instrument(term)),
        plain => plain,
    }
}

fn instrument_path_part(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(index) => Part::Index(instrument(index)),
        Part::Range(from, to) => Part::Range(from.map(instrument), to.map(instrument)),
    }
}

/// Adds a tick to the update of `reduce` and `foreach`, which runs once per value. The arguments
/// are the initial value, the update and the optional output of `foreach`.
fn instrument_fold(arguments: Vec<Term<&str>>) -> Vec<Term<&str>> {
    let each = |(index, argument)| {
        if index == 1 {
            tick_before(instrument(argument))
        } else {
            instrument(argument)
        }
    };

    arguments.into_iter().enumerate().map(each).collect()
}

fn instrument_op(op: BinaryOp<&str>) -> BinaryOp<&str> {
    match op {
        BinaryOp::Pipe(Some(pattern)) => BinaryOp::Pipe(Some(instrument_pattern(pattern))),
        other => other,
    }
}

fn instrument_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(parts) => Pattern::Arr(parts.into_iter().map(instrument_pattern).collect()),
        Pattern::Obj(members) => Pattern::Obj(
            members
                .into_iter()
                .map(|(name, value)| (instrument(name), instrument_pattern(value)))
                .collect(),
        ),
    }
}

/// Whether `term` contains a call of the definition `name`, which is its name and number of
/// arguments.
fn calls(term: &Term<&str>, name: Signature<'_>) -> bool {
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
            let in_pattern =
                matches!(op, BinaryOp::Pipe(Some(pattern)) if pattern_calls(pattern, name));
            in_pattern || calls(left, name) || calls(right, name)
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

fn pattern_calls(pattern: &Pattern<&str>, name: Signature<'_>) -> bool {
    match pattern {
        Pattern::Var(_) => false,
        Pattern::Arr(parts) => parts.iter().any(|part| pattern_calls(part, name)),
        Pattern::Obj(members) => members
            .iter()
            .any(|(key, value)| calls(key, name) || pattern_calls(value, name)),
    }
}
