//! Options that select the tables of a set on disk, and name the tables that they are restored to or compared with.

use std::path::Path;

use clap::Args;

use super::heading;
use super::mapping::MappingArgs;
use crate::error::{Error, Result};
use crate::ops::set::{TableMapping, TablePattern};

/// Which tables of a set are used, and under which names.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SELECTION)]
pub(crate) struct SetTablesArgs {
    /// Use only these tables of a set: names or patterns such as 'prod-*', separated by commas;
    /// repeatable
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    from_table: Vec<TablePattern>,

    #[command(flatten)]
    mapping: MappingArgs,
}

/// The resolved options.
#[derive(Debug, Clone, Default)]
pub(crate) struct SetTables {
    pub(crate) from_tables: Vec<TablePattern>,
    pub(crate) mapping: TableMapping,
}

impl SetTablesArgs {
    /// Reads the file of mapping rules.
    ///
    /// # Errors
    /// It cannot be read, or a line is not a rule.
    pub(crate) fn resolve(self) -> Result<SetTables> {
        Ok(SetTables {
            from_tables: self.from_table,
            mapping: self.mapping.resolve()?,
        })
    }
}

impl SetTables {
    /// Whether options are set that need several tables.
    pub(crate) fn are_selected(&self) -> bool {
        !self.from_tables.is_empty() || !self.mapping.is_identity()
    }
}

/// The error for a table that is named although the source is a set.
pub(crate) fn table_and_set(set: &Path) -> Error {
    Error::usage(format!(
        "--table names the table of one dump, but `{}` contains dumps of several tables",
        set.display()
    ))
    .with_hint("select tables with --from-table, and rename them with --map")
}
