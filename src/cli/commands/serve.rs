//! Execution of `servedb`: bind the port, open the database, restore dumps, serve until a signal.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::backup::{DumpSet, SourceSpec};
use crate::cli::args::{ServeCommand, Storage, state_dir};
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::output::write_data;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::summary;
use crate::environment::{
    Answers, Endpoint, Environment, EnvironmentRequest, LOCAL_REGION, ProcessEnvironment,
};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::restore::{ExistingTable, RestoreRequest};
use crate::ops::{self, ContentScope};
use crate::place;
use crate::store::{
    self, EmbeddedDatabase, ListenAddress, MissingDatabase, Reader, ServedFile, StoreOptions,
    Upkeep, Writer, resolve_environment,
};

/// Key ID and secret that applications use. The engine accepts any.
const DUMMY_CREDENTIAL: &str = "local";

/// What a `servedb` command serves, and where.
struct Target {
    /// Its endpoint is the database.
    environment: Environment,
    address: ListenAddress,
}

impl Target {
    /// The database file; `None` if the data is kept in memory.
    fn file(&self) -> Option<&Path> {
        match self.environment.endpoint() {
            Endpoint::Embedded { file, .. } => file.as_deref(),
            _ => None,
        }
    }
}

/// Executes a resolved `servedb` command line.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(crate) async fn run(command: ServeCommand, session: Session) -> Result<CommandOutcome> {
    let target = find_target(&command).await?;
    let ready_file = command
        .ready_file
        .as_deref()
        .map(ReadyFile::new)
        .transpose()?;

    let listeners = target.address.bind().await?;
    if !target.address.is_loopback() {
        session.console.warning(&format!(
            "Listening on {}: other machines can read and change all data, because the engine checks no credentials.",
            target.address
        ));
    }

    let url = listeners.url().to_owned();
    let _lock = target
        .file()
        .map(|file| ServedFile::lock(file, &url))
        .transpose()?;
    let database = open_database(&target).await?;
    restore_dumps(&target, &database, &command, &session).await?;

    let upkeep = Upkeep {
        ttl: command.ttl,
        file: target.file().map(ToOwned::to_owned),
    };
    let serving = store::serve(listeners, &database, upkeep, &session.cancel);
    announce(&url, &target, ready_file.as_ref(), &session)?;
    serving.await?;

    CommandOutcome::acted(&json!({ "endpoint": url, "database": target.file() }), true)
}

async fn find_target(command: &ServeCommand) -> Result<Target> {
    let process = ProcessEnvironment::capture();
    // Without an env file, the endpoint is AWS, which has no part in this.
    let named = if command.environment.no_env {
        None
    } else {
        Some(resolve_environment(&command.environment, &process).await?)
    };

    let address = match &command.listen {
        Some(address) => address.clone(),
        None => address_of(named.as_ref())?,
    };

    let has_database = command.storage == Storage::Environment;
    let environment = match named {
        Some(named) if has_database && matches!(named.endpoint(), Endpoint::Embedded { .. }) => {
            named
        }
        named => {
            let request = with_database(command, named.as_ref())?;
            resolve_environment(&request, &process).await?
        }
    };

    if environment.is_protected() {
        return Err(Error::usage(format!(
            "environment {} is protected, and servedb is for local data",
            environment.name()
        ))
        .with_hint("choose another environment with --env"));
    }

    Ok(Target {
        environment,
        address,
    })
}

/// The address in the endpoint of an environment.
fn address_of(environment: Option<&Environment>) -> Result<ListenAddress> {
    let (name, endpoint) = match environment {
        Some(environment) => (environment.name(), environment.endpoint()),
        None => ("no-env", &Endpoint::Aws),
    };
    let address = match endpoint {
        Endpoint::Url { url, .. } => ListenAddress::from_loopback_url(url),
        Endpoint::Aws | Endpoint::Embedded { .. } => None,
    };

    address.ok_or_else(|| {
        Error::usage(format!(
            "the endpoint of environment {name} is not a port of this machine: {endpoint}"
        ))
        .with_hint("name one with --listen, for example --listen 127.0.0.1:8000")
    })
}

/// The request of the environment with the database of the command as its endpoint.
fn with_database(
    command: &ServeCommand,
    named: Option<&Environment>,
) -> Result<EnvironmentRequest> {
    let request = &command.environment;
    let file = match &command.storage {
        Storage::Memory => PathBuf::new(),
        Storage::File(file) => request.working_dir.join(file),
        Storage::Environment => default_file(request, named),
    };

    let file = file.to_str().ok_or_else(|| {
        Error::usage(format!(
            "the path of the database is not UTF-8: {}",
            file.display()
        ))
    })?;

    Ok(EnvironmentRequest {
        endpoint_url: Some(format!("embedded:{file}")),
        ..request.clone()
    })
}

/// The database file next to the folder of the env files.
fn default_file(request: &EnvironmentRequest, named: Option<&Environment>) -> PathBuf {
    let env_file = named
        .and_then(Environment::file)
        .map(|file| request.working_dir.join(file));
    let project = env_file
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent);

    project
        .unwrap_or(&request.working_dir)
        .join(format!("{}.db", request.environment_name()))
}

