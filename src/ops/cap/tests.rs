use serde_json::{Value, json};

use super::*;
use crate::error::ErrorKind;
use crate::ops::capacity::CapacityKind::{OnDemandMaximum, Provisioned, WarmThroughput};
use crate::schema::Boost;

fn table(billing: &Value) -> TableSchema {
    let mut table = json!({
        "TableName": "films",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    });
    table
        .as_object_mut()
        .unwrap()
        .extend(billing.as_object().unwrap().clone());

    TableSchema::parse(json!({ "Table": table }).to_string().as_bytes()).unwrap()
}

fn provisioned(read: u64, write: u64) -> Value {
    json!({"ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": write}})
}

fn on_demand(more: &Value) -> TableSchema {
    let mut billing = json!({"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}});
    billing
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    table(&billing)
}

/// A table with a GSI, both provisioned.
fn indexed(write: u64, index_write: u64) -> TableSchema {
    let mut index = provisioned(1, index_write);
    index.as_object_mut().unwrap().extend(
        json!({
            "IndexName": "by-genre",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let mut billing = provisioned(100, write);
    billing["GlobalSecondaryIndexes"] = json!([index]);

    table(&billing)
}

fn requested(cap: Cap, table: &TableSchema, direction: Direction) -> AppliedCap {
    AppliedCap::new(Some(cap), false, Some(table), direction)
        .unwrap()
        .unwrap()
}

fn default(table: &TableSchema, direction: Direction) -> AppliedCap {
    AppliedCap::new(None, true, Some(table), direction)
        .unwrap()
        .unwrap()
}

#[test]
fn a_cap_is_a_number_of_units_a_percentage_or_none() {
    assert_eq!("25".parse::<Cap>().unwrap(), Cap::Units(25));
    assert_eq!("25%".parse::<Cap>().unwrap(), Cap::Percent(25));
    assert_eq!("none".parse::<Cap>().unwrap(), Cap::Unlimited);
    for nonsense in ["", "0", "-1", "%", "0%", "101%", "1.5", "all", "None"] {
        assert!(nonsense.parse::<Cap>().is_err(), "{nonsense}");
    }
}

#[test]
fn a_percentage_refers_to_the_capacity_of_the_table() {
    let units = |cap, table, direction| requested(cap, table, direction).units_per_second;
    let films = table(&provisioned(400, 10));
    assert_eq!(units(Cap::Percent(25), &films, Direction::Read), Some(100));
    assert_eq!(units(Cap::Percent(1), &films, Direction::Write), Some(1));
    assert_eq!(units(Cap::Units(7), &films, Direction::Write), Some(7));

    let bounded = on_demand(
        &json!({"OnDemandThroughput": {"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": -1}}),
    );
    assert_eq!(
        units(Cap::Percent(50), &bounded, Direction::Read),
        Some(500)
    );

    let refused = AppliedCap::new(
        Some(Cap::Percent(50)),
        false,
        Some(&bounded),
        Direction::Write,
    );
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(
        error.to_string().contains("on-demand")
            && error.hint().unwrap().contains("`max_write_units` N"),
        "{error:?}"
    );
}

#[test]
fn half_of_the_provisioned_capacity_otherwise_of_the_maximum_otherwise_of_the_warm_throughput() {
    let warm = json!({"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_001});
    let maximum = json!({"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1});
    let both = json!({"WarmThroughput": warm, "OnDemandThroughput": maximum});
    let mut billing = provisioned(7, 1);
    billing["WarmThroughput"] = warm.clone();

    for (table, direction, units, kind) in [
        (table(&billing), Direction::Read, 3, Provisioned),
        (table(&billing), Direction::Write, 1, Provisioned),
        (on_demand(&both), Direction::Read, 50, OnDemandMaximum),
        (on_demand(&both), Direction::Write, 2_000, WarmThroughput),
    ] {
        let cap = default(&table, direction);
        assert_eq!(cap.units_per_second, Some(units), "{cap:?}");
        let CapReason::Protected { capacity } = cap.reason else {
            panic!("{cap:?}")
        };
        assert_eq!((capacity.kind, capacity.index), (kind, None));
    }
}

#[test]
fn without_a_known_capacity_there_is_no_default_and_the_plan_says_so() {
    let unknown = default(&on_demand(&json!({})), Direction::Read);
    assert_eq!(
        (unknown.units_per_second, unknown.reason),
        (None, CapReason::UnknownCapacity)
    );
}

#[test]
fn writes_are_capped_by_the_smallest_capacity_of_table_and_indexes_reads_by_the_table() {
    for (write, index_write, expected, index) in [
        (100, 30, 15, Some("by-genre")),
        (30, 100, 15, None),
        (30, 30, 15, None),
    ] {
        let films = indexed(write, index_write);
        let cap = default(&films, Direction::Write);
        assert_eq!(cap.units_per_second, Some(expected), "{cap:?}");
        let CapReason::Protected { capacity } = cap.reason else {
            panic!("{cap:?}")
        };
        assert_eq!(capacity.index.as_deref(), index);
        assert_eq!(default(&films, Direction::Read).units_per_second, Some(50));
        assert_eq!(
            requested(Cap::Percent(20), &films, Direction::Write).units_per_second,
            Some(6)
        );
    }
}

#[test]
fn only_protected_tables_have_a_default_and_none_lifts_it() {
    let films = table(&provisioned(400, 10));
    for cap in [None, Some(Cap::Unlimited)] {
        let unprotected = AppliedCap::new(cap, false, Some(&films), Direction::Read);
        assert_eq!(unprotected.unwrap(), None);
    }

    let lifted = AppliedCap::new(Some(Cap::Unlimited), true, Some(&films), Direction::Read);
    let lifted = lifted.unwrap().unwrap();
    assert_eq!(
        (lifted.units_per_second, lifted.reason),
        (None, CapReason::Lifted)
    );
}

#[test]
fn a_boost_raises_the_cap_by_what_it_adds() {
    let during = |cap: AppliedCap, films: &TableSchema, boost| {
        let boosted = films.boosted(boost).unwrap().unwrap();
        let cap = cap.with_boost(films, &boosted);
        assert!(cap.units(false) < cap.units(true), "{cap:?}");
        cap.units(true)
    };

    let films = table(&provisioned(5, 100));
    let boost = Boost::WriteCapacity(1_000);
    let cap = default(&films, Direction::Write);
    assert_eq!(during(cap, &films, boost), Some(950));
    let cap = requested(Cap::Percent(10), &films, Direction::Write);
    assert_eq!(during(cap, &films, boost), Some(910));

    // The table gets 900 more and the index 990 more.
    let films = indexed(100, 10);
    let cap = default(&films, Direction::Write);
    assert_eq!(during(cap, &films, boost), Some(950));

    // AWS documents 4,000 write units per second for a table that becomes on-demand.
    let cap = default(&films, Direction::Write);
    assert_eq!(during(cap, &films, Boost::OnDemand), Some(3_950));
}

#[test]
fn a_boost_does_not_change_a_cap_in_units() {
    let films = table(&provisioned(5, 100));
    let boosted = films.boosted(Boost::WriteCapacity(1_000)).unwrap().unwrap();
    let cap = requested(Cap::Units(70), &films, Direction::Write).with_boost(&films, &boosted);
    assert_eq!((cap.units(false), cap.units(true)), (Some(70), Some(70)));
}
