//! JSON text by structure: blocks of bytes, the scanner that finds where a value ends, the strict lexer, the members of objects.

pub(crate) mod blocks;
pub(crate) mod compact;
pub(crate) mod lexer;
pub(crate) mod members;
pub(crate) mod scanner;
