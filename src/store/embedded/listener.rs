//! Sockets on which an embedded database is served.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::net::{TcpListener, lookup_host};

use super::port_owner;
use crate::environment::Address;
use crate::error::{Error, Result};

/// Host and port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an IP address; an IPv6 address has brackets.
    host: String,
    /// 0 lets the system choose a port.
    port: u16,
}

/// Bound sockets. Connections wait until they are [served](super::serve).
#[derive(Debug)]
pub struct Listeners {
    pub(super) sockets: Vec<TcpListener>,
    url: String,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "expected HOST:PORT, for example 127.0.0.1:8000".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().map_err(|_| invalid())?;

        // The rules for hosts are those of endpoint URLs.
        if host.is_empty() || Address::from_url(&format!("http://{host}")).is_none() {
            return Err(invalid());
        }

        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl ListenAddress {
    /// The address in an endpoint URL, if it is `http` and on the loopback interface.
    #[must_use]
    pub fn from_loopback_url(url: &str) -> Option<Self> {
        let address = Address::from_url(url)?;
        let is_http = url.to_ascii_lowercase().starts_with("http://");

        (is_http && address.is_loopback()).then_some(Self {
            host: address.host,
            port: address.port,
        })
    }

    /// Binds the sockets: of a name of the loopback interface, one for IPv4 and one for IPv6 where there is IPv6.
    ///
    /// # Errors
    /// The host is unknown, the port is in use, or the system refuses it.
    pub async fn bind(&self) -> Result<Listeners> {
        let addresses = self.resolve().await?;
        let (mut sockets, mut refusal) = (Vec::new(), None);
        for address in addresses {
            match TcpListener::bind(address).await {
                Ok(socket) => sockets.push(socket),
                // One of several addresses, on a machine without IPv6.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    refusal = Some(self.refusal(error));
                }
                Err(error) => return Err(self.refusal(error)),
            }
        }

        let Some(first) = sockets.first() else {
            return Err(refusal.unwrap_or_else(|| self.unknown_host()));
        };

        let bound = first.local_addr().map_err(|error| self.refusal(error))?;
        let url = format!("http://{}:{}", self.reachable_host(), bound.port());

        Ok(Listeners { sockets, url })
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>> {
        let name = self.host.trim_matches(['[', ']']);
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }

        // Names such as localhost.localstack.cloud would need a DNS server.
        if self.is_loopback() {
            let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port);
            let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), self.port);

            // The system would choose a different port for each.
            return Ok(if self.port == 0 {
                vec![v4]
            } else {
                vec![v4, v6]
            });
        }

        let found = lookup_host((name, self.port)).await;
        let found = found.map_err(|error| self.unknown_host().with_source(error))?;

        Ok(found.collect())
    }

    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        Address::from_url(&format!("http://{}", self.host))
            .is_some_and(|address| address.is_loopback())
    }

    /// The host for clients on this machine.
    fn reachable_host(&self) -> &str {
        match self.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            host => host,
        }
    }

    fn unknown_host(&self) -> Error {
        Error::failed(format!("cannot listen on {self}: the host is unknown"))
            .with_hint("use an address of this machine, for example 127.0.0.1")
    }

    fn refusal(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::AddrInUse => self.in_use(),
            io::ErrorKind::PermissionDenied => Error::failed(format!(
                "cannot listen on {self}: ports below 1024 need a privilege"
            ))
            .with_hint("use another port, for example 8000"),
            _ => Error::failed(format!("cannot listen on {self}: {error}")).with_source(error),
        }
    }

    fn in_use(&self) -> Error {
        let owner = port_owner::find(self.port)
            .map_or_else(|| "another process".to_owned(), |owner| owner.to_string());
        Error::failed(format!("port {} is in use by {owner}", self.port))
            .with_hint("stop that process, or use another port; port 0 lets the system choose one")
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Listeners {
    /// The URL for clients on this machine.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["127.0.0.1:0", "localhost:8000", "[::1]:8000", "0.0.0.0:1"] {
            assert_eq!(address(text).to_string(), text);
        }

        for text in [
            "8000",
            ":8000",
            "localhost",
            "localhost:",
            "localhost:65536",
            "::1:8000",
            "http://localhost:8000",
            "a b:1",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_address_of_an_environment_is_that_of_its_http_url_on_loopback() {
        let found = |url| ListenAddress::from_loopback_url(url).map(|found| found.to_string());
        assert_eq!(
            found("http://localhost:4566"),
            Some("localhost:4566".to_owned())
        );
        assert_eq!(found("HTTP://[::1]:8000/"), Some("[::1]:8000".to_owned()));

        for url in [
            "https://localhost:4566",
            "http://localstack:4566",
            "http://10.0.0.1:8000",
            "http://host.docker.internal:8000",
        ] {
            assert_eq!(found(url), None, "{url}");
        }
    }

    #[tokio::test]
    async fn localhost_is_served_on_ipv4_and_ipv6() {
        // A port that is free on IPv4.
        let free = address("localhost:0").bind().await.unwrap();
        let port = free.sockets[0].local_addr().unwrap().port();
        drop(free);

        let bound = address(&format!("localhost:{port}")).bind().await.unwrap();
        assert_eq!(bound.url(), format!("http://localhost:{port}"));
        let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        assert_eq!(bound.sockets.len(), 1 + usize::from(has_v6));
    }

    #[tokio::test]
    async fn a_port_in_use_names_the_process_that_listens_there() {
        let taken = address("127.0.0.1:0").bind().await.unwrap();
        let port = taken.sockets[0].local_addr().unwrap().port();

        let error = address(&format!("127.0.0.1:{port}"))
            .bind()
            .await
            .unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("port {port} is in use by")),
            "{message}"
        );
        if std::path::Path::new("/proc/net/tcp").exists() {
            let this = format!("process {}", std::process::id());
            assert!(message.contains(&this), "{message}");
        }
    }

    #[tokio::test]
    async fn all_addresses_are_reachable_through_loopback() {
        let bound = address("0.0.0.0:0").bind().await.unwrap();
        assert!(
            bound.url().starts_with("http://127.0.0.1:"),
            "{}",
            bound.url()
        );
        assert!(!address("0.0.0.0:0").is_loopback());
        assert!(address("127.0.0.1:0").is_loopback());
    }
}
