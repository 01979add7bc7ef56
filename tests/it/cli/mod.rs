//! The command line: environments, prompts, reports, text, pairs of options.

mod environments;
mod option_pairs;
mod permissions;
mod prompts;
mod report;
pub(crate) mod snapshots;
