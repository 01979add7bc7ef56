//! Execution of each command: from resolved arguments to an outcome.

pub(crate) mod diff;
pub(crate) mod dump;
mod list_tables;
pub(crate) mod restore;
pub(crate) mod verify;
