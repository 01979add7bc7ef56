//! Command-line arguments of `servedb`.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::NonEmptyStringValueParser;

use super::Arguments;
use super::common::{OutputArgs, state_dir, working_dir};
use super::heading;
use super::help::Help;
use crate::cli::terminal::output::OutputOptions;
use crate::environment::EnvironmentRequest;
use crate::error::{Error, Result};
use crate::store::ListenAddress;

const HELP: Help = Help {
    frequent: &[
        "env",
        "no-env",
        "listen",
        "database",
        "memory",
        "from",
        "replace",
        "no-ttl",
        "ready-file",
        "quiet",
    ],
    examples:
        "  servedb                                             serve envs/.env.local at its endpoint
  servedb --from ./backups/dynamodb/staging           restore a dump first, unless its table exists
  servedb --memory --from ./staging --replace         start with the same data every time",
    more_examples: "
  servedb --no-env --memory --listen 127.0.0.1:8000   without env files
  servedb --listen 127.0.0.1:0 --ready-file ready.env choose a free port; the file has the URL",
};

/// Serve a local DynamoDB: the embedded engine at a port of this machine. It checks no credentials.
#[derive(Debug, Parser)]
#[command(name = "servedb")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    environment: ServedEnvironmentArgs,

    #[command(flatten)]
    serve: ServeOnlyArgs,

    #[command(flatten)]
    output: OutputArgs,
}

// Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = heading::CONNECTION)]
struct ServedEnvironmentArgs {
    /// Environment, configured in envs/.env.NAME [default: local]
    #[arg(long, short, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    env: Option<String>,

    /// Skip env files; requires --listen, and --memory or --database
    #[arg(long, conflicts_with_all = ["env", "envs_dir"], requires = "listen")]
    no_env: bool,

    /// Folder of the env files [default: envs/ in the working directory or one above it]
    #[arg(long, value_name = "DIR")]
    envs_dir: Option<PathBuf>,
}

// Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = heading::SOURCE_AND_TARGET)]
struct ServeOnlyArgs {
    /// Address to listen on; port 0 chooses a free port [default: endpoint of the environment]
    #[arg(long, value_name = "HOST:PORT", help_heading = heading::CONNECTION)]
    listen: Option<ListenAddress>,

    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "memory",
        help = "Database file, created if it does not exist [default: ENV.db next to envs/, or the \
                file of an embedded: endpoint]"
    )]
    database: Option<PathBuf>,

    /// Keep the data in memory
    #[arg(long)]
    memory: bool,

    /// Restore this dump or set before serving, except for tables that exist; repeatable
    #[arg(long, value_name = "DIR|FILE")]
    from: Vec<PathBuf>,

    /// With --from: delete and recreate tables that exist
    #[arg(long, requires = "from", help_heading = heading::SAFETY)]
    replace: bool,

    /// Keep items past their TTL [default: remove them once a minute]
    #[arg(long, help_heading = heading::TABLE_SETTINGS)]
    no_ttl: bool,

    /// Write endpoint, region and credentials to this file when ready; removed at exit
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    ready_file: Option<PathBuf>,
}

/// A `servedb` command.
pub(crate) struct ServeCommand {
    pub(crate) environment: EnvironmentRequest,
    /// `None` for the environment's endpoint.
    pub(crate) listen: Option<ListenAddress>,
    pub(crate) storage: Storage,
    /// Dumps to restore first.
    pub(crate) from: Vec<PathBuf>,
    /// Whether to replace tables that exist.
    pub(crate) replace: bool,
    /// Whether expired items are removed.
    pub(crate) ttl: bool,
    pub(crate) ready_file: Option<PathBuf>,
}

/// Where the data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In the environment's database file.
    Environment,
    /// In this file.
    File(PathBuf),
    /// In memory.
    Memory,
}

impl Arguments<ServeCommand> for ServeArgs {
    const COMMAND: &'static str = "servedb";
    const HELP: Help = HELP;
    const IS_SERVER: bool = true;

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<ServeCommand> {
        let Self {
            environment, serve, ..
        } = self;

        let storage = match (serve.database, serve.memory) {
            (Some(file), _) => Storage::File(file),
            (None, true) => Storage::Memory,
            (None, false) => Storage::Environment,
        };

        if environment.no_env && storage == Storage::Environment {
            return Err(Error::usage("--no-env does not name a database")
                .with_hint("add --memory or --database FILE"));
        }

        Ok(ServeCommand {
            environment: EnvironmentRequest {
                name: environment.env,
                no_env: environment.no_env,
                envs_dir: environment.envs_dir,
                working_dir: working_dir()?,
                state_dir: state_dir(),
                ..EnvironmentRequest::default()
            },
            listen: serve.listen,
            storage,
            from: serve.from,
            replace: serve.replace,
            ttl: !serve.no_ttl,
            ready_file: serve.ready_file,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::error::ErrorKind;

    fn command(arguments: &[&str]) -> Result<ServeCommand> {
        let words = std::iter::once("servedb").chain(arguments.iter().copied());
        ServeArgs::try_parse_from(words)
            .map_err(|error| Error::usage(error.to_string()))?
            .resolve()
    }

    #[test]
    fn arguments_are_consistent() {
        ServeArgs::command().debug_assert();
    }

    #[test]
    fn data_is_kept_where_the_arguments_say() {
        for (arguments, storage) in [
            (&[][..], Storage::Environment),
            (&["--memory"], Storage::Memory),
            (&["--database=a.db"], Storage::File("a.db".into())),
        ] {
            assert_eq!(command(arguments).unwrap().storage, storage);
        }
    }

    #[test]
    fn contradictions_are_usage_errors() {
        for arguments in [
            &["--memory", "--database=a.db"][..],
            &["--no-env", "--listen=127.0.0.1:0"],
            &["--no-env", "--memory"],
            &["--no-env", "--env=dev", "--memory", "--listen=127.0.0.1:0"],
            &["--replace"],
            &["--listen=8000"],
        ] {
            let error = command(arguments).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Usage, "{arguments:?}");
        }
    }
}
