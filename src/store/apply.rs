//! Bringing a setting back: one call, with the target's own ARNs put in, tried again while the table is busy.

use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::control::name_of;
use super::error::{Class, Fault};
use crate::error::{Error, Result};
use crate::schema::{Operation, STREAM_ARN, SettingCall, TABLE_ARN};

/// A server that answers a call with its own fault for so long does not know how to do it; the other settings wait behind it.
const PATIENCE_WITH_FAULTS: Duration = Duration::from_secs(20);

/// The ARNs that take the place of a body's placeholders.
#[derive(Debug, Default)]
struct Arns {
    table: Option<String>,
    stream: Option<String>,
}

impl Client {
    /// Makes the call until it is taken or refused.
    pub(crate) async fn apply(&self, table: &str, call: &SettingCall) -> Result<()> {
        let operation = name_of(call.operation);
        let arns = if call.body.contains(TABLE_ARN) || call.body.contains(STREAM_ARN) {
            self.arns(table).await?
        } else {
            Arns::default()
        };

        let body = Bytes::from(
            with_arns(&call.body, &arns)
                .map_err(|what| Error::failed(format!("{operation}: {what}")))?,
        );
        let mut calls = 0;
        let attempt = || {
            calls += 1;
            self.change(call.operation, body.clone())
        };

        // A table takes minutes to become ready for the next change: while an index is filled, while backups are switched on.
        let patience = self.retry().give_up_after();
        let answer = self
            .run_for(
                operation,
                PATIENCE_WITH_FAULTS.min(patience),
                patience,
                attempt,
            )
            .await;

        match answer {
            Err(fault) if is_done(call.operation, &fault, calls) => Ok(()),
            answer => answer
                .map(drop)
                .map_err(|fault| self.tell(fault, operation, table)),
        }
    }

    async fn arns(&self, table: &str) -> Result<Arns> {
        let schema = self.describe(table).await?;
        let description = schema.as_ref().map(crate::schema::TableSchema::description);
        Ok(Arns {
            table: description.and_then(|table| table.table_arn.clone()),
            stream: description
                .and_then(|table| table.stream().and(table.latest_stream_arn.clone())),
        })
    }
}

impl Fault {
    /// Whether the table is busy, so that the same call will be taken when it is ready.
    pub(crate) fn is_busy(&self) -> bool {
        const CODES: [&str; 2] = [
            "ContinuousBackupsUnavailableException",
            "ConcurrentUpdateException",
        ];

        matches!(self.class, Class::InUse | Class::Throttled)
            || self
                .code
                .as_deref()
                .is_some_and(|code| CODES.contains(&code))
    }
}

/// Puts the target's ARNs into a body. They may stand inside a JSON string inside a JSON string, where nothing could be escaped
/// right for both; an ARN has nothing to escape.
fn with_arns(body: &str, arns: &Arns) -> Result<String, String> {
    let mut body = body.to_owned();
    for (placeholder, arn, of) in [
        (TABLE_ARN, &arns.table, "table"),
        (STREAM_ARN, &arns.stream, "stream"),
    ] {
        if !body.contains(placeholder) {
            continue;
        }

        let arn = arn
            .as_deref()
            .ok_or_else(|| format!("the endpoint tells no ARN of the {of}"))?;
        if arn.contains(|c: char| !c.is_ascii_graphic() || c == '"' || c == '\\') {
            return Err(format!("the endpoint tells no valid ARN of the {of}"));
        }

        body = body.replace(placeholder, arn);
    }

    Ok(body)
}

/// Whether a refusal says that the table has the setting already: because an earlier call was heard and its answer lost, or, for
/// TTL, because it was on for the same attribute before (for another one the words are different).
fn is_done(operation: Operation, fault: &Fault, calls: u32) -> bool {
    let says = |words: &str| fault.message.to_ascii_lowercase().contains(words);
    match operation {
        Operation::UpdateTimeToLive => fault.class == Class::Invalid && says("already enabled"),
        Operation::UpdateTable => calls > 1 && fault.class == Class::Invalid && says("already"),
        Operation::EnableKinesisStreamingDestination => calls > 1 && says("already"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/music";

    #[test]
    fn arns_take_their_places_inside_a_policy_too() {
        let body = format!(
            r#"{{"ResourceArn":"{TABLE_ARN}","Policy":"{{\"Resource\":\"{TABLE_ARN}/index/*\"}}"}}"#
        );
        let arns = Arns {
            table: Some(ARN.to_owned()),
            stream: None,
        };
        let body: serde_json::Value =
            serde_json::from_str(&with_arns(&body, &arns).unwrap()).unwrap();
        assert_eq!(body["ResourceArn"], ARN);
        assert_eq!(body["Policy"], format!(r#"{{"Resource":"{ARN}/index/*"}}"#));
    }

    #[test]
    fn a_missing_or_hostile_arn_is_refused() {
        let body = format!(r#"{{"ResourceArn":"{STREAM_ARN}"}}"#);
        assert!(
            with_arns(
                &body,
                &Arns {
                    table: Some(ARN.to_owned()),
                    stream: None
                }
            )
            .unwrap_err()
            .contains("stream")
        );

        let hostile = Arns {
            table: None,
            stream: Some("arn\",\"x\":\"".to_owned()),
        };
        assert!(with_arns(&body, &hostile).is_err());
        assert_eq!(with_arns("{}", &Arns::default()).unwrap(), "{}");
    }

    #[test]
    fn only_words_that_say_so_count_as_done() {
        let invalid = |message: &str| Fault::for_test("ValidationException", 400, message);
        let ttl = Operation::UpdateTimeToLive;
        assert!(is_done(ttl, &invalid("TimeToLive is already enabled"), 1));
        assert!(!is_done(
            ttl,
            &invalid("TimeToLive is active on a different AttributeName"),
            1
        ));

        let stream = invalid("Table already has an enabled stream: TableName: music");
        assert!(!is_done(Operation::UpdateTable, &stream, 1));
        assert!(is_done(Operation::UpdateTable, &stream, 2));
    }
}
