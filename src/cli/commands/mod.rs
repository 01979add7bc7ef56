//! Execution of each command: from resolved arguments to an outcome.

mod compare_set;
pub(crate) mod copy;
mod copy_set;
pub(crate) mod diff;
mod doctor;
pub(crate) mod dump;
mod dump_set;
mod init;
mod list_backups;
mod list_tables;
mod policy;
pub(crate) mod restore;
pub(crate) mod restore_set;
#[cfg(feature = "embedded")]
pub(crate) mod serve;
mod set_trial;
pub(crate) mod verify;
mod verify_set;
