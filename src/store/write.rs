//! Writing: batches of raw items until each is acknowledged or refused, tables created and deleted.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

use super::client::Client;
use super::error::{Class, Fault};
use super::read::{ConsumedCapacity, quoted};
use super::{Refused, Written};
use crate::error::Result;
use crate::item::KeySchema;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer<'a> {
    #[serde(borrow)]
    unprocessed_items: Option<Tables<'a>>,
    consumed_capacity: Option<Vec<ConsumedCapacity>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WriteRequest<'a> {
    #[serde(borrow)]
    put_request: PutRequest<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRequest<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

/// The write requests of each table. A name that is repeated hides none of them.
struct Tables<'a>(Vec<(String, Vec<WriteRequest<'a>>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Tables<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Tables<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("write requests by table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut tables = Vec::new();
                while let Some(table) = map.next_entry()? {
                    tables.push(table);
                }

                Ok(Tables(tables))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// What one `BatchWriteItem` call did not write, and what it cost.
pub(crate) struct Remainder {
    pub(crate) unprocessed: Vec<Bytes>,
    pub(crate) write_units: f64,
}

impl Client {
    /// Writes a batch. Items that DynamoDB refuses are found by halving and handed back with the reason.
    pub(crate) async fn write(
        &self,
        table: &str,
        key: &KeySchema,
        items: Vec<Bytes>,
    ) -> Result<Written> {
        let mut written = Written::default();
        // A stack of groups; the first half lies on top, so that items are written in their order.
        let mut groups = vec![items];
        while let Some(mut group) = groups.pop() {
            let Err((fault, mut left)) = self
                .put_group((table, key), std::mem::take(&mut group), &mut written)
                .await
            else {
                continue;
            };

            if fault.class != Class::Invalid {
                return Err(self.tell(fault, "BatchWriteItem", table));
            }

            if left.len() > 1 {
                let second = left.split_off(left.len() / 2);
                groups.push(second);
                groups.push(left);
            } else {
                let reason = fault.words();
                written.refused.extend(left.into_iter().map(|item| Refused {
                    item,
                    reason: reason.clone(),
                }));
            }
        }

        Ok(written)
    }

    /// Sends a group until nothing of it is unprocessed. A fault that ends it comes with the items not yet written.
    async fn put_group(
        &self,
        (table, key): (&str, &KeySchema),
        mut group: Vec<Bytes>,
        written: &mut Written,
    ) -> Result<(), (Fault, Vec<Bytes>)> {
        let mut effort = self.effort("BatchWriteItem", Some(table));
        let lane = self.gates().of(table);
        while !group.is_empty() {
            let choose = |budget| {
                let part = lane.write_price.part(&group, budget);
                let units = part.units;
                (part, units)
            };

            let (pass, part) = lane.gate.pass_with(choose).await;
            self.retry().called();
            let (sent, bytes) = (part.items, text_bytes(&group[..part.items]));
            let fault = match self.put_once((table, key), &group[..sent]).await {
                Ok(rest) => {
                    let left = rest.unprocessed.len();
                    written.items += (sent - left) as u64;
                    written.bytes += bytes.saturating_sub(text_bytes(&rest.unprocessed));
                    written.write_units += rest.write_units;

                    if left < sent {
                        self.retry().succeeded();
                        effort = self.effort("BatchWriteItem", Some(table));
                    }

                    lane.write_price.settle(pass, &part, &rest);
                    group.splice(..sent, rest.unprocessed);

                    if left == 0 {
                        continue;
                    }

                    written.throttled_calls += 1;
                    Fault::unprocessed(left, sent)
                }
                Err(fault) => {
                    if fault.class == Class::Throttled {
                        written.throttled_calls += 1;
                        pass.throttled(0.0, part.units);
                    }

                    fault
                }
            };

            if let Err(fault) = effort.again(fault).await {
                return Err((fault, group));
            }
        }

        Ok(())
    }

    async fn put_once(
        &self,
        (table, key): (&str, &KeySchema),
        group: &[Bytes],
    ) -> Result<Remainder, Fault> {
        let answer = self
            .send_batch_write_item(table, batch_body(table, group))
            .await?;
        let unreadable = |error| Fault::broken_body("the answer cannot be read").with_source(error);
        let answer: BatchAnswer<'_> = serde_json::from_slice(&answer).map_err(unreadable)?;

        // DynamoDB tells both, always. What tells neither acknowledges nothing.
        if answer.unprocessed_items.is_none() && answer.consumed_capacity.is_none() {
            return Err(Fault::broken_body(
                "the answer tells no unprocessed items; is this a DynamoDB endpoint?",
            ));
        }

        let unprocessed = match &answer.unprocessed_items {
            Some(tables) => unprocessed((table, key), group, tables)?,
            None => Vec::new(),
        };
        let capacity = answer.consumed_capacity.unwrap_or_default();
        let write_units = capacity
            .iter()
            .filter_map(|capacity| capacity.capacity_units)
            .sum();
        Ok(Remainder {
            unprocessed,
            write_units,
        })
    }
}

/// The items of `group` that the answer returns as not written, matched by key. They keep the text in which they were sent: nothing
/// that the endpoint says is written.
fn unprocessed(
    (table, key): (&str, &KeySchema),
    group: &[Bytes],
    Tables(tables): &Tables<'_>,
) -> Result<Vec<Bytes>, Fault> {
    let mut returned = HashSet::new();
    for (name, writes) in tables {
        if name != table {
            return Err(Fault::not_dynamodb(
                "the answer returns unprocessed items of another table",
            ));
        }

        for write in writes {
            let hash = key
                .hash128(write.put_request.item.get().as_bytes())
                .map_err(|error| {
                    Fault::not_dynamodb("the answer returns an unprocessed item without a key")
                        .with_source(error)
                })?;

            if !returned.insert(hash) {
                return Err(Fault::not_dynamodb(
                    "the answer returns an unprocessed item twice",
                ));
            }
        }
    }

    let mut left = Vec::with_capacity(returned.len());
    for item in group {
        if returned.is_empty() {
            break;
        }

        if key.hash128(item).is_ok_and(|hash| returned.remove(&hash)) {
            left.push(item.clone());
        }
    }

    if returned.is_empty() {
        Ok(left)
    } else {
        Err(Fault::not_dynamodb(
            "the answer returns an unprocessed item that was not sent",
        ))
    }
}

/// The body of a `BatchWriteItem` call that puts `items` into `table`.
pub(crate) fn batch_body(table: &str, items: &[Bytes]) -> Bytes {
    const PUT: &[u8] = br#"{"PutRequest":{"Item":"#;

    let table = quoted(table);
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

fn text_bytes(items: &[Bytes]) -> u64 {
    items.iter().map(|item| item.len() as u64).sum()
}
