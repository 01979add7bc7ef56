//! Command-line arguments of `verifydb`.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use super::common::{CallArgs, EnvironmentArgs, OutputArgs, default_folder, resolve_read_only};
use super::heading;
use super::help::Help;
use super::overrides::OverrideArgs;
use super::scope::ScopeArgs;
use super::set_tables::{SetTables, SetTablesArgs, table_and_set};
use super::transform::StepArgs;
use super::value::{cap, sample};
use super::{Arguments, CommonOptions};
use crate::backup::{DumpSet, SourceSpec};
use crate::cli::terminal::output::OutputOptions;
use crate::environment::{Environment, EnvironmentRequest};
use crate::error::{Error, Result};
use crate::item::Sample;
use crate::ops::Cap;
use crate::ops::set::{Scope, SelectionOptions, TableSelection};
use crate::ops::verify::CompareOptions;
use crate::schema::Overrides;

const HELP: Help = Help {
    frequent: &[
        "env",
        "table",
        "source",
        "against-env",
        "quick",
        "sample",
        "exact",
        "schema-only",
        "max-rcu",
        "json",
    ],
    examples: "  verifydb ./prod-backup                              check the integrity of a dump
  verifydb ./prod-backup -e staging                   compare a table with a dump
  verifydb -e prod --against-env=staging              compare two tables",
    more_examples: "
  verifydb ./prod-backup --quick                      check only its sizes and checksums
  verifydb -s ./prod-backup -e staging --exact        including items that only the table has
  verifydb -s ./prod-backup -e staging --schema-only  compare keys, indexes and settings
  verifydb -s ./prod-backup -e staging --sample 1%
  verifydb -s ./prod-backup -e staging --transform-python migrate.py:rekey
                                                      after a restore with this step
  verifydb -s ./prod-set -e dev --map 'prod-*=dev-*'  compare the tables of a set
  verifydb -e prod --against-env=dev --table 'prod-*' --map 'prod-*=dev-*'
  verifydb -e prod --against-env=staging --schema-only
  verifydb -e dev --table films --against-table copy",
};

/// Check the integrity of a dump, or compare a table with a dump or another table. Changes nothing.
#[derive(Debug, Parser)]
#[command(name = "verifydb")]
pub(crate) struct VerifyArgs {
    /// Dump or set to check; same as --source
    #[arg(value_name = "DIR|FILE", conflicts_with = "source", help_heading = heading::SOURCE_AND_TARGET)]
    dump: Option<PathBuf>,

    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    verify: VerifyOnlyArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    set: SetTablesArgs,

    #[command(flatten)]
    steps: StepArgs,

    #[command(flatten)]
    overrides: OverrideArgs,

