//! Command-line arguments of `restoredb`.

use std::path::PathBuf;

use chrono::Utc;
use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use super::common::{EnvironmentArgs, OutputArgs, RunArgs, default_folder, resolve, state_dir};
use super::heading;
use super::help::Help;
use super::overrides::OverrideArgs;
use super::restore_backup::{BackupArgs, plain_names};
use super::restore_set::{RestoreSetArgs, SetOptions};
use super::set_tables::table_and_set;
use super::settings::SettingArgs;
use super::target::TargetArgs;
use super::transform::{TransformArgs, check_preview};
use super::value::cap;
use super::{Arguments, CommonOptions};
use crate::backup::{DumpSet, SourceSpec};
use crate::cli::terminal::output::OutputOptions;
use crate::environment::{Environment, EnvironmentRequest};
use crate::error::{Error, Result};
use crate::ops::restore::{RestoreRequest, RestoreSource};
use crate::ops::set::restore::RestoreSetRequest;
use crate::ops::{Cap, PreviewOptions};

const HELP: Help = Help {
    frequent: &[
        "env",
        "table",
        "source",
        "transform",
        "if-missing",
        "replace",
        "dry-run",
        "yes",
        "confirm",
        "resume",
    ],
    examples: "  dumpdb    --env=prod  --output ./prod-backup
  restoredb --env=local --source ./prod-backup
  restoredb ./prod-backup --dry-run                show what a restore would do",
    more_examples: "
  restoredb -e local -s a --table copy             restore under another name
  restoredb -e local --wait 60s --if-missing       fill a new development machine, once
  restoredb -e dev -s a --if-empty --yes           fill a table that CDK or Terraform created
  restoredb -e dev -s a --replace                  delete and recreate the table
  restoredb -e local -s a --read-capacity 3 --write-capacity 3
  restoredb -e dev -s a --boost-write-capacity 1000
  restoredb -e dev -s a --table copy --key-schema 'owner:S,made:N'
  restoredb -e prod -s a --confirm films           restore to production from a script
  restoredb -e local -s set --from-table 'prod-*' --map 'prod-*=dev-*'
                                                   restore tables of a set under other names
  restoredb -e dev -s a --dry-run --show 3 --transform 'del(.old)'
  restoredb -e prod --list-backups                 list on-demand backups
  restoredb -e prod --backup latest --from-table films --table films2
                                                   let DynamoDB restore a backup
  restoredb -e prod --point-in-time '2h ago' --from-table films --table films2
  zcat a.gz | restoredb -e dev -s -                read items from standard input",
};

