//! The account that a store's credentials belong to, and whether it is the one that the environment requires.
//!
//! The credentials may name it; otherwise, STS is asked. If neither answers, the ARN of the table decides: `DescribeTable` is needed
//! anyway, so this check needs no permission of its own.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::client::Client;
use super::endpoint_kind::EMULATOR_ACCOUNT;
use crate::aws::AwsSettings;
use crate::environment::{Endpoint, Environment, Sourced};
use crate::error::{Error, Result};
use crate::schema::{TableSchema, any_account};

/// The account of a store's credentials.
pub(super) struct Account {
    settings: AwsSettings,
    required: Option<RequiredAccount>,
    /// Whether the credentials are known to belong to the required account.
    is_verified: AtomicBool,
    /// The account, or the reason why it is unknown.
    found: OnceCell<std::result::Result<String, String>>,
    is_embedded: bool,
    is_local: bool,
}

/// The account that an environment requires.
struct RequiredAccount {
    environment: String,
    account: Sourced<String>,
}

impl Account {
    pub(super) fn new(environment: &Environment, settings: AwsSettings) -> Self {
        let required = environment.account().map(|account| RequiredAccount {
            environment: environment.name().to_owned(),
            account: account.clone(),
        });

        Self {
            settings,
            required,
            is_verified: AtomicBool::new(false),
            found: OnceCell::new(),
            is_embedded: matches!(environment.endpoint(), Endpoint::Embedded { .. }),
            is_local: environment.is_local(),
        }
    }

    /// The account, or the reason why it is unknown. It is looked up once.
    pub(super) async fn find(&self, client: &Client) -> std::result::Result<&str, &str> {
        let look_up = || async {
            if self.is_embedded {
                return Ok(EMULATOR_ACCOUNT.to_owned());
            }

            let account = self.settings.account(&client.aws()).await;
            account.map_err(|error| error.code_and_message())
        };

        let found = self.found.get_or_init(|| Box::pin(look_up())).await;
        found.as_deref().map_err(String::as_str)
    }

    /// Fails if the credentials belong to another account than the environment requires. If their account is unknown, the table
    /// decides later.
    pub(super) async fn check_credentials(&self, client: &Client) -> Result<()> {
        let Some(required) = &self.required else {
            return Ok(());
        };

        match self.find(client).await {
            Ok(account) if account == required.account.value => {
                self.is_verified.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(account) => Err(required
                .mismatch(&format!("its credentials belong to {account}"))
                .with_hint(
                    "use the credentials of the right account; no data was read or written",
                )),
            Err(_) => Ok(()),
        }
    }

    /// Fails if the table is not in the required account, or if nothing tells the account.
    pub(super) fn check_table(&self, table: &str, found: Option<&TableSchema>) -> Result<()> {
        let Some(required) = &self.required else {
            return Ok(());
        };

        let is_verified = self.is_verified.load(Ordering::Relaxed);
        match found.and_then(account_in_arn) {
            Some(account) if account == required.account.value => {
                self.is_verified.store(true, Ordering::Relaxed);
                Ok(())
            }
            // Engines invent the account in their ARNs.
            Some(account) if is_verified && (self.is_local || account == EMULATOR_ACCOUNT) => {
                Ok(())
            }
            Some(account) => Err(required
                .mismatch(&format!("table {table} is in account {account}"))
                .with_hint("use the credentials of the right account")),
            None if is_verified => Ok(()),
            None => Err(self.unknown(required, table, found.is_some())),
        }
    }

    /// The error if the account cannot be checked.
    fn unknown(&self, required: &RequiredAccount, table: &str, exists: bool) -> Error {
        let reason = match self.found.get() {
            Some(Err(reason)) => format!(" ({reason})"),
            _ => String::new(),
        };
        let table = if exists {
            format!("the description of table {table} has no ARN")
        } else {
            format!("table {table} does not exist")
        };

        required
            .mismatch(&format!(
                "the account of its credentials is unknown: the credentials do not contain it, STS did not respond{reason}, and {table}"
            ))
            .with_hint(
                "allow access to STS (sts:GetCallerIdentity), set aws_account_id in the profile or AWS_ACCOUNT_ID next to the keys, \
                 or create the table first: its ARN names the account",
            )
    }
}

impl RequiredAccount {
    fn mismatch(&self, found: &str) -> Error {
        Error::environment(format!(
            "environment {} must be account {} ({}), but {found}",
            self.environment, self.account.value, self.account.source,
        ))
    }
}

/// The account in the table's ARN, including one that an engine invented.
fn account_in_arn(schema: &TableSchema) -> Option<&str> {
    let arn = schema.description().table_arn.as_deref()?;
    any_account(arn).filter(|account| !account.is_empty())
}
