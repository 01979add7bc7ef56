//! Step that keeps a sample of the partitions.

use bytes::Bytes;

use super::item_step::{ItemStep, ItemWorker};
use super::outcome::{Outcome, RejectReason};
use crate::field::Field;
use crate::item::{KeySchema, Sample};

/// Keeps the items of the sampled partitions.
pub(crate) struct SampleStep {
    sample: Sample,
    /// Key schema with the partition key alone.
    partition: KeySchema,
}

impl SampleStep {
    pub(crate) fn new(sample: Sample, key: &KeySchema) -> Self {
        Self {
            sample,
            partition: KeySchema {
                partition: key.partition.clone(),
                sort: None,
            },
        }
    }
}

impl ItemStep for SampleStep {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(self)
    }
}

impl ItemWorker for &SampleStep {
    fn apply(&mut self, item: &Bytes, _original: &Bytes) -> Outcome {
        match self.partition.hash128(item) {
            Ok(key) if self.sample.contains(key) => Outcome::Unchanged,
            Ok(_) => Outcome::Skipped,
            Err(error) => {
                Outcome::Rejected(RejectReason::from_key_error(&error).with_context(Field::Sample))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{KeyAttribute, KeyType};

    fn applied(mut step: &SampleStep, item: &str) -> Outcome {
        let item = Bytes::from(item.to_owned());
        step.apply(&item, &item)
    }

    #[test]
    fn tables_with_the_same_partition_keys_fit_together() {
        let attribute = |name: &str| KeyAttribute {
            name: name.to_owned(),
            kind: KeyType::S,
        };
        let sample = Sample::from_percent(30.0).unwrap();
        let people = SampleStep::new(
            sample,
            &KeySchema {
                partition: attribute("id"),
                sort: None,
            },
        );

        let orders = SampleStep::new(
            sample,
            &KeySchema {
                partition: attribute("person"),
                sort: Some(attribute("order")),
            },
        );

        let mut kept = 0;
        for person in 0..300 {
            let chosen = applied(&people, &format!(r#"{{"id":{{"S":"p{person}"}}}}"#));
            kept += usize::from(chosen == Outcome::Unchanged);
            for order in 0..3 {
                let order =
                    format!(r#"{{"order":{{"S":"{order}"}},"person":{{"S":"p{person}"}}}}"#);
                assert_eq!(applied(&orders, &order), chosen);
            }
        }

        assert!((50..130).contains(&kept), "{kept}");
        assert!(matches!(applied(&people, "{}"), Outcome::Rejected(_)));
    }
}
