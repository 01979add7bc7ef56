//! Identity of a table: whether two tables are the same, and the key of the state that is kept for a table.
//!
//! An embedded database is identified by its file (device and inode). Otherwise, the table ID decides if both sides report one;
//! otherwise, on AWS, account, region and name; otherwise the resolved address, port, region and name. If in doubt, two tables count as
//! the same. Local engines invent the account in their ARNs, so it counts on AWS only.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
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

/// The key of the state that is kept for a table, which may not exist yet. If the account on AWS is not known, the name of the
/// environment takes its place.
pub(crate) fn state_key(environment: &Environment, table: &str) -> String {
    let region = environment
        .region()
        .map_or("", |region| region.value.as_str());
    let server = match environment.endpoint() {
        Endpoint::Embedded {
            file: Some(file), ..
        } => Server::Embedded(canonical_path(file)),
        endpoint => Server::from_endpoint(endpoint),
    };

    let owner = match (&server, environment.account()) {
        (Server::Aws, Some(account)) => account.value.as_str(),
        (Server::Aws, None) => environment.name(),
        _ => "",
    };

    [&server.to_string(), region, owner, table].join("\n")
}

/// The canonical path of a file that may not exist yet: then, that of its folder and its name.
fn canonical_path(file: &Path) -> String {
    let canonical = file
        .canonicalize()
        .ok()
        .or_else(|| Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?)));
    canonical
        .unwrap_or_else(|| file.to_owned())
        .display()
        .to_string()
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

/// Account and region of a table, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccountRegion<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
}

impl AccountRegion<'_> {
    /// Whether account or region are known on both sides and differ.
    pub(crate) fn differs_from(self, other: Self) -> bool {
        let differ = |one: Option<&str>, two: Option<&str>| matches!((one, two), (Some(one), Some(two)) if one != two);

        differ(self.account, other.account) || differ(self.region, other.region)
    }
}

/// Account and region, separated by a space.
impl fmt::Display for AccountRegion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = [self.account, self.region].into_iter().flatten().collect();
        f.write_str(&known.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(server: Server) -> TableIdentity {
        let region = Some("eu-west-1".to_owned());
        TableIdentity {
            name: "films".to_owned(),
            id: None,
            server,
            file: None,
            account: None,
            region,
        }
    }

    fn at(url: &str) -> TableIdentity {
        table(Server::parse(url))
    }

    #[tokio::test]
    async fn different_spellings_of_an_endpoint_are_the_same_server() {
        let groups: [&[&str]; 5] = [
            &[
                "http://localhost:8000",
                "http://LOCALHOST:8000/",
                "HTTP://127.0.0.1:8000",
                "http://[::1]:8000",
                "http://[0:0:0:0:0:0:0:1]:8000",
                "http://127.0.0.2:8000",
                "https://dynamodb.localhost.localstack.cloud:8000",
                "http://0.0.0.0:8000",
                "http://[::ffff:127.0.0.1]:8000",
                "http://127.1:8000",
            ],
            &[
                "http://10.0.0.1",
                "http://10.0.0.1:80/",
                "http://[::ffff:10.0.0.1]:80",
            ],
            &["http://localhost:4566"],
            &["https://10.0.0.1"],
            &[
                "https://dynamodb.eu-west-1.amazonaws.com",
                "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com",
            ],
        ];

        for (number, group) in groups.iter().enumerate() {
            for one in *group {
                for (other_number, other) in groups
                    .iter()
                    .enumerate()
                    .flat_map(|(number, group)| group.iter().map(move |url| (number, url)))
                {
                    let is_same = at(one).is_same(&at(other)).await;
                    assert_eq!(is_same, number == other_number, "{one} {other}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_table_id_decides_if_both_sides_report_one() {
        let with = |server: Server, id: &str| TableIdentity {
            id: Some(id.to_owned()),
            ..table(server)
        };
        let [one, other] = ["http://10.0.0.1:1", "http://10.0.0.2:2"].map(Server::parse);
        assert!(
            with(one.clone(), "a")
                .is_same(&with(other.clone(), "a"))
                .await
        );

        assert!(
            !with(one.clone(), "a")
                .is_same(&with(one.clone(), "b"))
                .await
        );

        assert!(!with(one.clone(), "a").is_same(&table(other)).await);
        assert!(with(one.clone(), "a").is_same(&table(one)).await);

        // A tunnel to AWS.
        assert!(
            with(Server::Aws, "a")
                .is_same(&with(Server::parse("http://localhost:1"), "a"))
                .await
        );
    }

    #[tokio::test]
    async fn on_aws_account_region_and_name_identify_a_table() {
        let aws = |account: Option<&str>, region: &str| TableIdentity {
            account: account.map(ToOwned::to_owned),
            region: Some(region.to_owned()),
            ..table(Server::Aws)
        };

        let table = aws(Some("123456789012"), "eu-west-1");
        assert!(table.is_same(&aws(Some("123456789012"), "eu-west-1")).await);
        assert!(table.is_same(&aws(None, "eu-west-1")).await);
        assert!(!table.is_same(&aws(Some("210987654321"), "eu-west-1")).await);
        assert!(!table.is_same(&aws(Some("123456789012"), "us-east-1")).await);
        let mut other = table.clone();
        other.name = "books".to_owned();
        assert!(!table.is_same(&other).await);
        let replica = |region| TableIdentity {
            id: Some("a".to_owned()),
            ..aws(None, region)
        };
        assert!(!replica("eu-west-1").is_same(&replica("us-east-1")).await);
    }

    #[tokio::test]
    async fn an_embedded_database_is_identified_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let [one, copy, link] =
            ["one.db", "copy.db", "link.db"].map(|name| folder.path().join(name));
        for path in [&one, &copy] {
            std::fs::File::create(path).unwrap();
        }

        std::fs::hard_link(&one, &link).unwrap();
        let embedded = |path: &Path| TableIdentity {
            id: Some("a".to_owned()),
            file: device_and_inode(path),
            ..table(Server::Embedded(path.display().to_string()))
        };

        assert!(embedded(&one).is_same(&embedded(&link)).await);
        assert!(!embedded(&one).is_same(&embedded(&copy)).await);
    }
}
