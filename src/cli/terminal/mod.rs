//! Terminal input and output: streams, progress, prompts and signals.

pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod set_messages;
pub(crate) mod set_progress;
pub(crate) mod signals;
