//! Keeps a share of the items, whole partitions at a time.

use bytes::Bytes;

use super::outcome::{Outcome, Reason};
use super::stage::{Stage, Worker};
use crate::item::{KeySchema, Sample};

/// Chooses by the partition key.
pub(crate) struct Sampling {
    sample: Sample,
    partition: KeySchema,
}

impl Sampling {
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

impl Stage for Sampling {
    fn worker(&self) -> Box<dyn Worker + '_> {
        Box::new(self)
    }
}

impl Worker for &Sampling {
    fn apply(&mut self, item: &Bytes, _read: &Bytes) -> Outcome {
        match self.partition.hash128(item) {
            Ok(key) if self.sample.has(key) => Outcome::Unchanged,
            Ok(_) => Outcome::Skipped,
            Err(error) => Outcome::Rejected(Reason::of_key(&error).after("--sample: ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{KeyAttribute, KeyType};

    fn applied(mut sampling: &Sampling, item: &str) -> Outcome {
        let item = Bytes::from(item.to_owned());
        sampling.apply(&item, &item)
    }

    #[test]
    fn tables_with_the_same_partition_keys_fit_together() {
        let attribute = |name: &str| KeyAttribute {
            name: name.to_owned(),
            kind: KeyType::S,
        };
        let sample = Sample::of_percent(30.0).unwrap();
        let people = Sampling::new(
            sample,
            &KeySchema {
                partition: attribute("id"),
                sort: None,
            },
        );

        let orders = Sampling::new(
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
