//! Writes items that must not overwrite others, each with a conditional `PutItem`.
//!
//! If the condition fails, the table has an item with this key. It may be an equal one, written
//! earlier by anyone, or by a call whose response was lost. DynamoDB returns the existing item; if
//! an engine does not, it is read. If it is not found, it was deleted in the meantime, and the write is
//! repeated, a few times: an engine may contradict itself forever. Equal items are not a conflict.
//! Equality is DynamoDB's: sets are unordered, and numbers are compared by value.

use std::slice;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::Client;
use super::json::{ConsumedCapacity, json_string};
use super::limiter::write_ranges::KeyRange;
use super::recovery::{CallTarget, RetryContext};
use super::{RejectedItem, WriteOutcome};
use crate::aws::error::{ErrorClass, RequestError};
use crate::aws::{ApiOperation, Request};
use crate::error::Result;
use crate::item::{KeySchema, item_digest, item_size, read_units};
use crate::limits;

/// The reason for an item that was not written because its key exists.
const CONFLICT: &str = "the table contains another item with this key";

/// The reason for an item whose key exists according to writes, but not according to reads.
const CONTRADICTION: &str =
    "the write was refused because an item with this key exists, but no such item was found";

/// Maximum number of attempts to write an item whose key exists, but whose existing item is not
/// found.
const MAX_CONTRADICTIONS: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutItemResponse {
    consumed_capacity: Option<ConsumedCapacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetItemResponse<'a> {
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    consumed_capacity: Option<ConsumedCapacity>,
}

/// The outcome of one conditional put.
enum PutOutcome {
    /// The item was written for this many units.
    Stored(f64),
    /// An item with this key exists; contains it if the response does.
    Exists(Option<Bytes>),
}

impl Client {
    /// Writes an item unless the table has one with its key.
    pub(crate) async fn put_if_absent(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
        key_range: Option<KeyRange>,
    ) -> Result<WriteOutcome> {
        let body = put_body(table, &key.partition.name, &item);
        let mut written = WriteOutcome::default();
        let mut retries = self.retry_context(CallTarget::Items(table));
        let throughput = self.write_limiters().for_table(table);
        let mut contradictions = 0;

        // Whether an earlier call may have written the item although it failed.
        let mut may_have_been_written = false;
        loop {
            let choose = |budget| {
                throughput
                    .write_cost
                    .affordable_prefix(slice::from_ref(&item), budget)
            };
            let (permit, prefix) = throughput.limiter.acquire_in(key_range, choose).await;
            retries.record_call();
            let error = match self.put_once(table, body.clone()).await {
                Ok(put) => {
                    // A failed condition costs as much as a write.
                    permit.succeeded(if let PutOutcome::Stored(units) = put {
                        units
                    } else {
                        prefix.units
                    });

                    if self
                        .record_outcome(table, key, &item, put, may_have_been_written, &mut written)
                        .await?
                    {
                        retries.record_success();
                        return Ok(written);
                    }

                    contradictions += 1;
                    if contradictions == MAX_CONTRADICTIONS {
                        let reason = CONTRADICTION.to_owned();
                        written.rejected.push(RejectedItem { item, reason });
                        return Ok(written);
                    }

                    retries.wait().await;
                    continue;
                }
                Err(error) => error,
            };

            if error.class == ErrorClass::Throttled {
                written.throttled_calls += 1;
            }

            permit.failed(&error);

            // Such errors leave open whether DynamoDB executed the call.
            may_have_been_written |= error.class == ErrorClass::Transient;

            match retries.prepare_retry(error).await {
                Ok(()) => {}
                Err(error) if error.class == ErrorClass::Invalid => {
                    written.rejected.push(RejectedItem {
                        item,
                        reason: error.code_and_message(),
                    });
                    return Ok(written);
                }
                Err(error) => return Err(self.operation_error(error, table)),
            }
        }
    }

    /// Records the outcome of a successful call. Returns `false` if the existing item is not found,
    /// so that the put must be repeated.
    async fn record_outcome(
        &self,
        table: &str,
        key: &KeySchema,
        item: &Bytes,
        put: PutOutcome,
        may_have_been_written: bool,
        written: &mut WriteOutcome,
    ) -> Result<bool> {
        let existing = match put {
            PutOutcome::Stored(units) => {
                (written.items, written.bytes) = (1, item.len() as u64);
                written.write_units += units;
                return Ok(true);
            }
            PutOutcome::Exists(Some(existing)) => Some(existing),
            PutOutcome::Exists(None) => self.read_existing(table, key, item).await?,
        };

        let Some(existing) = existing else {
            return Ok(false);
        };

        if is_equal_item(item, &existing) {
            (written.items, written.bytes) = (1, item.len() as u64);
            // If our own earlier call may have written it, it counts as written now.
            written.already_present = u64::from(!may_have_been_written);
        } else {
            written.conflicts.push(RejectedItem {
                item: item.clone(),
                reason: CONFLICT.to_owned(),
            });
        }

        Ok(true)
    }

    async fn put_once(&self, table: &str, body: Bytes) -> Result<PutOutcome, RequestError> {
        // A conflict's response contains the existing item.
        let request = Request::new(ApiOperation::PUT_ITEM, Some(table), body)
            .with_max_error_bytes(limits::RESPONSE_BYTES);
        let answer = match self.send(request).await {
            Ok(answer) => answer,
            Err(error) => match error.failed_condition() {
                // This error is an outcome, so it must not reach the error handling below.
                Some(body) => return Ok(PutOutcome::Exists(item_in_response(body))),
                None => return Err(error),
            },
        };

        let unreadable =
            |error| RequestError::unreadable_response(error).in_context(&answer.context);
        let answer: PutItemResponse = serde_json::from_slice(&answer.text).map_err(unreadable)?;
        let units = answer
            .consumed_capacity
            .and_then(|capacity| capacity.capacity_units);

        Ok(PutOutcome::Stored(units.unwrap_or(0.0)))
    }

