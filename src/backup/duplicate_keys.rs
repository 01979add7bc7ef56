//! Keys of a dump's items: of the schema's types, and no two alike.
//!
//! Each key becomes a hash and a position, partitioned by the hash into a scratch file; equal keys meet in one partition. Memory
//! is bounded by the largest partition: ten million items make 10,000 records in each. Duplicates are then read again by their
//! positions, so that they can be named, and the first ones are.

use std::collections::{BTreeMap, HashMap};

use super::check::results::Inspection;
use super::read::source::Source;
use crate::error::Result;
use crate::item::{KeyError, KeySchema};
use crate::place::ScratchPartitions;

const PARTITIONS: usize = 1024;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// A key's hash and an item's number.
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

    /// Takes the key of the item with this number. The inner error is the item's.
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

    /// Counts the items whose key an item before them has, and lists the first.
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

    /// What to say of each item whose number stands in `listed`, with the number of the first item that has its key.
    fn describe(&self, source: &Source, listed: &BTreeMap<u64, u64>) -> Result<Vec<String>> {
        let Some((last, _)) = listed.last_key_value() else {
            return Ok(Vec::new());
        };

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
