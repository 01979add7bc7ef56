//! Options that select several tables.

use std::num::NonZeroUsize;

use clap::Args;

use super::heading;
use crate::ops::set::{SelectionOptions, TablePattern};

/// The tables of a command, in addition to `--table`.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SELECTION)]
pub(crate) struct ScopeArgs {
    /// Select all tables of the environment
    #[arg(long, conflicts_with = "table")]
    all_tables: bool,

    /// Exclude these tables: names or patterns such as '*-tmp', separated by commas; repeatable
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    exclude: Vec<TablePattern>,

    /// Select only tables that have this tag, for example team=billing; repeatable, all must match
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    with_tag: Vec<(String, String)>,
}

/// How several tables are processed.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::THROUGHPUT)]
pub(crate) struct SeveralTablesArgs {
    /// Maximum number of tables in parallel [default: 8]
    #[arg(long, value_name = "N")]
    pub(crate) parallel_tables: Option<NonZeroUsize>,

    /// Stop all tables when one fails [default: finish the others]
    #[arg(long, help_heading = heading::SAFETY)]
    pub(crate) fail_fast: bool,
}

impl SeveralTablesArgs {
    /// The first of these options that is set.
    pub(crate) fn first_flag(&self) -> Option<&'static str> {
        if self.parallel_tables.is_some() {
            Some("--parallel-tables")
        } else {
            self.fail_fast.then_some("--fail-fast")
        }
    }
}

impl ScopeArgs {
    pub(crate) fn into_options(self) -> SelectionOptions {
        SelectionOptions {
            all: self.all_tables,
            exclude: self.exclude,
            with_tags: self.with_tag,
        }
    }
}

/// `team=billing`: the key and the value of a tag. The value may be empty.
fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE, for example team=billing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_a_key_and_a_value_that_may_be_empty() {
        let owned = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(tag("team=billing"), owned("team", "billing"));
        assert_eq!(tag("team="), owned("team", ""));
        assert_eq!(tag("path=a=b"), owned("path", "a=b"));

        for invalid in ["", "team", "=billing"] {
            assert!(tag(invalid).is_err(), "{invalid}");
        }
    }
}
