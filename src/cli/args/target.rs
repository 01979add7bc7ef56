//! Options of the commands that write a table: how an existing one is handled, what is written and how fast.

use std::path::PathBuf;

use clap::Args;

use super::heading;
use super::value::{boost, cap};
use crate::limits::BATCH_WRITE_ITEMS;
use crate::ops::restore::{
    ExistingTable, OnConflict, RestoreRequest, RestoreSource, VerifyMode, WriteOptions,
};
use crate::ops::{Cap, ContentScope};
use crate::schema::Boost;

// Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SAFETY)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct TargetArgs {
    /// If the table exists, change nothing and succeed
    #[arg(long, conflicts_with_all = ["if_empty", "replace", "no_create", "data_only", "apply_settings"])]
    pub(super) if_missing: bool,

    /// If the table exists and contains items, change nothing and succeed; if it is empty, restore
    /// into it
    #[arg(long, conflicts_with_all = ["replace", "no_create", "schema_only"])]
    pub(super) if_empty: bool,

    /// If the table exists, delete it with all its items and recreate it
    #[arg(long, conflicts_with = "data_only")]
    pub(super) replace: bool,

    /// If the table does not exist, fail
    #[arg(long, conflicts_with_all = ["replace", "schema_only", "schema"])]
    pub(super) no_create: bool,

    /// Create the table from this schema, not from that of the source
    #[arg(
        long,
        value_name = "FILE",
        help_heading = heading::TABLE_SETTINGS,
        conflicts_with = "data_only"
    )]
    pub(super) schema: Option<PathBuf>,

    /// Only create the table and apply its settings; write no items
    #[arg(long, help_heading = heading::SELECTION, conflicts_with_all = ["data_only", "indexes_after"])]
    pub(super) schema_only: bool,

    /// Only write the items; create no table and change no settings
    #[arg(long, help_heading = heading::SELECTION, conflicts_with_all = ["SettingArgs", "OverrideArgs"])]
    pub(super) data_only: bool,

    /// While writing, raise the write capacity of a provisioned table and its indexes to N WCU, or
    /// switch it to on-demand; reverted at the end, after a failure and after Ctrl-C
    #[arg(long, value_name = "N|on-demand", help_heading = heading::THROUGHPUT, value_parser = boost, conflicts_with = "schema_only")]
    pub(super) boost_write_capacity: Option<Boost>,

    /// Items per request, at most 25
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::THROUGHPUT,
        default_value_t = u8::try_from(BATCH_WRITE_ITEMS).unwrap_or(u8::MAX),
        value_parser = clap::value_parser!(u8).range(1..=i64::try_from(BATCH_WRITE_ITEMS).unwrap_or(i64::MAX))
    )]
    pub(super) batch_size: u8,

    /// What to do if the key exists in the table with another item
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    pub(super) on_conflict: OnConflict,

    /// Stop at the first rejected item
    #[arg(long)]
    pub(super) strict: bool,

    /// Create or replace the table even if the source contains no items
    #[arg(long, conflicts_with_all = ["schema_only", "data_only", "no_create"])]
    pub(super) allow_empty: bool,

    /// Maximum write units per second of the table and its indexes together, a percentage of the
    /// smallest of their capacities, or none [default: 50% for a table in a protected environment
    /// that already holds items]
    #[arg(long, value_name = "N|N%|none", help_heading = heading::THROUGHPUT, value_parser = cap, conflicts_with = "schema_only")]
    pub(super) max_wcu: Option<Cap>,

    /// Maximum write units per second of all tables together, in addition to --max-wcu for each
    #[arg(long, value_name = "N", help_heading = heading::THROUGHPUT, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_total_wcu: Option<u32>,

    /// How to verify the result
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub(super) verify: VerifyMode,
}

/// The first option that is given.
pub(super) fn first_given<const N: usize>(
    options: [(&'static str, bool); N],
) -> Option<&'static str> {
    let given = options.into_iter().find(|(_, is_given)| *is_given);
    given.map(|(option, _)| option)
}

impl TargetArgs {
    /// The first option that is given and has no effect if DynamoDB restores the table.
    pub(super) fn given(&self) -> Option<&'static str> {
        first_given([
            ("--if-empty", self.if_empty),
            ("--no-create", self.no_create),
            ("--schema", self.schema.is_some()),
            ("--schema-only", self.schema_only),
            ("--data-only", self.data_only),
            (
                "--boost-write-capacity",
                self.boost_write_capacity.is_some(),
            ),
            ("--on-conflict", self.on_conflict != OnConflict::default()),
            ("--strict", self.strict),
            ("--max-wcu", self.max_wcu.is_some()),
            ("--max-total-wcu", self.max_total_wcu.is_some()),
            ("--verify full", self.verify == VerifyMode::Full),
        ])
    }

    /// The request with these options.
    pub(super) fn request(self, source: RestoreSource) -> RestoreRequest {
        RestoreRequest {
            existing: self.existing_table(),
            create: !self.no_create,
            content: self.content(),
            schema: self.schema,
            boost: self.boost_write_capacity,
            write: WriteOptions {
                batch_size: usize::from(self.batch_size),
                on_conflict: self.on_conflict,
                strict: self.strict,
            },
            allow_empty: self.allow_empty,
            max_write_units: self.max_wcu,
            verify: self.verify,
            ..RestoreRequest::new(source)
        }
    }

    fn content(&self) -> ContentScope {
        if self.schema_only {
            ContentScope::SchemaOnly
        } else if self.data_only {
            ContentScope::DataOnly
        } else {
            ContentScope::All
        }
    }

    fn existing_table(&self) -> ExistingTable {
        if self.if_missing {
            ExistingTable::Keep
        } else if self.if_empty {
            ExistingTable::Fill
        } else if self.replace {
            ExistingTable::Replace
        } else {
            ExistingTable::Add
        }
    }
}
