//! Integration tests: the commands as real processes in a temporary folder, against a real engine.
#![cfg(all(feature = "cli", feature = "embedded"))]
#![expect(
    clippy::too_many_lines,
    reason = "a test tells one story, and formatting puts its data on many lines"
)]

mod cli;
mod copy;
mod dump;
mod engines;
mod faults;
mod guide;
mod restore;
mod security;
mod serve;
mod structure;
mod support;
mod transform;
mod verify;
