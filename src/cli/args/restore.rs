//! Command-line arguments of `restoredb`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};

use super::common::{EnvironmentArgs, OutputArgs, RunArgs, default_folder, resolve};
use super::settings::{ResolvedSettings, SettingArgs};
use super::transform::{TransformArgs, check_preview};
use super::value::{boost, cap};
use super::{Arguments, CommonOptions};
use crate::backup::SourceSpec;
use crate::cli::exit;
use crate::cli::terminal::output::OutputOptions;
use crate::environment::Environment;
use crate::error::Result;
use crate::limits::BATCH_WRITE_ITEMS;
use crate::ops::restore::{ExistingTable, OnConflict, RestoreRequest, VerifyMode};
use crate::ops::{Cap, ContentScope, PreviewOptions};
use crate::schema::Boost;
use crate::transform::Transform;

const EXAMPLES: &str = "\
EXAMPLES
  dumpdb    --env=prod  --output ./prod-backup
  restoredb --env=local --source ./prod-backup

  restoredb --env=local --dry-run                  show what would happen to backups/dynamodb/local/
  restoredb --env=local --source a --table copy    restore under another name
  restoredb --env=local --wait 60s --if-missing    fill a fresh laptop, once
  restoredb --env=dev --source a --replace         delete and recreate the table
  restoredb --env=local --source a --read-capacity 3 --write-capacity 3
  restoredb --env=dev --source a --boost-write-capacity 1000
  restoredb --env=dev --source a --diff-schema     compare the dump's schema with the table
  restoredb --env=dev --source a --table copy --key-schema 'owner:S,made:N'
  restoredb --env=prod --source a --confirm films  restore into production from a script
  restoredb --env=dev --source a --dry-run --show 3 --transform 'del(.old)'
  zcat a.gz | restoredb --env=dev --source -       read items from standard input";

