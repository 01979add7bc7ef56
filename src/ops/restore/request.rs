//! The request of a restore: its source, its target and its options.

use std::path::PathBuf;

use serde::Serialize;

use crate::backup::SourceSpec;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::route::Route;
use crate::ops::sink::table::WriteOptions;
use crate::ops::source::{BackupChoice, ItemSource, TableScan};
use crate::ops::{Cap, ContentScope};
use crate::schema::{Boost, Overrides, SettingChoice};
use crate::transform::Transform;

/// Where the items of a restore come from.
#[derive(Debug, Clone)]
pub enum RestoreSource {
    /// A dump, a file of items or standard input.
    Dump(SourceSpec),
    /// A live table: the restore is a copy.
    Table(TableScan),
    /// A backup that DynamoDB keeps and restores.
    Backup(BackupChoice),
}

impl From<SourceSpec> for RestoreSource {
    fn from(dump: SourceSpec) -> Self {
        Self::Dump(dump)
    }
}

/// Source, target and options of a restore.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent option"
)]
pub struct RestoreRequest {
    /// Where the items come from.
    pub source: RestoreSource,
    /// The target table; `None` for the table that the dump names.
    pub table: Option<String>,
    /// How to handle an existing target table.
    pub existing: ExistingTable,
    /// Whether a missing table may be created.
    pub create: bool,
    /// A schema file to use instead of the dump's schema.
    pub schema: Option<PathBuf>,
    /// Changes to the schema before it is used.
    pub overrides: Overrides,
    /// Settings to restore or leave out, in addition to the defaults.
    pub settings: SettingChoice,
    /// Whether settings are applied to a table that exists.
    pub apply_settings: bool,
    /// Temporary capacity of a provisioned table while items are written.
    pub boost: Option<Boost>,
    /// How the items of a live table are transferred.
    pub route: Route,
    /// Schema, items, or both.
    pub content: ContentScope,
    /// How the items are written.
    pub write: WriteOptions,
    /// Whether to restore what is readable of a damaged dump.
    pub salvage: bool,
    /// Whether a table may be created or replaced although the source has no item to write.
    pub allow_empty: bool,
    /// Whether the target may be a database in memory: the caller uses it after the restore.
    pub allow_in_memory: bool,
    /// Whether a source that says it is incomplete may be restored.
    pub accept_incomplete: bool,
    /// Whether to delete the items of the target that the source, a live table, does not have.
    pub delete_extra: bool,
    /// Whether to resume an interrupted restore of the same dump into the same table.
    pub resume: bool,
    /// Limit of consumed write units per second.
    pub max_write_units: Option<Cap>,
    /// Limit of consumed read units per second during verification.
    pub max_read_units: Option<Cap>,
    /// How the result is verified.
    pub verify: VerifyMode,
    /// Changes to the items before they are written.
    pub transform: Transform,
    /// Folder for files that outlive the run but belong to no dump: the journal, rejects of standard input.
    pub state_dir: Option<PathBuf>,
}

impl RestoreRequest {
    /// A request for all of `source`, into the table that it names, which is created if it does not exist.
    #[must_use]
    pub fn new(source: impl Into<RestoreSource>) -> Self {
        Self {
            source: source.into(),
            table: None,
            existing: ExistingTable::default(),
            create: true,
            schema: None,
            overrides: Overrides::default(),
            settings: SettingChoice::default(),
            apply_settings: false,
            boost: None,
            route: Route::default(),
            content: ContentScope::default(),
            write: WriteOptions::default(),
            salvage: false,
            allow_empty: false,
            allow_in_memory: false,
            accept_incomplete: false,
            delete_extra: false,
            resume: false,
            max_write_units: None,
            max_read_units: None,
            verify: VerifyMode::default(),
            transform: Transform::new(),
            state_dir: None,
        }
    }

    /// Whether the items are read from standard input.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        matches!(self.source, RestoreSource::Dump(SourceSpec::Stdin))
    }

    /// Whether the source is a live table.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(self.source, RestoreSource::Table(_))
    }

    /// What it does, as a noun.
    pub(crate) fn noun(&self) -> &'static str {
        if self.is_copy() { "copy" } else { "restore" }
    }

    /// The dump that is restored.
    ///
    /// # Errors
    /// The source is a live table.
    pub(crate) fn dump(&self) -> Result<&SourceSpec> {
        match &self.source {
            RestoreSource::Dump(dump) => Ok(dump),
            RestoreSource::Table(_) => Err(Error::usage(
                "a table is copied, not restored: no dump is named",
            )),
            RestoreSource::Backup(_) => {
                Err(Error::usage("DynamoDB restores a backup: no dump is named"))
            }
        }
    }

    /// The options of the Scan of a live table.
    pub(crate) fn scan(&self) -> Option<&TableScan> {
        match &self.source {
            RestoreSource::Dump(_) | RestoreSource::Backup(_) => None,
            RestoreSource::Table(scan) => Some(scan),
        }
    }

    /// Whether the items can be transformed again with the same result: an external program, or the current time in a filter, may give
    /// another one. A resumed restore was partly transformed by an earlier run.
    pub(crate) fn is_repeatable(&self, is_resumed: bool) -> bool {
        !self.transform.has_commands() && (!is_resumed || self.transform.is_empty())
    }

    /// The name of the target table: the requested one, or that of the dumped table.
    pub(crate) fn target_table(
        &self,
        environment: &Environment,
        source: &ItemSource,
    ) -> Result<String> {
        let name = self
            .table
            .clone()
            .or_else(|| source.table_name().map(ToOwned::to_owned));
        name.ok_or_else(|| {
            Error::usage("the dump does not name its table, and no target table was given")
                .with_hint(format!(
                    "pass {table}, or set DYNAMODB_TABLE in the env file of {}",
                    environment.name(),
                    table = Field::Table
                ))
        })
    }
}

/// How to handle an existing target table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExistingTable {
    /// Write the items into it; items with the same key are overwritten.
    #[default]
    Add,
    /// Do not touch it, and finish successfully.
    Keep,
    /// Write the items into it if it contains none; otherwise, do not touch it, and finish successfully.
    Fill,
    /// Delete it and create it from the schema.
    Replace,
}

impl ExistingTable {
    /// Whether an unfinished restore is resumed without a request: it would otherwise find its own table, and do nothing.
    #[must_use]
    pub fn implies_resume(self) -> bool {
        matches!(self, Self::Keep | Self::Fill)
    }
}

/// How the result is verified, as requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum VerifyMode {
    /// `full` for a local endpoint, where reads are free; elsewhere, rely on DynamoDB's acknowledgements
    #[default]
    Auto,
    /// No verification
    None,
    /// Read all items back and compare them
    Full,
}
