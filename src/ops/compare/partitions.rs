//! Records of two sides, held against each other partition by partition.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::DifferenceKind;
use crate::error::Result;
use crate::place::ScratchPartitions;

/// Partitions of the scratch files: ten million items make 10,000 records in each.
pub(crate) const PARTITIONS: usize = 1024;

/// Items noted of each fault.
const NOTED: usize = 10;

/// A key's hash, an item's digest and a page's number, in this order.
pub(crate) const RECORD: usize = 36;

/// One item of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: u128,
    pub(crate) digest: u128,
    pub(crate) page: u32,
}

impl Record {
    pub(crate) fn partition(&self) -> usize {
        usize::try_from(self.key % PARTITIONS as u128).unwrap_or(0)
    }

    pub(crate) fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.digest.to_le_bytes());
        bytes[32..].copy_from_slice(&self.page.to_le_bytes());

        bytes
    }

    fn of(bytes: &[u8; RECORD]) -> Self {
        let number = |range: std::ops::Range<usize>| {
            bytes[range]
                .iter()
                .rev()
                .fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
        };

        Self {
            key: number(0..16),
            digest: number(16..32),
            page: u32::try_from(number(32..36)).unwrap_or(0),
        }
    }
}

/// An item to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) fault: DifferenceKind,
    /// The hash of its key.
    pub(crate) key: u128,
    pub(crate) source_page: u32,
    pub(crate) target_page: u32,
}

/// What the records say.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) equal: u64,
    pub(crate) missing: u64,
    pub(crate) different: u64,
    pub(crate) extra: u64,
    /// Different keys of the source.
    pub(crate) source: u64,
    /// The first items of each fault.
    pub(crate) wanted: Vec<Wanted>,
}

/// Compares all records. Of a key that a side holds twice the last record counts: that is what a restore writes. Items in `rejected`
/// are not expected in the target; the last other record of their key is.
pub(crate) fn tally(
    source: &ScratchPartitions<RECORD>,
    rejected: Option<&ScratchPartitions<RECORD>>,
    target: &ScratchPartitions<RECORD>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    for partition in 0..PARTITIONS {
        let Expected {
            records: mut missing,
            rejected,
        } = match rejected {
            Some(rejected) => Expected::of(source, rejected, partition)?,
            None => Expected {
                records: by_key(source, partition)?,
                rejected: HashSet::new(),
            },
        };

        tally.source += (missing.len() + rejected.len()) as u64;
        for found in sorted(by_key(target, partition)?) {
            match missing.remove(&found.key) {
                None if rejected.contains(&found.key) => {}
                None => tally.note(DifferenceKind::Extra, None, Some(found)),
                Some(wanted) if wanted.digest == found.digest => tally.equal += 1,
                Some(wanted) => tally.note(DifferenceKind::Different, Some(wanted), Some(found)),
            }
        }

        for wanted in sorted(missing) {
            tally.note(DifferenceKind::Missing, Some(wanted), None);
        }
    }

    Ok(tally)
}

/// What the target must have.
struct Expected {
    records: HashMap<u128, Record>,
    /// Keys of which every item was rejected: the target may have another item or none.
    rejected: HashSet<u128>,
}

impl Expected {
    fn of(
        source: &ScratchPartitions<RECORD>,
        rejected: &ScratchPartitions<RECORD>,
        partition: usize,
    ) -> Result<Self> {
        let mut counts: HashMap<(u128, u128), u64> = HashMap::new();
        for record in records(rejected, partition)? {
            let Record { key, digest, .. } = record?;
            *counts.entry((key, digest)).or_default() += 1;
        }

        let mut expected = Self {
            records: HashMap::new(),
            rejected: HashSet::new(),
        };
        let mut source = records(source, partition)?.collect::<Result<Vec<_>>>()?;

        // The last item that was not rejected counts.
        source.reverse();

        for record in source {
            let Entry::Vacant(entry) = expected.records.entry(record.key) else {
                continue;
            };

            if let Some(count) = counts
                .get_mut(&(record.key, record.digest))
                .filter(|count| **count > 0)
            {
                *count -= 1;
                expected.rejected.insert(record.key);
            } else {
                entry.insert(record);
                expected.rejected.remove(&record.key);
            }
        }

        Ok(expected)
    }
}

