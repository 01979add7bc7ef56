//! Writing items that must not replace others: one conditional `PutItem` each.
//!
//! A refused condition means that there is an item with this key. It may be this very one: written before, by whomever, or by a
//! call whose answer was lost. DynamoDB hands out what it has; where an engine does not, the item is read. Equal items are no
//! conflict, by DynamoDB's own equality: sets have no order, and numbers count by their value.

use std::slice;

use aws_sdk_dynamodb::error::SdkError;
use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, raw_call};
use super::error::{Class, Fault};
use super::read::{ConsumedCapacity, quoted};
use super::redact::Hush;
use super::seam::Seam;
use super::{Refused, Written};
use crate::error::Result;
use crate::item::{KeySchema, item_digest};

/// What is said of an item whose place is taken.
const CONFLICT: &str = "the table has another item with this key";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutAnswer {
    consumed_capacity: Option<ConsumedCapacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Existing<'a> {
    #[serde(borrow)]
    item: Option<&'a RawValue>,
}

/// What a call said.
enum Put {
    /// It was written, and cost so many units.
    Done(f64),
    /// There is an item with this key: this one, if the answer has it.
    Taken(Option<Bytes>),
}

impl Client {
    /// Writes an item unless the table has one with its key.
    pub(crate) async fn write_new(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
    ) -> Result<Written> {
        let body = put_body(table, &key.partition.name, &item);
        let mut written = Written::default();
        let mut effort = self.effort("PutItem", Some(table));
        let lane = self.gates().of(table);

        // Whether an earlier call may have been heard although it failed.
        let mut heard = false;
        loop {
            let choose = |budget| {
                let units = lane.write_price.part(slice::from_ref(&item), budget).units;
                (units, units)
            };
            let (pass, price) = lane.gate.pass_with(choose).await;
            self.retry().called();
            let fault = match self.put_new_once(table, body.clone()).await {
                Ok(put) => {
                    self.retry().succeeded();
                    // A refused condition costs as much as a write.
                    pass.taken(if let Put::Done(units) = put {
                        units
                    } else {
                        price
                    });

                    if self
                        .judge(table, key, &item, put, heard, &mut written)
                        .await?
                    {
                        return Ok(written);
                    }

                    continue;
                }
                Err(fault) => fault,
            };

            if fault.class == Class::Throttled {
                written.throttled_calls += 1;
                pass.throttled(0.0, price);
            }

            heard |= fault.class == Class::Transient;

            match effort.again(fault).await {
                Ok(()) => {}
                Err(fault) if fault.class == Class::Invalid => {
                    written.refused.push(Refused {
                        item,
                        reason: fault.words(),
                    });
                    return Ok(written);
                }
                Err(fault) => return Err(self.tell(fault, "PutItem", table)),
            }
        }
    }

    /// Notes what a call that succeeded means for the item. `false` where the item that was in its place is gone meanwhile.
    async fn judge(
        &self,
        table: &str,
        key: &KeySchema,
        item: &Bytes,
        put: Put,
        heard: bool,
        written: &mut Written,
    ) -> Result<bool> {
        let existing = match put {
            Put::Done(units) => {
                (written.items, written.bytes) = (1, item.len() as u64);
                written.write_units += units;
                return Ok(true);
            }
            Put::Taken(Some(existing)) => Some(existing),
            Put::Taken(None) => self.get(table, key, item).await?,
        };

        let Some(existing) = existing else {
            return Ok(false);
        };

        if is_equal(item, &existing) {
            (written.items, written.bytes) = (1, item.len() as u64);
            written.already_there = u64::from(!heard);
        } else {
            written.conflicts.push(Refused {
                item: item.clone(),
                reason: CONFLICT.to_owned(),
            });
        }

        Ok(true)
    }

    async fn put_new_once(&self, table: &str, body: Bytes) -> Result<Put, Fault> {
        let seam = Seam::new(body);
        let hush = Hush::default();
        let call = self
            .services()
            .dynamodb
            .put_item()
            .table_name(table)
            .customize();

        match call
            .interceptor(seam.clone())
            .interceptor(hush.clone())
            .send()
            .await
        {
            Ok(_) => {
                let answer = seam.into_body().await?;
                let unreadable =
                    |error| Fault::broken_body("the answer cannot be read").with_source(error);
                let answer: PutAnswer = serde_json::from_slice(&answer).map_err(unreadable)?;
                Ok(Put::Done(
                    answer
                        .consumed_capacity
                        .and_then(|capacity| capacity.capacity_units)
                        .unwrap_or(0.0),
                ))
            }
            Err(SdkError::ServiceError(service))
                if service.err().is_conditional_check_failed_exception() =>
            {
                Ok(Put::Taken(service.raw().body().bytes().and_then(item_of)))
            }
            Err(error) => Err(hush.kept_in(Fault::of(error))),
        }
    }

    /// The item that has the key of `item`, if there is one.
    async fn get(&self, table: &str, key: &KeySchema, item: &Bytes) -> Result<Option<Bytes>> {
        let key = key
            .extract(item)
            .map(|key| key.to_json())
            .unwrap_or_default();
        let body = format!(
            r#"{{"TableName":{},"Key":{key},"ConsistentRead":true}}"#,
            quoted(table)
        );
        let body = Bytes::from(body);
        let answer = self
            .run_on("GetItem", Some(table), || {
                self.send_get_item(table, body.clone())
            })
            .await;

        let answer = answer.map_err(|fault| self.tell(fault, "GetItem", table))?;

        Ok(item_of(&answer))
    }

    async fn send_get_item(&self, table: &str, body: Bytes) -> Result<Bytes, Fault> {
        raw_call!(self.services().dynamodb, get_item.table_name(table), body)
    }
}

/// The item in an answer.
fn item_of(answer: &[u8]) -> Option<Bytes> {
    let existing: Existing<'_> = serde_json::from_slice(answer).ok()?;
    existing
        .item
        .map(|item| Bytes::copy_from_slice(item.get().as_bytes()))
}

fn is_equal(one: &[u8], other: &[u8]) -> bool {
    item_digest(one)
        .ok()
        .is_some_and(|digest| item_digest(other).ok() == Some(digest))
}

/// The body of a `PutItem` call that puts `item` into `table` unless there is one with its key.
fn put_body(table: &str, partition: &str, item: &[u8]) -> Bytes {
    let (table, partition) = (quoted(table), quoted(partition));
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
        assert!(is_equal(
            one,
            br#"{"s": {"SS": ["b", "a"]}, "k": {"N": "1.0"}}"#
        ));
        assert!(!is_equal(one, br#"{"k":{"N":"1"},"s":{"SS":["a"]}}"#));
        assert!(!is_equal(one, b"{"));
    }

    #[test]
    fn the_item_in_a_refusal_is_found() {
        let refusal = br#"{"__type":"x#ConditionalCheckFailedException","message":"m","Item":{"k":{"N":"1"}}}"#;
        assert_eq!(
            item_of(refusal).unwrap(),
            Bytes::from_static(br#"{"k":{"N":"1"}}"#)
        );
        assert_eq!(item_of(br#"{"__type":"x"}"#), None);
        assert_eq!(item_of(b"<html>"), None);
    }
}
