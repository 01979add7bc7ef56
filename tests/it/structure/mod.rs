//! Source tree and process: layers, import cycles, names of flags, memory.

mod cycles;
mod flags;
pub(crate) mod layers;
mod memory;
