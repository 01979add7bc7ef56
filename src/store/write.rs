//! Writes batches of raw items until each item is acknowledged or rejected.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

use super::client::Client;
use super::json::{ConsumedCapacity, json_string};
use super::limiter::write_ranges::KeyRange;
use super::recovery::CallTarget;
use super::{RejectedItem, WriteOutcome};
use crate::aws::error::{ErrorClass, RequestError};
use crate::aws::{ApiOperation, RequestContext};
use crate::error::Result;
use crate::item::KeySchema;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchWriteItemResponse<'a> {
    #[serde(borrow)]
    unprocessed_items: Option<RequestsByTable<'a>>,
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

/// One request of a batch.
#[derive(Deserialize)]
enum WriteRequest<'a> {
    #[serde(borrow)]
    PutRequest(PutRequest<'a>),
    #[serde(borrow)]
    DeleteRequest(DeleteRequest<'a>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteRequest<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
}

impl WriteRequest<'_> {
    /// JSON with the key of the item, and its other attributes if it is put.
    fn with_key(&self) -> &[u8] {
        let json = match self {
            Self::PutRequest(put) => put.item,
            Self::DeleteRequest(delete) => delete.key,
        };

        json.get().as_bytes()
    }
}

/// What is done with the items of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchAction {
    /// They are put into the table.
    Put,
    /// The items with their keys are deleted.
    Delete,
}

/// The write requests of each table. Unlike a map, it keeps duplicate table names.
struct RequestsByTable<'a>(Vec<(String, Vec<WriteRequest<'a>>)>);

impl<'de: 'a, 'a> Deserialize<'de> for RequestsByTable<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RequestsVisitor;

        impl<'de> Visitor<'de> for RequestsVisitor {
            type Value = RequestsByTable<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("write requests by table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tables = Vec::new();
                while let Some(table) = map.next_entry()? {
                    tables.push(table);
                }

                Ok(RequestsByTable(tables))
            }
        }

        deserializer.deserialize_map(RequestsVisitor)
    }
}

/// The result of one `BatchWriteItem` call.
struct BatchResult {
    unprocessed: Vec<Bytes>,
    write_units: f64,
    context: Box<RequestContext>,
}

/// A group of items that could not be written completely.
struct FailedGroup {
    error: RequestError,
    /// The items that were not written.
    remaining: Vec<Bytes>,
}

impl Client {
    /// Writes or deletes a batch. Items that DynamoDB rejects are isolated by splitting the batch in half
    /// repeatedly.
    pub(crate) async fn write(
        &self,
        action: BatchAction,
        (table, key): (&str, &KeySchema),
        items: Vec<Bytes>,
        key_range: Option<KeyRange>,
    ) -> Result<WriteOutcome> {
        #[cfg(feature = "embedded")]
        if action == BatchAction::Put
            && let Some(written) = self.write_in_bulk(table, &items).await
        {
            return Ok(written);
        }

        let mut written = WriteOutcome::default();
        // A stack of groups: the first half is on top, so that items are written in order.
        let mut groups = vec![items];
        while let Some(mut group) = groups.pop() {
            let Err(FailedGroup {
                error,
                mut remaining,
            }) = self
                .write_group(
                    action,
                    (table, key),
                    std::mem::take(&mut group),
                    key_range,
                    &mut written,
                )
                .await
            else {
                continue;
            };

            if error.class != ErrorClass::Invalid {
                return Err(self.operation_error(error, table));
            }

            if remaining.len() > 1 {
                // One invalid item makes DynamoDB reject the whole batch.
                let second = remaining.split_off(remaining.len() / 2);
                groups.push(second);
                groups.push(remaining);
            } else {
                let reason = error.code_and_message();
                written
                    .rejected
                    .extend(remaining.into_iter().map(|item| RejectedItem {
                        item,
                        reason: reason.clone(),
                    }));
            }
        }

        Ok(written)
    }

    /// Writes items into the embedded engine without HTTP. Returns `None` if nothing was written.
    #[cfg(feature = "embedded")]
    async fn write_in_bulk(&self, table: &str, items: &[Bytes]) -> Option<WriteOutcome> {
        let write_units = self.bulk_writer(table)?.write(table, items).await?;

        Some(WriteOutcome {
            items: items.len() as u64,
            bytes: text_bytes(items),
            write_units,
            ..WriteOutcome::default()
        })
    }

    /// Sends a group until none of its items is unprocessed. On failure, returns the items that
    /// were not written.
    async fn write_group(
        &self,
        action: BatchAction,
        (table, key): (&str, &KeySchema),
        mut group: Vec<Bytes>,
        key_range: Option<KeyRange>,
        written: &mut WriteOutcome,
    ) -> Result<(), FailedGroup> {
        let mut retries = self.retry_context(CallTarget::Items(table));
        let throughput = self.write_limiters().for_table(table);
        while !group.is_empty() {
            let choose_prefix = |budget| throughput.write_cost.affordable_prefix(&group, budget);

            let (permit, prefix) = throughput
                .limiter
                .acquire_in(key_range, choose_prefix)
                .await;
            retries.record_call();
            let (sent, bytes) = (prefix.items, text_bytes(&group[..prefix.items]));
            let error = match self.write_once(action, (table, key), &group[..sent]).await {
                Ok(result) => {
                    let remaining = result.unprocessed.len();
                    written.items += (sent - remaining) as u64;
                    written.bytes += bytes.saturating_sub(text_bytes(&result.unprocessed));
                    written.write_units += result.write_units;

                    if remaining < sent {
                        retries.record_success();
                        // Progress resets the delays: a table that accepts part of each batch is only slow.
                        retries = self.retry_context(CallTarget::Items(table));
                    }

                    throughput.write_cost.settle(
                        permit,
                        &prefix,
                        &result.unprocessed,
                        result.write_units,
                    );
                    // Unprocessed items go first, before those that were not sent yet.
                    group.splice(..sent, result.unprocessed);

                    if remaining == 0 {
                        continue;
                    }

                    written.throttled_calls += 1;
                    RequestError::unprocessed(remaining, sent).in_context(&result.context)
                }
                Err(error) => {
                    if error.class == ErrorClass::Throttled {
                        written.throttled_calls += 1;
                    }

                    permit.failed(&error);
                    error
                }
            };

            if let Err(error) = retries.prepare_retry(error).await {
                return Err(FailedGroup {
                    error,
                    remaining: group,
                });
            }
        }

        Ok(())
    }

