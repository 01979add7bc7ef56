//! Endpoints: the URL that an environment names, or else AWS's endpoint rules for DynamoDB, account-based endpoints included
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-account-endpoints.html>).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::attributes::AccountId;
use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_types::service_config::ServiceConfigKey;

use super::error::RequestError;
use super::operation::Service;
use super::sign::Destination;

/// Results that are kept: those of each service, and of the last tables that calls named by ARN.
const KEPT_RESULTS: usize = 16;

/// Resolves the endpoint of each request.
#[derive(Debug)]
pub(super) struct Endpoints {
    rules: DefaultResolver,
    region: String,
    uses_fips: Option<bool>,
    uses_dual_stack: Option<bool>,
    account_id_endpoint_mode: String,
    /// URL of DynamoDB, if it is not AWS's.
    dynamodb_url: Option<String>,
    /// URL of every other service, if it is not AWS's.
    shared_url: Option<String>,
    /// Name of all of them in error messages, instead of their URLs.
    name: Option<String>,
    /// Earlier results: the rules take longer than building a request.
    resolved: Mutex<Vec<(ResolvedFor, Arc<Destination>)>>,
}

/// Inputs of the endpoint rules.
#[derive(Debug, PartialEq, Eq)]
struct ResolvedFor {
    service: Service,
    /// ARN of the table, if it is named by one.
    table_arn: Option<String>,
    account: Option<String>,
}

impl ResolvedFor {
    fn is(&self, service: Service, table_arn: Option<&str>, account: Option<&str>) -> bool {
        self.service == service
            && self.table_arn.as_deref() == table_arn
            && self.account.as_deref() == account
    }
}

impl Endpoints {
    /// Endpoints of this configuration. Only `dynamodb_url` decides where DynamoDB is, because plans name it; the
    /// configuration may name a URL for other services.
    pub(super) fn new(config: &SdkConfig, dynamodb_url: Option<String>) -> Self {
        Self {
            rules: DefaultResolver::new(),
            region: config.region().map(ToString::to_string).unwrap_or_default(),
            uses_fips: config.use_fips(),
            uses_dual_stack: config.use_dual_stack(),
            account_id_endpoint_mode: config
                .account_id_endpoint_mode()
                .cloned()
                .unwrap_or_default()
                .to_string(),
            dynamodb_url,
            shared_url: configured_url(config),
            name: None,
            resolved: Mutex::default(),
        }
    }

    /// Names every endpoint in error messages, for an engine whose URL is meaningless to users.
    pub(super) fn with_name(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// Where a request about `table` goes. With an account ID in the credentials, AWS has an endpoint for each account.
    ///
    /// # Errors
    /// AWS's rules have no endpoint for this region and these options.
    pub(super) async fn resolve(
        &self,
        service: Service,
        table: Option<&str>,
        credentials: &Credentials,
    ) -> Result<Arc<Destination>, RequestError> {
        let account = credentials.account_id().map(AccountId::as_str);
        // A name says nothing about the account, so the rules ignore it.
        let table_arn = table.filter(|table| table.starts_with("arn:"));
        if let Some(known) = self.find_resolved(service, table_arn, account) {
            return Ok(known);
        }

        let url = match service {
            Service::DynamoDb | Service::DynamoDbStreams => {
                self.dynamodb(table_arn, account).await?
            }
            Service::ApplicationAutoScaling | Service::Kms => self.other_service(service).await?,
        };

        let name = self.name.clone().unwrap_or_else(|| display_name(&url));
        let destination = Arc::new(Destination {
            url: with_path(url),
            name: name.into(),
            region: self.region.clone(),
        });
        let key = ResolvedFor {
            service,
            table_arn: table_arn.map(ToOwned::to_owned),
            account: account.map(ToOwned::to_owned),
        };

        let mut resolved = self.resolved();
        if resolved.len() >= KEPT_RESULTS {
            resolved.clear();
        }
        resolved.push((key, Arc::clone(&destination)));

        Ok(destination)
    }

    fn find_resolved(
        &self,
        service: Service,
        table_arn: Option<&str>,
        account: Option<&str>,
    ) -> Option<Arc<Destination>> {
        let resolved = self.resolved();
        let (_, destination) = resolved
            .iter()
            .find(|(key, _)| key.is(service, table_arn, account))?;

        Some(Arc::clone(destination))
    }

    fn resolved(&self) -> MutexGuard<'_, Vec<(ResolvedFor, Arc<Destination>)>> {
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The URL of a service other than DynamoDB. The rules of these services name their hosts alike in every partition.
    async fn other_service(&self, service: Service) -> Result<String, RequestError> {
        if let Some(url) = &self.shared_url {
            return Ok(url.clone());
        }

        let host = format!("://{}", service.signing_name());
        let dynamodb = self.dynamodb(None, None).await?;
        Ok(dynamodb.replacen("://dynamodb", &host, 1))
    }

    /// The URL of DynamoDB for this account, and for a table of another account.
    pub(super) async fn dynamodb(
        &self,
        table_arn: Option<&str>,
        account: Option<&str>,
    ) -> Result<String, RequestError> {
        let params = Params::builder()
            .region(self.region.clone())
            .set_use_fips(self.uses_fips)
            .set_use_dual_stack(self.uses_dual_stack)
            .set_endpoint(self.dynamodb_url.clone())
            .set_account_id(account.map(ToOwned::to_owned))
            .account_id_endpoint_mode(self.account_id_endpoint_mode.clone())
            .set_resource_arn(table_arn.map(ToOwned::to_owned))
            .build()
            .map_err(|error| RequestError::invalid_request(error.to_string()))?;

        let endpoint = self.rules.resolve_endpoint(&params).await;
        let endpoint = endpoint
            .map_err(|error| RequestError::invalid_request(format!("no endpoint: {error}")))?;

        Ok(endpoint.url().to_owned())
    }
}

/// The URL of Application Auto Scaling in flags, environment or profile, in the SDK's order.
fn configured_url(config: &SdkConfig) -> Option<String> {
    if config.get_origin("endpoint_url").is_client_config() {
        return config.endpoint_url().map(ToOwned::to_owned);
    }

    let key = ServiceConfigKey::builder()
        .service_id("Application Auto Scaling")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let of_service = config.service_config().and_then(|it| it.load_config(key));

    of_service.or_else(|| config.endpoint_url().map(ToOwned::to_owned))
}

/// A URL as error messages name it: without user name and password.
fn display_name(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);

    format!("{scheme}://{host}{}", path.trim_end_matches('/'))
}

/// A URL with a path, which a signature needs.
fn with_path(mut url: String) -> String {
    let has_path = url
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    if !has_path {
        url.push('/');
    }

    url
}
