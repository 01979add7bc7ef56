//! The embedded engine: dynoxide with an `SQLite` file or in memory, listening on a loopback port.
//!
//! It is reached over HTTP like any other endpoint, so the code above does not differ. A new
//! database can be filled from a sample dump; it is built in memory and then created atomically.

use std::path::Path;

use bytes::Bytes;
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::MissingDatabase;
use super::write::batch_body;
use crate::backup::{Source, SourceSpec};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};
use crate::limits;
use crate::place;

/// A running engine, stopped on drop.
pub(crate) struct Engine {
    url: String,
    /// Whether the database is a temporary one, in place of a file that does not exist.
    pub(crate) is_temporary: bool,
    _stop: oneshot::Sender<()>,
}

impl Engine {
    /// Starts the engine if the environment's endpoint is `embedded:`; otherwise, returns `None`.
    pub(crate) async fn start(
        environment: &Environment,
        missing: MissingDatabase,
    ) -> Result<Option<Self>> {
        let Endpoint::Embedded { file, .. } = environment.endpoint() else {
            return Ok(None);
        };

        let is_temporary = missing == MissingDatabase::InMemory
            && file.as_ref().is_some_and(|file| !file.exists());
        let database = match file {
            None => in_memory(environment.sample())?,
            Some(file) => open_file(file, environment.sample(), missing)?,
        };
        let cannot_listen = |error| {
            Error::failed("the embedded engine cannot listen on 127.0.0.1").with_source(error)
        };
        // Port 0: the system chooses a free one, so several runs can have an engine each.
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(cannot_listen)?;
        let url = format!("http://{}", listener.local_addr().map_err(cannot_listen)?);
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database,
            async {
                let _ = stopped.await;
            },
        ));

        Ok(Some(Self {
            url,
            is_temporary,
            _stop: stop,
        }))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn open_file(file: &Path, sample: Option<&Path>, missing: MissingDatabase) -> Result<Database> {
    if !file.exists() {
        match (missing, sample) {
            (MissingDatabase::InMemory, sample) => return in_memory(sample),
            (_, Some(sample)) => create_from_sample(file, sample)?,
            (MissingDatabase::Create, None) => place::create_parent_folders(file)?,
            (MissingDatabase::Refuse, None) => {
                return Err(Error::not_found(format!(
                    "the embedded database {} does not exist",
                    file.display()
                ))
                .with_hint("restoredb creates it; or check LOCAL_AWS_ENDPOINT in the env file"));
            }
        }
    }

    let path = path_str(file)?;
    Database::new(path).map_err(|error| unusable_database(path, error))
}

fn in_memory(sample: Option<&Path>) -> Result<Database> {
    let database = Database::memory().map_err(|error| unusable_database("in memory", error))?;
    if let Some(sample) = sample {
        load_sample(&database, sample)?;
    }

    Ok(database)
}

/// Builds a database from the sample dump and creates its file atomically.
fn create_from_sample(file: &Path, sample: &Path) -> Result<()> {
    let database = in_memory(Some(sample))?;
    place::create_atomically(file, |partial| {
        let path = path_str(partial)?;
        database
            .vacuum_into(path)
            .map_err(|error| unusable_database(path, error))
    })
}

/// Writes the schema and the items of a sample dump into a database.
fn load_sample(database: &Database, sample: &Path) -> Result<()> {
    let refused = |error: String| {
        Error::damaged(format!(
            "the sample {} cannot be loaded: {error}",
            sample.display()
        ))
        .with_hint("check DYNADUMP_SAMPLE in the env file")
    };

    let source = Source::open(&SourceSpec::path(sample))?;
    let schema = source
        .schema()
        .ok_or_else(|| refused("it has no schema".into()))?;
    let table = schema
        .table_name()
        .ok_or_else(|| refused("its schema names no table".into()))?
        .to_owned();
    let create = schema.create_table_request(&table)?;
    let request =
        serde_json::from_slice(&create.body).map_err(|error| refused(error.to_string()))?;
    database
        .create_table(request)
        .map_err(|error| refused(error.to_string()))?;
    let mut items = source.items()?;
    let mut batch: Vec<Bytes> = Vec::new();
    loop {
        let item = items.next_item()?;
        let last = item.is_none();
        batch.extend(item.map(|item| item.text));

        // The final batch may be smaller.
        if batch.len() == limits::BATCH_WRITE_ITEMS || (last && !batch.is_empty()) {
            let body = batch_body(&table, &batch);
            let request =
                serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))?;
            database
                .batch_write_item(request)
                .map_err(|error| refused(error.to_string()))?;
            batch.clear();
        }

        if last {
            return Ok(());
        }
    }
}

fn path_str(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::environment(format!(
            "the path of the embedded database is not UTF-8: {}",
            path.display()
        ))
    })
}

fn unusable_database(what: &str, error: impl std::fmt::Display) -> Error {
    Error::failed(format!(
        "the embedded database {what} cannot be used: {error}"
    ))
    .with_hint("is it a database of this engine, and is the folder writable?")
}
