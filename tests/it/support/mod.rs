//! What the tests stand on: engines, an independent client, a project folder, faults, a terminal, arbitrary items.

pub mod arbitrary;
pub mod client;
pub mod engine;
pub mod faults;
pub mod project;
pub mod pty;
