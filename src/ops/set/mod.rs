//! Operations on several tables in one run.

mod reporter;
pub mod runner;

pub use reporter::{SetReporter, TableReporter};
pub use runner::{RunOptions, TableJob, TableOutcome, TableResult};