/// Restore a dump into a live DynamoDB table, which is created when it is missing.
#[derive(Debug, Parser)]
#[command(
    name = "restoredb",
    version,
    max_term_width = 100,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::help())
)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    restore: RestoreOnlyArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    transform: TransformArgs,

    #[command(flatten)]
    run: RunArgs,

    /// confirm a restore into a protected environment: the name of the target table
    #[arg(long, value_name = "TABLE", help_heading = "Run", value_parser = NonEmptyStringValueParser::new())]
    confirm: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `restoredb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Restore")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct RestoreOnlyArgs {
    /// read a dump folder, a file of items, or - (standard input)
    /// [default: backups/dynamodb/ENV/]
    #[arg(long, value_name = "DIR|FILE|-")]
    source: Option<PathBuf>,

    /// leave a table that exists as it is, and succeed
    #[arg(long, conflicts_with_all = ["replace", "no_create", "data_only", "apply_settings"])]
    if_missing: bool,

    /// fail when the table is missing
    #[arg(long, conflicts_with_all = ["replace", "schema_only", "schema"])]
    no_create: bool,

    /// delete the table with all it holds, and create it anew
    #[arg(long, conflicts_with = "data_only")]
    replace: bool,

    /// create the table from this schema and not from the dump's
    #[arg(long, value_name = "FILE", conflicts_with = "data_only")]
    schema: Option<PathBuf>,

    /// create the table and write no item
    #[arg(long, conflicts_with = "data_only")]
    schema_only: bool,

    /// write the items and create no table
    #[arg(long, conflicts_with = "SettingArgs")]
    data_only: bool,

    /// raise a provisioned table and its indexes to so many WCU, or to on-demand, while the items are
    /// written; what they are to have comes back at the end, also after a failure or Ctrl-C
    #[arg(long, value_name = "N", value_parser = boost, conflicts_with = "schema_only")]
    boost_write_capacity: Option<Boost>,

    /// print what differs between the dump's schema and the table, and stop: 0 nothing, 3 something
    #[arg(long, conflicts_with_all = [
        "if_missing", "no_create", "replace", "schema_only", "data_only", "boost_write_capacity", "batch_size", "max_wcu", "max_rcu", "verify",
        "on_conflict", "strict", "salvage", "allow_empty", "accept_incomplete", "resume", "with", "without", "settings_first", "apply_settings", "dry_run", "yes",
        "confirm",
        "TransformArgs",
    ])]
    diff_schema: bool,

    /// write so many items per call, at most 25
    #[arg(
        long,
        value_name = "N",
        default_value_t = u8::try_from(BATCH_WRITE_ITEMS).unwrap_or(u8::MAX),
        value_parser = clap::value_parser!(u8).range(1..=i64::try_from(BATCH_WRITE_ITEMS).unwrap_or(i64::MAX))
    )]
    batch_size: u8,

    /// write an item whose key the table has already, skip it, or reject it; an equal item is neither.
    /// skip and fail write item by item
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    on_conflict: OnConflictArg,

    /// stop at the first item that is rejected
    #[arg(long)]
    strict: bool,

    /// restore what is readable of a damaged dump, and reject the rest
    #[arg(long)]
    salvage: bool,

    /// create or replace the table even if the source has no item that can be written
    #[arg(long, conflicts_with_all = ["schema_only", "data_only", "no_create"])]
    allow_empty: bool,

    /// accept items that are incomplete, such as a part of an `aws dynamodb scan` (`NextToken`,
    /// `LastEvaluatedKey`, wrong `Count`); without it, exit code 12
    #[arg(long, conflicts_with = "schema_only")]
    accept_incomplete: bool,

    /// go on with an interrupted restore of this dump into this table; without one, begin
    #[arg(long)]
    resume: bool,

    /// consume at most so many write units per second, or a share of the table's, such as 25%
    #[arg(long, value_name = "N|N%", value_parser = cap, conflicts_with = "schema_only")]
    max_wcu: Option<Cap>,

    /// check the result by reading every item back, or not at all; auto is full on a local endpoint,
    /// where reading is free, and relies on the acknowledgements elsewhere
    #[arg(long, value_name = "HOW", value_enum, default_value_t)]
    verify: VerifyModeArg,

    /// consume at most so many read units per second when every item is read back, or a share of the
    /// table's, such as 25% [default: half the capacity of a protected provisioned table]
    #[arg(long, value_name = "N|N%", value_parser = cap, conflicts_with = "schema_only")]
    max_rcu: Option<Cap>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum OnConflictArg {
    #[default]
    Overwrite,
    Skip,
    Fail,
}

impl From<OnConflictArg> for OnConflict {
    fn from(conflict: OnConflictArg) -> Self {
        match conflict {
            OnConflictArg::Overwrite => Self::Overwrite,
            OnConflictArg::Skip => Self::Skip,
            OnConflictArg::Fail => Self::Fail,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum VerifyModeArg {
    #[default]
    Auto,
    None,
    Full,
}

/// A resolved `restoredb` command line.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct RestoreCommand {
    pub(crate) common: CommonOptions,
    /// `None` means the default folder of the environment, which is not known yet.
    source: Option<PathBuf>,
    existing: ExistingTable,
    create: bool,
    schema: Option<PathBuf>,
    settings: ResolvedSettings,
    boost: Option<Boost>,
    /// Compare the schemas and stop.
    pub(crate) diff_schema: bool,
    content: ContentScope,
    batch_size: usize,
    on_conflict: OnConflict,
    strict: bool,
    salvage: bool,
    allow_empty: bool,
    accept_incomplete: bool,
    resume: bool,
    max_write_units: Option<Cap>,
    max_read_units: Option<Cap>,
    verify: VerifyMode,
    transform: Transform,
    /// Items that a dry run shows before and after the transform.
    pub(crate) preview: PreviewOptions,
}

impl Arguments<RestoreCommand> for RestoreArgs {
    const COMMAND: &'static str = "restoredb";

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<RestoreCommand> {
        let restore = self.restore;
        let settings = self.settings.resolve(!restore.no_create)?;
        if restore.boost_write_capacity.is_some() {
            settings.check_with_boost()?;
        }

        Ok(RestoreCommand {
            common: resolve(self.environment, &self.run, self.confirm)?,
            content: restore.content(),
            existing: restore.existing_table(),
            source: restore.source,
            create: !restore.no_create,
            schema: restore.schema,
            settings,
            boost: restore.boost_write_capacity,
            diff_schema: restore.diff_schema,
            batch_size: usize::from(restore.batch_size),
            on_conflict: restore.on_conflict.into(),
            strict: restore.strict,
            salvage: restore.salvage,
            allow_empty: restore.allow_empty,
            accept_incomplete: restore.accept_incomplete,
            resume: restore.resume,
            max_write_units: restore.max_wcu,
            max_read_units: restore.max_rcu,
            verify: match restore.verify {
                VerifyModeArg::Auto => VerifyMode::Auto,
                VerifyModeArg::None => VerifyMode::None,
                VerifyModeArg::Full => VerifyMode::Full,
            },
            preview: self.transform.preview_options(),
            transform: self
                .transform
                .resolve_unless_schema_only(restore.schema_only)?,
        })
    }
}

impl RestoreOnlyArgs {
    fn content(&self) -> ContentScope {
        if self.schema_only {
            ContentScope::SchemaOnly
        } else if self.data_only {
            ContentScope::DataOnly
        } else {
            ContentScope::All
        }
    }

    fn existing_table(&self) -> ExistingTable {
        if self.if_missing {
            ExistingTable::Keep
        } else if self.replace {
            ExistingTable::Replace
        } else {
            ExistingTable::Add
        }
    }
}

impl RestoreCommand {
    /// Whether items are read from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    /// The request for a restore into the environment's table.
    ///
    /// # Errors
    /// The environment and the options name more than one table.
    pub(crate) fn request(&self, environment: &Environment) -> Result<RestoreRequest> {
        check_preview(self.preview, environment)?;
        let source = match &self.source {
            _ if self.reads_stdin() => SourceSpec::Stdin,
            Some(path) => SourceSpec::Path(path.clone()),
            None => SourceSpec::Path(default_folder(environment.name())),
        };

        Ok(RestoreRequest {
            source,
            table: environment.single_table()?.map(ToOwned::to_owned),
            existing: self.existing,
            create: self.create,
            schema: self.schema.clone(),
            overrides: self.settings.overrides.clone(),
            settings: self.settings.choice.clone(),
            apply_settings: self.settings.apply,
            boost: self.boost,
            content: self.content,
            batch_size: self.batch_size,
            on_conflict: self.on_conflict,
            strict: self.strict,
            salvage: self.salvage,
            allow_empty: self.allow_empty,
            accept_incomplete: self.accept_incomplete,
            resume: self.resume,
            max_write_units: self.max_write_units,
            max_read_units: self.max_read_units,
            verify: self.verify,
            transform: self.transform.clone(),
            state_dir: self.common.state_dir.clone(),
        })
    }
}
