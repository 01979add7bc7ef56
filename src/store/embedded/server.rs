//! Serves an embedded database to other processes.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;

use super::database::EmbeddedDatabase;
use super::listener::Listeners;
use super::upkeep::{self, Upkeep};
use crate::error::{Error, Result};

/// Time for requests to end after the server was asked to stop. A client that has sent half a request would keep it waiting.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a database on these sockets until `stop` is cancelled, and then finishes the requests in flight.
///
/// # Errors
/// A socket fails; the database file cannot be opened for its upkeep.
pub async fn serve(
    listeners: Listeners,
    database: &EmbeddedDatabase,
    upkeep: Upkeep,
    stop: &CancellationToken,
) -> Result<()> {
    let servers = listeners.sockets.into_iter().map(|socket| {
        let stopped = stop.clone().cancelled_owned();
        dynoxide::server::serve_with_shutdown(socket, database.0.clone(), stopped)
    });

    let stop_waiting = async {
        stop.cancelled().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };

    tokio::select! {
        ended = try_join_all(servers) => ended.map(drop).map_err(Error::failed),
        ended = upkeep::run(database, upkeep) => ended,
        () = stop_waiting => Ok(()),
    }
}
