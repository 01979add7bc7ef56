//! What writing items costs: write units of the table and of its indexes, and the time that takes at what they have per second.
//!
//! A new item costs the units of its size and, in each index whose key attributes it has all of, the units of what the index holds
//! of it: the keys of table and index and the projected attributes. A GSI takes them from a capacity of its own, an LSI from the
//! table's. From "Provisioned throughput considerations for Global Secondary Indexes" and "Provisioned throughput considerations for
//! Local Secondary Indexes" in AWS's developer guide
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ThroughputConsiderations>). To overwrite an item costs
//! otherwise: the larger of both counts, and an index whose key changes is written twice. Vector indexes and replicas are not counted.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::item::{WRITE_UNIT, each_size, write_units};
use crate::limits::ITEM_BYTES;
use crate::schema::{Billing, Description, GlobalIndex, KeyElement, Projection, TableSchema};

/// What writing items costs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WriteCost {
    /// Write units in all, those of the indexes included.
    pub write_units: u64,
    /// Of those, the table's own.
    pub table_write_units: u64,
    /// Of those, each index's.
    pub indexes: Vec<IndexCost>,
    /// What is ready last; `None` where nothing bounds the writes, or that is not known.
    pub slowest: Option<Slowest>,
    /// Write units per second that this one has.
    pub write_units_per_second: Option<u64>,
    /// Seconds that the writes take at that.
    pub seconds: Option<f64>,
    /// Whether the table may hold some of the items already. The figures are those of new items.
    pub may_overwrite: bool,
    /// Whether the endpoint is on this machine: engines seldom hold to a capacity.
    pub local: bool,
}

/// The part of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexCost {
    /// Its name.
    pub name: String,
    /// Its write units.
    pub write_units: u64,
}

/// What sets the time that writes take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum Slowest {
    /// The table, with its LSIs.
    Table,
    /// A GSI.
    Index {
        /// Its name.
        name: String,
    },
    /// The cap of all write units.
    Cap,
}

/// How a table and its indexes charge for writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tariff {
    /// Write units per second of the table, where they are bounded.
    per_second: Option<u64>,
    /// Write units per second of table and indexes together.
    cap: Option<u64>,
    indexes: Vec<Index>,
    may_overwrite: bool,
    local: bool,
}

#[derive(Debug, Clone)]
struct Index {
    name: String,
    key: BTreeSet<String>,
    /// The attributes it holds; `None` for all.
    holds: Option<BTreeSet<String>>,
    /// Whether it takes its units from the table's.
    is_local: bool,
    /// Write units per second of its own, where they are bounded.
    per_second: Option<u64>,
}

impl Index {
    fn new(
        name: &str,
        key: &[KeyElement],
        projection: &Projection,
        table_key: &[KeyElement],
    ) -> Self {
        let names = |key: &[KeyElement]| {
            key.iter()
                .map(|element| element.attribute_name.clone())
                .collect::<Vec<_>>()
        };

        let holds = (projection.projection_type != "ALL").then(|| {
            let keys = names(key).into_iter().chain(names(table_key));
            keys.chain(projection.non_key_attributes.iter().cloned())
                .collect()
        });

        let key = names(key).into_iter().collect();
        Self {
            name: name.to_owned(),
            key,
            holds,
            is_local: true,
            per_second: None,
        }
    }

    fn global(table: &Description, index: &GlobalIndex) -> Self {
        let maximum = table
            .index_on_demand_maximum(index)
            .and_then(|maximum| maximum.max_write_request_units);
        let capacity = table.index_capacity(index).map(|capacity| capacity.write);
        let per_second = capacity.or(maximum.and_then(|units| u64::try_from(units).ok()));
        let of_index = Self::new(
            &index.index_name,
            &index.key_schema,
            &index.projection,
            &table.key_schema,
        );

        Self {
            is_local: false,
            per_second,
            ..of_index
        }
    }

