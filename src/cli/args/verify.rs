//! Command-line arguments of `verifydb`.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use super::common::{CallArgs, EnvironmentArgs, OutputArgs, default_folder, resolve_read_only};
use super::value::{cap, sample};
use super::{Arguments, CommonOptions};
use crate::backup::SourceSpec;
use crate::cli::exit;
use crate::cli::terminal::output::OutputOptions;
use crate::environment::EnvironmentRequest;
use crate::error::{Error, Result};
use crate::item::Sample;
use crate::ops::Cap;
use crate::ops::verify::CompareOptions;

const EXAMPLES: &str = "\
EXAMPLES
  verifydb ./prod-backup                              is this dump whole?
  verifydb ./prod-backup --quick                      the same by checksums alone
  verifydb --source ./prod-backup --env=staging       does the table hold what the dump holds?
  verifydb --source ./prod-backup --env=staging --exact
  verifydb --source ./prod-backup --env=staging --schema-only
  verifydb --source ./prod-backup --env=staging --sample 1%
  verifydb --env=prod --against-env=staging           do two tables agree?
  verifydb --env=prod --against-env=staging --schema-only
  verifydb --env=dev --table films --against-table copy";

/// Check that a dump is whole, or compare a table with a dump or with another table. Changes nothing.
#[derive(Debug, Parser)]
#[command(
    name = "verifydb",
    version,
    max_term_width = 100,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::help())
)]
pub(crate) struct VerifyArgs {
    /// the dump to check; the same as --source
    #[arg(value_name = "DIR|FILE", conflicts_with = "source")]
    dump: Option<PathBuf>,

    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    verify: VerifyOnlyArgs,

    #[command(flatten)]
    calls: CallArgs,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `verifydb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Verify")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct VerifyOnlyArgs {
    /// the dump: a folder or a file of items; with an environment or a table, that table is compared
    /// with it [default: backups/dynamodb/ENV/]
    #[arg(long, value_name = "DIR|FILE")]
    source: Option<PathBuf>,

    /// compare with the table of this environment, not with a dump
    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["source", "dump"]
    )]
    against_env: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = ["source", "dump"],
        help = "compare with this table, not with a dump [default: DYNAMODB_TABLE of --against-env, \
                then the first table's name]"
    )]
    against_table: Option<String>,

    /// check sizes and checksums of a dump, and read no item
    #[arg(long, conflicts_with_all = ["against_env", "against_table", "schema_only"])]
    quick: bool,

    /// accept items that are incomplete, such as a part of an `aws dynamodb scan` (`NextToken`,
    /// `LastEvaluatedKey`, wrong `Count`); without it, exit code 12
    #[arg(long, conflicts_with_all = ["against_env", "against_table", "schema_only"])]
    accept_incomplete: bool,

    /// items that only the table has are a difference, too; always so between two tables
    #[arg(long, conflicts_with_all = ["quick", "schema_only"])]
    exact: bool,

    /// compare keys, and not what else the items hold
    #[arg(long, conflicts_with_all = ["quick", "schema_only"])]
    keys_only: bool,

    /// compare this share of the keys, for example 1%: the same keys on both sides, chosen by their
    /// hash. Every item is read all the same
    #[arg(long, value_name = "PERCENT", value_parser = sample, conflicts_with_all = ["quick", "schema_only"])]
    sample: Option<Sample>,

    /// compare the settings of the table with the dump's schema, or with the other table's, and read
    /// no item: 0 nothing differs, 3 something
    #[arg(long)]
    schema_only: bool,

    /// read the latest version of each item, at twice the read units
    #[arg(long, conflicts_with_all = ["quick", "schema_only"])]
    consistent_read: bool,

    /// consume at most so many read units per second of each table [default: half the capacity of a
    /// protected provisioned table, no bound elsewhere]
    #[arg(
        long,
        value_name = "N|N%",
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
    Schema,
    /// One table against another.
    Tables(SecondTable),
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
    source: Option<PathBuf>,
}

impl Arguments<VerifyCommand> for VerifyArgs {
    const COMMAND: &'static str = "verifydb";

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<VerifyCommand> {
        let Self {
            dump,
            environment,
            verify,
            calls,
            ..
        } = self;

        let selects_table = environment.selects_table();
        let task = verify.task(selects_table)?;
        let source = dump.or(verify.source);
        if source.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            return Err(Error::usage(
                "items from a stream cannot be verified: each could be read only once",
            )
            .with_hint("save them in a file first"));
        }

        let options = CompareOptions {
            keys_only: verify.keys_only,
            exact: verify.exact,
            accept_incomplete: verify.accept_incomplete,
            sample: verify.sample,
            consistent_read: verify.consistent_read,
            max_read_units: verify.max_rcu,
        };

        Ok(VerifyCommand {
            common: resolve_read_only(environment, &calls)?,
            task,
            options,
            source,
        })
    }
}

impl VerifyOnlyArgs {
    fn task(&self, selects_table: bool) -> Result<VerifyTask> {
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
        if self.against_env.is_some() || self.against_table.is_some() {
            return Ok(VerifyTask::Tables(SecondTable {
                environment: self.against_env.clone(),
                table: self.against_table.clone(),
                schema_only: self.schema_only,
            }));
        }

        match (selects_table, self.quick) {
            (true, true) => Err(Error::usage(
                "--quick is about a dump alone, and a table is named, too",
            )
            .with_hint("leave out --quick, or the environment and the table")),
            (true, false) if self.schema_only => Ok(VerifyTask::Schema),
            (true, false) => Ok(VerifyTask::Table),
            (false, quick) => match table_options.into_iter().find(|(_, given)| *given) {
                Some((flag, _)) => Err(Error::usage(format!(
                    "{flag} is about a table, and none is named"
                ))
                .with_hint("add --env NAME to compare that environment's table with the dump")),
                None => Ok(VerifyTask::Dump { quick }),
            },
        }
    }
}

impl VerifyCommand {
    /// The dump to verify; defaults to the default folder of the environment.
    pub(crate) fn source(&self) -> SourceSpec {
        let environment = self.common.environment.name.as_deref();
        let by_default = || default_folder(environment.unwrap_or(self.default_environment()));

        SourceSpec::Path(self.source.clone().unwrap_or_else(by_default))
    }

    fn default_environment(&self) -> &'static str {
        if self.common.environment.no_env {
            crate::environment::NO_ENV_NAME
        } else {
            "local"
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
                table: second.table.clone(),
                ..EnvironmentRequest::default()
            },
        }
    }
}
