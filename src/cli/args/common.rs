//! Options that all commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args, ValueEnum};

use super::CommonOptions;
use super::value::{duration, nonzero_duration};
use crate::cli::terminal::output::{Color, OutputOptions};
use crate::environment::{Answers, EnvironmentRequest};
use crate::error::{Error, Result};
use crate::store::WireCompression;

/// Where the table is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Environment")]
pub(crate) struct EnvironmentArgs {
    /// use the environment of envs/.env.NAME [default: local]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    env: Option<String>,

    /// use no env file: flags and AWS's own configuration alone
    #[arg(long, conflicts_with_all = ["env", "envs_dir"])]
    no_env: bool,

    /// look for env files here [default: envs/, in the working directory or above]
    #[arg(long, value_name = "DIR")]
    envs_dir: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help = "use this table [default: DYNAMODB_TABLE of the environment]"
    )]
    table: Option<String>,

    /// use this profile of the AWS configuration
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,

    /// use this region
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    region: Option<String>,

    /// use this endpoint, or embedded:FILE for the engine that needs no server
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    endpoint_url: Option<String>,

    /// assume this role
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new())]
    role_arn: Option<String>,
}

/// How to go about it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// show the plan and stop: change nothing, and read no item of the table, unless a transform is
    /// to be tried on them
    #[arg(long)]
    dry_run: bool,

    /// answer every question with yes, but not for a protected environment
    #[arg(long)]
    yes: bool,

    /// make at most so many calls at a time; fewer are made where more would not be faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,

    #[command(flatten)]
    calls: CallArgs,
}

/// How calls are made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct CallArgs {
    /// wait so long for the endpoint to answer, for example 60s [default: do not wait]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait: Option<Duration>,

    /// give up when nothing has gone forward for so long
    #[arg(long, value_name = "DURATION", value_parser = nonzero_duration, default_value = "5m")]
    give_up_after: Duration,

    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help = "read pages compressed; auto finds out whether that is faster, and does not for endpoints on this machine"
    )]
    wire_compression: WireCompressionArg,
}

/// Values of `--wire-compression`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum WireCompressionArg {
    #[default]
    Auto,
    On,
    Off,
}

/// How to talk.
#[derive(Debug, Args)]
#[command(next_help_heading = "Talk")]
pub(crate) struct OutputArgs {
    /// print one report object on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// show warnings and errors alone
    #[arg(long, short)]
    quiet: bool,

    /// show retries, and where settings come from
    #[arg(long, short, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help = "colour the output; auto heeds NO_COLOR"
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
            &self.table,
            &self.profile,
            &self.region,
            &self.endpoint_url,
            &self.role_arn,
        ];

        self.no_env || named.into_iter().any(Option::is_some)
    }
}

/// Resolves the shared options of a command that writes.
pub(crate) fn resolve(
    environment: EnvironmentArgs,
    run: &RunArgs,
    confirm: Option<String>,
) -> Result<CommonOptions> {
    let common = resolve_read_only(environment, &run.calls)?;
    Ok(CommonOptions {
        answers: Answers {
            yes: run.yes,
            confirm,
        },
        dry_run: run.dry_run,
        concurrency: run.concurrency.map(usize::from),
        ..common
    })
}

/// Resolves the shared options of a command that only reads, and therefore has no plan and no prompts.
pub(crate) fn resolve_read_only(
    environment: EnvironmentArgs,
    calls: &CallArgs,
) -> Result<CommonOptions> {
    let working_dir = std::env::current_dir().map_err(|error| {
        Error::failed("the working directory cannot be found").with_source(error)
    })?;
    Ok(CommonOptions {
        environment: EnvironmentRequest {
            name: environment.env,
            no_env: environment.no_env,
            envs_dir: environment.envs_dir,
            working_dir,
            table: environment.table,
            profile: environment.profile,
            region: environment.region,
            endpoint_url: environment.endpoint_url,
            role_arn: environment.role_arn,
        },
        answers: Answers::default(),
        dry_run: false,
        concurrency: None,
        // `--wait 0s` means not to wait.
        wait: calls.wait.filter(|wait| !wait.is_zero()),
        give_up_after: calls.give_up_after,
        wire_compression: match calls.wire_compression {
            WireCompressionArg::Auto => WireCompression::Auto,
            WireCompressionArg::On => WireCompression::On,
            WireCompressionArg::Off => WireCompression::Off,
        },
        state_dir: state_dir(),
    })
}

/// The state directory according to <https://specifications.freedesktop.org/basedir-spec/latest/>, which requires a relative
/// `XDG_STATE_HOME` to be ignored.
fn state_dir() -> Option<PathBuf> {
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
pub(crate) fn default_folder(environment: &str) -> PathBuf {
    ["backups", "dynamodb", environment].iter().collect()
}
