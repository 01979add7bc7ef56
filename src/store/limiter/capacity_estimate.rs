//! Estimates the cost of a call before it is made, and how many items a call may contain to stay
//! within a budget.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::permit::{EstimatedCost, RequestPermit};
use crate::item::{item_size, write_units};

/// Read units of an eventually consistent page of 1 MB: 256 blocks of 4 KB, half a unit each.
const FULL_PAGE_UNITS: f64 = 128.0;

/// Maximum growth of the page limit from one page to the next, while the cost of items is being
/// learned.
const MAX_LIMIT_GROWTH: u32 = 4;

/// Maximum number of consecutive short pages that may be the last pages of segments, 64 of which
/// are read concurrently. More of them mean that all pages are short.
const MAX_SHORT_PAGES: u32 = 64;

/// The estimated cost of Scan pages, learned from previous pages.
#[derive(Default)]
pub(crate) struct PageCostEstimate(Mutex<Option<PageStats>>);

#[derive(Clone, Copy)]
struct PageStats {
    /// Moving average of the read units per item.
    units_per_item: f64,
    /// Cost of pages without a limit.
    full_page: FullPageCost,
    /// Maximum number of items of the last limited page.
    limit: u32,
}

/// The cost of a page without a limit. The last page of a segment is short, and all segments may
/// end at the same time. These pages must not lower the estimate, or all in-flight calls would cost
/// many times what was paid.
#[derive(Debug, Clone, Copy, Default)]
struct FullPageCost {
    /// Read units; zero before the first page.
    units: f64,
    /// Number of consecutive pages that cost less.
    short: u32,
}

impl FullPageCost {
    /// The estimate after a page with this cost.
    fn updated(self, units: f64) -> Self {
        if units >= self.units {
            return Self { units, short: 0 };
        }

        let lower = if self.short < MAX_SHORT_PAGES {
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

/// The limit of the next page, and its estimated cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PlannedPage {
    /// Estimated read units.
    pub(crate) units: f64,
    /// Maximum number of items.
    pub(crate) limit: Option<u32>,
}

impl EstimatedCost for PlannedPage {
    fn units(&self) -> f64 {
        self.units
    }
}

impl PageCostEstimate {
    /// Plans a page within `budget` units and with at most `max_items` items.
    pub(crate) fn plan_page(&self, budget: Option<f64>, max_items: Option<u32>) -> PlannedPage {
        let stats = *self.lock();
        let whole = stats
            .map(|stats| stats.full_page.units)
            .filter(|units| *units > 0.0)
            .unwrap_or(FULL_PAGE_UNITS);
        let limit = match (budget.filter(|budget| *budget < whole), stats) {
            (None, _) => None,
            // Nothing is known yet: one item shows what items cost.
            (Some(_), None) => Some(1),
            (Some(budget), Some(stats)) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a float saturates"
                )]
                let affordable = (budget / stats.units_per_item.max(f64::MIN_POSITIVE)) as u32;
                Some(
                    affordable
                        .min(stats.limit.saturating_mul(MAX_LIMIT_GROWTH))
                        .max(1),
                )
            }
        };

        let limit = limit.map_or(max_items, |limit| {
            Some(max_items.map_or(limit, |max_items| max_items.min(limit)))
        });
        let units = match (limit, stats) {
            (None, _) => whole,
            (Some(_), None) => 1.0,
            (Some(limit), Some(stats)) => (f64::from(limit) * stats.units_per_item).min(whole),
        };

