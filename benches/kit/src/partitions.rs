//! A table whose capacity is divided among partitions, as in DynamoDB: each partition stores a range of the partition key's
//! hash and has read and write units of its own. A Scan returns items in the order of their hashes, and a segment is a range
//! of hashes. Written items are discarded.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::items::{append_item, customer};
use crate::pages::{Answer, PAGE_BYTES, tail, units};
use crate::timeline::Timeline;

/// The size of a table and of its partitions.
pub struct Layout {
    pub items: u64,
    pub partitions: usize,
    /// Units per second of each partition.
    pub read_units: Option<f64>,
    pub write_units: Option<f64>,
    /// Seconds for which a partition keeps unused units.
    pub burst_seconds: f64,
    /// The hot partition, in the middle of the table, stores this multiple of the items of another one.
    pub hot_items: f64,
    /// It has this multiple of the capacity of another one.
    pub hot_capacity: f64,
}

/// The table.
pub struct PartitionedTable {
    /// Hash and number of each item, in the order of the hashes.
    items: Vec<(u64, u64)>,
    partitions: Vec<Partition>,
    reads: Timeline,
    writes: Timeline,
}

struct Partition {
    /// The last hash that belongs to it.
    last: u64,
    reads: Option<Bucket>,
    writes: Option<Bucket>,
}

/// Parameters of a Scan.
pub struct PartitionScan {
    pub segment: u64,
    pub segments: u64,
    /// Index of the first item; the beginning of the segment if absent.
    pub start: Option<u64>,
    pub limit: usize,
    /// Multiple of the units of an eventually consistent read.
    pub factor: f64,
}

/// The part of a write that the table accepted.
pub struct AcceptedWrite {
    pub items: u64,
    /// The body of the response; `None` if all items were throttled.
    pub body: Option<String>,
}

#[derive(Deserialize)]
struct BatchWrite<'a> {
    #[serde(rename = "RequestItems", borrow)]
    tables: HashMap<&'a str, Vec<WriteRequest<'a>>>,
}

#[derive(Deserialize)]
struct WriteRequest<'a> {
    #[serde(rename = "PutRequest", borrow)]
    put: PutRequest<'a>,
}

#[derive(Deserialize)]
struct PutRequest<'a> {
    #[serde(rename = "Item", borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
struct ItemKey<'a> {
    #[serde(borrow)]
    customer: StringValue<'a>,
}

#[derive(Deserialize)]
struct StringValue<'a> {
    #[serde(rename = "S")]
    text: &'a str,
}

impl PartitionedTable {
    /// A table with the items of these numbers, and full buckets.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        let mut items: Vec<_> = (0..layout.items).map(|number| (hash(&customer(number)), number)).collect();
        items.sort_unstable();

