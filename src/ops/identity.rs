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
    use crate::environment::{EnvironmentRequest, ProcessEnvironment, ValueSource};

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

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::Url {
            url: url.to_owned(),
            every_service: true,
            source: ValueSource::Field(crate::field::Field::EndpointUrl),
        }
    }

    #[tokio::test]
    async fn the_key_of_the_state_does_not_depend_on_the_spelling_of_the_endpoint() {
        let key = async |url: &str| {
            let server = Server::from_endpoint(&endpoint(url)).without_alias().await;
            server.to_string()
        };

        for url in [
            "http://localhost:8000/",
            "HTTP://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://0.0.0.0:8000",
            "http://[::ffff:127.0.0.1]:8000",
            "http://127.1:8000",
        ] {
            assert_eq!(key(url).await, "localhost:8000", "{url}");
        }

        assert_eq!(
            key("http://localhost/").await,
            key("http://127.0.0.1:80").await
        );
        assert_ne!(
            key("http://localhost:8000").await,
            key("http://localhost:8001").await
        );
        assert_ne!(
            key("http://10.0.0.1:8000").await,
            key("http://10.0.0.2:8000").await
        );
    }

    #[tokio::test]
    async fn on_aws_the_key_of_the_state_is_of_the_account_whatever_the_environment_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let key = async |name: &str, account: Option<&str>, region: &str| {
            let request = EnvironmentRequest {
                name: Some(name.to_owned()),
                working_dir: folder.path().to_owned(),
                ..EnvironmentRequest::default()
            };
            let text = format!("AWS_REGION={region}\nAWS_PROFILE=ops\n");
            std::fs::create_dir_all(folder.path().join("envs")).unwrap();
            let path = folder.path().join(format!("envs/.env.{name}"));
            let mut file = std::fs::File::create(path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            let environment =
                Environment::resolve(&request, &ProcessEnvironment::default()).unwrap();
            let mut location = TableLocation::new(&environment, "films", "");
            location.account = account.map(ToOwned::to_owned);

            StateKey::new(&environment, &location).await
        };

        let account = Some("123456789012");
        let one = key("dev", account, "eu-west-1").await;
        let same = key("work", account, "eu-west-1").await;
        assert_eq!(one.to_string(), same.to_string());

        for (account, region) in [
            (Some("210987654321"), "eu-west-1"),
            (account, "us-east-1"),
            (None, "eu-west-1"),
        ] {
            let other = key("dev", account, region).await;
            assert_ne!(one.to_string(), other.to_string(), "{account:?} {region}");
        }

        let unknown = key("dev", None, "eu-west-1").await;
        assert_eq!(one.without_account().to_string(), unknown.to_string());
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