    /// The units of an item with these attributes, by name and size.
    fn units(&self, attributes: &[(String, u64)]) -> u64 {
        let has = |name: &String| attributes.iter().any(|(found, _)| found == name);
        if !self.key.iter().all(has) {
            return 0;
        }

        let held = attributes
            .iter()
            .filter(|(name, _)| self.holds.as_ref().is_none_or(|holds| holds.contains(name)));

        write_units(held.map(|(_, size)| size).sum::<u64>().min(ITEM_BYTES))
    }
}

impl Tariff {
    /// That of a table as it is while items are written.
    pub(crate) fn of(table: &TableSchema) -> Self {
        let table = table.description();
        let maximum = table
            .on_demand_maximum()
            .and_then(|maximum| maximum.max_write_request_units);
        let per_second = match table.billing() {
            Billing::Provisioned(capacity) => Some(capacity.write),
            Billing::OnDemand => maximum.and_then(|units| u64::try_from(units).ok()),
        };
        let globals = table
            .global_secondary_indexes
            .iter()
            .map(|index| Index::global(table, index));
        let locals = table.local_secondary_indexes.iter();
        let locals = locals.map(|index| {
            Index::new(
                &index.index_name,
                &index.key_schema,
                &index.projection,
                &table.key_schema,
            )
        });

        Self {
            per_second,
            indexes: globals.chain(locals).collect(),
            ..Self::default()
        }
    }

    /// That of a table of which only the size of writes counts, not the time.
    pub(crate) fn untimed(table: &TableSchema) -> Self {
        let indexes = Self::of(table).indexes.into_iter().map(|index| Index {
            per_second: None,
            ..index
        });
        Self {
            indexes: indexes.collect(),
            ..Self::default()
        }
    }

    /// With no more than `cap` units per second in all.
    pub(crate) fn capped(self, cap: Option<u32>) -> Self {
        Self {
            cap: cap.map(u64::from),
            ..self
        }
    }

    /// Of a table that may hold items already, and whether its endpoint is on this machine.
    pub(crate) fn at(self, may_overwrite: bool, local: bool) -> Self {
        Self {
            may_overwrite,
            local,
            ..self
        }
    }

    /// What so many items cost at most whose texts have so many bytes. DynamoDB counts no item larger than its text, each
    /// rounds up by less than a unit, and an index holds no more than the item.
    pub(crate) fn at_most(&self, items: u64, bytes: u64) -> WriteCost {
        let units = items
            .saturating_add(bytes / WRITE_UNIT)
            .min(items.saturating_mul(write_units(ITEM_BYTES)));
        Costing {
            table: units,
            indexes: vec![units; self.indexes.len()],
            tariff: self.clone(),
        }
        .end()
    }
}

/// Adds up what items cost.
#[derive(Debug)]
pub(crate) struct Costing {
    tariff: Tariff,
    table: u64,
    /// In the tariff's order.
    indexes: Vec<u64>,
}

impl Costing {
    pub(crate) fn new(tariff: Tariff) -> Self {
        Self {
            table: 0,
            indexes: vec![0; tariff.indexes.len()],
            tariff,
        }
    }

    /// One more item. What cannot be read counts as its text, and stands in no index.
    pub(crate) fn take(&mut self, item: &[u8]) {
        let mut attributes = Vec::new();
        if each_size(item, |name, size| attributes.push((name.to_owned(), size))).is_err() {
            self.table += write_units((item.len() as u64).min(ITEM_BYTES));
            return;
        }

        self.table += write_units(
            attributes
                .iter()
                .map(|(_, size)| size)
                .sum::<u64>()
                .min(ITEM_BYTES),
        );

        for (index, sum) in self.tariff.indexes.iter().zip(&mut self.indexes) {
            *sum += index.units(&attributes);
        }
    }

    /// What they cost together.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn end(self) -> WriteCost {
        let Self {
            tariff,
            table,
            indexes: units,
        } = self;

