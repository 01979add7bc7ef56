//! Reads dumps: opens a folder, file or stream, streams its items, and salvages damaged sources.

pub(crate) mod damage;
pub(crate) mod errors;
pub(crate) mod item_reader;
pub(crate) mod lanes;
pub(crate) mod named_file;
pub(crate) mod open;
mod ordered_text;
pub(crate) mod salvage;
pub(crate) mod source;
