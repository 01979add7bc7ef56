//! Identity of a table: whether two tables are the same, and the key of the state that is kept for a table.
//!
//! An embedded database is identified by its file (device and inode). Otherwise, the table ID decides if both sides report one;
//! otherwise, on AWS, account, region and name; otherwise the resolved address, port, region and name. If in doubt, two tables count as
//! the same. Local engines invent the account in their ARNs, so it counts on AWS only.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table_location::TableLocation;
use crate::backup::Source;
use crate::environment::{Address, Endpoint, Environment};
use crate::schema::{OverriddenSchema, TableSchema, any_account};
use crate::store::Reader;

/// Timeout for resolving a host name. A host that cannot be resolved in time may be any other.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);

/// Identity of a live table.
#[derive(Debug, Clone)]
pub(crate) struct TableIdentity {
    name: String,
    id: Option<String>,
    server: Server,
    /// Device and inode of an embedded database.
    file: Option<(u64, u64)>,
    account: Option<String>,
    region: Option<String>,
}

/// The server of an endpoint, independent of the spelling of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Server {
    /// AWS, through any of its endpoints.
    Aws,
    /// Another server. All names and addresses of the loopback interface are `localhost`.
    Address {
        /// The host, in lower case.
        host: String,
        port: u16,
    },
    /// The embedded engine, with the description of its file.
    Embedded(String),
}

impl TableIdentity {
    /// The identity of a table with this description.
    pub(crate) fn new(environment: &Environment, schema: &TableSchema) -> Self {
        let description = schema.description();
        let server = Server::from_endpoint(environment.endpoint());
        let configured = environment.region().map(|region| region.value.clone());
        let (account, region) = match server {
            Server::Aws => (
                schema.account().map(ToOwned::to_owned),
                schema.region().map(ToOwned::to_owned).or(configured),
            ),
            _ => (None, configured),
        };

        let file = match environment.endpoint() {
            Endpoint::Embedded {
                file: Some(file), ..
            } => device_and_inode(file),
            _ => None,
        };

        let name = description.table_name.clone().unwrap_or_default();
        Self {
            name,
            id: description.table_id.clone(),
            server,
            file,
            account,
            region,
        }
    }

    /// Whether both are the same table.
    pub(crate) async fn is_same(&self, other: &Self) -> bool {
        let matches_if_known = |one: &Option<String>, two: &Option<String>| {
            one.is_none() || two.is_none() || one == two
        };

        // A copy of a database file contains the same table IDs.
        if let (Some(file), Some(other_file)) = (self.file, other.file) {
            return file == other_file && self.name == other.name;
        }

        // Replicas of a global table are separate tables, even if they report the same ID.
        let on_aws = self.server == Server::Aws && other.server == Server::Aws;
        if on_aws && !matches_if_known(&self.region, &other.region) {
            return false;
        }

        // The ID counts before the server: a tunnel or proxy has another address.
        if let (Some(id), Some(other_id)) = (&self.id, &other.id) {
            return id == other_id;
        }

        self.name == other.name
            && matches_if_known(&self.account, &other.account)
            && matches_if_known(&self.region, &other.region)
            && self.server.is_same(&other.server).await
    }
}

impl Server {
    fn from_endpoint(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Aws => Self::Aws,
            Endpoint::Url { url, .. } => Self::parse(url),
            Endpoint::Embedded { .. } => Self::Embedded(endpoint.to_string()),
        }
    }

    /// The server of an endpoint as it is written in a dump or plan.
    fn parse(endpoint: &str) -> Self {
        match Address::from_url(endpoint) {
            Some(address) if address.is_aws() => Self::Aws,
            Some(address) if address.is_loopback() => Self::Address {
                host: "localhost".to_owned(),
                port: address.port,
            },
            Some(address) => Self::Address {
                host: address.host,
                port: address.port,
            },
            None => Self::Embedded(endpoint.to_owned()),
        }
    }

    /// The same server as `localhost` if its host name is an alias of this machine.
    async fn without_alias(self) -> Self {
        match self {
            // Every loopback address is named so; asking the resolver would change nothing.
            Self::Address { host, port } if host != "localhost" => {
                let found = addresses(&host, port).await.unwrap_or_default();
                let is_this_machine = found.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST));
                let host = if is_this_machine {
                    "localhost".to_owned()
                } else {
                    host
                };
                Self::Address { host, port }
            }
            server => server,
        }
    }

    async fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Address { host, port },
                Self::Address {
                    host: other_host,
                    port: other_port,
                },
            ) => {
                port == other_port
                    && (host == other_host || share_address(host, other_host, *port).await)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws => f.write_str("AWS"),
            Self::Address { host, port } => write!(f, "{host}:{port}"),
            Self::Embedded(words) => f.write_str(words),
        }
    }
}

/// Whether both endpoints are of the same server, or both of AWS.
pub(crate) async fn is_same_server(one: &Endpoint, other: &Endpoint) -> bool {
    let (one, other) = (Server::from_endpoint(one), Server::from_endpoint(other));
    one.is_same(&other).await
}