    /// Reads the item that has the key of `item`, if there is one.
    async fn read_existing(
        &self,
        table: &str,
        key: &KeySchema,
        item: &Bytes,
    ) -> Result<Option<Bytes>> {
        let key = key
            .extract(item)
            .map(|key| key.to_json())
            .unwrap_or_default();
        let body = Bytes::from(format!(
            r#"{{"TableName":{},"Key":{key},"ConsistentRead":true,"ReturnConsumedCapacity":"TOTAL"}}"#,
            json_string(table)
        ));

        // The existing item is probably about as large as the new one.
        let expected_units = consistent_read_units(item);
        let mut retries = self.retry_context(CallTarget::Items(table));
        loop {
            let read = self.read_once(table, body.clone(), expected_units, &retries);
            match read.await {
                Ok(existing) => {
                    retries.record_success();
                    return Ok(existing);
                }
                Err(error) => retries
                    .prepare_retry(error)
                    .await
                    .map_err(|error| self.operation_error(error, table))?,
            }
        }
    }

    /// Reads an item once, at the rate of the table's other reads.
    async fn read_once(
        &self,
        table: &str,
        body: Bytes,
        expected_units: f64,
        retries: &RetryContext<'_>,
    ) -> Result<Option<Bytes>, RequestError> {
        let throughput = self.read_limiters().for_table(table);
        let (permit, _) = throughput.limiter.acquire(|_| expected_units).await;
        retries.record_call();

        let request = Request::new(ApiOperation::GET_ITEM, Some(table), body)
            .with_max_response_bytes(limits::RESPONSE_BYTES);
        let answer = match self.send(request).await {
            Ok(answer) => answer,
            Err(error) => {
                permit.failed(&error);
                return Err(error);
            }
        };

        let unreadable =
            |error| RequestError::unreadable_response(error).in_context(&answer.context);
        let answer: GetItemResponse<'_> =
            serde_json::from_slice(&answer.text).map_err(unreadable)?;
        let item = answer
            .item
            .map(|item| Bytes::copy_from_slice(item.get().as_bytes()));

        // If an engine reports no consumption, assume what DynamoDB would consume.
        let units = answer
            .consumed_capacity
            .and_then(|capacity| capacity.capacity_units)
            .filter(|units| *units > 0.0)
            .unwrap_or_else(|| item.as_deref().map_or(1.0, consistent_read_units));
        permit.succeeded(units);

        Ok(item)
    }
}

/// Read units of a strongly consistent read of an item.
fn consistent_read_units(item: &[u8]) -> f64 {
    read_units(item_size(item).unwrap_or(item.len() as u64), true)
}

/// The existing item in the response to a write whose condition failed.
fn item_in_response(answer: &[u8]) -> Option<Bytes> {
    let existing: GetItemResponse<'_> = serde_json::from_slice(answer).ok()?;
    existing
        .item
        .map(|item| Bytes::copy_from_slice(item.get().as_bytes()))
}

fn is_equal_item(one: &[u8], other: &[u8]) -> bool {
    item_digest(one)
        .ok()
        .is_some_and(|digest| item_digest(other).ok() == Some(digest))
}

/// Builds the body of a `PutItem` call that fails if the table has an item with this key.
fn put_body(table: &str, partition: &str, item: &[u8]) -> Bytes {
    let (table, partition) = (json_string(table), json_string(partition));
    let mut body = BytesMut::with_capacity(item.len() + table.len() + partition.len() + 240);
    body.put_slice(br#"{"TableName":"#);
    body.put_slice(table.as_bytes());
    body.put_slice(
        br##","ConditionExpression":"attribute_not_exists(#k)","ExpressionAttributeNames":{"#k":"##,
    );
    body.put_slice(partition.as_bytes());
    body.put_slice(br#"},"ReturnValuesOnConditionCheckFailure":"ALL_OLD","ReturnConsumedCapacity":"TOTAL","Item":"#);
    body.put_slice(item);
    body.put_u8(b'}');

    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_with_the_item_as_it_is() {
        let item = br#"{"p \"k\"":{"S":"a"}, "n":{"N":"1.50"}}"#;
        let body = put_body("films", "p \"k\"", item);
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(std::str::from_utf8(item).unwrap()), "{text}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["ExpressionAttributeNames"]["#k"], "p \"k\"");
        assert_eq!(
            (&body["TableName"], &body["Item"]["n"]["N"]),
            (&"films".into(), &"1.50".into())
        );
    }

    #[test]
    fn equality_is_dynamodbs() {
        let one = br#"{"k":{"N":"1"},"s":{"SS":["a","b"]}}"#;
        assert!(is_equal_item(
            one,
            br#"{"s": {"SS": ["b", "a"]}, "k": {"N": "1.0"}}"#
        ));
        assert!(!is_equal_item(one, br#"{"k":{"N":"1"},"s":{"SS":["a"]}}"#));
        assert!(!is_equal_item(one, b"{"));
    }

    #[test]
    fn the_item_in_a_refusal_is_found() {
        let refusal = br#"{"__type":"x#ConditionalCheckFailedException","message":"m","Item":{"k":{"N":"1"}}}"#;
        assert_eq!(
            item_in_response(refusal).unwrap(),
            Bytes::from_static(br#"{"k":{"N":"1"}}"#)
        );
        assert_eq!(item_in_response(br#"{"__type":"x"}"#), None);
        assert_eq!(item_in_response(b"<html>"), None);
    }
}