fn by_key(spill: &ScratchPartitions<RECORD>, partition: usize) -> Result<HashMap<u128, Record>> {
    records(spill, partition)?
        .map(|record| record.map(|record| (record.key, record)))
        .collect()
}

fn records(
    spill: &ScratchPartitions<RECORD>,
    partition: usize,
) -> Result<impl Iterator<Item = Result<Record>>> {
    Ok(spill
        .partition(partition)?
        .map(|bytes| bytes.map(|bytes| Record::of(&bytes))))
}

/// In an order that is the same each time, so that the same items are shown.
fn sorted(records: HashMap<u128, Record>) -> Vec<Record> {
    let mut records: Vec<_> = records.into_values().collect();
    records.sort_unstable_by_key(|record| record.key);
    records
}

impl Tally {
    fn note(&mut self, fault: DifferenceKind, source: Option<Record>, target: Option<Record>) {
        let count = match fault {
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Different => &mut self.different,
            DifferenceKind::Extra => &mut self.extra,
        };

        *count += 1;
        let page = |record: Option<Record>| record.map_or(0, |record| record.page);
        if *count <= NOTED as u64
            && let Some(record) = source.or(target)
        {
            let (source_page, target_page) = (page(source), page(target));
            self.wanted.push(Wanted {
                fault,
                key: record.key,
                source_page,
                target_page,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn spill(records: &[(u128, u128)]) -> ScratchPartitions<RECORD> {
        let mut spill = ScratchPartitions::new(PARTITIONS, 0).unwrap();
        for (key, digest) in records {
            let record = Record {
                key: *key,
                digest: *digest,
                page: u32::MAX - 1,
            };

            assert_eq!(Record::of(&record.to_bytes()), record);
            spill.push(record.partition(), &record.to_bytes()).unwrap();
        }

        spill
    }

    proptest! {
        #[test]
        fn every_key_is_counted_once(
            source in prop::collection::vec((0..3000_u128, 0..3_u128), 0..60),
            target in prop::collection::vec((0..3000_u128, 0..3_u128), 0..60),
        ) {
            let tally = tally(&spill(&source), None, &spill(&target)).unwrap();
            let (source, target): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (source.into_iter().collect(), target.into_iter().collect());
            let missing = source.keys().filter(|key| !target.contains_key(key)).count() as u64;
            let equal = source.iter().filter(|(key, digest)| target.get(key) == Some(digest)).count() as u64;
            let extra = target.keys().filter(|key| !source.contains_key(key)).count() as u64;
            prop_assert_eq!((tally.missing, tally.equal, tally.extra), (missing, equal, extra));
            prop_assert_eq!(tally.source, source.len() as u64);
            prop_assert_eq!(tally.different, tally.source - missing - equal);
            let noted = [missing, tally.different, extra].map(|count| usize::try_from(count).unwrap().min(NOTED));
            prop_assert_eq!(tally.wanted.len(), noted.iter().sum::<usize>());
        }

        #[test]
        fn a_rejected_item_hides_no_other(
            all in prop::collection::vec((0..12_u128, 0..4_u128), 0..60),
            refused in prop::collection::btree_set((0..12_u128, 0..4_u128), 0..30),
            lost in prop::collection::btree_set(0..12_u128, 0..4),
            own in 0..12_u128,
        ) {
            let (rejected, accepted): (Vec<_>, Vec<_>) = all.iter().copied().partition(|item| refused.contains(item));
            let expected: BTreeMap<_, _> = accepted.into_iter().collect();
            let mut table = expected.clone();
            table.retain(|key, _| !lost.contains(key));
            // What the table had before does not count as an item of the dump.
            let is_own = !expected.contains_key(&own);
            if is_own {
                table.insert(own, 99);
            }
            let target: Vec<_> = table.into_iter().collect();
            let tally = tally(&spill(&all), Some(&spill(&rejected)), &spill(&target)).unwrap();
            let missing = expected.keys().filter(|key| lost.contains(key)).count() as u64;
            prop_assert_eq!((tally.missing, tally.different), (missing, 0));
            prop_assert_eq!(tally.equal, expected.len() as u64 - missing);
            prop_assert_eq!(tally.extra, u64::from(is_own && !all.iter().any(|item| item.0 == own)));
        }
    }
}
