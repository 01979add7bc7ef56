//! Overrides of billing mode, capacity and on-demand limits of a table and its GSIs.

use super::indexes::check_name;
use super::parse::{BillingMode, Overrides};
use super::schema_edit::SchemaEdit;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::description::OnDemandThroughput;
use crate::schema::json_body::JsonBody;
use crate::schema::settings::auto_scaling;
use crate::schema::settings::billing::CapacityRequest;
use crate::schema::settings::values::{Billing, Capacity, PAY_PER_REQUEST, PROVISIONED};
use crate::schema::{Description, TableSchema};

const CAPACITY: &str = "ProvisionedThroughput";
const MAXIMUM: &str = "OnDemandThroughput";
const GLOBAL_INDEXES: &str = "GlobalSecondaryIndexes";

/// Applies the billing overrides to `edit`, whose current schema is `schema`.
pub(crate) fn put(
    edit: &mut SchemaEdit,
    schema: &TableSchema,
    overrides: &Overrides,
) -> Result<()> {
    check_figures(overrides)?;
    check_indexes(schema, overrides)?;
    let table = &schema.description;
    let given = GivenFlags::new(overrides);
    let mode = mode(table, overrides, &given)?;
    if let (BillingMode::Provisioned, Some(flag)) = (mode, given.maximum) {
        return Err(Error::usage(format!(
            "{flag} is for on-demand tables, and this one is provisioned"
        ))
        .with_hint(format!(
            "add {billing_mode} on-demand, or leave it out",
            billing_mode = Field::BillingMode
        )));
    }

    // Without a change of mode or figures, the document stays verbatim.
    let is_other_mode = (mode == BillingMode::Provisioned) != table.is_provisioned();
    if is_other_mode || given.capacity.is_some() {
        drop_auto_scaling(edit, schema, mode);
    }

    match mode {
        BillingMode::Provisioned if is_other_mode || given.capacity.is_some() => {
            provision(edit, table, overrides)
        }
        BillingMode::OnDemand if is_other_mode || given.maximum.is_some() => {
            put_on_demand(edit, table, overrides);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The first flag of each kind that was given.
struct GivenFlags {
    capacity: Option<Field>,
    maximum: Option<Field>,
}

impl GivenFlags {
    fn new(overrides: &Overrides) -> Self {
        let first = |flags: [(bool, Field); 3]| {
            flags
                .into_iter()
                .find(|(is_given, _)| *is_given)
                .map(|(_, flag)| flag)
        };
        Self {
            capacity: first([
                (overrides.read_capacity.is_some(), Field::ReadCapacity),
                (overrides.write_capacity.is_some(), Field::WriteCapacity),
                (!overrides.index_capacity.is_empty(), Field::IndexCapacity),
            ]),
            maximum: first([
                (
                    overrides.on_demand_max_read.is_some(),
                    Field::OnDemandMaxRead,
                ),
                (
                    overrides.on_demand_max_write.is_some(),
                    Field::OnDemandMaxWrite,
                ),
                // Pads the list to the length of the other one.
                (false, Field::BillingMode),
            ]),
        }
    }
}

fn check_figures(overrides: &Overrides) -> Result<()> {
    let figures = [
        (overrides.read_capacity, Field::ReadCapacity),
        (overrides.write_capacity, Field::WriteCapacity),
        (overrides.on_demand_max_read, Field::OnDemandMaxRead),
        (overrides.on_demand_max_write, Field::OnDemandMaxWrite),
    ];

    // DynamoDB's API has signed 64-bit integers for units.
    match figures
        .into_iter()
        .find(|(units, _)| units.is_some_and(|units| units == 0 || i64::try_from(units).is_err()))
    {
        None => Ok(()),
        Some((units, flag)) => Err(Error::usage(format!(
            "{flag} {} is not possible",
            units.unwrap_or_default()
        ))
        .with_hint("the minimum is 1")),
    }
}

fn check_indexes(schema: &TableSchema, overrides: &Overrides) -> Result<()> {
    let names: Vec<_> = schema
        .description
        .global_secondary_indexes
        .iter()
        .map(|index| index.index_name.clone())
        .collect();

    for (name, capacity) in &overrides.index_capacity {
        // A better message than "no index" for an LSI or a vector index.
        if schema.has_index(name) && !names.contains(name) {
            return Err(Error::usage(format!(
                "{index_capacity}: index {name} is not a GSI",
                index_capacity = Field::IndexCapacity
            ))
            .with_hint("only GSIs have a capacity"));
        }

        check_name(name, Field::IndexCapacity, &names)?;
        if capacity.read == 0 || capacity.write == 0 {
            return Err(Error::usage(format!(
                "{index_capacity}: the minimum for index {name} is 1:1",
                index_capacity = Field::IndexCapacity
            ))
            .with_hint("write RCU:WCU, both above 0, for example 5:10"));
        }
    }

    Ok(())
}

fn mode(table: &Description, overrides: &Overrides, given: &GivenFlags) -> Result<BillingMode> {
    // A table that was on-demand has no capacity that could be the default.
    let has_figures = table.is_provisioned()
        || overrides
            .read_capacity
            .or(overrides.write_capacity)
            .is_some();

    match (overrides.billing_mode, given.capacity) {
        (Some(BillingMode::OnDemand), Some(flag)) => Err(Error::usage(format!(
            "{flag} and {billing_mode} on-demand cannot be used together",
            billing_mode = Field::BillingMode
        ))
        .with_hint("an on-demand table has no capacity; remove one of them")),
        (Some(BillingMode::Provisioned), _) if !has_figures => {
            Err(no_figures(&format!("{} provisioned", Field::BillingMode)))
        }
        (None, Some(flag)) if !has_figures => Err(no_figures(&flag.to_string())),
        (Some(mode), _) => Ok(mode),
        (None, Some(_)) => Ok(BillingMode::Provisioned),
        (None, None) if table.is_provisioned() => Ok(BillingMode::Provisioned),
        (None, None) => Ok(BillingMode::OnDemand),
    }
}

fn no_figures(option: &str) -> Error {
    Error::usage(format!(
        "{option} needs a capacity for the table, which is on-demand in the dump"
    ))
    .with_hint(format!(
        "add {read_capacity} and {write_capacity}",
        read_capacity = Field::ReadCapacity,
        write_capacity = Field::WriteCapacity
    ))
}

/// A missing dimension keeps the dump's capacity; if the dump has none either, it equals the other dimension.
fn provision(edit: &mut SchemaEdit, table: &Description, overrides: &Overrides) -> Result<()> {
    let (read, write) = (overrides.read_capacity, overrides.write_capacity);
    let of_table = match (table.billing(), read.or(write), write.or(read)) {
        (Billing::Provisioned(has), ..) => Capacity {
            read: read.unwrap_or(has.read),
            write: write.unwrap_or(has.write),
        },
        (Billing::OnDemand, Some(read), Some(write)) => Capacity { read, write },
        (Billing::OnDemand, ..) => {
            return Err(no_figures(&format!("{} provisioned", Field::BillingMode)));
        }
    };

    set_mode(edit, PROVISIONED);
    edit.table.set(CAPACITY, &CapacityRequest::from(of_table));
    edit.table.remove(MAXIMUM);
    // The fields and the parsed indexes are in the same order.
    let mut indexes = table.global_secondary_indexes.iter();
    edit.table.edit_elements(GLOBAL_INDEXES, |fields| {
        let Some(index) = indexes.next() else { return };
        let has = table.index_capacity(index).unwrap_or(of_table);

        // A flag for this index, else a flag for the table, else the capacity in the dump.
        let given = overrides.index_capacity.get(&index.index_name).copied();
        let capacity = given.unwrap_or(Capacity {
            read: read.unwrap_or(has.read),
            write: write.unwrap_or(has.write),
        });
        fields.set(CAPACITY, &CapacityRequest::from(capacity));
        fields.remove(MAXIMUM);
    });

    Ok(())
}

fn put_on_demand(edit: &mut SchemaEdit, table: &Description, overrides: &Overrides) {
    let bound = |units: Option<u64>| units.and_then(|units| i64::try_from(units).ok());
    let maximum = |has: Option<OnDemandThroughput>| {
        let has = has.unwrap_or_default();
        let maximum = OnDemandThroughput {
            max_read_request_units: bound(overrides.on_demand_max_read)
                .or(has.max_read_request_units),
            max_write_request_units: bound(overrides.on_demand_max_write)
                .or(has.max_write_request_units),
        };

        (maximum != OnDemandThroughput::default()).then_some(maximum)
    };

    set_mode(edit, PAY_PER_REQUEST);
    edit.table.remove(CAPACITY);

    if let Some(maximum) = maximum(table.on_demand_throughput) {
        edit.table.set(MAXIMUM, &maximum);
    }

    let mut indexes = table.global_secondary_indexes.iter();
    edit.table.edit_elements(GLOBAL_INDEXES, |fields| {
        fields.remove(CAPACITY);
        if let Some(maximum) = indexes
            .next()
            .and_then(|index| maximum(index.on_demand_throughput))
        {
            fields.set(MAXIMUM, &maximum);
        }
    });
}

fn set_mode(edit: &mut SchemaEdit, mode: &str) {
    // The two forms would contradict each other; `Description` prefers the summary.
    edit.table.remove("BillingMode");
    edit.table.set(
        "BillingModeSummary",
        &JsonBody::new().with("BillingMode", &mode),
    );
}

/// Removes auto scaling: its bounds are for the old capacity and would scale the table back to it.
fn drop_auto_scaling(edit: &mut SchemaEdit, schema: &TableSchema, mode: BillingMode) {
    if !auto_scaling::is_on(schema) {
        return;
    }

    edit.sections
        .retain(|(name, _)| name != auto_scaling::SECTION.name());
    edit.notes.push(match mode {
        BillingMode::Provisioned => {
            "auto scaling not restored: its limits belong to the dump's capacity".to_owned()
        }
        BillingMode::OnDemand => {
            "auto scaling not restored: an on-demand table has no capacity to scale".to_owned()
        }
    });
}