/// Restore a dump to a DynamoDB table; the table is created if it does not exist.
#[derive(Debug, Parser)]
#[command(name = "restoredb")]
pub(crate) struct RestoreArgs {
    #[arg(
        value_name = "DIR|FILE|-",
        conflicts_with = "source",
        help_heading = heading::SOURCE_AND_TARGET,
        help = "Dump to restore; same as --source"
    )]
    dump: Option<PathBuf>,

    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    restore: RestoreOnlyArgs,

    #[command(flatten)]
    backup: BackupArgs,

    #[command(flatten)]
    set: RestoreSetArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    overrides: OverrideArgs,

    #[command(flatten)]
    transform: TransformArgs,

    #[command(flatten)]
    run: RunArgs,

    /// Confirm a write to a protected environment with the target table's name, or with the
    /// environment's name for several tables
    #[arg(long, value_name = "NAME", help_heading = heading::SAFETY, value_parser = NonEmptyStringValueParser::new())]
    confirm: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `restoredb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = heading::SAFETY)]
struct RestoreOnlyArgs {
    /// Dump folder, file of items, or - for standard input [default: backups/dynamodb/ENV/]
    #[arg(long, short, value_name = "DIR|FILE|-", help_heading = heading::SOURCE_AND_TARGET)]
    source: Option<PathBuf>,

    #[command(flatten)]
    target: TargetArgs,

    /// Restore the readable items of a damaged dump, and list the rest as rejected
    #[arg(long)]
    salvage: bool,

    /// Accept an incomplete dump, such as one page of `aws dynamodb scan` (`NextToken`,
    /// `LastEvaluatedKey` or a wrong `Count`) [default: exit code 12]
    #[arg(long, conflicts_with = "schema_only")]
    accept_incomplete: bool,

    /// Resume an interrupted restore of this dump, or start a new one
    #[arg(long)]
    resume: bool,

    /// Maximum read units per second for the verification, a percentage of the table's capacity, or
    /// none [default: as for --max-wcu]
    #[arg(long, value_name = "N|N%|none", help_heading = heading::THROUGHPUT, value_parser = cap, conflicts_with = "schema_only")]
    max_rcu: Option<Cap>,
}

/// A resolved `restoredb` command line.
pub(crate) struct RestoreCommand {
    pub(crate) common: CommonOptions,
    pub(crate) request: RestoreRequest,
    pub(crate) set: SetOptions,
    /// List the on-demand backups of these tables, or of all, and restore nothing.
    pub(crate) list_backups: Option<Vec<String>>,
    /// Items that a dry run shows before and after the transform.
    pub(crate) preview: PreviewOptions,
}

impl Arguments<RestoreCommand> for RestoreArgs {
    const COMMAND: &'static str = "restoredb";
    const HELP: Help = HELP;

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<RestoreCommand> {
        let restore = self.restore;
        let source_path = self.dump.or_else(|| restore.source.clone());
        let overrides = self.overrides.resolve()?;
        let settings = self
            .settings
            .resolve(&overrides, !restore.target.no_create)?;
        if restore.target.boost_write_capacity.is_some() {
            self.settings.check_with_boost()?;
        }

        let mut common = resolve(self.environment, self.run, self.confirm)?;
        common.max_total_write_units = restore.target.max_total_wcu;
        let transform = self
            .transform
            .resolve_unless_schema_only(restore.target.schema_only)?;

        let set = self.set.resolve()?;
        let from_tables = &set.tables.from_tables;
        let source = match self.backup.choice(from_tables, Utc::now())? {
            Some(backup) => RestoreSource::Backup(backup),
            None => source(source_path, &common.environment).into(),
        };
        let list_backups = if self.backup.list_backups {
            Some(plain_names(from_tables)?)
        } else {
            None
        };

        Ok(RestoreCommand {
            request: RestoreRequest {
                overrides,
                settings,
                apply_settings: self.settings.apply_settings,
                salvage: restore.salvage,
                accept_incomplete: restore.accept_incomplete,
                resume: restore.resume,
                max_read_units: restore.max_rcu,
                transform,
                state_dir: state_dir(),
                ..restore.target.request(source)
            },
            common,
            set,
            list_backups,
            preview: self.transform.preview_options(),
        })
    }
}

/// The source for a path; `-` is standard input.
fn source(path: Option<PathBuf>, environment: &EnvironmentRequest) -> SourceSpec {
    match path {
        Some(path) if path.as_os_str() == "-" => SourceSpec::Stdin,
        Some(path) => SourceSpec::Path(path),
        None => SourceSpec::Path(default_folder(environment)),
    }
}

impl RestoreCommand {
    /// Whether items are read from standard input.
    pub(crate) fn reads_stdin(&self) -> bool {
        self.request.reads_stdin()
    }

    /// The request for the tables of a set, if the source is one, or if it must be one.
    ///
    /// # Errors
    /// A target table is named; the source is standard input, but options for a set are given; the set is damaged.
    pub(crate) fn set_request(&self) -> Result<Option<RestoreSetRequest>> {
        // The table of the backup is named like one of a set.
        if matches!(self.request.source, RestoreSource::Backup(_)) {
            return Ok(None);
        }

        let RestoreSource::Dump(SourceSpec::Path(source)) = &self.request.source else {
            return if self.set.tables.are_selected() {
                Err(Error::usage(
                    "--from-table and the options that name target tables need a folder with several tables, not standard input",
                ))
            } else {
                Ok(None)
            };
        };
        let is_set = DumpSet::find(source)?.is_some();
        if !is_set && !self.set.tables.are_selected() {
            return Ok(None);
        }

        if is_set && self.common.environment.table.is_some() {
            return Err(table_and_set(source));
        }

        Ok(Some(RestoreSetRequest {
            source: source.clone(),
            from_tables: self.set.tables.from_tables.clone(),
            mapping: self.set.tables.mapping.clone(),
            each: self.request.clone(),
            options: self.set.run,
        }))
    }

    /// Checks that the environment allows the preview.
    ///
    /// # Errors
    /// See [`check_preview`].
    pub(crate) fn check_preview(&self, environment: &Environment) -> Result<()> {
        check_preview(self.preview, environment)
    }

    /// The request for a restore into the environment's table.
    ///
    /// # Errors
    /// The environment and the options name more than one table; it does not allow the preview.
    pub(crate) fn request(&self, environment: &Environment) -> Result<RestoreRequest> {
        self.check_preview(environment)?;
        let table = environment.single_table()?.map(ToOwned::to_owned);

        Ok(RestoreRequest {
            table,
            ..self.request.clone()
        })
    }
}
