//! Finds items of a dump with duplicate keys, and keys that do not match the schema.
//!
//! The hash and number of each item are partitioned by hash into scratch space, so that equal keys
//! end up in the same partition, and the partitions are read one after the other.
//!
//! Memory is not constant, but grows slowly with the number of items. A hash table holds the
//! records of one partition, a 1,024th of the items, at 38 to 75 bytes each, and half as much again
//! while it grows; the scratch space adds eight bytes per 170 items. That is 1 MB for ten million
//! items, 150 MB for a billion and 1.3 GB for ten billion, plus 4 MB of buffers.
//!
//! Listed duplicates are reread to show their keys.

use std::collections::{BTreeMap, HashMap};

use super::check::results::Inspection;
use super::read::source::Source;
use crate::error::Result;
use crate::item::{KeyError, KeySchema};
use crate::place::ScratchPartitions;

const PARTITIONS: usize = 1024;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Hash of a key (16 bytes) and number of an item (8 bytes).
const RECORD: usize = 24;

/// The keys seen so far.
pub(crate) struct DuplicateKeyFinder {
    schema: KeySchema,
    records: ScratchPartitions<RECORD>,
}

impl DuplicateKeyFinder {
    pub(crate) fn new(schema: KeySchema) -> Result<Self> {
        Ok(Self {
            schema,
            records: ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?,
        })
    }

    /// Adds the key of the item with this number. The inner error is about the item.
    pub(crate) fn add(&mut self, item: &[u8], number: u64) -> Result<Result<(), KeyError>> {
        let hash = match self.schema.hash128(item) {
            Ok(hash) => hash,
            Err(error) => return Ok(Err(error)),
        };
        let mut record = [0; RECORD];
        record[..16].copy_from_slice(&hash.to_le_bytes());
        record[16..].copy_from_slice(&number.to_le_bytes());
        let partition = usize::try_from(hash % PARTITIONS as u128).unwrap_or(0);

        self.records.push(partition, &record).map(Ok)
    }

    /// Counts items with the key of an earlier item, and lists the first ones as findings.
    pub(crate) fn finish(self, source: &Source, inspection: &mut Inspection) -> Result<()> {
        let (mut duplicates, mut listed) = (0, BTreeMap::new());
        for partition in 0..PARTITIONS {
            let mut first = HashMap::new();
            for record in self.records.partition(partition)? {
                let (hash, number) = decode(&record?);
                match first.get(&hash) {
                    None => drop(first.insert(hash, number)),
                    Some(first) => {
                        duplicates += 1;
                        // Partitions are not in item order: keep the lowest numbers.
                        listed.insert(number, *first);
                        if listed.len() > Inspection::LISTED {
                            listed.pop_last();
                        }
                    }
                }
            }
        }

        inspection.duplicates = Some(duplicates);
        let findings = self.describe(source, &listed)?;
        let unlisted = duplicates - findings.len() as u64;
        for finding in findings {
            inspection.add_finding(finding);
        }

        inspection.findings_total += unlisted;

        Ok(())
    }

    /// Describes each listed item; the map's values are the numbers of the first items with the
    /// same key.
    fn describe(&self, source: &Source, listed: &BTreeMap<u64, u64>) -> Result<Vec<String>> {
        let Some((last, _)) = listed.last_key_value() else {
            return Ok(Vec::new());
        };

        // Records contain no line numbers, to keep them small: the second pass finds them.
        let mut lines: HashMap<u64, u64> = listed.values().map(|number| (*number, 0)).collect();
        let mut findings = Vec::new();
        let mut items = source.items()?;
        for number in 0..=*last {
            let Some(item) = items.next_item()? else {
                break;
            };

            if let Some(line) = lines.get_mut(&number) {
                *line = item.line;
            }

            if let Some(first) = listed.get(&number) {
                let key = self
                    .schema
                    .extract(&item.text)
                    .map(|key| key.to_json())
                    .unwrap_or_default();

                findings.push(format!(
                    "{} line {}: the same key as in line {}: {key}",
                    source.display_name(),
                    item.line,
                    lines[first]
                ));
            }
        }

        Ok(findings)
    }
}

fn decode(record: &[u8; RECORD]) -> (u128, u64) {
    let (mut hash, mut number) = ([0; 16], [0; 8]);
    hash.copy_from_slice(&record[..16]);
    number.copy_from_slice(&record[16..]);

    (u128::from_le_bytes(hash), u64::from_le_bytes(number))
}
