//! The traversal of an item's typed values: it reads type tags, limits the nesting, and calls a
//! visitor for each value. What reads values by the lexer is such a visitor.

use super::error::{ItemError, ItemErrorKind};
use super::json::lexer::{JsonString, Lexer};
use super::type_tag::TypeTag;
use crate::limits;

/// Levels of maps and lists that are followed: some more than DynamoDB takes, for data that other engines hold.
pub(crate) const MAX_NESTING: usize = limits::NESTING_LEVELS + 8;

/// Reads values of each kind, of which the lexer is at the beginning.
pub(crate) trait ValueVisitor {
    /// The result for a value.
    type Output;

    /// Reads a map, the values of whose members are at `level`.
    fn map(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<Self::Output, ItemError>;

    /// Reads a list, whose elements are at `level`.
    fn list(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<Self::Output, ItemError>;

    /// Reads a set of scalars with the type `element`.
    fn set(&mut self, lexer: &mut Lexer<'_>, element: TypeTag) -> Result<Self::Output, ItemError>;

    /// Reads a scalar.
    fn scalar(&mut self, lexer: &mut Lexer<'_>, tag: TypeTag) -> Result<Self::Output, ItemError>;

    /// Reads a value of a type that this version does not know.
    fn unknown(
        &mut self,
        lexer: &mut Lexer<'_>,
        tag: &JsonString<'_>,
    ) -> Result<Self::Output, ItemError>;

    /// Reads a value with its type tag.
    fn value(&mut self, lexer: &mut Lexer<'_>, level: usize) -> Result<Self::Output, ItemError> {
        if level > MAX_NESTING {
            return Err(ItemError::new(ItemErrorKind::Nesting, lexer.offset()));
        }

        lexer.tagged(|lexer, tag| {
            let Some(known) = tag.tag() else {
                return self.unknown(lexer, &tag);
            };

            lexer.begins(known)?;
            match (known, known.element()) {
                (TypeTag::M, _) => self.map(lexer, level + 1),
                (TypeTag::L, _) => self.list(lexer, level + 1),
                (_, Some(element)) => self.set(lexer, element),
                _ => self.scalar(lexer, known),
            }
        })
    }
}
