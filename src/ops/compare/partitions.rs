//! Fixed-size records of the items of both sides, and their comparison partition by partition.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::DifferenceKind;
use crate::error::Result;
use crate::ops::sink::{Record, ScratchRecords};
use crate::place::scratch::PARTITIONS;

/// Maximum number of examples of each kind of difference.
const MAX_EXAMPLES: u64 = 10;

/// An item to show as an example of a difference, before its text is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExampleRef {
    pub(crate) kind: DifferenceKind,
    /// Hash of the key.
    pub(crate) key: u128,
    /// Index of the chunk of the source that holds the item; 0 if none does.
    pub(crate) source_chunk: u32,
    /// Index of the chunk of the target that holds the item; 0 if none does.
    pub(crate) target_chunk: u32,
}

/// Result of comparing the records of both sides.
#[derive(Debug, Default)]
pub(crate) struct RecordComparison {
    pub(crate) equal: u64,
    pub(crate) missing: u64,
    pub(crate) different: u64,
    pub(crate) extra: u64,
    /// Number of distinct keys in the source.
    pub(crate) source_keys: u64,
    /// The first items of each kind of difference.
    pub(crate) examples: Vec<ExampleRef>,
}

impl RecordComparison {
    /// Counts a difference, and keeps it as an example unless there are enough of its kind.
    fn add_difference(
        &mut self,
        kind: DifferenceKind,
        source: Option<Record>,
        target: Option<Record>,
    ) {
        let count = match kind {
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Different => &mut self.different,
            DifferenceKind::Extra => &mut self.extra,
        };

        *count += 1;

        if *count <= MAX_EXAMPLES
            && let Some(record) = source.or(target)
        {
            let chunk = |record: Option<Record>| record.map_or(0, |record| record.chunk);
            self.examples.push(ExampleRef {
                kind,
                key: record.key,
                source_chunk: chunk(source),
                target_chunk: chunk(target),
            });
        }
    }
}

/// Compares all records. If a side has several records of a key, the last one counts, because that is the one a restore keeps.
/// Records in `rejected` are not expected in the target; of the other records of their key, the last one is.
pub(crate) fn compare_records(
    source: &ScratchRecords,
    rejected: Option<&ScratchRecords>,
    target: &ScratchRecords,
) -> Result<RecordComparison> {
    let mut comparison = RecordComparison::default();

    for partition in 0..PARTITIONS {
        // The common case without rejected items needs no second map of records.
        let expected = match rejected {
            Some(rejected) => ExpectedRecords::without_rejected(source, rejected, partition)?,
            None => ExpectedRecords {
                records: records_by_key(source, partition)?,
                rejected_keys: HashSet::new(),
            },
        };

        let ExpectedRecords {
            records: mut unmatched,
            rejected_keys,
        } = expected;

        comparison.source_keys += (unmatched.len() + rejected_keys.len()) as u64;

        for found in sorted_by_key(records_by_key(target, partition)?) {
            match unmatched.remove(&found.key) {
                // The table may have had an item with this key before the restore, so it is neither extra nor different.
                None if rejected_keys.contains(&found.key) => {}
                None => comparison.add_difference(DifferenceKind::Extra, None, Some(found)),
                Some(expected) if expected.digest == found.digest => comparison.equal += 1,
                Some(expected) => {
                    let kind = DifferenceKind::Different;
                    comparison.add_difference(kind, Some(expected), Some(found));
                }
            }
        }

        for expected in sorted_by_key(unmatched) {
            comparison.add_difference(DifferenceKind::Missing, Some(expected), None);
        }
    }

    Ok(comparison)
}

/// The records of the target whose keys the source does not have, in one partition.
pub(crate) fn extra_records(
    source: &ScratchRecords,
    target: &ScratchRecords,
    partition: usize,
) -> Result<Vec<Record>> {
    let expected: HashSet<u128> = read_records(source, partition)?
        .map(|record| record.map(|record| record.key))
        .collect::<Result<_>>()?;
    let mut extra = records_by_key(target, partition)?;
    extra.retain(|key, _| !expected.contains(key));

    Ok(extra.into_values().collect())
}

/// Records of one partition that are expected in the target.
struct ExpectedRecords {
    records: HashMap<u128, Record>,
    /// Keys whose items were all rejected. The target may have any item with such a key, or none.
    rejected_keys: HashSet<u128>,
}

