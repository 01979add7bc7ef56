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
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::Client;
use super::endpoint_kind::EndpointKind;
use crate::schema::{BackupPage, Operation, Reading, Setting};

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
        let Some((operation, body)) = probe_of(client.endpoint_kind(), table, setting) else {
            continue;
        };

        let client = Arc::clone(client);
        probes.spawn(async move {
            let turn = client.setting_turn(operation).await;
            let body = Bytes::from(body.to_string());
            let answer = client.call_setting_in_turn(&turn, operation, body);
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
fn probe_of(
    endpoint_kind: EndpointKind,
    table: &str,
    setting: Setting,
) -> Option<(Operation, Value)> {
    if endpoint_kind == EndpointKind::Aws {
        return None;
    }

    let Some(section) = setting.sections().first() else {
        return setting
            .local_probe()
            .filter(|_| endpoint_kind == EndpointKind::Local)
            .map(|operation| (operation, json!({})));
    };

    Some(match section.reading() {
        Reading::Field(operation, _) | Reading::PerIndex(operation) => {
            (operation, json!({"TableName": table}))
        }
        // The table may not exist yet, so its ARN is unknown. A wrong ARN gives the same
        // information.
        Reading::List(operation, _) | Reading::Document(operation, _) => {
            let arn = format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}");
            (operation, json!({"ResourceArn": arn}))
        }
        Reading::Key(..) => return None,
        Reading::AutoScaling { targets, .. } => (targets, json!({"ServiceNamespace": "dynamodb"})),
    })
}

/// Number of the table's on-demand backups on the first page; `None` if the endpoint does not
/// report it.
pub(crate) async fn backup_count(client: &Arc<Client>, table: &str) -> Option<usize> {
    let body = Bytes::from(json!({"TableName": table}).to_string());
    let operation = Operation::dynamodb("ListBackups");
    let turn = client.setting_turn(operation).await;
    let answer = client.call_setting_in_turn(&turn, operation, body);
    let answer = client.retry().clock().within(PROBE_TIMEOUT, answer).await?;
    let answer = answer.ok()?;

    let page = BackupPage::parse(&answer).ok()?;

    page.backups.map(|backups| backups.len())
}