        let whole = units
            .iter()
            .fold(table, |sum, units| sum.saturating_add(*units));
        let with_units = || tariff.indexes.iter().zip(&units);
        let local = with_units()
            .filter(|(index, _)| index.is_local)
            .map(|(_, units)| units)
            .sum::<u64>();
        let globals = with_units()
            .filter(|(index, _)| !index.is_local)
            .map(|(index, units)| {
                let name = index.name.clone();
                (Slowest::Index { name }, *units, index.per_second)
            });

        let parts = [
            (
                Slowest::Table,
                table.saturating_add(local),
                tariff.per_second,
            ),
            (Slowest::Cap, whole, tariff.cap),
        ];

        let timed = parts
            .into_iter()
            .chain(globals)
            .filter_map(|(part, units, per_second)| {
                let per_second = per_second.filter(|units| *units > 0)?;
                Some((part, per_second, units as f64 / per_second as f64))
            });

        // Of equals the first.
        let slowest = timed.reduce(|slowest, part| if part.2 > slowest.2 { part } else { slowest });
        WriteCost {
            write_units: whole,
            table_write_units: table,
            indexes: with_units()
                .map(|(index, units)| IndexCost {
                    name: index.name.clone(),
                    write_units: *units,
                })
                .collect(),
            write_units_per_second: slowest.as_ref().map(|(_, per_second, _)| *per_second),
            seconds: slowest.as_ref().map(|(_, _, seconds)| *seconds),
            slowest: slowest.map(|(part, _, _)| part),
            may_overwrite: tariff.may_overwrite,
            local: tariff.local,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::item::testing::{Style, item, render};

    fn throughput(write: u64) -> Value {
        json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": write})
    }

    fn index(name: &str, key: &[&str], projection: &Value) -> Value {
        let key: Vec<_> = key
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind}))
            .collect();

        json!({"IndexName": name, "KeySchema": key, "Projection": projection, "ProvisionedThroughput": throughput(2)})
    }

    /// A table with key `pk`, `sk`, a GSI of each projection and an LSI.
    fn table() -> TableSchema {
        let include = json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title", "absent"]});
        let types: Vec<_> = ["pk", "sk", "genre", "year"]
            .map(|name| json!({"AttributeName": name, "AttributeType": "S"}))
            .into();
        let document = json!({
            "TableName": "films",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "AttributeDefinitions": types,
            "ProvisionedThroughput": throughput(10),
            "GlobalSecondaryIndexes": [
                index("all", &["genre"], &json!({"ProjectionType": "ALL"})),
                index("keys", &["genre", "year"], &json!({"ProjectionType": "KEYS_ONLY"})),
                index("some", &["year"], &include),
            ],
            "LocalSecondaryIndexes": [index("local", &["pk", "year"], &json!({"ProjectionType": "KEYS_ONLY"}))],
        });

        TableSchema::parse(document.to_string().as_bytes()).unwrap()
    }

    fn text(length: usize) -> Value {
        json!({"S": "x".repeat(length)})
    }

    fn cost(tariff: Tariff, items: &[Value]) -> WriteCost {
        let mut costing = Costing::new(tariff);
        for item in items {
            costing.take(item.to_string().as_bytes());
        }

        costing.end()
    }

    fn units(cost: &WriteCost) -> Vec<u64> {
        std::iter::once(cost.table_write_units)
            .chain(cost.indexes.iter().map(|index| index.write_units))
            .collect()
    }

    #[test]
    fn an_index_costs_what_it_holds_of_items_that_have_its_key() {
        let tariff = Tariff::of(&table());
        // 3 KB begun in all; in INCLUDE `title` beside the keys: 2 KB begun.
        let whole = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(1),
            "title": text(1100), "plot": text(1000)});
        let found = cost(tariff.clone(), std::slice::from_ref(&whole));
        assert_eq!(units(&found), [3, 3, 1, 2, 1]);
        assert_eq!(found.write_units, 10);
        let sparse = json!({"pk": text(1), "sk": text(1), "genre": text(1), "plot": text(1000)});
        assert_eq!(
            units(&cost(tariff.clone(), std::slice::from_ref(&sparse))),
            [1, 1, 0, 0, 0]
        );
        assert_eq!(units(&cost(tariff, &[whole, sparse])), [4, 4, 1, 2, 1]);
    }

    #[test]
    fn what_an_index_holds_is_rounded_at_the_byte() {
        // By name and value: pk 2+1, sk 2+1, genre 5+1, year 4+y. At 1,024 bytes one unit, at 1,025 two.
        for (length, expected) in [(1024 - 16, 1), (1024 - 15, 2)] {
            let item = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(length), "plot": text(5000)});
            let found = cost(Tariff::of(&table()), &[item]);
            assert_eq!(
                found.indexes[1],
                IndexCost {
                    name: "keys".to_owned(),
                    write_units: expected
                }
            );
        }
    }

    #[test]
    fn the_slowest_part_sets_the_time() {
        let item = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(1)});
        let slowest = |tariff, items: &[Value]| {
            let cost = cost(tariff, items);
            (
                cost.slowest.unwrap(),
                cost.write_units_per_second.unwrap(),
                cost.seconds.unwrap(),
            )
        };

        let tariff = Tariff::of(&table());

        // Table and LSI: 2 of 10 per second. Each GSI: 1 of 2 per second.
        assert_eq!(
            slowest(tariff.clone(), std::slice::from_ref(&item)),
            (
                Slowest::Index {
                    name: "all".to_owned()
                },
                2,
                0.5
            )
        );

        let capped = tariff.clone().capped(Some(4));
        assert_eq!(
            slowest(capped, std::slice::from_ref(&item)),
            (Slowest::Cap, 4, 1.25)
        );
        let unindexed = json!({"pk": text(1), "sk": text(1), "plot": text(5000)});
        assert_eq!(slowest(tariff, &[unindexed]), (Slowest::Table, 10, 0.5));
        let mut only_local = Tariff::of(&table());
        only_local.indexes.retain(|index| index.is_local);
        assert_eq!(
            slowest(only_local, &[item]),
            (Slowest::Table, 10, 0.2),
            "an LSI takes of the table's"
        );
    }

    #[test]
    fn on_demand_has_no_time_but_by_its_maximum() {
        let bare = |more: Value| {
            let mut document = json!({
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            });

            document
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            Tariff::of(&TableSchema::parse(document.to_string().as_bytes()).unwrap())
                .at_most(20, 1023)
        };

        assert_eq!(
            (bare(json!({})).slowest, bare(json!({})).seconds),
            (None, None)
        );
        let bounded = bare(json!({"OnDemandThroughput": {"MaxWriteRequestUnits": 4}}));
        assert_eq!((bounded.write_units, bounded.seconds), (20, Some(5.0)));
    }

    #[test]
    fn a_bound_is_never_above_what_items_can_have() {
        let tariff = Tariff::default();
        assert_eq!(tariff.at_most(0, 0).write_units, 0);
        assert_eq!(tariff.at_most(1, 900_000_000).write_units, 400);
        assert_eq!(tariff.at_most(u64::MAX, u64::MAX).write_units, u64::MAX);
    }

    proptest! {
        #[test]
        fn a_bound_bounds(items in prop::collection::vec((item(), any::<u64>(), 0..3000usize), 0..8)) {
            let texts: Vec<_> = items
                .into_iter()
                .map(|(mut item, seed, padding)| {
                    for name in ["pk", "genre", "year", "title"].into_iter().take(padding % 5) {
                        item.insert(name.to_owned(), crate::item::Value::S("x".repeat(padding / 2)));
                    }
                    (item, seed)
                })
                .map(|(item, seed)| render(&item, if seed % 2 == 0 { Style::Compact } else { Style::Wild(seed) }))
                .collect();
            let mut costing = Costing::new(Tariff::of(&table()));
            for text in &texts {
                costing.take(text.as_bytes());
            }
            let (found, bytes) = (costing.end(), texts.iter().map(|text| text.len() as u64).sum());
            let bound = Tariff::of(&table()).at_most(texts.len() as u64, bytes);
            prop_assert!(units(&found).iter().zip(units(&bound)).all(|(found, bound)| *found <= bound));
        }
    }
}
