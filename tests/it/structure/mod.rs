//! The source tree and the process itself: layers, cycles, memory.

mod cycles;
pub(crate) mod layers;
mod memory;
