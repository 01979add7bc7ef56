//! Errors in the text of one item.
//!
//! Messages name the attribute or the byte, never a value. Attribute names are cut to [`NAME_CHARS`] characters.

use std::fmt;

/// Characters of an attribute's path that a message shows.
const NAME_CHARS: usize = 64;

/// Kind of an [`ItemError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemErrorKind {
    /// It is not JSON.
    Syntax(&'static str),
    /// More brackets are open than [`super::json::scanner::MAX_JSON_DEPTH`].
    TooDeep,
    /// A value where an object with one type tag (`{"S":"…"}`) is due: plain JSON, perhaps.
    NotTyped,
    /// A type tag that this version does not know.
    UnknownType(String),
    /// The value does not fit its type tag.
    WrongValue(&'static str),
    /// The text of an `N` is not a decimal number.
    NotANumber,
    /// The text of a `B` is not base64.
    NotBase64,
    /// An escape for half a surrogate pair, which is not a character.
    LoneSurrogate,
    /// Maps and lists are nested deeper than DynamoDB takes.
    Nesting,
    /// An attribute name that occurs twice in one map.
    DuplicateName,
}

/// An error in the text of an item.
// Boxed, so that the lexer's results, of which every item has many, fit in registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemError(Box<ItemErrorDetails>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ItemErrorDetails {
    kind: ItemErrorKind,
    at: usize,
    path: String,
}

impl ItemError {
    #[cold]
    pub(crate) fn new(kind: ItemErrorKind, at: usize) -> Self {
        Self(Box::new(ItemErrorDetails {
            kind,
            at,
            path: String::new(),
        }))
    }

    pub(crate) fn syntax(what: &'static str, at: usize) -> Self {
        Self::new(ItemErrorKind::Syntax(what), at)
    }

    /// Adds the name of the enclosing attribute to the path.
    pub(crate) fn within(mut self, name: &str) -> Self {
        let inner = std::mem::take(&mut self.0.path);
        // One character more than is shown, so that a cut is recognized.
        self.0.path = name.chars().take(NAME_CHARS + 1).collect();
        if !inner.is_empty() {
            self.0.path.push('.');
            self.0.path.push_str(&inner);
        }

        self
    }

    /// The kind of error.
    #[must_use]
    pub fn kind(&self) -> &ItemErrorKind {
        &self.0.kind
    }

    /// The byte of the item's text at which it was noticed.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.at
    }

    /// The names that lead to the attribute, joined by dots; empty where none is concerned.
    #[must_use]
    pub fn attribute(&self) -> &str {
        &self.0.path
    }

    /// Whether the text is well-formed JSON as far as it was read, so that only its meaning is in doubt.
    pub(crate) fn is_semantic(&self) -> bool {
        !matches!(
            self.0.kind,
            ItemErrorKind::Syntax(_) | ItemErrorKind::TooDeep
        )
    }
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.path.is_empty() || !self.is_semantic() {
            write!(f, "byte {}: ", self.0.at)?;
        } else {
            write!(f, "attribute {}: ", ClippedName(&self.0.path))?;
        }

        match &self.0.kind {
            ItemErrorKind::Syntax(what) => f.write_str(what),
            ItemErrorKind::TooDeep => {
                write!(
                    f,
                    "nested more than {} levels deep",
                    super::json::scanner::MAX_JSON_DEPTH
                )
            }
            ItemErrorKind::NotTyped => {
                f.write_str("not an object with one type tag, like {\"S\":\"…\"}")
            }
            ItemErrorKind::UnknownType(tag) => write!(f, "unknown type {}", ClippedName(tag)),
            ItemErrorKind::WrongValue(tag) => write!(f, "not a value of type {tag}"),
            ItemErrorKind::NotANumber => f.write_str("not a decimal number"),
            ItemErrorKind::NotBase64 => f.write_str("not base64"),
            ItemErrorKind::LoneSurrogate => f.write_str("half of a surrogate pair"),
            ItemErrorKind::Nesting => {
                f.write_str("maps and lists nested deeper than DynamoDB allows")
            }
            ItemErrorKind::DuplicateName => f.write_str("the name occurs twice in one map"),
        }
    }
}

impl std::error::Error for ItemError {}

/// A name in quotes, control characters escaped, cut to [`NAME_CHARS`].
pub(crate) struct ClippedName<'a>(pub(crate) &'a str);

impl fmt::Display for ClippedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(NAME_CHARS) {
            Some((end, _)) => write!(f, "{:?}", format_args!("{}…", &self.0[..end]).to_string()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_attribute_or_the_byte() {
        let unknown = ItemError::new(ItemErrorKind::UnknownType("X".into()), 9)
            .within("b")
            .within("a");
        assert_eq!(unknown.to_string(), r#"attribute "a.b": unknown type "X""#);
        let syntax = ItemError::syntax("expected a colon", 17).within("a");
        assert_eq!(syntax.to_string(), "byte 17: expected a colon");
    }

    #[test]
    fn long_and_hostile_names_are_cut_and_escaped() {
        let error = ItemError::new(ItemErrorKind::NotTyped, 0).within(&"\u{1b}é".repeat(1_000_000));
        let shown = error.to_string();
        assert!(
            !shown.contains('\u{1b}') && shown.chars().count() < 64 * 6 + 80,
            "{shown}"
        );
    }
}
