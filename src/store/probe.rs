//! What an endpoint lacks, found without changing anything: so that a plan can say it before the question.
//!
//! A call that reads a setting tells: an endpoint that does not know the operation says so, every other answer (no such table,
//! not allowed) comes from one that does. AWS itself has all operations and is not asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Client, Host};
use super::control::Look;
use crate::schema::Setting;

/// A probe that takes longer tells nothing; the call itself will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which of `settings` the endpoint cannot have, each with the endpoint's words.
pub(crate) async fn lacking(
    client: &Arc<Client>,
    table: &str,
    settings: &[Setting],
) -> BTreeMap<Setting, String> {
    let mut probes = JoinSet::new();
    for setting in settings.iter().copied() {
        let Some((look, body)) = probe(client.host, table, setting) else {
            continue;
        };

        let client = Arc::clone(client);
        probes.spawn(async move {
            let answer = client.look(look, Bytes::from(body.to_string()));
            let answer = client.retry().clock().within(PATIENCE, answer).await;
            let fault = answer?.err().filter(super::error::Fault::is_lack)?;
            Some((setting, fault.words()))
        });
    }

    probes.join_all().await.into_iter().flatten().collect()
}

/// The call that reads what `setting` changes; `None` where there is none, or where the host has everything.
fn probe(host: Host, table: &str, setting: Setting) -> Option<(Look, Value)> {
    let by_name = json!({"TableName": table});
    // The table may not exist yet, so its ARN is not known; one that is wrong tells as much.
    let by_arn =
        || json!({"ResourceArn": format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}")});
    match (host, setting) {
        (Host::Aws, _) => None,
        (_, Setting::Ttl) => Some((Look::TimeToLive, by_name)),
        (_, Setting::Tags) => Some((Look::Tags, by_arn())),
        (_, Setting::Pitr) => Some((Look::ContinuousBackups, by_name)),
        (_, Setting::Insights) => Some((Look::ContributorInsights, by_name)),
        (_, Setting::Policy) => Some((Look::ResourcePolicy, by_arn())),
        (_, Setting::Kinesis) => Some((Look::KinesisDestinations, by_name)),
        (_, Setting::Autoscaling) => Some((
            Look::ScalableTargets,
            json!({"ServiceNamespace": "dynamodb"}),
        )),
        // AWS serves streams at an endpoint of their own, engines at the same one.
        (Host::Local, Setting::Stream) => Some((Look::Streams, json!({}))),
        _ => None,
    }
}

/// Number of the table's on-demand backups on the first page; `None` when the endpoint does not tell.
pub(crate) async fn backups(client: &Arc<Client>, table: &str) -> Option<usize> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Page {
        backup_summaries: Vec<IgnoredAny>,
    }

    let body = Bytes::from(json!({"TableName": table}).to_string());
    let answer = client
        .retry()
        .clock()
        .within(PATIENCE, client.look(Look::Backups, body))
        .await?
        .ok()?;

    let page: Page = serde_json::from_slice(&answer).ok()?;

    Some(page.backup_summaries.len())
}
