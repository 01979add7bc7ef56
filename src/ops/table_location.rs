//! Where a table lives, as plans and summaries name it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::environment::{Endpoint, Environment, ValueSource};
use crate::schema::TableSchema;

/// A table in an environment.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Name of the environment.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// Account id, where the table's ARN or the environment tells it.
    pub account: Option<String>,
    /// Region, where one is set.
    pub region: Option<String>,
    /// Endpoint as plans name it; `None` for the region's own.
    pub endpoint: Option<String>,
    /// Whether the environment is protected.
    pub protected: bool,
    /// Whether the endpoint is on this machine.
    pub local: bool,
    /// Whose credentials are used and where they come from: `profile default, ~/.aws/credentials`.
    pub credentials: String,
    /// Endpoint and region if they came from the process environment and not from the env file or a flag, with their source.
    pub from_process: Vec<String>,
}

impl Place {
    /// The place of `table` in `environment`, used with `credentials`.
    #[must_use]
    pub fn of(environment: &Environment, table: &str, credentials: &str) -> Self {
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
            from_process: from_process(environment),
        }
    }
}

impl Place {
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

    /// The same place with what the table's own description says of account and region.
    #[must_use]
    pub fn described(mut self, schema: &TableSchema) -> Self {
        self.account = schema.account().map(ToOwned::to_owned).or(self.account);
        self.region = self
            .region
            .or_else(|| schema.region().map(ToOwned::to_owned));
        self
    }
}

fn from_process(environment: &Environment) -> Vec<String> {
    let mut taken = Vec::new();
    let mut note = |what: &str, source: &ValueSource| {
        if let ValueSource::Process(key) = source {
            taken.push(format!("{what} from {key} in the process environment"));
        }
    };

    if let Some(region) = environment.region() {
        note("region", &region.source);
    }

    if let Some(source) = environment.endpoint().source() {
        note("endpoint", source);
    }

    taken
}