impl ExpectedRecords {
    /// The records of the source without those in `rejected`.
    fn without_rejected(
        source: &ScratchRecords,
        rejected: &ScratchRecords,
        partition: usize,
    ) -> Result<Self> {
        // Counted by key and digest, because of several equal items in the source only some may have been rejected.
        let mut rejected_counts: HashMap<(u128, u128), u64> = HashMap::new();
        for record in read_records(rejected, partition)? {
            let Record { key, digest, .. } = record?;
            *rejected_counts.entry((key, digest)).or_default() += 1;
        }

        let mut expected = Self {
            records: HashMap::new(),
            rejected_keys: HashSet::new(),
        };
        let mut source = read_records(source, partition)?.collect::<Result<Vec<_>>>()?;

        // The last record that was not rejected counts, so search from the end.
        source.reverse();

        for record in source {
            let Entry::Vacant(entry) = expected.records.entry(record.key) else {
                continue;
            };

            if let Some(count) = rejected_counts
                .get_mut(&(record.key, record.digest))
                .filter(|count| **count > 0)
            {
                *count -= 1;
                expected.rejected_keys.insert(record.key);
            } else {
                // An earlier item of the key was written, although later ones were rejected.
                entry.insert(record);
                expected.rejected_keys.remove(&record.key);
            }
        }

        Ok(expected)
    }
}

/// The last record of each key in a partition.
fn records_by_key(scratch: &ScratchRecords, partition: usize) -> Result<HashMap<u128, Record>> {
    read_records(scratch, partition)?
        .map(|record| record.map(|record| (record.key, record)))
        .collect()
}

fn read_records(
    scratch: &ScratchRecords,
    partition: usize,
) -> Result<impl Iterator<Item = Result<Record>>> {
    Ok(scratch
        .partition(partition)?
        .map(|record| record.map(Record::decode)))
}

/// The records in a stable order, so that repeated comparisons show the same examples.
fn sorted_by_key(records: HashMap<u128, Record>) -> Vec<Record> {
    let mut records: Vec<_> = records.into_values().collect();
    records.sort_unstable_by_key(|record| record.key);
    records
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Scratch files with these pairs of key hash and digest.
    fn scratch(records: &[(u128, u128)]) -> ScratchRecords {
        let mut scratch = ScratchRecords::new(0).unwrap();
        for (key, digest) in records {
            let record = Record {
                key: *key,
                digest: *digest,
                chunk: u32::MAX - 1,
            };

            record.add_to(&mut scratch).unwrap();
            let partition = usize::try_from(key % PARTITIONS as u128).unwrap();
            let mut records = read_records(&scratch, partition).unwrap();
            assert!(records.any(|read| read.unwrap() == record));
        }

        scratch
    }

    proptest! {
        #[test]
        fn every_key_is_counted_once(
            source in prop::collection::vec((0..3000_u128, 0..3_u128), 0..60),
            target in prop::collection::vec((0..3000_u128, 0..3_u128), 0..60),
        ) {
            let comparison = compare_records(&scratch(&source), None, &scratch(&target)).unwrap();
            let (source, target): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (source.into_iter().collect(), target.into_iter().collect());
            let missing = source.keys().filter(|key| !target.contains_key(key)).count() as u64;
            let equal = source.iter().filter(|(key, digest)| target.get(key) == Some(digest)).count() as u64;
            let extra = target.keys().filter(|key| !source.contains_key(key)).count() as u64;
            prop_assert_eq!((comparison.missing, comparison.equal, comparison.extra), (missing, equal, extra));
            prop_assert_eq!(comparison.source_keys, source.len() as u64);
            prop_assert_eq!(comparison.different, comparison.source_keys - missing - equal);
            let examples: u64 = [missing, comparison.different, extra].into_iter().map(|count| count.min(MAX_EXAMPLES)).sum();
            prop_assert_eq!(comparison.examples.len() as u64, examples);
        }

        #[test]
        fn a_rejected_item_does_not_hide_another(
            all in prop::collection::vec((0..12_u128, 0..4_u128), 0..60),
            refused in prop::collection::btree_set((0..12_u128, 0..4_u128), 0..30),
            lost in prop::collection::btree_set(0..12_u128, 0..4),
            own in 0..12_u128,
        ) {
            let (rejected, accepted): (Vec<_>, Vec<_>) = all.iter().copied().partition(|item| refused.contains(item));
            let expected: BTreeMap<_, _> = accepted.into_iter().collect();
            let mut table = expected.clone();
            table.retain(|key, _| !lost.contains(key));
            // The table may have had an item before the restore. It must not count as an item of the dump.
            let is_own = !expected.contains_key(&own);
            if is_own {
                table.insert(own, 99);
            }
            let target: Vec<_> = table.into_iter().collect();
            let comparison = compare_records(&scratch(&all), Some(&scratch(&rejected)), &scratch(&target)).unwrap();
            let missing = expected.keys().filter(|key| lost.contains(key)).count() as u64;
            prop_assert_eq!((comparison.missing, comparison.different), (missing, 0));
            prop_assert_eq!(comparison.equal, expected.len() as u64 - missing);
            prop_assert_eq!(comparison.extra, u64::from(is_own && !all.iter().any(|item| item.0 == own)));
        }
    }
}
