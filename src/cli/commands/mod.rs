//! One file per command, from its arguments to its exit code.

pub(crate) mod diff;
pub(crate) mod dump;
pub(crate) mod restore;
pub(crate) mod verify;
