//! A look at the connection to DynamoDB, one step at a time: addresses, ports, an answer. Requests are not signed and change nothing.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use tokio::net::{TcpStream, lookup_host};

use super::clock::seconds_ahead;
use super::context::RequestContext;
use super::error::RequestError;
use super::network::{Network, address, bare_host};
use super::timeouts::CONNECT_TIMEOUT;
use crate::environment::Address;

pub(crate) use super::network::Route;

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The URL of DynamoDB, and how requests reach it.
#[derive(Debug)]
pub(crate) struct Connection {
    url: String,
    network: Network,
}

/// The answer of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerAnswer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Seconds that the server's clock is ahead; `None` if it does not tell the time.
    pub(crate) seconds_ahead: Option<i64>,
}

impl Connection {
    pub(super) fn new(url: String, network: Network) -> Self {
        Self { url, network }
    }

    /// The URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Host and port.
    pub(crate) fn address(&self) -> Option<Address> {
        address(&self.url)
    }

    /// How requests travel.
    pub(crate) fn route(&self) -> Route {
        self.network.route(&self.url)
    }

    /// Where the trusted CA certificates come from.
    pub(crate) fn trusted(&self) -> String {
        self.network.trusted()
    }

    /// Asks for the root of the URL, without a signature. DynamoDB answers with its health; any answer shows that proxy, TLS and
    /// HTTP work.
    ///
    /// # Errors
    /// There is no connection, its certificate is not trusted, or there is no answer in time.
    pub(crate) async fn ask(&self) -> Result<ServerAnswer, RequestError> {
        let answer = self.ask_once().await;
        answer.map_err(|error| error.in_context(&self.context()))
    }

    /// The error for a host that cannot be resolved or connected to.
    pub(crate) fn unreachable(&self, cause: io::Error) -> RequestError {
        RequestError::no_connection(cause).in_context(&self.context())
    }

    fn context(&self) -> RequestContext {
        RequestContext::of_root(self.url.trim_end_matches('/'))
    }

    async fn ask_once(&self) -> Result<ServerAnswer, RequestError> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request
            .set_uri(self.url.as_str())
            .map_err(|error| RequestError::invalid_request(error.to_string()))?;

        let call = self.network.connector().call(request);
        let response = tokio::time::timeout(ANSWER_TIMEOUT, call)
            .await
            .map_err(|_| RequestError::timeout())?
            .map_err(|error| RequestError::from_connector_error(&error))?;

        Ok(ServerAnswer {
            status: response.status().as_u16(),
            seconds_ahead: response.headers().get("date").and_then(seconds_ahead),
        })
    }
}

/// The addresses of a host, in the order in which the system returns them.
///
/// # Errors
/// The name cannot be resolved in time.
pub(crate) async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let lookup = lookup_host((bare_host(host), port));
    let found = tokio::time::timeout(CONNECT_TIMEOUT, lookup).await??;

    Ok(found.collect())
}

/// Connects to an address, and closes the connection.
///
/// # Errors
/// The connection is refused, or not established in time.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<()> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    drop(stream.await??);

    Ok(())
}
