//! Finds items of a dump with duplicate keys, and keys that do not match the schema.
//!
//! The hash and number of each item are partitioned by hash into scratch space, so that equal keys
//! end up in the same partition, and the partitions are read one after the other.
//!
//! Memory is not constant, but grows slowly with the number of items: the records of a partition with
//! equal keys, a 1,024th of the items, take up to 80 bytes each while they are sorted, and the scratch
//! space adds eight bytes per 170 items. That is 1 MB for ten million items, 130 MB for a billion and
//! 1.3 GB for ten billion, plus 4 MB of buffers. Without equal keys, records take eight bytes each, in
//! two partitions at a time.
//!
//! Listed duplicates are reread to show their keys.

use std::collections::{BTreeMap, HashMap};

use super::check::results::Inspection;
use super::key_collisions::KeyCollisions;
use super::read::source::Source;
use crate::error::Result;
use crate::item::{KeyError, KeySchema};
use crate::place::scratch::ScratchPartitions;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// The keys seen so far.
pub(crate) struct DuplicateKeyFinder {
    schema: KeySchema,
    /// The number of the item for each key.
    keys: ScratchPartitions<8>,
}

impl DuplicateKeyFinder {
    pub(crate) fn new(schema: KeySchema) -> Result<Self> {
        Ok(Self {
            schema,
            keys: ScratchPartitions::new(SCRATCH_MEMORY)?,
        })
    }

    /// Adds the key of the item with this number. The inner error is about the item.
    pub(crate) fn add(&mut self, item: &[u8], number: u64) -> Result<Result<(), KeyError>> {
        match self.schema.hash128(item) {
            Ok(key) => self.keys.push(key, &number.to_le_bytes()).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Counts items with the key of an earlier item, and lists the first ones as findings.
    pub(crate) fn finish(self, source: &Source, inspection: &mut Inspection) -> Result<()> {
        let mut duplicates = KeyCollisions::default();
        self.keys.for_each_repeated(|first, later| {
            let (first, later) = (u64::from_le_bytes(*first), u64::from_le_bytes(*later));
            duplicates.add(first, later, Inspection::LISTED);
        })?;

        inspection.duplicates = Some(duplicates.count);
        let listed = duplicates.first.into_iter();
        let listed = listed.map(|(first, later)| (later, first)).collect();
        let findings = self.describe(source, &listed)?;
        let unlisted = duplicates.count - findings.len() as u64;
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
