//! What a call is thought to cost before it is made, and how much one call may hold so that it costs no more than is wanted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::permit::Pass;
use crate::item::{item_size, write_units};
use crate::store::write::Remainder;

/// Read units of a page of 1 MB, eventually consistent: 256 blocks of 4 KB, each half a unit.
const WHOLE_PAGE: f64 = 128.0;

/// The pages of a limited Scan may grow by this from one to the next: the first ones show what items cost.
const GROWTH: u32 = 4;

/// So many pages in a row are the ends of as many segments, which are read at a time. If there are more, all pages are short.
const SHORT_PAGES: u32 = 32;

/// The price of Scan pages, learned from those that came.
#[derive(Default)]
pub(crate) struct PagePrice(Mutex<Option<Learned>>);

#[derive(Clone, Copy)]
struct Learned {
    /// Read units per item, smoothed.
    item: f64,
    /// Pages without a limit.
    page: Whole,
    /// Items of the last limited page at most.
    limit: u32,
}

/// What a page without a limit costs. The last page of a segment is short, and segments may all end at once: whole pages must not be
/// thought cheap because of it, else all calls in flight cost many times what was paid.
#[derive(Debug, Clone, Copy, Default)]
struct Whole {
    /// Read units; nought before the first.
    units: f64,
    /// Pages in a row that cost less.
    short: u32,
}

impl Whole {
    /// As it is after a page that cost so much.
    fn after(self, units: f64) -> Self {
        if units >= self.units {
            return Self { units, short: 0 };
        }

        let lower = if self.short < SHORT_PAGES {
            self.units
        } else {
            self.units + (units - self.units) / 8.0
        };

        Self {
            units: lower,
            short: self.short.saturating_add(1),
        }
    }
}

/// What the next page is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PageQuote {
    /// Read units it is thought to cost.
    pub(crate) units: f64,
    /// Items at most.
    pub(crate) limit: Option<u32>,
}

impl PagePrice {
    /// The page to ask for within `budget` units; `wanted` items at most.
    pub(crate) fn quote(&self, budget: Option<f64>, wanted: Option<u32>) -> PageQuote {
        let learned = *self.state();
        let whole = learned
            .map(|learned| learned.page.units)
            .filter(|units| *units > 0.0)
            .unwrap_or(WHOLE_PAGE);
        let limit = match (budget.filter(|budget| *budget < whole), learned) {
            (None, _) => None,
            (Some(_), None) => Some(1),
            (Some(budget), Some(learned)) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a float saturates"
                )]
                let affordable = (budget / learned.item.max(f64::MIN_POSITIVE)) as u32;
                Some(affordable.min(learned.limit.saturating_mul(GROWTH)).max(1))
            }
        };

        let limit = limit.map_or(wanted, |limit| {
            Some(wanted.map_or(limit, |wanted| wanted.min(limit)))
        });
        let units = match (limit, learned) {
            (None, _) => whole,
            (Some(_), None) => 1.0,
            (Some(limit), Some(learned)) => (f64::from(limit) * learned.item).min(whole),
        };

        PageQuote { units, limit }
    }

    /// Takes note of a page that came.
    pub(crate) fn learn(&self, items: u64, units: f64, limit: Option<u32>) {
        let mut state = self.state();
        #[expect(clippy::cast_precision_loss, reason = "items of a page")]
        let item = units / items.max(1) as f64;
        let old = state.unwrap_or(Learned {
            item,
            page: Whole::default(),
            limit: 1,
        });

        *state = Some(Learned {
            item: old.item + (item - old.item) / 4.0,
            page: if limit.is_none() {
                old.page.after(units)
            } else {
                old.page
            },
            limit: limit
                .unwrap_or_else(|| u32::try_from(items).unwrap_or(u32::MAX))
                .max(1),
        });
    }

    fn state(&self) -> MutexGuard<'_, Option<Learned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The price of writes: what the items cost by their size, times what the table's indexes add.
pub(crate) struct WritePrice {
    /// Units consumed for each unit of the items' own size, smoothed.
    factor: Mutex<f64>,
}

impl Default for WritePrice {
    fn default() -> Self {
        Self {
            factor: Mutex::new(1.0),
        }
    }
}

/// The items that go into the next call.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) items: usize,
    /// Write units it is thought to cost.
    pub(crate) units: f64,
    /// Write units of the items alone.
    own: f64,
}

