//! The embedded engine: dynoxide with an `SQLite` file or in memory, listening on a loopback port.
//!
//! It is reached over HTTP like any other endpoint, so the code above does not differ.

use std::path::Path;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::MissingDatabase;
use super::embedded_database::{EmbeddedDatabase, path_str, unusable_database};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};

/// A running engine, stopped on drop.
pub(crate) struct Engine {
    url: String,
    /// Whether the database is a temporary one, in place of a file that does not exist.
    pub(crate) is_temporary: bool,
    _stop: oneshot::Sender<()>,
}

impl Engine {
    /// Starts the engine if the environment's endpoint is `embedded:`; otherwise, returns `None`. A
    /// database in memory begins as `initial`.
    pub(crate) async fn start(
        environment: &Environment,
        missing: MissingDatabase,
        initial: Option<EmbeddedDatabase>,
    ) -> Result<Option<Self>> {
        let Endpoint::Embedded { file, .. } = environment.endpoint() else {
            return Ok(None);
        };

        let in_memory = || initial.map_or_else(EmbeddedDatabase::in_memory, Ok);
        let (database, is_temporary) = match file {
            None => (in_memory()?.0, false),
            Some(file) if missing == MissingDatabase::InMemory && !file.exists() => {
                (in_memory()?.0, true)
            }
            Some(file) => (open_file(file, missing)?, false),
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

fn open_file(file: &Path, missing: MissingDatabase) -> Result<Database> {
    if !file.exists() {
        if missing != MissingDatabase::Create {
            return Err(Error::not_found(format!(
                "the embedded database {} does not exist",
                file.display()
            ))
            .with_hint("restoredb creates it; or check LOCAL_AWS_ENDPOINT in the env file"));
        }

        EmbeddedDatabase::in_memory()?.publish(file)?;
    }

    let path = path_str(file)?;
    Database::new(path).map_err(|error| unusable_database(path, error))
}
