//! Options that all commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args};

use super::heading;
use super::value::{duration, nonzero_duration};
use crate::cli::terminal::output::{Color, OutputOptions};
use crate::environment::{Answers, EnvironmentRequest};
use crate::error::{Error, Result};
use crate::store::{StoreOptions, WireCompression};

/// Where the table is.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::CONNECTION)]
pub(crate) struct EnvironmentArgs {
    /// Environment, configured in envs/.env.NAME [default: local]
    #[arg(long, short, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    env: Option<String>,

    /// Skip env files; use flags and the standard AWS configuration
    #[arg(long, conflicts_with_all = ["env", "envs_dir"])]
    no_env: bool,

    /// Folder of the env files [default: envs/ in the working directory or one above it]
    #[arg(long, value_name = "DIR")]
    envs_dir: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = heading::SOURCE_AND_TARGET,
        help = "Table name [default: DYNAMODB_TABLE of the environment]"
    )]
    table: Vec<String>,

    /// Profile of the AWS configuration
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,

    /// AWS region
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    region: Option<String>,

    /// DynamoDB endpoint, or embedded:FILE for a local database without a server
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    endpoint_url: Option<String>,

    /// IAM role to assume
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new())]
    role_arn: Option<String>,

    /// Use a protected environment through a remote http:// endpoint, without encryption
    #[arg(long)]
    allow_insecure_endpoint: bool,
}

/// How a command that writes is executed.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SAFETY)]
pub(crate) struct RunArgs {
    /// Show the plan and change nothing; only a transform reads items
    #[arg(long, short = 'n')]
    dry_run: bool,

    /// Answer yes to all questions, except those about protected environments
    #[arg(long, short)]
    yes: bool,

    /// Maximum number of concurrent requests [default: adapted to the table]
    #[arg(long, value_name = "N", help_heading = heading::THROUGHPUT, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,

    #[command(flatten)]
    calls: CallArgs,
}

/// How calls are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = heading::THROUGHPUT)]
pub(crate) struct CallArgs {
    /// Wait up to this long for the endpoint to respond, for example 60s [default: do not wait]
    #[arg(long, value_name = "DURATION", help_heading = heading::CONNECTION, value_parser = duration)]
    wait: Option<Duration>,

    #[arg(
        long,
        value_name = "DURATION",
        help_heading = heading::CONNECTION,
        value_parser = nonzero_duration,
        default_value = "5m",
        help = "Abort after this long without progress"
    )]
    give_up_after: Duration,

    /// Maximum read units per second of all tables together, in addition to --max-rcu for each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_total_rcu: Option<u32>,

    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help = "Whether to request compressed responses to reads"
    )]
    wire_compression: WireCompression,

    /// Print the IAM policy that this command needs with its other options, and call nothing
    #[arg(long, help_heading = heading::OUTPUT, conflicts_with = "json")]
    print_iam_policy: bool,
}

/// Options that all commands share.
#[derive(Clone)]
pub(crate) struct CommonOptions {
    pub(crate) environment: EnvironmentRequest,
    pub(crate) answers: Answers,
    /// Show the plan and stop (`--dry-run`).
    pub(crate) dry_run: bool,
    concurrency: Option<u16>,
    /// Cap on the write units of all tables (`--max-total-wcu`).
    pub(crate) max_total_write_units: Option<u32>,
    calls: CallArgs,
}

/// Output options.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::OUTPUT)]
pub(crate) struct OutputArgs {
    /// Print one report as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Print only warnings and errors
    #[arg(long, short)]
    quiet: bool,

    /// Print all details of plans and summaries, retries, and the source of each configuration value
    #[arg(long, short, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help = "When to use colours; auto respects NO_COLOR"
    )]
    color: Color,
}

impl OutputArgs {
    pub(crate) fn output_options(&self) -> OutputOptions {
        OutputOptions {
            quiet: self.quiet,
            verbose: self.verbose > 0,
            json: self.json,
            color: self.color,
        }
    }
}

