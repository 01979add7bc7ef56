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

fn cost(model: WriteCostModel, items: &[Value]) -> WriteCost {
    let mut counter = WriteCostCounter::new(model);
    for item in items {
        counter.add(item.to_string().as_bytes());
    }

    counter.finish()
}

fn units(cost: &WriteCost) -> Vec<u64> {
    std::iter::once(cost.table_write_units)
        .chain(cost.indexes.iter().map(|index| index.write_units))
        .collect()
}

#[test]
fn an_index_costs_the_projected_attributes_of_items_with_its_key() {
    let model = WriteCostModel::new(&table());
    // Rounded up, the item has 3 KB; in the index with INCLUDE, it has `title` and the keys, 2 KB.
    let whole = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(1),
        "title": text(1100), "plot": text(1000)});
    let found = cost(model.clone(), std::slice::from_ref(&whole));
    assert_eq!(units(&found), [3, 3, 1, 2, 1]);
    assert_eq!(found.write_units, 10);
    let sparse = json!({"pk": text(1), "sk": text(1), "genre": text(1), "plot": text(1000)});
    assert_eq!(
        units(&cost(model.clone(), std::slice::from_ref(&sparse))),
        [1, 1, 0, 0, 0]
    );
    assert_eq!(units(&cost(model, &[whole, sparse])), [4, 4, 1, 2, 1]);
}

#[test]
fn index_entries_are_rounded_up_to_the_unit() {
    // Sizes of name and value: pk 2+1, sk 2+1, genre 5+1, year 4+y. 1,024 bytes are one unit, 1,025 are two.
    for (length, expected) in [(1024 - 16, 1), (1024 - 15, 2)] {
        let item = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(length), "plot": text(5000)});
        let found = cost(WriteCostModel::new(&table()), &[item]);
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
fn the_bottleneck_determines_the_duration() {
    let item = json!({"pk": text(1), "sk": text(1), "genre": text(1), "year": text(1)});
    let slowest = |model, items: &[Value]| {
        let cost = cost(model, items);
        (
            cost.bottleneck.unwrap(),
            cost.write_units_per_second.unwrap(),
            cost.seconds.unwrap(),
        )
    };

    let model = WriteCostModel::new(&table());

    // Table and LSI: 2 of 10 per second. Each GSI: 1 of 2 per second.
    assert_eq!(
        slowest(model.clone(), std::slice::from_ref(&item)),
        (
            Bottleneck::Index {
                name: "all".to_owned()
            },
            2,
            0.5
        )
    );

    let capped = model.clone().with_cap(Some(4));
    assert_eq!(
        slowest(capped, std::slice::from_ref(&item)),
        (Bottleneck::Cap, 4, 1.25)
    );
    let unindexed = json!({"pk": text(1), "sk": text(1), "plot": text(5000)});
    assert_eq!(slowest(model, &[unindexed]), (Bottleneck::Table, 10, 0.5));
    let mut only_local = WriteCostModel::new(&table());
    only_local.indexes.retain(|index| index.is_local);
    assert_eq!(
        slowest(only_local, &[item]),
        (Bottleneck::Table, 10, 0.2),
        "an LSI uses the table's capacity"
    );
}

#[test]
fn an_on_demand_table_has_a_duration_only_with_a_maximum() {
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
        WriteCostModel::new(&TableSchema::parse(document.to_string().as_bytes()).unwrap())
            .upper_bound(20, 1023)
    };

    assert_eq!(
        (bare(json!({})).bottleneck, bare(json!({})).seconds),
        (None, None)
    );
    let bounded = bare(json!({"OnDemandThroughput": {"MaxWriteRequestUnits": 4}}));
    assert_eq!((bounded.write_units, bounded.seconds), (20, Some(5.0)));
}

#[test]
fn the_upper_bound_respects_the_maximum_item_size() {
    let model = WriteCostModel::default();
    assert_eq!(model.upper_bound(0, 0).write_units, 0);
    assert_eq!(model.upper_bound(1, 900_000_000).write_units, 400);
    assert_eq!(model.upper_bound(u64::MAX, u64::MAX).write_units, u64::MAX);
}

proptest! {
    #[test]
    fn no_item_costs_more_than_the_upper_bound(items in prop::collection::vec((item(), any::<u64>(), 0..3000usize), 0..8)) {
        let texts: Vec<_> = items
            .into_iter()
            .map(|(mut item, seed, padding)| {
                for name in ["pk", "genre", "year", "title"].into_iter().take(padding % 5) {
                    item.insert(name.to_owned(), crate::item::AttributeValue::S("x".repeat(padding / 2)));
                }
                (item, seed)
            })
            .map(|(item, seed)| render(&item, if seed % 2 == 0 { Style::Compact } else { Style::Random(seed) }))
            .collect();
        let mut counter = WriteCostCounter::new(WriteCostModel::new(&table()));
        for text in &texts {
            counter.add(text.as_bytes());
        }
        let (found, bytes) = (counter.finish(), texts.iter().map(|text| text.len() as u64).sum());
        let bound = WriteCostModel::new(&table()).upper_bound(texts.len() as u64, bytes);
        prop_assert!(units(&found).iter().zip(units(&bound)).all(|(found, bound)| *found <= bound));
    }
}
