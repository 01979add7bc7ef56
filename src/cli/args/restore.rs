//! Command-line arguments of `restoredb`.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use super::common::{EnvironmentArgs, OutputArgs, RunArgs, default_folder, resolve, state_dir};
use super::overrides::OverrideArgs;
use super::settings::SettingArgs;
use super::transform::{TransformArgs, check_preview};
use super::value::{boost, cap};
use super::{Arguments, CommonOptions};
use crate::backup::SourceSpec;
use crate::cli::exit;
use crate::cli::terminal::output::OutputOptions;
use crate::environment::{Environment, EnvironmentRequest};
use crate::error::Result;
use crate::limits::BATCH_WRITE_ITEMS;
use crate::ops::restore::{ExistingTable, OnConflict, RestoreRequest, VerifyMode};
use crate::ops::{Cap, ContentScope, PreviewOptions};
use crate::schema::Boost;

const EXAMPLES: &str = "\
EXAMPLES
  dumpdb    --env=prod  --output ./prod-backup
  restoredb --env=local --source ./prod-backup

  restoredb -e local --dry-run                     show what a restore would do
  restoredb -e local -s a --table copy             restore under another name
  restoredb -e local --wait 60s --if-missing       fill a new development machine, once
  restoredb -e dev -s a --if-empty --yes           fill a table that CDK or Terraform created
  restoredb -e dev -s a --replace                  delete and recreate the table
  restoredb -e local -s a --read-capacity 3 --write-capacity 3
  restoredb -e dev -s a --boost-write-capacity 1000
  restoredb -e dev -s a --table copy --key-schema 'owner:S,made:N'
  restoredb -e prod -s a --confirm films           restore to production from a script
  restoredb -e dev -s a --dry-run --show 3 --transform 'del(.old)'
  zcat a.gz | restoredb -e dev -s -                read items from standard input";

