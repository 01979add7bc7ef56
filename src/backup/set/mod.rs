//! Sets: dumps of several tables from one run, each in a folder of its own, and a manifest that lists them.

pub(crate) mod manifest;
pub(crate) mod source;
pub(crate) mod target;
