//! Options of `restoredb` for a set.

use std::num::NonZeroUsize;

use clap::Args;

use super::mapping::MappingArgs;
use crate::error::Result;
use crate::ops::set::runner::PARALLEL_TABLES;
use crate::ops::set::{RunOptions, TableMapping, TablePattern};

/// Which tables of a set are restored, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several tables")]
pub(crate) struct RestoreSetArgs {
    /// Restore only these tables of a set: names or patterns such as 'prod-*', separated by
    /// commas; repeatable
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    from_table: Vec<TablePattern>,

    #[command(flatten)]
    mapping: MappingArgs,

    /// Stop all tables when one fails
    #[arg(long, hide_short_help = true)]
    fail_fast: bool,

    #[arg(
        long,
        value_name = "N",
        hide_short_help = true,
        default_value_t = PARALLEL_TABLES,
        help = "Number of tables in parallel"
    )]
    parallel_tables: NonZeroUsize,
}

/// The resolved options for a set.
#[derive(Debug, Clone)]
pub(crate) struct SetOptions {
    pub(crate) from_tables: Vec<TablePattern>,
    pub(crate) mapping: TableMapping,
    pub(crate) run: RunOptions,
}

impl RestoreSetArgs {
    /// Reads the file of mapping rules.
    ///
    /// # Errors
    /// It cannot be read, or a line is not a rule.
    pub(crate) fn resolve(self) -> Result<SetOptions> {
        Ok(SetOptions {
            from_tables: self.from_table,
            mapping: self.mapping.resolve()?,
            run: RunOptions {
                parallel_tables: self.parallel_tables,
                fail_fast: self.fail_fast,
            },
        })
    }
}

impl SetOptions {
    /// Whether options are set that apply to a set only.
    pub(crate) fn need_set(&self) -> bool {
        !self.from_tables.is_empty() || !self.mapping.is_identity()
    }
}