/// Opens the database, and fills a new one with the environment's sample.
async fn open_database(target: &Target) -> Result<EmbeddedDatabase> {
    let sample = ops::sample::load(&target.environment, MissingDatabase::Create).await?;
    match (sample, target.file()) {
        (Some(database), _) => Ok(database),
        (None, Some(file)) => EmbeddedDatabase::open(file),
        (None, None) => EmbeddedDatabase::in_memory(),
    }
}

async fn restore_dumps(
    target: &Target,
    database: &EmbeddedDatabase,
    command: &ServeCommand,
    session: &Session,
) -> Result<()> {
    if command.from.is_empty() {
        return Ok(());
    }

    let options = StoreOptions {
        database: Some(database.clone()),
        reporter: session.reporter(),
        ..StoreOptions::default()
    };
    let reader = Box::pin(Reader::open(&target.environment, options)).await?;

    for (dump, table) in dumps(command, &target.environment)? {
        let existing = if command.replace {
            ExistingTable::Replace
        } else {
            ExistingTable::Keep
        };

        let request = RestoreRequest {
            table,
            existing,
            allow_in_memory: true,
            // What was restored into memory cannot be resumed.
            state_dir: state_dir().filter(|_| target.file().is_some()),
            ..RestoreRequest::new(SourceSpec::path(dump))
        };
        restore(&reader, &target.environment, request, session).await?;
    }

    Ok(())
}

/// The dumps to restore, those of sets included, each with its table; `None` for the table that the dump names.
fn dumps(
    command: &ServeCommand,
    environment: &Environment,
) -> Result<Vec<(PathBuf, Option<String>)>> {
    let mut dumps = Vec::new();
    for path in &command.from {
        match DumpSet::find(path)? {
            Some(set) => {
                for table in set.manifest().tables.keys() {
                    dumps.push((set.member(table)?, None));
                }
            }
            // The environment names one table at most.
            None if command.from.len() == 1 => {
                let table = environment.single_table()?;
                dumps.push((path.clone(), table.map(ToOwned::to_owned)));
            }
            None => dumps.push((path.clone(), None)),
        }
    }

    Ok(dumps)
}

async fn restore(
    reader: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    session: &Session,
) -> Result<()> {
    let planning = ops::restore::plan(reader, environment, request, session.reporter());
    let plan = unless_cancelled(&session.cancel, Box::pin(planning)).await?;
    session.progress.end();
    for warning in &plan.warnings {
        session.console.warning(warning);
    }

    // The target is local, and tables are only replaced on request.
    let answers = Answers {
        yes: true,
        confirm: None,
    };
    let (approval, cancel) = (plan.approval(), &session.cancel);
    let confirmation = prompt::confirm(&session.console, approval, &answers, false, cancel).await?;

    let writer = Writer::new(reader.clone(), confirmation);
    let restoring = ops::restore::run(&writer, plan, session.reporter(), cancel.clone());
    let restored = Box::pin(restoring).await?;
    session.progress.end();

    session
        .console
        .outcome(&summary::restore(&restored, ContentScope::default(), None));
    if restored.is_whole() {
        return Ok(());
    }

    Err(
        Error::new(ErrorKind::Rejected, "the dump was not restored completely")
            .with_hint("start servedb again without --from to serve what was restored"),
    )
}

/// Says that the database is served. Connections made before wait in the queues of the sockets.
fn announce(
    url: &str,
    target: &Target,
    ready_file: Option<&ReadyFile>,
    session: &Session,
) -> Result<()> {
    let data = target
        .file()
        .map_or_else(|| "memory".to_owned(), |file| file.display().to_string());
    let console = &session.console;
    console.info(&format!("Serving {data} at {url}. Press Ctrl-C to stop."));

    let settings = application_settings(url, &target.environment);
    if !console.options().json {
        write_data(&settings)?;
    }

    ready_file.map_or(Ok(()), |file| file.write(&settings))
}

/// The variables that an application needs, as lines of an env file.
fn application_settings(url: &str, environment: &Environment) -> String {
    let region = environment
        .region()
        .map_or(LOCAL_REGION, |region| region.value.as_str());

    let mut lines = String::new();
    for (key, value) in [
        ("AWS_ENDPOINT_URL_DYNAMODB", url),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", url),
        ("AWS_REGION", region),
        // boto3 and the AWS CLI read only this one.
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", DUMMY_CREDENTIAL),
        ("AWS_SECRET_ACCESS_KEY", DUMMY_CREDENTIAL),
    ] {
        let _ = writeln!(lines, "{key}={value}");
    }

    lines
}

/// A file that exists while the database is served.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Removes the file of a process that was killed.
    fn new(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| {
            Error::failed("the working directory cannot be found").with_source(error)
        })?;
        place::remove_side_file(&path)?;

        Ok(Self(path))
    }

    fn write(&self, settings: &str) -> Result<()> {
        place::replace_file(&self.0, settings.as_bytes())
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // If removing fails, the next start removes it.
        let _ = place::remove_side_file(&self.0);
    }
}
