//! Errors of invalid jq programs, with the line and a caret below the position.

use jaq_core::compile;
use jaq_core::load::{lex, parse, span};

use crate::error::Error;

/// Maximum number of characters shown on each side of the position.
const CONTEXT_CHARS: usize = 50;

/// A mistake in a program.
pub(crate) struct SyntaxFault {
    message: String,
    /// Byte offset in the program.
    offset: usize,
}

impl SyntaxFault {
    /// A mistake in the standard library or the prelude, which tests rule out.
    pub(crate) fn in_library() -> Self {
        Self {
            message: "the standard library cannot be read".to_owned(),
            offset: 0,
        }
    }
}

/// The first error of the lexer.
pub(crate) fn from_lexer(code: &str, errors: &[lex::Error<&str>]) -> SyntaxFault {
    let Some((expected, found)) = errors.first() else {
        return SyntaxFault::in_library();
    };

    SyntaxFault {
        message: format!("expected a {}", expected.as_str()),
        offset: position_of(code, found).unwrap_or(code.len()),
    }
}

/// The first error of the parser.
pub(crate) fn from_parser(code: &str, errors: &[parse::TError<'_, &str>]) -> SyntaxFault {
    let Some((expected, found)) = errors.first() else {
        return SyntaxFault::in_library();
    };

    let expected = match expected {
        parse::Expect::Just(token) => format!("expected `{token}`"),
        parse::Expect::Nothing => "expected nothing more".to_owned(),
        other => format!("expected {}", with_article(other.as_str())),
    };

    let found = lex::Token::opt_as_str(*found, code);
    let shown = found.chars().take(20).collect::<String>();
    let message = if found.is_empty() {
        format!("{expected} before the end")
    } else {
        format!("{expected}, found `{shown}`")
    };

    SyntaxFault {
        message,
        offset: position_of(code, found).unwrap_or(code.len()),
    }
}

/// The first undefined name.
pub(crate) fn from_compiler<P>(code: &str, errors: &compile::Errors<&str, P>) -> SyntaxFault {
    let named = errors
        .iter()
        .flat_map(|(_, errors)| errors)
        .find_map(|(name, kind)| Some((name, kind, position_of(code, name)?)));
    let Some((name, kind, offset)) = named else {
        return SyntaxFault::in_library();
    };

    let arguments = match kind {
        compile::Undefined::Filter(1) => " with 1 argument".to_owned(),
        compile::Undefined::Filter(count) if *count > 1 => format!(" with {count} arguments"),
        _ => String::new(),
    };

    SyntaxFault {
        message: format!("undefined {} `{name}`{arguments}", kind.as_str()),
        offset,
    }
}

fn with_article(what: &str) -> String {
    let vowel = what.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {what}", if vowel { "an" } else { "a" })
}

/// Byte offset of `part` in `code`; `None` if it is not a slice of it.
fn position_of(code: &str, part: &str) -> Option<usize> {
    let all = code.as_bytes().as_ptr_range();
    (all.start..=all.end)
        .contains(&part.as_ptr())
        .then(|| span(code, part).start)
}

/// Creates the error for a mistake.
pub(crate) fn error(name: &str, code: &str, fault: &SyntaxFault) -> Error {
    let at = code.floor_char_boundary(fault.offset.min(code.len()));
    let start = code[..at].rfind('\n').map_or(0, |line_feed| line_feed + 1);
    let line = code[..at].matches('\n').count() + 1;
    let before = &code[start..at];
    let column = before.chars().count();
    let cut = column.saturating_sub(CONTEXT_CHARS);
    let after = code[at..].lines().next().unwrap_or_default();
    let shown: String = before
        .chars()
        .skip(cut)
        .chain(after.chars().take(CONTEXT_CHARS))
        .map(printable)
        .collect();

    let caret = format!("{}^", " ".repeat(column - cut));
    Error::usage(format!(
        "{name}, line {line}, column {}: {}",
        column + 1,
        fault.message
    ))
    .with_details([shown, caret])
    .with_hint("it is a jq filter, such as 'del(.old)' or '.sk = S(\"x\")'; see docs/TRANSFORM.md")
}

/// Replaces control characters by spaces, so that each character takes one column.
fn printable(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}
