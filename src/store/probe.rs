//! Finds out which settings an endpoint does not support, without changing anything, so that the
//! plan can say so before the prompt.
//!
//! The read operation of each setting is called: an endpoint that does not support the operation
//! says so, while any other response (no such table, access denied) comes from one that does. AWS
//! supports all operations and is not probed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::Client;
use super::control::SettingQuery;
use super::endpoint_kind::EndpointKind;
use crate::schema::Setting;

/// Timeout of a probe. Without an answer, the setting is assumed to be supported.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns those of `settings` that the endpoint does not support, each with its error message.
pub(crate) async fn unsupported_settings(
    client: &Arc<Client>,
    table: &str,
    settings: &[Setting],
) -> BTreeMap<Setting, String> {
    let mut probes = JoinSet::new();
    for setting in settings.iter().copied() {
        let Some((query, body)) = query_for(client.endpoint_kind, table, setting) else {
            continue;
        };

        let client = Arc::clone(client);
        probes.spawn(async move {
            let answer = client.read_setting(query, Bytes::from(body.to_string()));
            let answer = client.retry().clock().within(PROBE_TIMEOUT, answer).await;
            // A timeout, or any other error, says nothing about support.
            let error = answer?
                .err()
                .filter(crate::aws::error::RequestError::is_unsupported_operation)?;
            Some((setting, error.code_and_message()))
        });
    }

    probes.join_all().await.into_iter().flatten().collect()
}

/// The read operation for `setting` and its body; `None` if there is none, or if the endpoint is
/// AWS.
fn query_for(
    endpoint_kind: EndpointKind,
    table: &str,
    setting: Setting,
) -> Option<(SettingQuery, Value)> {
    let by_name = json!({"TableName": table});
    // The table may not exist yet, so its ARN is unknown. A wrong ARN gives the same information.
    let by_arn =
        || json!({"ResourceArn": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}")});
    match (endpoint_kind, setting) {
        (EndpointKind::Aws, _) => None,
        (_, Setting::Ttl) => Some((SettingQuery::TimeToLive, by_name)),
        (_, Setting::Tags) => Some((SettingQuery::Tags, by_arn())),
        (_, Setting::Pitr) => Some((SettingQuery::ContinuousBackups, by_name)),
        (_, Setting::Insights) => Some((SettingQuery::ContributorInsights, by_name)),
        (_, Setting::Policy) => Some((SettingQuery::ResourcePolicy, by_arn())),
        (_, Setting::Kinesis) => Some((SettingQuery::KinesisDestinations, by_name)),
        (_, Setting::Autoscaling) => Some((
            SettingQuery::ScalableTargets,
            json!({"ServiceNamespace": "dynamodb"}),
        )),
        // AWS serves Streams on a separate endpoint, local engines on the same one.
        (EndpointKind::Local, Setting::Stream) => Some((SettingQuery::Streams, json!({}))),
        _ => None,
    }
}

/// Number of the table's on-demand backups on the first page; `None` if the endpoint does not
/// report it.
pub(crate) async fn backup_count(client: &Arc<Client>, table: &str) -> Option<usize> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct BackupPage {
        backup_summaries: Vec<IgnoredAny>,
    }

    let body = Bytes::from(json!({"TableName": table}).to_string());
    let answer = client
        .retry()
        .clock()
        .within(
            PROBE_TIMEOUT,
            client.read_setting(SettingQuery::Backups, body),
        )
        .await?
        .ok()?;

    let page: BackupPage = serde_json::from_slice(&answer).ok()?;

    Some(page.backup_summaries.len())
}