impl WritePrice {
    /// So many of the first of `group` as cost no more than `budget` units, at least one.
    pub(crate) fn part(&self, group: &[Bytes], budget: Option<f64>) -> Part {
        let factor = *self.factor();
        let mut part = Part {
            items: 0,
            units: 0.0,
            own: 0.0,
        };

        for item in group {
            let own = if budget.is_some() {
                own_units(item)
            } else {
                rough_units(item)
            };

            if part.items > 0 && budget.is_some_and(|budget| part.units + own * factor > budget) {
                break;
            }

            part.items += 1;
            part.own += own;
            part.units += own * factor;
        }

        part
    }

    /// Tells the gate what a call has cost, and learns from it.
    pub(crate) fn settle(&self, pass: Pass<'_>, part: &Part, rest: &Remainder) {
        let refused: f64 = rest.unprocessed.iter().map(|item| own_units(item)).sum();
        let mut factor = self.factor();

        // An engine that tells no consumption is taken to consume what DynamoDB would.
        let units = if rest.write_units > 0.0 {
            rest.write_units
        } else {
            (part.own - refused).max(0.0) * *factor
        };

        if rest.unprocessed.is_empty() {
            if part.own > 0.0 {
                *factor += (units / part.own - *factor) / 8.0;
            }

            pass.taken(units);
        } else {
            pass.throttled(units, refused * *factor);
        }
    }

    fn factor(&self) -> MutexGuard<'_, f64> {
        self.factor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Units of an item by DynamoDB's count. One that cannot be counted will be refused, which costs next to nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "an item has at most some hundreds of units"
)]
fn own_units(item: &[u8]) -> f64 {
    item_size(item).map_or(1.0, |bytes| write_units(bytes) as f64)
}

/// Units of an item by the length of its text, which is about the size and costs nothing to know.
#[expect(
    clippy::cast_precision_loss,
    reason = "an item has at most some thousands of units"
)]
fn rough_units(item: &[u8]) -> f64 {
    write_units(item.len() as u64) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_within_a_budget_starts_small_and_grows_to_it() {
        let price = PagePrice::default();
        let mut limits = Vec::new();
        for _ in 0..6 {
            let quote = price.quote(Some(10.0), None);
            let limit = quote.limit.unwrap();
            limits.push(limit);
            price.learn(u64::from(limit), f64::from(limit) * 0.125, quote.limit);
        }

        assert_eq!(limits, [1, 4, 16, 64, 80, 80]);
        assert_eq!(price.quote(Some(10.0), Some(7)).limit, Some(7));
        assert_eq!(
            price.quote(Some(0.1), None).limit,
            Some(1),
            "less than an item cannot be asked for"
        );
    }

    #[test]
    fn a_page_without_a_budget_is_whole() {
        let price = PagePrice::default();
        assert_eq!(
            price.quote(None, None),
            PageQuote {
                units: 128.0,
                limit: None
            }
        );

        price.learn(100, 256.0, None);
        assert_eq!(
            price.quote(Some(200.0), None).limit,
            Some(78),
            "a consistent page costs twice as much"
        );

        assert_eq!(price.quote(Some(256.0), None).limit, None);
    }

    #[test]
    fn the_short_page_at_the_end_of_a_segment_does_not_make_whole_ones_cheap() {
        let price = PagePrice::default();
        let after = |units| {
            price.learn(100, units, None);
            price.quote(None, None).units
        };
        after(128.0);

        for _ in 0..32 {
            assert!(
                (127.9..128.1).contains(&after(3.0)),
                "as many segments end at once"
            );
        }

        assert!((127.9..128.1).contains(&after(128.0)));
        let short: Vec<_> = (0..64).map(|_| after(3.0)).collect();
        assert!(short[63] < 6.0, "all of them are short: {short:?}");
    }

    #[test]
    fn a_call_holds_what_the_budget_allows_and_indexes_count() {
        let item = Bytes::from(format!(r#"{{"id":{{"S":"{}"}}}}"#, "x".repeat(1500)));
        let group = vec![item; 25];
        let price = WritePrice::default();
        assert_eq!(price.part(&group, None).items, 25);
        assert_eq!(
            price.part(&group, Some(10.0)).items,
            5,
            "an item is two units"
        );

        assert_eq!(
            price.part(&group, Some(1.0)).items,
            1,
            "less than an item cannot be sent"
        );

        *price.factor() = 3.0;
        assert_eq!(price.part(&group, Some(13.0)).items, 2);
    }
}
