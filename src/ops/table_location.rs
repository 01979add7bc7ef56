//! Location of a table, as shown in plans and summaries.

use std::fmt::Write as _;

use serde::Serialize;

use crate::environment::{Address, Endpoint, Environment, ValueSource};
use crate::schema::TableSchema;
use crate::store::Reader;

/// A table, its environment and its endpoint.
#[derive(Debug, Clone, Serialize)]
pub struct TableLocation {
    /// Name of the environment.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// Account ID, if known from the table's ARN, the environment or the credentials.
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
    /// Endpoint, region and proxy with their source, if neither a flag nor the env file sets them.
    pub sources: Vec<String>,
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
            sources: inherited_values(environment),
        }
    }

    /// The location of a table that was described, or does not exist: then, it will be in the account of the credentials. Local engines
    /// invent accounts.
    pub(crate) async fn find(
        store: &Reader,
        environment: &Environment,
        table: &str,
        found: Option<&TableSchema>,
    ) -> Self {
        let place = Self::new(environment, table, store.credentials()).with_proxy(store.proxy());
        match found {
            Some(schema) => place.with_description(schema),
            None if place.local || place.account.is_some() => place,
            None => Self {
                account: store.account().await,
                ..place
            },
        }
    }

    /// Adds the account of one of these tables of the same environment: at a local endpoint, nothing else names it.
    pub(crate) fn with_account_of<'a>(self, tables: impl IntoIterator<Item = &'a Self>) -> Self {
        let account = tables.into_iter().find_map(|table| table.account.clone());

        Self {
            account: account.or(self.account),
            ..self
        }
    }

    /// Adds the proxy that requests go through, with the variable that names it.
    #[must_use]
    pub fn with_proxy(mut self, proxy: Option<&str>) -> Self {
        let proxy = proxy.map(|proxy| format!("proxy {proxy} from the process environment"));
        self.sources.extend(proxy);
        self
    }

    /// Endpoint, account and region on one line, as far as they are known.
    #[must_use]
    pub fn location(&self) -> String {
        let mut location = self.endpoint.clone().unwrap_or_else(|| "AWS".to_owned());
        if let Some(account) = self.account_label() {
            let separator = if self.endpoint.is_some() { ", " } else { " " };
            let _ = write!(location, "{separator}account {account}");
        }

        if let Some(region) = &self.region {
            let _ = write!(location, " in {region}");
        }

        location
    }

    /// Whether the endpoint belongs to AWS.
    pub(crate) fn is_aws(&self) -> bool {
        self.endpoint.as_deref().is_none_or(|endpoint| {
            Address::from_url(endpoint).is_some_and(|address| address.is_aws())
        })
    }

    /// The account as shown in plans; `None` at a local endpoint without one.
    #[must_use]
    pub fn account_label(&self) -> Option<&str> {
        let unknown = (!self.local).then_some("unknown");
        self.account.as_deref().or(unknown)
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

/// The values from the process environment and the shared AWS configuration. The region of a profile is not among them: it
/// belongs to the endpoint or credentials of that profile.
fn inherited_values(environment: &Environment) -> Vec<String> {
    let region = environment.region().map(|region| &region.source);
    let region = region.filter(|source| matches!(source, ValueSource::Process(_)));
    let endpoint = environment.endpoint().source().filter(|source| {
        matches!(
            source,
            ValueSource::Process(_) | ValueSource::Profile { .. }
        )
    });

    let values = [("region", region), ("endpoint", endpoint)];
    values
        .into_iter()
        .filter_map(|(name, source)| Some(format!("{name} from {}", source?)))
        .collect()
}
