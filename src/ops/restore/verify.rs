//! The full check of a restore: every item of the dump is compared with what the table now holds.
//!
//! Each side is read once, and each item becomes 32 bytes: a hash of its key and a digest of its contents, canonical, so that
//! the order of attributes and the spelling of numbers do not count. The records are partitioned by key into scratch files and
//! compared partition by partition, so memory stays bounded however large the table is.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Verified;
use super::plan::RestorePlan;
use crate::backup::{Source, Spill};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::{Key, KeySchema, item_digest};
use crate::store::{ReadStore, ScanRequest};

/// Partitions of the scratch files: ten million items make 40,000 records in each.
const PARTITIONS: usize = 256;

/// Memory of one side's records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Keys shown of items that are missing or differ.
const EXAMPLES: usize = 10;

/// A key's hash and an item's digest.
type Record = [u8; 32];

/// Compares the table with the dump.
pub(super) async fn full<S: ReadStore>(
    store: &S,
    plan: &RestorePlan,
    key: &KeySchema,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<Verified> {
    reporter.report(Event::Phase { phase: Phase::Verifying, items: plan.source.items, bytes: plan.source.bytes });
    let source = Arc::clone(&plan.parts.source);
    let key_of_dump = key.clone();
    let dump = blocking(move || spill_dump(&source, &key_of_dump)).await?;
    let table = spill_table(store, &plan.target.table, key, reporter, cancel).await?;
    let mut found = blocking(move || compare(&dump, &table)).await?;
    if !found.keys.is_empty() {
        let (source, key, wanted) = (Arc::clone(&plan.parts.source), key.clone(), found.keys);
        found.examples = blocking(move || keys_of(&source, &key, &wanted)).await?;
    }
    Ok(Verified::Full {
        equal: found.equal,
        missing: found.missing,
        different: found.different,
        extra: found.extra,
        examples: found.examples,
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::failed("the comparison was cut off").with_source(error))?
}

#[derive(Debug, Default)]
struct Found {
    equal: u64,
    missing: u64,
    different: u64,
    extra: u64,
    /// Hashes of the first keys that are missing or differ.
    keys: Vec<u128>,
    examples: Vec<String>,
}

fn spill_dump(source: &Source, key: &KeySchema) -> Result<Spill<32>> {
    let mut spill = Spill::new(PARTITIONS, SCRATCH_MEMORY)?;
    let mut items = source.items()?;
    while let Some(item) = items.next_item()? {
        // An item without a usable key was rejected before; it cannot be in the table.
        if let Ok(key) = key.extract(&item.text) {
            push(&mut spill, &key, &item.text)?;
        }
    }
    Ok(spill)
}

async fn spill_table<S: ReadStore>(
    store: &S,
    table: &str,
    key: &KeySchema,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<Spill<32>> {
    let mut spill = Spill::new(PARTITIONS, SCRATCH_MEMORY)?;
    let mut request = ScanRequest {
        table: table.to_owned(),
        segment: 0,
        total_segments: 1,
        consistent_read: true,
        limit: None,
        start: None,
    };
    loop {
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Interrupted, "interrupted while comparing: every item is written")
                .with_hint("run the same command again"));
        }
        let page = store.scan(&request).await?;
        for item in page.items.iter() {
            let found = key.extract(item).map_err(|error| {
                Error::failed(format!("table {table} returned an item without its key")).with_source(error)
            })?;
            push(&mut spill, &found, item)?;
        }
        reporter.report(Event::Progress { items: page.items.len() as u64, bytes: page.items.text_bytes() });
        match page.next {
            Some(next) => request.start = Some(next),
            None => return Ok(spill),
        }
    }
}

fn push(spill: &mut Spill<32>, key: &Key, item: &[u8]) -> Result<()> {
    let hash = key.hash128();
    let digest = item_digest(item).map_err(|error| Error::damaged("an item cannot be read").with_source(error))?;
    let mut record: Record = [0; 32];
    record[..16].copy_from_slice(&hash.to_le_bytes());
    record[16..].copy_from_slice(&digest.to_le_bytes());
    let partition = usize::from(record[0]) % PARTITIONS;
    spill.push(partition, &record)
}

fn split(record: &Record) -> (u128, u128) {
    let half = |range: std::ops::Range<usize>| {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&record[range]);
        u128::from_le_bytes(bytes)
    };
    (half(0..16), half(16..32))
}

fn compare(dump: &Spill<32>, table: &Spill<32>) -> Result<Found> {
    let mut found = Found::default();
    for partition in 0..PARTITIONS {
        // A key that the dump holds twice counts as its last line says: that is what was written.
        let mut wanted: HashMap<u128, u128> = HashMap::new();
        for record in dump.partition(partition)? {
            let (key, digest) = split(&record?);
            wanted.insert(key, digest);
        }
        for record in table.partition(partition)? {
            let (key, digest) = split(&record?);
            match wanted.remove(&key) {
                None => found.extra += 1,
                Some(other) if other == digest => found.equal += 1,
                Some(_) => found.note(key, |found| &mut found.different),
            }
        }
        for key in wanted.into_keys() {
            found.note(key, |found| &mut found.missing);
        }
    }
    Ok(found)
}

impl Found {
    fn note(&mut self, key: u128, count: impl Fn(&mut Self) -> &mut u64) {
        *count(self) += 1;
        if self.keys.len() < EXAMPLES {
            self.keys.push(key);
        }
    }
}

/// Finds the keys behind their hashes in the dump.
fn keys_of(source: &Source, key: &KeySchema, wanted: &[u128]) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let mut items = source.items()?;
    while let Some(item) = items.next_item()? {
        let Ok(key) = key.extract(&item.text) else { continue };
        if wanted.contains(&key.hash128()) {
            keys.push(key.to_json());
        }
        if keys.len() == wanted.len() {
            break;
        }
    }
    Ok(keys)
}