impl EnvironmentArgs {
    /// Whether an option selects a table or its location.
    pub(crate) fn selects_table(&self) -> bool {
        let named = [
            &self.env,
            &self.profile,
            &self.region,
            &self.endpoint_url,
            &self.role_arn,
        ];

        self.no_env || !self.table.is_empty() || named.into_iter().any(Option::is_some)
    }

    /// Adds tables that are named without a flag.
    pub(crate) fn add_tables(&mut self, tables: Vec<String>) {
        self.table.extend(tables);
    }

    /// Skips env files if a profile and a table are named: that is sufficient to read the table.
    pub(crate) fn skip_needless_env(&mut self) {
        let names_table = self.profile.is_some() && !self.table.is_empty();

        self.no_env |= names_table && self.env.is_none() && self.envs_dir.is_none();
    }

    fn request(self) -> Result<EnvironmentRequest> {
        Ok(EnvironmentRequest {
            name: self.env,
            no_env: self.no_env,
            envs_dir: self.envs_dir,
            side: None,
            working_dir: working_dir()?,
            state_dir: state_dir(),
            // A list, as in DYNAMODB_TABLE.
            table: (!self.table.is_empty()).then(|| self.table.join(",")),
            profile: self.profile,
            region: self.region,
            endpoint_url: self.endpoint_url,
            role_arn: self.role_arn,
            allow_insecure_endpoint: self.allow_insecure_endpoint,
        })
    }
}

/// Resolves the shared options of a command that writes.
pub(crate) fn resolve(
    environment: EnvironmentArgs,
    run: RunArgs,
    confirm: Option<String>,
) -> Result<CommonOptions> {
    Ok(resolve_with(environment.request()?, run, confirm))
}

/// Resolves the shared options of a command that writes to the requested environment.
pub(crate) fn resolve_with(
    environment: EnvironmentRequest,
    run: RunArgs,
    confirm: Option<String>,
) -> CommonOptions {
    CommonOptions {
        environment,
        answers: Answers {
            yes: run.yes,
            confirm,
        },
        dry_run: run.dry_run,
        concurrency: run.concurrency,
        max_total_write_units: None,
        calls: run.calls,
    }
}

/// Resolves the shared options of a command that only reads, and therefore has no plan and no prompts.
pub(crate) fn resolve_read_only(
    environment: EnvironmentArgs,
    calls: CallArgs,
) -> Result<CommonOptions> {
    Ok(CommonOptions {
        environment: environment.request()?,
        answers: Answers::default(),
        dry_run: false,
        concurrency: None,
        max_total_write_units: None,
        calls,
    })
}

/// The working directory, in which the search for env files starts.
pub(crate) fn working_dir() -> Result<PathBuf> {
    std::env::current_dir()
        .map_err(|error| Error::failed("the working directory cannot be found").with_source(error))
}

impl CommonOptions {
    /// Whether to print the IAM policy instead of running (`--print-iam-policy`).
    pub(crate) fn prints_policy(&self) -> bool {
        self.calls.print_iam_policy
    }

    /// The options of the store that flags set.
    pub(crate) fn store_options(&self) -> StoreOptions {
        StoreOptions {
            give_up_after: self.calls.give_up_after,
            // `--wait 0s` means not to wait.
            wait: self.calls.wait.filter(|wait| !wait.is_zero()),
            concurrency: self.concurrency.map(usize::from),
            max_total_read_units: self.calls.max_total_rcu,
            max_total_write_units: self.max_total_write_units,
            wire_compression: self.calls.wire_compression,
            ..StoreOptions::default()
        }
    }
}

/// The state directory according to <https://specifications.freedesktop.org/basedir-spec/latest/>, which requires a relative
/// `XDG_STATE_HOME` to be ignored.
pub(crate) fn state_dir() -> Option<PathBuf> {
    let configured = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let home = || {
        std::env::home_dir()
            .filter(|home| home.is_absolute())
            .map(|home| home.join(".local/state"))
    };

    configured.or_else(home).map(|dir| dir.join("dynadump"))
}

/// The default folder of an environment's dump, relative to the working directory.
pub(crate) fn default_folder(environment: &EnvironmentRequest) -> PathBuf {
    ["backups", "dynamodb", environment.environment_name()]
        .iter()
        .collect()
}
