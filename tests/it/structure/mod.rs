//! Source tree and process: layers, import cycles, memory.

mod cycles;
pub(crate) mod layers;
mod memory;