        PlannedPage { units, limit }
    }

    /// Records the cost of a page.
    pub(crate) fn record(&self, items: u64, units: f64, limit: Option<u32>) {
        let mut stats = self.lock();
        #[expect(clippy::cast_precision_loss, reason = "items of a page")]
        let item = units / items.max(1) as f64;
        let old = stats.unwrap_or(PageStats {
            units_per_item: item,
            full_page: FullPageCost::default(),
            limit: 1,
        });

        *stats = Some(PageStats {
            units_per_item: old.units_per_item + (item - old.units_per_item) / 4.0,
            full_page: if limit.is_none() {
                old.full_page.updated(units)
            } else {
                old.full_page
            },
            limit: limit
                .unwrap_or_else(|| u32::try_from(items).unwrap_or(u32::MAX))
                .max(1),
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<PageStats>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The estimated cost of writes: the units of the items by their size, times a factor for the
/// table's indexes.
pub(crate) struct WriteCostEstimate {
    /// Moving average of the units consumed per unit of item size.
    factor: Mutex<f64>,
}

impl Default for WriteCostEstimate {
    fn default() -> Self {
        Self {
            factor: Mutex::new(1.0),
        }
    }
}

/// The first items of a batch, which go into the next call.
#[derive(Debug)]
pub(crate) struct BatchPrefix {
    pub(crate) items: usize,
    /// Estimated write units.
    pub(crate) units: f64,
    /// Write units of the items without the factor for indexes.
    base_units: f64,
}

impl EstimatedCost for BatchPrefix {
    fn units(&self) -> f64 {
        self.units
    }
}

impl WriteCostEstimate {
    /// The longest prefix of `group` that costs at most `budget` units, but at least one item.
    pub(crate) fn affordable_prefix(&self, group: &[Bytes], budget: Option<f64>) -> BatchPrefix {
        let factor = *self.factor();
        let mut prefix = BatchPrefix {
            items: 0,
            units: 0.0,
            base_units: 0.0,
        };

        for item in group {
            // Without a budget, an approximation suffices and saves parsing the item.
            let base_units = if budget.is_some() {
                item_units(item)
            } else {
                approximate_units(item)
            };

            if prefix.items > 0
                && budget.is_some_and(|budget| prefix.units + base_units * factor > budget)
            {
                break;
            }

            prefix.items += 1;
            prefix.base_units += base_units;
            prefix.units += base_units * factor;
        }

        prefix
    }

    /// Reports the cost of a call to the limiter and learns from it.
    pub(crate) fn settle(
        &self,
        permit: RequestPermit<'_>,
        prefix: &BatchPrefix,
        unprocessed: &[Bytes],
        consumed_units: f64,
    ) {
        let refused: f64 = unprocessed.iter().map(|item| item_units(item)).sum();
        let mut factor = self.factor();

        // If an engine reports no consumption, assume what DynamoDB would consume.
        let units = if consumed_units > 0.0 {
            consumed_units
        } else {
            (prefix.base_units - refused).max(0.0) * *factor
        };

        if unprocessed.is_empty() {
            // Partly unprocessed calls are left out: the cost of the rest is only estimated.
            if prefix.base_units > 0.0 {
                *factor += (units / prefix.base_units - *factor) / 8.0;
            }

            permit.succeeded(units);
        } else {
            permit.throttled(units, refused * *factor);
        }
    }

    fn factor(&self) -> MutexGuard<'_, f64> {
        self.factor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Write units of an item by DynamoDB's size rules. An item that cannot be measured will be
/// rejected, which costs almost nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "an item has at most some hundreds of units"
)]
fn item_units(item: &[u8]) -> f64 {
    item_size(item).map_or(1.0, |bytes| write_units(bytes) as f64)
}

/// Write units of an item by the length of its JSON, which is about its size and free to compute.
#[expect(
    clippy::cast_precision_loss,
    reason = "an item has at most some thousands of units"
)]
fn approximate_units(item: &[u8]) -> f64 {
    write_units(item.len() as u64) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_within_a_budget_starts_small_and_grows_to_it() {
        let cost = PageCostEstimate::default();
        let mut limits = Vec::new();
        for _ in 0..6 {
            let planned = cost.plan_page(Some(10.0), None);
            let limit = planned.limit.unwrap();
            limits.push(limit);
            cost.record(u64::from(limit), f64::from(limit) * 0.125, planned.limit);
        }

        assert_eq!(limits, [1, 4, 16, 64, 80, 80]);
        assert_eq!(cost.plan_page(Some(10.0), Some(7)).limit, Some(7));
        assert_eq!(
            cost.plan_page(Some(0.1), None).limit,
            Some(1),
            "less than an item cannot be asked for"
        );
    }

    #[test]
    fn a_page_without_a_budget_is_not_limited() {
        let cost = PageCostEstimate::default();
        assert_eq!(
            cost.plan_page(None, None),
            PlannedPage {
                units: 128.0,
                limit: None
            }
        );

        cost.record(100, 256.0, None);
        assert_eq!(
            cost.plan_page(Some(200.0), None).limit,
            Some(78),
            "a consistent page costs twice as much"
        );

        assert_eq!(cost.plan_page(Some(256.0), None).limit, None);
    }

    #[test]
    fn a_short_last_page_does_not_make_full_pages_cheap() {
        let cost = PageCostEstimate::default();
        let after = |units| {
            cost.record(100, units, None);
            cost.plan_page(None, None).units
        };
        after(128.0);

        for _ in 0..64 {
            assert!(
                (127.9..128.1).contains(&after(3.0)),
                "as many segments end at once"
            );
        }

        assert!((127.9..128.1).contains(&after(128.0)));
        let short: Vec<_> = (0..96).map(|_| after(3.0)).collect();
        assert!(short[95] < 6.0, "all of them are short: {short:?}");
    }

    #[test]
    fn a_call_holds_what_the_budget_allows_and_indexes_count() {
        let item = Bytes::from(format!(r#"{{"id":{{"S":"{}"}}}}"#, "x".repeat(1500)));
        let group = vec![item; 25];
        let cost = WriteCostEstimate::default();
        assert_eq!(cost.affordable_prefix(&group, None).items, 25);
        assert_eq!(
            cost.affordable_prefix(&group, Some(10.0)).items,
            5,
            "an item is two units"
        );

        assert_eq!(
            cost.affordable_prefix(&group, Some(1.0)).items,
            1,
            "less than an item cannot be sent"
        );

        *cost.factor() = 3.0;
        assert_eq!(cost.affordable_prefix(&group, Some(13.0)).items, 2);
    }
}
