//! Files and folders of this machine: durable changes, names, locks, background syncs, files that anybody may have written.

pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod inspect;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod sync;
pub(crate) mod untrusted;
