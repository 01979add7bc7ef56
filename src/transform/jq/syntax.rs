//! What is wrong with a jq program, and where: the line, and a caret below the place.

use jaq_core::compile;
use jaq_core::load::{lex, parse, span};

use crate::error::Error;

/// Characters of a program's line that are shown on each side of the fault.
const SHOWN: usize = 50;

/// What is wrong, and at which byte of the program.
pub(crate) struct Fault {
    what: String,
    at: usize,
}

impl Fault {
    /// A fault in this program's own part, which tests exclude.
    pub(crate) fn ours() -> Self {
        Self {
            what: "the standard library cannot be read".to_owned(),
            at: 0,
        }
    }
}

/// The first fault that the lexer found.
pub(crate) fn lexical(code: &str, errors: &[lex::Error<&str>]) -> Fault {
    let Some((expected, found)) = errors.first() else {
        return Fault::ours();
    };

    Fault {
        what: format!("expected a {}", expected.as_str()),
        at: offset(code, found).unwrap_or(code.len()),
    }
}

/// The first fault that the parser found.
pub(crate) fn grammatical(code: &str, errors: &[parse::TError<'_, &str>]) -> Fault {
    let Some((expected, found)) = errors.first() else {
        return Fault::ours();
    };

    let expected = match expected {
        parse::Expect::Just(token) => format!("expected `{token}`"),
        parse::Expect::Nothing => "expected nothing more".to_owned(),
        other => format!("expected {}", article(other.as_str())),
    };

    let found = lex::Token::opt_as_str(*found, code);
    let shown = found.chars().take(20).collect::<String>();
    let what = if found.is_empty() {
        format!("{expected} before the end")
    } else {
        format!("{expected}, found `{shown}`")
    };

    Fault {
        what,
        at: offset(code, found).unwrap_or(code.len()),
    }
}

/// The first word that nobody defined.
pub(crate) fn undefined<P>(code: &str, errors: &compile::Errors<&str, P>) -> Fault {
    let named = errors
        .iter()
        .flat_map(|(_, errors)| errors)
        .find_map(|(name, kind)| Some((name, kind, offset(code, name)?)));
    let Some((name, kind, at)) = named else {
        return Fault::ours();
    };

    let arguments = match kind {
        compile::Undefined::Filter(1) => " with 1 argument".to_owned(),
        compile::Undefined::Filter(count) if *count > 1 => format!(" with {count} arguments"),
        _ => String::new(),
    };

    Fault {
        what: format!("there is no {} `{name}`{arguments}", kind.as_str()),
        at,
    }
}

fn article(what: &str) -> String {
    let vowel = what.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {what}", if vowel { "an" } else { "a" })
}

/// Where `part` stands, if it is a part of `code` at all.
fn offset(code: &str, part: &str) -> Option<usize> {
    let all = code.as_bytes().as_ptr_range();
    (all.start..=all.end)
        .contains(&part.as_ptr())
        .then(|| span(code, part).start)
}

/// The error that shows a fault.
pub(crate) fn error(name: &str, code: &str, fault: &Fault) -> Error {
    let at = code.floor_char_boundary(fault.at.min(code.len()));
    let start = code[..at].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let line = code[..at].matches('\n').count() + 1;
    let before = &code[start..at];
    let column = before.chars().count();
    let cut = column.saturating_sub(SHOWN);
    let behind = code[at..].lines().next().unwrap_or_default();
    let shown: String = before
        .chars()
        .skip(cut)
        .chain(behind.chars().take(SHOWN))
        .map(printable)
        .collect();

    let caret = format!("{}^", " ".repeat(column - cut));
    Error::usage(format!("{name}, line {line}, column {}: {}", column + 1, fault.what))
        .with_details([shown, caret])
        .with_hint("it is a jq filter, such as 'del(.old)' or '.sk = S(\"x\")'; docs/TRANSFORM.md has its words")
}

/// Each character takes one column.
fn printable(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}