        Self { items, partitions: partitions(layout), reads: Timeline::default(), writes: Timeline::default() }
    }

    /// Number of items, and an estimate of their bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        let items = self.items.len() as u64;
        (items, items * 540)
    }

    /// Reads one page. `None` if it is throttled. A page ends early where the next partition has no units.
    #[must_use]
    pub fn scan(&self, scan: &PartitionScan) -> Option<Answer> {
        let start = scan.start.and_then(|start| usize::try_from(start).ok());
        let start = start.unwrap_or_else(|| self.segment_start(scan.segment, scan.segments));
        let end = self.segment_start(scan.segment + 1, scan.segments);

        let mut body = String::from(r#"{"Items":["#);
        let mut consumed = Vec::new();
        let mut next = start;
        while next < end && body.len() < PAGE_BYTES && next - start < scan.limit {
            let partition = self.partition_of(self.items[next].0);
            let bucket = self.partitions[partition].reads.as_ref();
            if bucket.is_some_and(|bucket| !bucket.has_units()) {
                break;
            }

            let before = body.len();
            let most = end.min(start.saturating_add(scan.limit));
            let last = self.partitions[partition].last;
            while next < most && body.len() < PAGE_BYTES && self.items[next].0 <= last {
                if next > start {
                    body.push(',');
                }

                append_item(self.items[next].1, &mut body);
                next += 1;
            }

            let cost = units(body.len() - before) * scan.factor;
            if let Some(bucket) = bucket {
                bucket.take(cost);
            }

            consumed.push((partition, cost));
        }

        let is_throttled = next == start && start < end;
        let cost = consumed.iter().map(|(_, units)| units).sum();
        self.reads.record(is_throttled, consumed);
        if is_throttled {
            return None;
        }

        let count = next - start;
        let next = (next < end).then_some((next as u64, 0));
        let rest = format!(r#"],"Count":{count},"ScannedCount":{count}{}"#, tail(next, cost));
        body.push_str(&rest);

        Some(Answer { crc: crc32fast::hash(body.as_bytes()), chunks: vec![Bytes::from(body)], units: cost })
    }

    /// Writes the items whose partitions have units left.
    ///
    /// # Errors
    /// The request cannot be read.
    pub fn batch_write(&self, body: &[u8]) -> serde_json::Result<AcceptedWrite> {
        let request: BatchWrite<'_> = serde_json::from_slice(body)?;
        let mut consumed = Vec::new();
        let mut unprocessed = serde_json::Map::new();
        let mut capacity = Vec::new();
        for (table, writes) in request.tables {
            let before = consumed.len();
            let mut refused = Vec::new();
            for WriteRequest { put: PutRequest { item } } in writes {
                match self.put(item.get())? {
                    Some(accepted) => consumed.push(accepted),
                    None => refused.push(json!({"PutRequest": {"Item": item}})),
                }
            }

            if !refused.is_empty() {
                unprocessed.insert(table.to_owned(), Value::Array(refused));
            }

            let units: f64 = consumed[before..].iter().map(|(_, units)| units).sum();
            capacity.push(json!({"TableName": table, "CapacityUnits": units}));
        }

        let items = consumed.len() as u64;
        self.writes.record(!unprocessed.is_empty(), consumed);
        let body = json!({"UnprocessedItems": unprocessed, "ConsumedCapacity": capacity});

        Ok(AcceptedWrite { items, body: (items > 0).then(|| body.to_string()) })
    }

    /// Writes one item. Returns its partition and units; `None` if the partition has none left.
    fn put(&self, item: &str) -> serde_json::Result<Option<(usize, f64)>> {
        let key: ItemKey<'_> = serde_json::from_str(item)?;
        let partition = self.partition_of(hash(key.customer.text));
        let units = f64::from(u32::try_from(item.len().div_ceil(1024)).unwrap_or(u32::MAX));
        let is_accepted = self.partitions[partition].writes.as_ref().is_none_or(|bucket| bucket.take(units));

        Ok(is_accepted.then_some((partition, units)))
    }

    /// Reads and writes of each second as JSON.
    #[must_use]
    pub fn report(&self) -> String {
        json!({"reads": self.reads.report(), "writes": self.writes.report()}).to_string()
    }

    /// Forgets the seconds so far.
    pub fn forget(&self) {
        self.reads.forget();
        self.writes.forget();
    }

    fn partition_of(&self, hash: u64) -> usize {
        self.partitions.partition_point(|partition| partition.last < hash)
    }

    /// Index of the first item of a segment.
    fn segment_start(&self, segment: u64, segments: u64) -> usize {
        if segment >= segments {
            return self.items.len();
        }

        let first = u128::from(segment) * (u128::from(u64::MAX) + 1) / u128::from(segments);
        self.items.partition_point(|(hash, _)| u128::from(*hash) < first)
    }
}

/// The partitions in the order of their hashes.
fn partitions(layout: &Layout) -> Vec<Partition> {
    let count = layout.partitions.max(1);
    let is_hot = |index: usize| index == count / 2;
    let of_all = |factor: f64| (0..count).map(move |index| if is_hot(index) { factor } else { 1.0 });
    let total: f64 = of_all(layout.hot_items).sum();

    let mut before = 0.0;
    of_all(layout.hot_items)
        .zip(of_all(layout.hot_capacity))
        .map(|(items, capacity)| {
            before += items;
            let bucket = |units: f64| Bucket::new(units * capacity, layout.burst_seconds);
            Partition {
                last: share_of_hashes(before / total),
                reads: layout.read_units.map(bucket),
                writes: layout.write_units.map(bucket),
            }
        })
        .collect()
}

/// The last hash of this share of all hashes, counted from the first.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float saturates; it is not negative")]
fn share_of_hashes(share: f64) -> u64 {
    // A sum of shares may be less than 1 by a rounding error.
    if share > 1.0 - 1e-9 { u64::MAX } else { (share * 2_f64.powi(64)) as u64 }
}

/// FNV-1a, mixed so that similar keys are far apart.
fn hash(key: &str) -> u64 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);

    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: u64 = 5000;

    fn table(write_units: Option<f64>, hot_items: f64) -> PartitionedTable {
        PartitionedTable::new(&Layout {
            items: ITEMS,
            partitions: 4,
            read_units: write_units,
            write_units,
            burst_seconds: 1.0,
            hot_items,
            hot_capacity: 1.0,
        })
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.chunks.concat()).expect("JSON")
    }

    /// The partitions of a segment's items, in the order of the Scan.
    fn scanned(table: &PartitionedTable, segment: u64, segments: u64) -> Vec<usize> {
        let mut found = Vec::new();
        let mut start = None;
        loop {
            let scan = PartitionScan { segment, segments, start, limit: 700, factor: 1.0 };
            let page = body(&table.scan(&scan).expect("it is not throttled"));
            let items = page["Items"].as_array().expect("an array");
            assert_eq!(page["Count"].as_u64(), Some(items.len() as u64));
            found.extend(items.iter().map(|item| {
                let key = item["customer"]["S"].as_str().expect("a key");
                table.partition_of(hash(key))
            }));

            start = page["LastEvaluatedKey"]["customer"]["S"].as_str().map(|index| index.parse().expect("a number"));
            if start.is_none() {
                return found;
            }
        }
    }

    fn batch(numbers: impl Iterator<Item = u64>) -> String {
        let requests: Vec<_> = numbers
            .map(|number| {
                let mut item = String::new();
                append_item(number, &mut item);
                format!(r#"{{"PutRequest":{{"Item":{item}}}}}"#)
            })
            .collect();

        format!(r#"{{"RequestItems":{{"bench":[{}]}}}}"#, requests.join(","))
    }

    #[test]
    fn segments_hold_all_items_once_in_the_order_of_the_partitions() {
        let table = table(None, 1.0);
        for segments in [1, 3, 7] {
            let found: Vec<_> = (0..segments).flat_map(|segment| scanned(&table, segment, segments)).collect();
            assert_eq!(found.len() as u64, ITEMS);
            assert!(found.is_sorted());
        }
    }

    #[test]
    fn the_hot_partition_has_its_multiple_of_the_items() {
        let found = scanned(&table(None, 10.0), 0, 1);
        let hot = found.iter().filter(|partition| **partition == 2).count();
        let percent = hot * 100 / found.len();
        assert!((73..81).contains(&percent), "{percent} % instead of 10/13");
    }

    #[test]
    fn items_of_an_empty_partition_are_unprocessed_and_others_are_written() {
        let table = &table(Some(10.0), 1.0);
        let of = |partition: usize| {
            table
                .items
                .iter()
                .filter(move |(hash, _)| table.partition_of(*hash) == partition)
                .map(|(_, number)| *number)
        };

        let first = table.batch_write(batch(of(0).take(20)).as_bytes()).expect("JSON");
        assert!((10..=11).contains(&first.items), "{}", first.items);

        let mixed = table.batch_write(batch(of(0).take(5).chain(of(1).take(5))).as_bytes()).expect("JSON");
        let response: Value = serde_json::from_str(&mixed.body.expect("some were written")).expect("JSON");
        assert_eq!(response["UnprocessedItems"]["bench"].as_array().map(Vec::len), Some(5));
        assert_eq!(response["ConsumedCapacity"][0]["CapacityUnits"].as_f64(), Some(5.0));

        let refused = table.batch_write(batch(of(0).take(5)).as_bytes()).expect("JSON");
        assert!(refused.body.is_none());

        let report: Value = serde_json::from_str(&table.report()).expect("JSON");
        let second = &report["writes"][0];
        assert_eq!((second["calls"].as_u64(), second["throttled"].as_u64()), (Some(3), Some(3)));
    }

    #[test]
    fn a_scan_consumes_the_units_of_the_partition_and_is_then_throttled() {
        let table = table(Some(1.0), 1.0);
        let scan = |start| PartitionScan { segment: 0, segments: 4, start, limit: usize::MAX, factor: 1.0 };
        assert!(table.scan(&scan(None)).expect("the bucket is full").units > 10.0);
        assert!(table.scan(&scan(Some(5))).is_none());
    }
}
