//! Options of `restoredb` for a set.

use std::num::NonZeroUsize;

use clap::Args;

use super::heading;
use super::set_tables::{SetTables, SetTablesArgs};
use crate::error::Result;
use crate::ops::set::RunOptions;
use crate::ops::set::runner::PARALLEL_TABLES;

/// Which tables of a set are restored, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::THROUGHPUT)]
pub(crate) struct RestoreSetArgs {
    #[command(flatten)]
    tables: SetTablesArgs,

    /// Stop all tables when one fails
    #[arg(long, help_heading = heading::SAFETY)]
    fail_fast: bool,

    #[arg(
        long,
        value_name = "N",
        help_heading = heading::THROUGHPUT,
        default_value_t = PARALLEL_TABLES,
        help = "Number of tables in parallel"
    )]
    parallel_tables: NonZeroUsize,
}

/// The resolved options for a set.
#[derive(Debug, Clone)]
pub(crate) struct SetOptions {
    pub(crate) tables: SetTables,
    pub(crate) run: RunOptions,
}

impl RestoreSetArgs {
    /// Reads the file of mapping rules.
    ///
    /// # Errors
    /// It cannot be read, or a line is not a rule.
    pub(crate) fn resolve(self) -> Result<SetOptions> {
        Ok(SetOptions {
            tables: self.tables.resolve()?,
            run: RunOptions {
                parallel_tables: self.parallel_tables,
                fail_fast: self.fail_fast,
            },
        })
    }
}
