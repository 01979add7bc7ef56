//! One of something, or a few: almost every item has one text and one outcome, and one costs no allocation.

use std::iter::Chain;
use std::{option, vec};

/// Any number of values, in the order in which they came.
#[derive(Debug)]
pub(super) struct Few<T> {
    /// Nothing only where there is nothing at all.
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Few<T> {
    /// None yet.
    pub(super) fn none() -> Self {
        Self { first: None, others: Vec::new() }
    }

    /// A single one.
    pub(super) fn one(only: T) -> Self {
        Self { first: Some(only), others: Vec::new() }
    }

    pub(super) fn push(&mut self, next: T) {
        if self.first.is_none() {
            self.first = Some(next);
        } else {
            self.others.push(next);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut values = values.into_iter();
        Self { first: values.next(), others: values.collect() }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_in_its_order() {
        for count in 0..4 {
            let mut pushed = Few::none();
            (0..count).for_each(|number| pushed.push(number));
            for few in [pushed, (0..count).collect()] {
                assert_eq!((few.len(), few.is_empty()), (usize::try_from(count).unwrap(), count == 0));
                assert!(few.iter().copied().eq(0..count));
                assert!(few.into_iter().eq(0..count));
            }
        }
        assert!(Few::one(7).into_iter().eq([7]));
    }
}
