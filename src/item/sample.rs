//! A share of all keys, chosen by their hash: whoever samples the same keys chooses the same ones.

/// A share of all keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    percent: f64,
}

impl Sample {
    /// This share, in percent; `None` unless it is more than 0 and at most 100.
    #[must_use]
    pub fn from_percent(percent: f64) -> Option<Self> {
        (percent > 0.0 && percent <= 100.0).then_some(Self { percent })
    }

    /// The share, in percent.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.percent
    }

    /// Whether the key with this [hash](super::Key::hash128) is in the sample. The upper half of the hash decides: its lowest
    /// bits choose the partition where records are kept in scratch files.
    #[must_use]
    pub fn contains(self, key: u128) -> bool {
        /// The number of values of half a hash.
        const HALF: f64 = 18_446_744_073_709_551_616.0;

        let place = u64::try_from(key >> 64).unwrap_or(u64::MAX);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share is not exact to the item"
        )]
        let share = place as f64 / HALF;

        share < self.percent / 100.0 || self.percent >= 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KeyAttribute, KeySchema, KeyType};
    use super::*;

    #[test]
    fn a_sample_has_the_expected_size_and_contains_smaller_ones() {
        let schema = KeySchema {
            partition: KeyAttribute {
                name: "id".to_owned(),
                kind: KeyType::S,
            },
            sort: None,
        };

        let hash = |n: u32| {
            let item = format!(r#"{{"id":{{"S":"item-{n}"}}}}"#);
            schema.extract(item.as_bytes()).unwrap().hash128()
        };
        let chosen = |percent: f64| -> Vec<u32> {
            let sample = Sample::from_percent(percent).unwrap();
            (0..20_000).filter(|n| sample.contains(hash(*n))).collect()
        };
        let (one, ten, all) = (chosen(1.0), chosen(10.0), chosen(100.0));
        assert!((120..=280).contains(&one.len()), "{}", one.len());
        assert!((1_700..=2_300).contains(&ten.len()), "{}", ten.len());
        assert_eq!(all.len(), 20_000);
        assert!(one.iter().all(|n| ten.contains(n)));
    }

    #[test]
    fn shares_that_are_none() {
        for percent in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sample::from_percent(percent), None, "{percent}");
        }
    }
}
