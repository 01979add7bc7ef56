//! Location of a table, as shown in plans and summaries.

use std::fmt::Write as _;

use serde::Serialize;

use crate::environment::{Endpoint, Environment, ValueSource};
use crate::schema::TableSchema;

/// A table, its environment and its endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct TableLocation {
    /// Name of the environment.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// Account ID, if known from the table's ARN or the environment.
    pub account: Option<String>,
    /// Region, if one is set.
    pub region: Option<String>,
    /// Endpoint; `None` is the AWS endpoint of the region.
    pub endpoint: Option<String>,
    /// Whether the environment is protected.
    pub protected: bool,
    /// Whether the endpoint is on this machine.
    pub local: bool,
    /// The credentials and their source: `profile default, ~/.aws/credentials`.
    pub credentials: String,
    /// Endpoint, region and proxy with their environment variable, if they come from the process environment.
    pub from_process: Vec<String>,
}

impl TableLocation {
    /// The location of `table` in `environment`.
    #[must_use]
    pub fn new(environment: &Environment, table: &str, credentials: &str) -> Self {
        Self {
            environment: environment.name().to_owned(),
            table: table.to_owned(),
            account: environment.account().map(|account| account.value.clone()),
            region: environment.region().map(|region| region.value.clone()),
            endpoint: match environment.endpoint() {
                Endpoint::Aws => None,
                endpoint => Some(endpoint.to_string()),
            },
            protected: environment.is_protected(),
            local: environment.is_local(),
            credentials: credentials.to_owned(),
            from_process: values_from_process(environment),
        }
    }

    /// Adds the proxy that requests go through, with the variable that names it.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Option<&str>) -> Self {
        let proxy = proxy.map(|proxy| format!("proxy {proxy} from the process environment"));
        self.from_process.extend(proxy);
        self
    }

    /// Endpoint, account and region on one line, as far as they are known.
    #[must_use]
    pub fn location(&self) -> String {
        let mut location = self.endpoint.clone().unwrap_or_else(|| "AWS".to_owned());
        if let Some(account) = &self.account {
            let _ = write!(location, ", account {account}");
        }

        if let Some(region) = &self.region {
            let _ = write!(location, " in {region}");
        }

        location
    }

    /// Adds account and region from the table's description.
    #[must_use]
    pub fn with_description(mut self, schema: &TableSchema) -> Self {
        // The ARN is authoritative for the account. The region may be the one that a custom endpoint is signed for.
        self.account = schema.account().map(ToOwned::to_owned).or(self.account);
        self.region = self
            .region
            .or_else(|| schema.region().map(ToOwned::to_owned));
        self
    }
}

fn values_from_process(environment: &Environment) -> Vec<String> {
    let mut values = Vec::new();
    let mut note = |name: &str, source: &ValueSource| {
        if let ValueSource::Process(key) = source {
            values.push(format!("{name} from {key} in the process environment"));
        }
    };

    if let Some(region) = environment.region() {
        note("region", &region.source);
    }

    if let Some(source) = environment.endpoint().source() {
        note("endpoint", source);
    }

    values
}
