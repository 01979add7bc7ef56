//! Items with the key of another item: their number, and the first of them.

/// Items with the key of an earlier item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCollisions {
    /// Number of items whose key an earlier item has.
    pub count: u64,
    /// The first of them: number of the earlier item, number of the colliding item.
    pub first: Vec<(u64, u64)>,
}

impl KeyCollisions {
    /// Adds an item. The lowest numbers are listed, independently of the order of the items; at most `listed`.
    pub(crate) fn add(&mut self, earlier: u64, number: u64, listed: usize) {
        self.count += 1;

        let index = self.first.partition_point(|(_, other)| *other < number);
        if index < listed {
            self.first.insert(index, (earlier, number));
            self.first.truncate(listed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_numbers_are_listed_in_any_order_of_addition() {
        let mut collisions = KeyCollisions::default();
        for number in [5, 9, 2, 7, 3] {
            collisions.add(1, number, 3);
        }

        let expected = KeyCollisions {
            count: 5,
            first: vec![(1, 2), (1, 3), (1, 5)],
        };
        assert_eq!(collisions, expected);
    }
}
