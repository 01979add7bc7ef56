//! Rules about the planned changes to the target table: its key, settings and capacity.

use std::collections::BTreeSet;

use super::RestoreFacts;
use crate::error::Error;
use crate::field::Field;
use crate::ops::guard::Finding;
use crate::ops::restore::{TableAction, TableTtl};
use crate::schema::{KeyMismatch, OverriddenSchema, TableSchema};

/// The planned changes to the target table.
#[derive(Debug, Default)]
pub(crate) struct TableChanges<'a> {
    /// The schema of the dump, or of the schema file, with the overrides.
    pub(crate) wanted: Option<&'a OverriddenSchema>,
    /// Both keys, if the existing table has another one.
    pub(crate) key_mismatch: Option<&'a KeyMismatch>,
    /// Number of settings in which the existing table differs from the wanted schema.
    pub(crate) differences: usize,
    /// Whether the settings of the wanted schema are applied.
    pub(crate) applies_settings: bool,
    /// Whether calls change settings.
    pub(crate) has_setting_calls: bool,
    /// Whether the table is created with a KMS key.
    pub(crate) creates_with_kms_key: bool,
    /// The GSIs that are created after the items.
    pub(crate) later_indexes: BTreeSet<&'a str>,
    pub(crate) boost: Option<BoostChange>,
    /// The TTL that the table will have.
    pub(crate) ttl: Option<&'a TableTtl>,
}

/// A change of the capacity while items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoostChange {
    /// The capacity is raised, and lowered at the end.
    Raised,
    /// The boost of an unfinished restore is reverted at the end.
    Reverted,
}

/// A table that would have to be created, although the options forbid it.
pub(super) fn missing_table(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let subject = created_table(facts)?;
    let field = if !facts.request.create {
        Field::NoCreate
    } else if facts.request.content.includes_schema() {
        return None;
    } else {
        Field::DataOnly
    };

    let error = Error::not_found(subject).with_hint(format!("create it first, or omit {field}"));
    Some(Finding::Refusal(error))
}

pub(super) fn missing_schema(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let subject = created_table(facts)?;
    facts.changes.known()?.wanted.is_none().then(|| {
        let error = Error::schema_mismatch(format!(
            "{subject}, and the source has no schema to create it from"
        ))
        .with_hint(format!(
            "pass a file with {} (the output of `aws dynamodb describe-table`), or create the table first",
            Field::Schema
        ));
        Finding::Refusal(error)
    })
}

/// The table that is created, and its state as the beginning of a message.
fn created_table(facts: &RestoreFacts<'_>) -> Option<String> {
    let target = facts.target.known()?;
    let state = match target.action {
        TableAction::CreateWhenDeleted => "is being deleted",
        TableAction::Create | TableAction::Replace { .. } => "does not exist",
        TableAction::Add { .. } | TableAction::Keep { .. } => return None,
    };

    let place = target.place;
    Some(format!(
        "table {} {state} in environment {}",
        place.table, place.environment
    ))
}

pub(super) fn another_key(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let key = facts.changes.known()?.key_mismatch?;
    let table = &facts.target.known()?.place.table;
    let (source, verb, field) = if facts.request.is_copy() {
        ("source", "copy", Field::TargetTable)
    } else {
        ("dump", "restore", Field::Table)
    };
    let error = Error::schema_mismatch(format!(
        "the key schema of table {table} differs from that of the {source}"
    ))
    .with_details(side_by_side(key, source))
    .with_hint(format!(
        "{verb} under another name with {field}, or replace the table with {}",
        Field::ReplaceExisting
    ));
    Some(Finding::Refusal(error))
}

/// The keys of source and table in two columns.
fn side_by_side(key: &KeyMismatch, source: &str) -> Vec<String> {
    let (dump, table) = (key.dump_lines(), key.table_lines());
    let width = dump.iter().map(|line| line.chars().count()).max();
    let width = width.unwrap_or(0) + 4;
    let row = |dump: &str, table: &str| format!("{dump:width$}{table}");
    let rows = dump
        .iter()
        .zip(&table)
        .map(|(dump, table)| row(dump, table));

    std::iter::once(row(source, "table")).chain(rows).collect()
}

/// Auto scaling may interfere with a boost.
pub(super) fn boost_with_auto_scaling(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let is_raised = facts.changes.known()?.boost == Some(BoostChange::Raised);
    let is_scaled = target.existing.is_some_and(TableSchema::has_auto_scaling);
    let keeps_table = matches!(target.action, TableAction::Add { .. });
    (is_raised && is_scaled && keeps_table).then(|| {
        Finding::Warning(
            "the table has auto scaling, which may change the boosted capacity".to_owned(),
        )
    })
}

/// Without a journal, the next restore does not know of the boost.
pub(super) fn boost_without_journal(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let is_raised = facts.changes.known()?.boost == Some(BoostChange::Raised);
    (is_raised && !facts.target.known()?.has_journal).then(|| {
        Finding::Warning(
            "there is no state directory: the boost remains if this command is killed".to_owned(),
        )
    })
}

/// Overrides have no effect on a table whose settings are not changed. A table that already is as wanted needs no warning: a nightly copy
/// creates it in the first night.
pub(super) fn ignored_overrides(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let (target, changes) = (facts.target.known()?, facts.changes.known()?);
    let wanted = changes.wanted?;
    let is_ignored = changes.differences > 0 && !changes.applies_settings && !target.action.keeps();
    (is_ignored && wanted.has_overrides && !wanted.notes.is_empty()).then(|| {
        Finding::Warning(
            "the table exists and keeps its settings: the overrides have no effect".to_owned(),
        )
    })
}

/// Only local endpoints may create a table without its KMS key.
pub(super) fn encryption_may_be_missing(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let is_local = facts.target.known()?.place.local;
    (is_local && facts.changes.known()?.creates_with_kms_key).then(|| {
        Finding::Warning(
            "A local endpoint may not support encryption. If it refuses the KMS key, the table is created without it.".to_owned(),
        )
    })
}