    #[command(flatten)]
    calls: CallArgs,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `verifydb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = heading::SELECTION)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct VerifyOnlyArgs {
    /// Dump folder or file of items; with an environment or a table, compare the table with it
    /// [default: backups/dynamodb/ENV/]
    #[arg(long, short, value_name = "DIR|FILE", help_heading = heading::SOURCE_AND_TARGET)]
    source: Option<PathBuf>,

    /// Compare with the table of this environment instead of a dump
    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = heading::SOURCE_AND_TARGET,
        conflicts_with_all = ["source", "dump"]
    )]
    against_env: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = heading::SOURCE_AND_TARGET,
        conflicts_with_all = ["source", "dump"],
        help = "Compare with this table instead of a dump [default: DYNAMODB_TABLE of \
                --against-env, then the name of the first table]"
    )]
    against_table: Option<String>,

    /// Check only the sizes and checksums of a dump; read no items
    #[arg(long, conflicts_with_all = ["against_env", "against_table", "schema_only"])]
    quick: bool,

    /// Accept an incomplete dump, such as one page of `aws dynamodb scan` (`NextToken`,
    /// `LastEvaluatedKey` or a wrong `Count`) [default: exit code 12]
    #[arg(long, help_heading = heading::SAFETY, conflicts_with_all = ["against_env", "against_table", "schema_only"])]
    accept_incomplete: bool,

    /// Count items that only the table has as differences; always the case between two tables
    #[arg(long, conflicts_with_all = ["quick", "schema_only"])]
    exact: bool,

    /// Compare only the keys of the items
    #[arg(long, conflicts_with_all = ["quick", "schema_only"])]
    keys_only: bool,

    /// Compare this percentage of the keys, for example 1%; all items are still read
    ///
    /// The same keys on both sides. With a transform, the keys are those of the dump.
    #[arg(long, value_name = "PERCENT", value_parser = sample, conflicts_with_all = ["quick", "schema_only"])]
    sample: Option<Sample>,

    /// Compare keys, indexes and settings, and read no items; exit code 3 if they differ
    #[arg(long)]
    schema_only: bool,

    /// With --schema-only: compare with this schema instead of the dump's
    #[arg(long, value_name = "FILE", help_heading = heading::TABLE_SETTINGS, requires = "schema_only", conflicts_with_all = ["against_env", "against_table"])]
    schema: Option<PathBuf>,

    /// Use strongly consistent reads, which consume twice the read units
    #[arg(long, help_heading = heading::THROUGHPUT, conflicts_with_all = ["quick", "schema_only"])]
    consistent_read: bool,

    /// Maximum read units per second of each table, a percentage of its capacity, or none
    /// [default: 50% in a protected environment]
    #[arg(
        long,
        value_name = "N|N%|none",
        help_heading = heading::THROUGHPUT,
        value_parser = cap,
        conflicts_with_all = ["quick", "schema_only"]
    )]
    max_rcu: Option<Cap>,
}

/// The check that `verifydb` performs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerifyTask {
    /// Integrity of a dump.
    Dump {
        /// Only check sizes and checksums.
        quick: bool,
    },
    /// Items of a table against a dump.
    Table,
    /// Settings of a table against the schema of a dump.
    Schema(Box<ExpectedSchema>),
    /// One table against another.
    Tables(SecondTable),
}

/// The schema that a table is compared with: that of the dump, with changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedSchema {
    /// A file to read it from instead.
    pub(crate) file: Option<PathBuf>,
    pub(crate) overrides: Overrides,
}

/// The table that another table is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecondTable {
    /// Name of its environment; `None` means the environment of the first table.
    pub(crate) environment: Option<String>,
    /// Its name; `None` means `DYNAMODB_TABLE` of its environment, then the name of the first table.
    pub(crate) table: Option<String>,
    /// Compare settings only, not items.
    pub(crate) schema_only: bool,
}

/// A resolved `verifydb` command line.
pub(crate) struct VerifyCommand {
    pub(crate) common: CommonOptions,
    pub(crate) task: VerifyTask,
    pub(crate) options: CompareOptions,
    /// Filters of the tables that are compared with those of another environment.
    pub(crate) selection: SelectionOptions,
    pub(crate) set: SetTables,
    source: Option<PathBuf>,
}

impl Arguments<VerifyCommand> for VerifyArgs {
    const COMMAND: &'static str = "verifydb";
    const HELP: Help = HELP;

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<VerifyCommand> {
        let Self {
            dump,
            mut environment,
            verify,
            scope,
            set,
            steps,
            overrides,
            calls,
            ..
        } = self;
        environment.skip_needless_env();

        let selects_table = environment.selects_table();
        let task = verify.task(selects_table, overrides.resolve()?)?;
        if let Some(flag) = steps.first_flag()
            && task != VerifyTask::Table
        {
            return Err(Error::usage(format!(
                "{flag} only applies to a comparison of the items of a table with a dump"
            ))
            .with_hint("name a dump with --source and a table with --env, or omit the option"));
        }

        let source = dump.or(verify.source);
        if source.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            return Err(Error::usage(
                "items on standard input cannot be verified, because they can be read only once",
            )
            .with_hint("save them to a file first"));
        }

        let mut transform = steps.resolve(None)?;
        let mut sample = verify.sample;
        // The keys may differ between the two sides then: the sample is that of the dump, as in a restore.
        if transform.changes_items() {
            transform = sample
                .take()
                .map_or(transform.clone(), |sample| transform.sample(sample));
        }

        let options = CompareOptions {
            keys_only: verify.keys_only,
            exact: verify.exact,
            accept_incomplete: verify.accept_incomplete,
            transform,
            sample,
            consistent_read: verify.consistent_read,
            max_read_units: verify.max_rcu,
        };

        Ok(VerifyCommand {
            common: resolve_read_only(environment, calls)?,
            task,
            options,
            selection: scope.into_options(),
            set: set.resolve()?,
            source,
        })
    }
}

impl VerifyOnlyArgs {
    fn task(&self, selects_table: bool, overrides: Overrides) -> Result<VerifyTask> {
        let is_second_table = self.against_env.is_some() || self.against_table.is_some();
        if overrides != Overrides::default() && (!self.schema_only || is_second_table) {
            return Err(Error::usage(
                "schema overrides only apply to a comparison of a table with the schema of a dump",
            )
            .with_hint("add --schema-only, without --against-env and --against-table"));
        }

        // These options compare a table with something, so a dump alone is not enough.
        let table_options = [
            ("--exact", self.exact),
            ("--keys-only", self.keys_only),
            ("--sample", self.sample.is_some()),
            ("--consistent-read", self.consistent_read),
            ("--max-rcu", self.max_rcu.is_some()),
            ("--schema-only", self.schema_only),
        ];

        // A second table excludes a dump; clap has checked that none is named.
        if is_second_table {
            return Ok(VerifyTask::Tables(SecondTable {
                environment: self.against_env.clone(),
                table: self.against_table.clone(),
                schema_only: self.schema_only,
            }));
        }

        match (selects_table, self.quick) {
            (true, true) => Err(Error::usage(
                "--quick only checks a dump and cannot be combined with a table",
            )
            .with_hint("omit --quick, or the environment and the table")),
            (true, false) if self.schema_only => Ok(VerifyTask::Schema(Box::new(ExpectedSchema {
                file: self.schema.clone(),
                overrides,
            }))),
            (true, false) => Ok(VerifyTask::Table),
            (false, quick) => match table_options.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Error::usage(format!(
                    "{flag} needs a table to compare the dump with"
                ))
                .with_hint("add --env NAME to compare the table of that environment")),
                None => Ok(VerifyTask::Dump { quick }),
            },
        }
    }
}

impl VerifyCommand {
    /// The dump to verify; defaults to the default folder of the environment.
    pub(crate) fn source(&self) -> SourceSpec {
        let source = self.source.clone();

        SourceSpec::Path(source.unwrap_or_else(|| default_folder(&self.common.environment)))
    }

    /// The folder of the set to compare tables with, if the source is one, or if it must be one.
    ///
    /// # Errors
    /// A table is named; the set is damaged.
    pub(crate) fn set_source(&self) -> Result<Option<PathBuf>> {
        let SourceSpec::Path(source) = self.source() else {
            return Ok(None);
        };
        let is_set = DumpSet::find(&source)?.is_some();
        if is_set && self.common.environment.table.is_some() {
            return Err(table_and_set(&source));
        }

        Ok((is_set || self.set.are_selected()).then_some(source))
    }

    /// The tables to compare with those of another environment; `None` if it is one table that keeps its name.
    ///
    /// # Errors
    /// The selection is not valid; several tables are selected, but an option needs one.
    pub(crate) fn selected_tables(
        &self,
        environment: &Environment,
        second: &SecondTable,
    ) -> Result<Option<TableSelection>> {
        let selection = match Scope::resolve(environment, &self.selection)? {
            Scope::Many(selection) => selection,
            Scope::One(Some(table)) if !self.set.mapping.is_identity() => TableSelection {
                include: vec![table.parse()?],
                ..TableSelection::default()
            },
            Scope::One(_) => return Ok(None),
        };

        let unusable = [
            (
                second.table.is_some(),
                "--against-table names one table; rename several with --map",
            ),
            (
                second.schema_only,
                "--schema-only compares one table at a time",
            ),
        ];
        match unusable.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, message)) => Err(Error::usage(message)),
            None => Ok(Some(selection)),
        }
    }

    /// The environment of the second table. Flags such as `--region` and `--profile` apply to the first table only, unless both
    /// are in the same environment.
    pub(crate) fn second_environment(&self, second: &SecondTable) -> EnvironmentRequest {
        let first = &self.common.environment;
        match &second.environment {
            None => EnvironmentRequest {
                table: second.table.clone(),
                ..first.clone()
            },
            Some(name) => EnvironmentRequest {
                name: Some(name.clone()),
                envs_dir: first.envs_dir.clone(),
                working_dir: first.working_dir.clone(),
                state_dir: first.state_dir.clone(),
                table: second.table.clone(),
                allow_insecure_endpoint: first.allow_insecure_endpoint,
                ..EnvironmentRequest::default()
            },
        }
    }
}
