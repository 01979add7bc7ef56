//! The embedded engine: dynoxide with an `SQLite` file or in memory, listening on a loopback port.
//!
//! It is reached over HTTP like any other endpoint, so the code above does not differ.

mod bulk;
mod database;
mod listener;
mod port_owner;
mod served_file;
mod server;
#[cfg(test)]
mod testing;
mod upkeep;

use std::path::Path;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use database::EmbeddedDatabase;
pub use listener::{ListenAddress, Listeners};
pub use served_file::ServedFile;
pub use server::serve;
pub use upkeep::Upkeep;

pub(crate) use bulk::{BULK_BATCHES, BulkWriter};

use served_file::OpenFile;

use super::MissingDatabase;
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};

/// A running engine, stopped on drop.
pub(crate) struct Engine {
    url: String,
    /// Whether the database is a temporary one, in place of a file that does not exist.
    pub(crate) is_temporary: bool,
    bulk: BulkWriter,
    _stop: oneshot::Sender<()>,
    _open_file: Option<OpenFile>,
}

impl Engine {
    /// Starts the engine if the environment's endpoint is `embedded:`; otherwise, returns `None`. An open
    /// `database` is used as it is.
    pub(crate) async fn start(
        environment: &Environment,
        missing: MissingDatabase,
        database: Option<EmbeddedDatabase>,
    ) -> Result<Option<Self>> {
        let Endpoint::Embedded { file, .. } = environment.endpoint() else {
            return Ok(None);
        };

        let stands_in = missing == MissingDatabase::InMemory && file.is_some();
        let mut open_file = None;
        let (database, is_temporary) = match (database, file) {
            (Some(database), _) => (database, stands_in),
            (None, None) => (EmbeddedDatabase::in_memory()?, false),
            (None, Some(file)) if stands_in && !file.exists() => {
                (EmbeddedDatabase::in_memory()?, true)
            }
            (None, Some(file)) => {
                check_exists(file, missing)?;
                open_file = Some(OpenFile::lock(file)?);
                (EmbeddedDatabase::open(file)?, false)
            }
        };

        let cannot_listen = |error| {
            Error::failed("the embedded engine cannot listen on 127.0.0.1").with_source(error)
        };
        // Port 0: the system chooses a free one, so several runs can have an engine each.
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(cannot_listen)?;
        let url = format!("http://{}", listener.local_addr().map_err(cannot_listen)?);
        let bulk = BulkWriter::new(database.0.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(dynoxide::server::serve_with_shutdown(
            listener,
            database.0,
            async {
                let _ = stopped.await;
            },
        ));

        Ok(Some(Self {
            url,
            is_temporary,
            bulk,
            _stop: stop,
            _open_file: open_file,
        }))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Writes to the database without HTTP.
    pub(crate) fn bulk_writer(&self) -> BulkWriter {
        self.bulk.clone()
    }
}

fn check_exists(file: &Path, missing: MissingDatabase) -> Result<()> {
    if file.exists() || missing == MissingDatabase::Create {
        return Ok(());
    }

    Err(Error::not_found(format!(
        "the embedded database {} does not exist",
        file.display()
    ))
    .with_hint("restoredb creates it; or check LOCAL_AWS_ENDPOINT in the env file"))
}
