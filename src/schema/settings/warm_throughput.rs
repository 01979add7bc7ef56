//! Warm throughput of table and indexes. It can only grow, and a table that exists may have more.

use serde_json::value::RawValue;

use super::actions::update_table;
use super::spec::{CreationField, DefaultRule, SettingActions, SettingSpec, SettingTarget, When};
use super::values::{Billing, Capacity};
use crate::schema::TableSchema;
use crate::schema::description::{Description, GlobalIndex, WarmThroughput};
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::raw::raw;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

/// Initial throughput of a new on-demand table or index
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html>).
pub(crate) const NEW_ON_DEMAND: Capacity = Capacity {
    read: 12_000,
    write: 4_000,
};

const FIELD: &str = "WarmThroughput";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    when: When::Creation,
    // The capacity limits it.
    comes_after: &["billing"],
    default: DefaultRule::Skipped("it is billed and cannot be lowered again"),
    creation: Some(CreationField {
        index_value,
        ..CreationField::new(FIELD, &["warm throughput"], creation_value)
    }),
    table_fields: KnownFields {
        plain: &[],
        nested: &[(FIELD, &FIELDS)],
    },
    // Every table has some warm throughput, and it grows by itself.
    differences: Some(|_, _| Vec::new()),
    ..SettingSpec::new("warm-throughput", "warm throughput", words, actions)
};

pub(crate) const FIELDS: KnownFields =
    plain(&["ReadUnitsPerSecond", "Status", "WriteUnitsPerSecond"]);

impl Description {
    /// The warm throughput of the table, if it is above that of a new table; never zero.
    fn grown_warm_throughput(&self) -> Option<WarmThroughput> {
        let start = match self.billing() {
            Billing::Provisioned(capacity) => capacity,
            Billing::OnDemand => NEW_ON_DEMAND,
        };
        grown(self.warm_throughput, start)
    }

    /// The warm throughput of `index`, if it is above that of a new index; never zero.
    fn index_grown_warm_throughput(&self, index: &GlobalIndex) -> Option<WarmThroughput> {
        grown(
            index.warm_throughput,
            self.index_capacity(index).unwrap_or(NEW_ON_DEMAND),
        )
    }
}

/// `warm` if it is above `start`. Every table has some warm throughput, so only an increase is a setting.
fn grown(warm: Option<WarmThroughput>, start: Capacity) -> Option<WarmThroughput> {
    let warm = warm?;
    let positive = |units: Option<u64>| units.filter(|units| *units > 0);
    let more = |units: Option<u64>, start: u64| units.is_some_and(|units| units > start);
    (more(warm.read_units_per_second, start.read) || more(warm.write_units_per_second, start.write))
        .then(|| WarmThroughput {
            read_units_per_second: positive(warm.read_units_per_second),
            write_units_per_second: positive(warm.write_units_per_second),
        })
}

fn words(schema: &TableSchema) -> SectionView<String> {
    let warm = schema.description.grown_warm_throughput();
    SectionView::from_option(warm.map(warm_in_words))
}

fn creation_value(schema: &TableSchema) -> Option<Box<RawValue>> {
    let warm = schema.description.grown_warm_throughput();
    warm.map(|warm| raw(&warm))
}

fn index_value(table: &Description, index: &GlobalIndex) -> Option<Box<RawValue>> {
    let warm = table.index_grown_warm_throughput(index);
    warm.map(|warm| raw(&warm))
}

/// One call for table and indexes.
fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let table = &schema.description;
    let existing = target.existing.map(|existing| &existing.description);
    let of_table = table
        .grown_warm_throughput()
        .filter(|warm| existing.is_none_or(|table| !is_covered(*warm, table.warm_throughput)));
    let mut what: Vec<_> = of_table
        .iter()
        .map(|warm| format!("warm throughput {}", warm_in_words(*warm)))
        .collect();

    let mut updates = Vec::new();
    for index in &table.global_secondary_indexes {
        let name = &index.index_name;
        let Some(warm) = table
            .index_grown_warm_throughput(index)
            .filter(|warm| existing.is_none_or(|table| index_needs(table, name, *warm)))
        else {
            continue;
        };

        what.push(format!(
            "warm throughput of index {name} {}",
            warm_in_words(warm)
        ));
        let update = JsonBody::new().with("IndexName", name).with(FIELD, &warm);
        updates.push(JsonBody::new().with("Update", &update));
    }

    if what.is_empty() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table)
        .with_some(FIELD, of_table.as_ref())
        .with_some(
            "GlobalSecondaryIndexUpdates",
            (!updates.is_empty()).then_some(&updates),
        );

    SettingActions::one(update_table(&SPEC, what.join(", "), &body))
}

/// Whether an index of an existing table has less than `wanted`. An index that the table does not have cannot be warmed.
fn index_needs(table: &Description, name: &str, wanted: WarmThroughput) -> bool {
    table
        .global_secondary_indexes
        .iter()
        .find(|index| index.index_name == name)
        .is_some_and(|index| !is_covered(wanted, index.warm_throughput))
}

fn is_covered(wanted: WarmThroughput, present: Option<WarmThroughput>) -> bool {
    present.is_some_and(|present| {
        present.read_units_per_second >= wanted.read_units_per_second
            && present.write_units_per_second >= wanted.write_units_per_second
    })
}

/// `30000 read / 4000 write units per second`.
fn warm_in_words(warm: WarmThroughput) -> String {
    let words = [
        (warm.read_units_per_second, "read"),
        (warm.write_units_per_second, "write"),
    ];
    let words = words
        .iter()
        .filter_map(|(units, what)| Some(format!("{} {what}", (*units)?)));
    format!("{} units per second", words.collect::<Vec<_>>().join(" / "))
}