/// Whether two hosts have an address in common. A host that cannot be resolved may be any other.
async fn share_address(host: &str, other: &str, port: u16) -> bool {
    let (one, two) = tokio::join!(addresses(host, port), addresses(other, port));
    one.zip(two).is_none_or(|(one, two)| !one.is_disjoint(&two))
}

async fn addresses(host: &str, port: u16) -> Option<BTreeSet<IpAddr>> {
    let host = host.trim_matches(['[', ']']);
    let resolved = tokio::time::timeout(DNS_TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .ok()?
        .ok()?;
    // All loopback addresses reach the same servers, and so does 0.0.0.0.
    let canonical = |address: IpAddr| match address.to_canonical() {
        this if this.is_loopback() || this.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other,
    };

    Some(resolved.map(|address| canonical(address.ip())).collect())
}

fn device_and_inode(file: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The key of the state that is kept for a table, which may not exist yet: the same for every environment and every spelling of the
/// endpoint.
#[derive(Debug, Clone)]
pub(crate) enum StateKey {
    /// A table of a server.
    Server {
        server: String,
        region: String,
        /// On AWS; empty if it is unknown.
        account: String,
        table: String,
    },
    /// A table of an embedded database, whose file may not exist yet.
    Database { file: PathBuf, table: String },
}

impl StateKey {
    /// The key of a table at this location.
    pub(crate) async fn new(environment: &Environment, location: &TableLocation) -> Self {
        let table = location.table.clone();
        let server = match environment.endpoint() {
            Endpoint::Embedded {
                file: Some(file), ..
            } => {
                let file = file.clone();
                return Self::Database { file, table };
            }
            endpoint => Server::from_endpoint(endpoint).without_alias().await,
        };

        let account = location.account.clone();
        Self::Server {
            region: location.region.clone().unwrap_or_default(),
            account: account
                .filter(|_| server == Server::Aws)
                .unwrap_or_default(),
            server: server.to_string(),
            table,
        }
    }

    /// The key of a table in an unknown account.
    pub(crate) fn without_account(mut self) -> Self {
        if let Self::Server { account, .. } = &mut self {
            account.clear();
        }

        self
    }

    /// Whether it is about a database whose file does not exist yet. The key changes when the file is created.
    pub(crate) fn is_provisional(&self) -> bool {
        match self {
            Self::Server { .. } => false,
            Self::Database { file, .. } => device_and_inode(file).is_none(),
        }
    }

    /// The key of the existing table by its ID, which is the same through a tunnel, a proxy or another host name. `None` if the endpoint
    /// reports no IDs, and for an embedded database: a copy of its file contains the same IDs.
    pub(crate) fn of_id(&self, existing: &TableSchema) -> Option<String> {
        let Self::Server { region, table, .. } = self else {
            return None;
        };

        let id = existing.description().table_id.as_deref()?;
        // Replicas of a global table are separate tables, even if they report the same ID.
        let region = existing.region().unwrap_or(region);

        Some([id, region, table].join("\n"))
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server {
                server,
                region,
                account,
                table,
            } => write!(f, "{server}\n{region}\n{account}\n{table}"),
            Self::Database { file, table } => match device_and_inode(file) {
                Some((device, inode)) => write!(f, "embedded\n{device}:{inode}\n{table}"),
                None => write!(f, "embedded\n{}\n{table}", file.display()),
            },
        }
    }
}

/// Whether the target is the table that was dumped, or replaces it. Settings that refer to other resources of an account are valid only
/// there, so here a doubt means no. The account is looked up only if everything else matches.
pub(crate) async fn is_dumped_table(
    store: &Reader,
    source: &Source,
    wanted: Option<&OverriddenSchema>,
    existing: Option<&TableSchema>,
    target: &TableLocation,
) -> bool {
    let Some(OverriddenSchema { schema: wanted, .. }) = wanted else {
        return false;
    };

    let dumped = wanted
        .description()
        .table_arn
        .as_deref()
        .and_then(any_account);
    if !wanted.same_table(dumped, target.region.as_deref(), &target.table) {
        return false;
    }

    if let Some(metadata) = source.metadata() {
        let server =
            |endpoint: &Option<String>| endpoint.as_deref().map_or(Server::Aws, Server::parse);
        if !server(&metadata.endpoint)
            .is_same(&server(&target.endpoint))
            .await
        {
            return false;
        }
    }

    // The ARN of the existing table is more reliable than the configuration, and needs no call.
    let account = existing
        .and_then(|existing| existing.description().table_arn.as_deref())
        .and_then(any_account);
    match account.or(target.account.as_deref()) {
        Some(account) => dumped == Some(account),
        None => dumped == store.account().await.as_deref(),
    }
}

/// The table's id, or its creation time on endpoints without ids. A recreated table has another one.
pub(crate) fn table_id(table: &TableSchema) -> Option<String> {
    let description = table.description();
    description.table_id.clone().or_else(|| {
        description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string)
    })
}

#[cfg(test)]
mod tests;
