//! Several tables in one run: which ones a command is about, the names of their targets, and the operations on them.

pub mod compare;
pub mod copy;
pub mod dump;
pub(crate) mod grouping;
mod interrupted;
pub(crate) mod journal;
mod list;
mod mapping;
mod members;
mod pattern;
mod reporter;
pub mod restore;
pub mod runner;
mod selection;
mod totals;
mod trial;

pub use interrupted::InterruptedSet;
pub use list::{ListedTable, NotDescribed, TableList, list};
pub use mapping::{MappedTable, MappingRule, TableMapping};
pub use pattern::TablePattern;
pub use reporter::{SetReporter, TableReporter};
pub use runner::{RunOptions, TableJob, TableOutcome, TableResult};
pub use selection::{Scope, SelectionOptions, TableSelection, select};
pub use totals::{DumpedItems, RestoredItems};
pub use trial::{TableTrial, TrialOptions};