/// Restore a dump to a DynamoDB table; the table is created if it does not exist.
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
    overrides: OverrideArgs,

    #[command(flatten)]
    transform: TransformArgs,

    #[command(flatten)]
    run: RunArgs,

    /// Confirm a restore to a protected environment with the name of the target table
    #[arg(long, value_name = "TABLE", help_heading = "Execution", value_parser = NonEmptyStringValueParser::new())]
    confirm: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `restoredb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Restore")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct RestoreOnlyArgs {
    /// Dump folder, file of items, or - for standard input [default: backups/dynamodb/ENV/]
    #[arg(long, short, value_name = "DIR|FILE|-")]
    source: Option<PathBuf>,

    /// If the table exists, change nothing and succeed
    #[arg(long, conflicts_with_all = ["if_empty", "replace", "no_create", "data_only", "apply_settings"])]
    if_missing: bool,

    /// If the table exists and contains items, change nothing and succeed; if it is empty, restore
    /// into it
    #[arg(long, conflicts_with_all = ["replace", "no_create", "schema_only"])]
    if_empty: bool,

    /// If the table exists, delete it with all its items and recreate it
    #[arg(long, conflicts_with = "data_only")]
    replace: bool,

    /// If the table does not exist, fail
    #[arg(long, conflicts_with_all = ["replace", "schema_only", "schema"])]
    no_create: bool,

    /// Create the table from this schema, not from that of the dump
    #[arg(
        long,
        value_name = "FILE",
        hide_short_help = true,
        conflicts_with = "data_only"
    )]
    schema: Option<PathBuf>,

    /// Only create the table and apply its settings; write no items
    #[arg(long, conflicts_with_all = ["data_only", "indexes_after"])]
    schema_only: bool,

    /// Only write the items; create no table and change no settings
    #[arg(long, conflicts_with_all = ["SettingArgs", "OverrideArgs"])]
    data_only: bool,

    /// While writing, raise the write capacity of a provisioned table and its indexes to N WCU, or
    /// switch it to on-demand; reverted at the end, after a failure and after Ctrl-C
    #[arg(long, value_name = "N|on-demand", hide_short_help = true, value_parser = boost, conflicts_with = "schema_only")]
    boost_write_capacity: Option<Boost>,

    /// Items per request, at most 25
    #[arg(
        long,
        value_name = "N",
        hide_short_help = true,
        default_value_t = u8::try_from(BATCH_WRITE_ITEMS).unwrap_or(u8::MAX),
        value_parser = clap::value_parser!(u8).range(1..=i64::try_from(BATCH_WRITE_ITEMS).unwrap_or(i64::MAX))
    )]
    batch_size: u8,

    /// What to do if the key exists in the table with another item
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    on_conflict: OnConflict,

    /// Stop at the first rejected item
    #[arg(long, hide_short_help = true)]
    strict: bool,

    /// Restore the readable items of a damaged dump, and list the rest as rejected
    #[arg(long, hide_short_help = true)]
    salvage: bool,

    /// Create or replace the table even if the dump contains no items
    #[arg(long, hide_short_help = true, conflicts_with_all = ["schema_only", "data_only", "no_create"])]
    allow_empty: bool,

    /// Accept incomplete items, such as one page of an `aws dynamodb scan` (`NextToken`,
    /// `LastEvaluatedKey`, wrong `Count`); without it, exit code 12
    #[arg(long, hide_short_help = true, conflicts_with = "schema_only")]
    accept_incomplete: bool,

    /// Resume an interrupted restore of this dump, or start a new one
    #[arg(long)]
    resume: bool,

    /// Maximum write units per second, a percentage of the table's capacity, or none [default: 50%
    /// for a table in a protected environment that already holds items]
    #[arg(long, value_name = "N|N%|none", value_parser = cap, conflicts_with = "schema_only")]
    max_wcu: Option<Cap>,

    /// How to verify the result
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    verify: VerifyMode,

    /// Maximum read units per second for reading items back, a percentage of the table's capacity,
    /// or none [default: as for --max-wcu]
    #[arg(long, value_name = "N|N%|none", hide_short_help = true, value_parser = cap, conflicts_with = "schema_only")]
    max_rcu: Option<Cap>,
}

/// A resolved `restoredb` command line.
pub(crate) struct RestoreCommand {
    pub(crate) common: CommonOptions,
    pub(crate) request: RestoreRequest,
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
        let overrides = self.overrides.resolve()?;
        let settings = self.settings.resolve(overrides, !restore.no_create)?;
        if restore.boost_write_capacity.is_some() {
            settings.check_with_boost()?;
        }

        let common = resolve(self.environment, self.run, self.confirm)?;
        let transform = self
            .transform
            .resolve_unless_schema_only(restore.schema_only)?;

        Ok(RestoreCommand {
            request: RestoreRequest {
                source: restore.source(&common.environment),
                table: None,
                existing: restore.existing_table(),
                create: !restore.no_create,
                content: restore.content(),
                schema: restore.schema,
                overrides: settings.overrides,
                settings: settings.choice,
                apply_settings: settings.apply,
                boost: restore.boost_write_capacity,
                batch_size: usize::from(restore.batch_size),
                on_conflict: restore.on_conflict,
                strict: restore.strict,
                salvage: restore.salvage,
                allow_empty: restore.allow_empty,
                allow_in_memory: false,
                accept_incomplete: restore.accept_incomplete,
                resume: restore.resume,
                max_write_units: restore.max_wcu,
                max_read_units: restore.max_rcu,
                verify: restore.verify,
                transform,
                state_dir: state_dir(),
            },
            common,
            preview: self.transform.preview_options(),
        })
    }
}

impl RestoreOnlyArgs {
    fn source(&self, environment: &EnvironmentRequest) -> SourceSpec {
        match &self.source {
            Some(path) if path.as_os_str() == "-" => SourceSpec::Stdin,
            Some(path) => SourceSpec::Path(path.clone()),
            None => SourceSpec::Path(default_folder(environment)),
        }
    }

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
        } else if self.if_empty {
            ExistingTable::Fill
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
        self.request.source == SourceSpec::Stdin
    }

    /// The request for a restore into the environment's table.
    ///
    /// # Errors
    /// The environment and the options name more than one table; it does not allow the preview.
    pub(crate) fn request(&self, environment: &Environment) -> Result<RestoreRequest> {
        check_preview(self.preview, environment)?;
        let table = environment.single_table()?.map(ToOwned::to_owned);

        Ok(RestoreRequest {
            table,
            ..self.request.clone()
        })
    }
}