    async fn write_once(
        &self,
        action: BatchAction,
        (table, key): (&str, &KeySchema),
        group: &[Bytes],
    ) -> Result<BatchResult, RequestError> {
        let body = match action {
            BatchAction::Put => batch_body(table, group),
            BatchAction::Delete => deletion_body(table, key, group)?,
        };
        let answer = self
            .send_to_table(ApiOperation::BATCH_WRITE_ITEM, table, body)
            .await?;
        match batch_result(&answer.text, table, key, group) {
            Ok((unprocessed, write_units)) => Ok(BatchResult {
                unprocessed,
                write_units,
                context: answer.context,
            }),
            Err(error) => Err(error.in_context(&answer.context)),
        }
    }
}

/// The unprocessed items in the response to a `BatchWriteItem` call for `group`, and the consumed units.
fn batch_result(
    answer: &[u8],
    table: &str,
    key: &KeySchema,
    group: &[Bytes],
) -> Result<(Vec<Bytes>, f64), RequestError> {
    let answer: BatchWriteItemResponse<'_> =
        serde_json::from_slice(answer).map_err(RequestError::unreadable_response)?;

    // DynamoDB always sends both. A response without either acknowledges nothing.
    if answer.unprocessed_items.is_none() && answer.consumed_capacity.is_none() {
        return Err(RequestError::damaged_response(
            "the response does not list the unprocessed items",
        ));
    }

    let unprocessed = match &answer.unprocessed_items {
        Some(tables) => unprocessed(table, key, group, tables)?,
        None => Vec::new(),
    };
    let capacity = answer.consumed_capacity.unwrap_or_default();
    let write_units = capacity
        .iter()
        .filter_map(|capacity| capacity.capacity_units)
        .sum();

    Ok((unprocessed, write_units))
}

/// Returns the items of `group` that the response lists as unprocessed, matched by key. They are
/// sent again with their original bytes: nothing that the endpoint sends is ever written.
fn unprocessed(
    table: &str,
    key: &KeySchema,
    group: &[Bytes],
    RequestsByTable(tables): &RequestsByTable<'_>,
) -> Result<Vec<Bytes>, RequestError> {
    let mut returned = HashSet::new();
    for (name, writes) in tables {
        if name != table {
            return Err(RequestError::not_dynamodb(
                "the response returns unprocessed items of another table",
            ));
        }

        for write in writes {
            let hash = key.hash128(write.with_key()).map_err(|error| {
                RequestError::not_dynamodb("the response returns an unprocessed item without a key")
                    .with_source(error)
            })?;

            // Counting an item twice would hide one that was lost.
            if !returned.insert(hash) {
                return Err(RequestError::not_dynamodb(
                    "the response returns an unprocessed item twice",
                ));
            }
        }
    }

    let mut remaining = Vec::with_capacity(returned.len());
    for item in group {
        // The remaining items of the group were written.
        if returned.is_empty() {
            break;
        }

        if key.hash128(item).is_ok_and(|hash| returned.remove(&hash)) {
            remaining.push(item.clone());
        }
    }

    if returned.is_empty() {
        Ok(remaining)
    } else {
        Err(RequestError::not_dynamodb(
            "the response returns an unprocessed item that was not sent",
        ))
    }
}

/// Builds the body of a `BatchWriteItem` call that puts `items` into `table`.
pub(crate) fn batch_body(table: &str, items: &[Bytes]) -> Bytes {
    const PUT: &[u8] = br#"{"PutRequest":{"Item":"#;

    let table = json_string(table);
    let mut body = BytesMut::with_capacity(
        table.len() + 80 + items.iter().map(|item| item.len() + 26).sum::<usize>(),
    );
    body.put_slice(br#"{"RequestItems":{"#);
    body.put_slice(table.as_bytes());
    body.put_slice(b":[");

    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.put_u8(b',');
        }

        body.put_slice(PUT);
        body.put_slice(item);
        body.put_slice(b"}}");
    }

    body.put_slice(br#"]},"ReturnConsumedCapacity":"TOTAL"}"#);

    body.freeze()
}

/// Builds the body of a `BatchWriteItem` call that deletes the items with the keys of `items` from `table`.
fn deletion_body(table: &str, key: &KeySchema, items: &[Bytes]) -> Result<Bytes, RequestError> {
    let mut requests = Vec::with_capacity(items.len());
    for item in items {
        let key = key.extract(item).map_err(|error| {
            RequestError::damaged_response("an item to delete has no key").with_source(error)
        })?;
        requests.push(format!(
            r#"{{"DeleteRequest":{{"Key":{}}}}}"#,
            key.to_json()
        ));
    }

    Ok(Bytes::from(format!(
        r#"{{"RequestItems":{{{}:[{}]}},"ReturnConsumedCapacity":"TOTAL"}}"#,
        json_string(table),
        requests.join(",")
    )))
}

fn text_bytes(items: &[Bytes]) -> u64 {
    items.iter().map(|item| item.len() as u64).sum()
}
