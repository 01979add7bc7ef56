//! README.md and the guide in docs/: their length, links and commands, and what they say about messages and reports.

mod commands;
mod flags;
mod hints;
mod links;
mod policies;
mod reports;
mod seed;
