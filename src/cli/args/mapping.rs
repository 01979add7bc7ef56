//! Options for the names of target tables.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::heading;
use crate::backup::read_text;
use crate::error::Result;
use crate::ops::set::{MappingRule, TableMapping};

/// The names of the target tables. Without these options, each table keeps its name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = heading::SOURCE_AND_TARGET)]
pub(crate) struct MappingArgs {
    /// Rename tables, for example 'dev-*=prod-*'; repeatable, the first match applies
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<MappingRule>,

    /// File with rules for --map, one per line
    #[arg(long, value_name = "FILE")]
    map_file: Option<PathBuf>,

    /// Remove this prefix from table names
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    strip_prefix: Option<String>,

    /// Add this prefix to table names
    #[arg(long, value_name = "PREFIX", value_parser = NonEmptyStringValueParser::new())]
    add_prefix: Option<String>,
}

impl MappingArgs {
    /// Reads the file of rules.
    ///
    /// # Errors
    /// It cannot be read, or a line is not a rule.
    pub(crate) fn resolve(self) -> Result<TableMapping> {
        let mut mapping = TableMapping {
            rules: self.map,
            file_rules: Vec::new(),
            strip_prefix: self.strip_prefix,
            add_prefix: self.add_prefix,
        };
        if let Some(path) = &self.map_file {
            mapping.add_file(&path.display().to_string(), &read_text(path)?)?;
        }

        Ok(mapping)
    }
}
