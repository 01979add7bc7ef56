//! Options that override the schema of a dump.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::heading;
use crate::backup;
use crate::error::{Error, Result};
use crate::schema::{BillingMode, Overrides, OverridesFormat};

/// Options that override the schema of a dump.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::TABLE_SETTINGS)]
pub(crate) struct OverrideArgs {
    /// Billing mode [default: unchanged]
    #[arg(long, value_name = "MODE", value_enum)]
    billing_mode: Option<BillingMode>,

    /// Provisioned RCU of the table and of each index [default: unchanged]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    read_capacity: Option<u64>,

    /// Provisioned WCU of the table and of each index [default: unchanged]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    write_capacity: Option<u64>,

    /// Remove these indexes from the schema; `all` for every index
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    drop_index: Vec<String>,

    /// Remove all tags from the schema
    #[arg(long)]
    no_tags: bool,

    /// Key of the table: partition key and optional sort key, each with its type S, N or B, for
    /// example 'owner:S,made:N'; items that lack it are rejected
    #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
    key_schema: Option<String>,

    /// Set index-capacity=NAME=RCU:WCU, on-demand-max-read=UNITS, on-demand-max-write=UNITS,
    /// table-class=CLASS, kms-key=KEY, tag=NAME=VALUE or only-index=NAME,…; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Read overrides from a .json or .toml file; its keys are these option names and the keys of
    /// --set, and options take precedence
    #[arg(long, value_name = "FILE")]
    schema_overrides: Option<PathBuf>,
}

impl OverrideArgs {
    /// The overrides: options take precedence over the file.
    ///
    /// # Errors
    /// An assignment is invalid; the file cannot be read or is invalid.
    pub(crate) fn resolve(self) -> Result<Overrides> {
        let file = match &self.schema_overrides {
            Some(path) => read_overrides(path)?,
            None => Overrides::default(),
        };

        let mut overrides = Overrides {
            billing_mode: self.billing_mode,
            read_capacity: self.read_capacity,
            write_capacity: self.write_capacity,
            no_tags: self.no_tags,
            drop_indexes: self.drop_index,
            key_schema: self.key_schema,
            ..Overrides::default()
        };

        for assignment in &self.set {
            overrides.set(assignment)?;
        }

        Ok(overrides.merge(file))
    }
}

/// Reads a file of overrides; its extension selects the format.
fn read_overrides(path: &Path) -> Result<Overrides> {
    let format = match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => OverridesFormat::Json,
        Some("toml") => OverridesFormat::Toml,
        _ => {
            return Err(Error::usage(format!(
                "--schema-overrides {}: unknown file type",
                path.display()
            ))
            .with_hint("use a .json or .toml file"));
        }
    };

    Overrides::parse(&backup::read_text(path)?, format).map_err(|error| {
        let located = Error::usage(format!("{}: {error}", path.display()));
        match error.hint() {
            Some(hint) => located.with_hint(hint),
            None => located,
        }
    })
}

#[cfg(test)]
mod tests;
