//! What the tests stand on: engines, an independent client, a project folder, faults, a terminal, arbitrary items.

pub(crate) mod arbitrary;
pub(crate) mod bucket;
pub(crate) mod client;
pub(crate) mod described;
pub(crate) mod engine;
pub(crate) mod faults;
pub(crate) mod project;
pub(crate) mod pty;
