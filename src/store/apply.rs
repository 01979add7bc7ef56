//! Applies one setting: substitutes the target's ARNs and repeats the call while the table is busy.

use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use crate::aws::error::{ErrorClass, RequestError};
use crate::error::{Error, Result};
use crate::schema::{Operation, STREAM_ARN, SettingCall, TABLE_ARN, TableSchema};

/// Maximum time for which server errors are retried. An endpoint that fails for longer does not
/// implement the operation, and the settings that follow are waiting.
const MAX_SERVER_ERROR_TIME: Duration = Duration::from_secs(20);

/// The target's ARNs, which replace the placeholders in a body.
#[derive(Debug, Default)]
struct TableArns {
    table: Option<String>,
    stream: Option<String>,
}

impl Client {
    /// Calls the operation until it succeeds or is rejected. `known` is an earlier description of the
    /// table. Returns the table as the response describes it, if it does.
    pub(crate) async fn apply(
        &self,
        table: &str,
        call: &SettingCall,
        known: Option<&TableSchema>,
    ) -> Result<Option<TableSchema>> {
        let operation = call.operation.name;
        let arns = self.arns_for(table, call, known).await?;

        let body = Bytes::from(
            substitute_arns(&call.body, &arns)
                .map_err(|what| Error::failed(format!("{operation}: {what}")))?,
        );
        let mut calls = 0;
        let attempt = || {
            calls += 1;
            self.call_setting(call.operation, body.clone())
        };

        // A table may need minutes until it accepts the next change, for example while an index is
        // backfilled or backups are being enabled.
        let max_wait = self.retry().give_up_after();
        let answer = self
            .with_retry_limits(MAX_SERVER_ERROR_TIME.min(max_wait), max_wait, attempt)
            .await;

        match answer {
            // A retried call may report that its lost predecessor succeeded.
            Err(error) if is_already_applied(call, &error, calls) => Ok(None),
            // Only the response of UpdateTable describes a table.
            answer => answer
                .map(|text| TableSchema::parse(&text).ok())
                .map_err(|error| self.operation_error(error, table)),
        }
    }

    /// The ARNs in the body of a call. That of a stream changes with each stream, so it is looked up.
    async fn arns_for(
        &self,
        table: &str,
        call: &SettingCall,
        known: Option<&TableSchema>,
    ) -> Result<TableArns> {
        let known = known.and_then(|known| known.description().table_arn.clone());
        match (
            call.body.contains(TABLE_ARN),
            call.body.contains(STREAM_ARN),
        ) {
            (false, false) => Ok(TableArns::default()),
            (true, false) if known.is_some() => Ok(TableArns {
                table: known,
                stream: None,
            }),
            _ => self.table_arns(table).await,
        }
    }

    async fn table_arns(&self, table: &str) -> Result<TableArns> {
        let schema = self.describe(table).await?;
        let description = schema.as_ref().map(TableSchema::description);
        Ok(TableArns {
            table: description.and_then(|table| table.table_arn.clone()),
            stream: description
                .and_then(|table| table.stream().and(table.latest_stream_arn.clone())),
        })
    }
}

/// Substitutes the target's ARNs for the placeholders in a body. A placeholder may be in a JSON
/// string within a JSON string, where no single escaping would be correct, so an ARN that needs
/// escaping is an error.
fn substitute_arns(body: &str, arns: &TableArns) -> Result<String, String> {
    let mut body = body.to_owned();
    for (placeholder, arn, owner) in [
        (TABLE_ARN, &arns.table, "table"),
        (STREAM_ARN, &arns.stream, "stream"),
    ] {
        if !body.contains(placeholder) {
            continue;
        }

        let arn = arn
            .as_deref()
            .ok_or_else(|| format!("the endpoint returns no ARN for the {owner}"))?;
        if arn.contains(|c: char| !c.is_ascii_graphic() || c == '"' || c == '\\') {
            return Err(format!(
                "the endpoint returns an invalid ARN for the {owner}"
            ));
        }

        body = body.replace(placeholder, arn);
    }

    Ok(body)
}

/// Whether an error says that the table already has the setting: either an earlier call succeeded
/// and its response was lost, or the message says so for any call.
fn is_already_applied(call: &SettingCall, error: &RequestError, calls: u32) -> bool {
    let contains = |text: &str| error.message.to_ascii_lowercase().contains(text);
    let is_invalid = error.class == ErrorClass::Invalid;
    if call.already_applied_message().is_some_and(contains) {
        return is_invalid;
    }

    // During an update of the table, an error of another class may be about that update.
    let may_be_applied = is_invalid || call.operation != Operation::UPDATE_TABLE;
    calls > 1 && may_be_applied && contains("already")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/music";

    #[test]
    fn arns_are_substituted_inside_a_policy_too() {
        let body = format!(
            r#"{{"ResourceArn":"{TABLE_ARN}","Policy":"{{\"Resource\":\"{TABLE_ARN}/index/*\"}}"}}"#
        );
        let arns = TableArns {
            table: Some(ARN.to_owned()),
            stream: None,
        };
        let body: serde_json::Value =
            serde_json::from_str(&substitute_arns(&body, &arns).unwrap()).unwrap();
        assert_eq!(body["ResourceArn"], ARN);
        assert_eq!(body["Policy"], format!(r#"{{"Resource":"{ARN}/index/*"}}"#));
    }

    #[test]
    fn a_missing_or_hostile_arn_is_refused() {
        let body = format!(r#"{{"ResourceArn":"{STREAM_ARN}"}}"#);
        assert!(
            substitute_arns(
                &body,
                &TableArns {
                    table: Some(ARN.to_owned()),
                    stream: None
                }
            )
            .unwrap_err()
            .contains("stream")
        );

        let hostile = TableArns {
            table: None,
            stream: Some("arn\",\"x\":\"".to_owned()),
        };
        assert!(substitute_arns(&body, &hostile).is_err());
        assert_eq!(substitute_arns("{}", &TableArns::default()).unwrap(), "{}");
    }

    #[test]
    fn only_messages_that_say_so_count_as_applied() {
        let invalid = |message: &str| RequestError::for_test("ValidationException", 400, message);
        let call = |setting: &str, operation| SettingCall {
            setting: setting.parse().unwrap(),
            what: String::new(),
            operation,
            body: String::new(),
            adds: None,
            needs_index: None,
        };

        let ttl = call("ttl", Operation::dynamodb("UpdateTimeToLive"));
        assert!(is_already_applied(
            &ttl,
            &invalid("TimeToLive is already enabled"),
            1
        ));
        assert!(!is_already_applied(
            &ttl,
            &invalid("TimeToLive is active on a different AttributeName"),
            1
        ));

        let stream = call("stream", Operation::UPDATE_TABLE);
        let has_stream = invalid("Table already has an enabled stream: TableName: music");
        assert!(!is_already_applied(&stream, &has_stream, 1));
        assert!(is_already_applied(&stream, &has_stream, 2));
    }
}
