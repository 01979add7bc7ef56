//! Rules about the target table of a restore.

use super::RestoreFacts;
use super::unfinished::Resume;
use crate::environment::Question;
use crate::error::Error;
use crate::field::Field;
use crate::ops::guard::{Finding, warning};
use crate::ops::journal::RestoreJob;
use crate::ops::restore::{OnConflict, TableAction, TableTtl};
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// The target before the restore.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) place: &'a TableLocation,
    /// `None` if the table does not exist, or is being deleted.
    pub(crate) existing: Option<&'a TableSchema>,
    /// Number of on-demand backups of a table that will be replaced, if known.
    pub(crate) backups: Option<usize>,
    pub(crate) action: &'a TableAction,
    /// An unfinished restore of this table.
    pub(crate) unfinished: Option<&'a RestoreJob>,
    pub(crate) resume: Resume<'a>,
    /// Whether the restore can keep a journal.
    pub(crate) has_journal: bool,
}

/// An in-memory database would disappear with the process.
pub(super) fn memory_is_lost(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let is_lost = facts.connection.is_in_memory && !facts.request.allow_in_memory;
    is_lost.then(|| {
        let error = Error::usage(
            "a database in memory (embedded: without a file) is lost when the command ends",
        )
        .with_hint("name a file: LOCAL_AWS_ENDPOINT=embedded:local.db");
        Finding::Refusal(error)
    })
}

pub(super) fn deletion_protection(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let is_protected = target.existing?.description().is_deletion_protected();
    let is_replaced = matches!(target.action, TableAction::Replace { .. });
    (is_replaced && is_protected).then(|| {
        let error = Error::usage("the target table has deletion protection, so it cannot be replaced")
            .with_hint("lift it yourself if you are sure: `aws dynamodb update-table --no-deletion-protection-enabled`");
        Finding::Refusal(error)
    })
}

/// Deleting the table deletes one replica of a global table: the others keep their items, and the new table is not one of them.
pub(super) fn global_table_is_replaced(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let existing = target.existing?;
    let members = [existing.replica_regions(), existing.witness_regions()].concat();
    if !matches!(target.action, TableAction::Replace { .. }) || members.is_empty() {
        return None;
    }

    let error = Error::schema_mismatch(format!(
        "table {} is a global table with replicas or witnesses in {}, so it cannot be replaced",
        target.place.table,
        members.join(", ")
    ))
    .with_hint(format!(
        "omit {} to write the items into it; to recreate it, first remove the other regions with `aws dynamodb update-table`",
        Field::ReplaceExisting
    ));
    Some(Finding::Refusal(error))
}

pub(super) fn accepts_no_items(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let existing = target.existing?;
    let is_used = matches!(target.action, TableAction::Add { .. });
    (is_used && existing.is_stuck()).then(|| Finding::Refusal(stuck(&target.place.table, existing)))
}

/// The error for a table whose status forbids writes and does not change by itself.
pub(crate) fn stuck(table: &str, schema: &TableSchema) -> Error {
    Error::failed(format!(
        "table {table} cannot be written, and its status does not change by itself: {}",
        schema.activity()
    ))
    .with_hint("look at the table in the console; run the same command again when it is ACTIVE")
}

pub(super) fn is_not_ready(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.existing_target()?;
    let existing = target.existing.filter(|existing| !existing.is_active())?;
    if target.action.creates() {
        return None;
    }

    Some(warning(format!(
        "waiting for the table, which is not ready: {}",
        existing.activity()
    )))
}

/// The existing table that items are written into.
fn added_to<'a>(facts: &RestoreFacts<'a>) -> Option<&'a TableSchema> {
    let target = facts.target.known()?;
    let is_added_to = matches!(target.action, TableAction::Add { .. });
    target
        .existing
        .filter(|_| is_added_to && facts.request.content.includes_items())
}

pub(super) fn stream_has_consumers(facts: &RestoreFacts<'_>) -> Option<Finding> {
    added_to(facts)?.description().stream()?;
    Some(warning(
        "the table has a live stream: its consumers will see every restored item",
    ))
}

pub(super) fn items_are_replicated(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let regions = added_to(facts)?.replica_regions();
    if regions.is_empty() {
        return None;
    }

    Some(warning(format!(
        "This is a global table. All items will be replicated to {}.",
        regions.join(", ")
    )))
}

/// DynamoDB deletes items that are past their TTL, although they were restored and verified.
pub(super) fn items_may_expire(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let source = facts.source.known()?.facts;
    let ttl = facts.changes.known()?.ttl?;
    if !facts.request.content.includes_items() {
        return None;
    }

    let TableTtl { attribute, is_new } = ttl;
    let to_keep_them = if *is_new {
        format!("To keep them, pass {} ttl.", Field::Without)
    } else {
        "To keep them, disable TTL of the table first.".to_owned()
    };

    match (source.expired_items, source.items) {
        (Some(0), _) => None,
        (Some(expired), Some(items)) => Some(warning(format!(
            "{expired} of {items} items are past their TTL (attribute {attribute}): DynamoDB will delete them. {to_keep_them}"
        ))),
        _ => Some(warning(format!(
            "the table will have TTL on attribute {attribute}: DynamoDB will delete items that are past their TTL. {to_keep_them}"
        ))),
    }
}

pub(super) fn items_are_overwritten(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let existing = added_to(facts)?;
    let target = facts.target.known()?;
    // After an unfinished restore of the same items, the table holds only equal ones.
    let has_only_own_items = target.unfinished.is_some() && !target.resume.has_other_items;
    let has_items = existing.description().item_count.unwrap_or(0) > 0;
    let overwrites = facts.request.write.on_conflict == OnConflict::Overwrite;

    (has_items && overwrites && !has_only_own_items)
        .then(|| warning("items with matching keys will be overwritten, even if newer"))
}

pub(super) fn backups_remain(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.existing_target()?;
    let count = target.backups.filter(|count| *count > 0)?;
    let backups = match count {
        1 => "1 on-demand backup of the old table remains".to_owned(),
        _ => format!("{count} on-demand backups of the old table remain"),
    };
    Some(warning(backups))
}

pub(super) fn remote(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let place = facts.target.known()?.place;
    (!place.local).then(|| {
        Finding::Question(Question::RemoteTarget {
            place: place.location(),
        })
    })
}

pub(super) fn deletion_of_items(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.existing_target()?;
    let is_deleted = facts.request.delete_extra && !target.action.creates();
    is_deleted.then(|| {
        Finding::Question(Question::DeleteItems {
            table: target.place.table.clone(),
        })
    })
}

pub(super) fn replacement(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let existing = target.existing?;
    matches!(target.action, TableAction::Replace { .. }).then(|| {
        Finding::Question(Question::ReplaceTable {
            table: target.place.table.clone(),
            losses: losses(existing, target.backups),
        })
    })
}

/// Everything that is lost with a table that is replaced.
fn losses(existing: &TableSchema, backups: Option<usize>) -> Vec<String> {
    let has_pitr = existing.has_point_in_time_recovery();
    let settings = match has_pitr {
        Some(_) => "its settings and tags",
        None => "its settings, tags and point-in-time history",
    };
    let mut losses = vec![settings.to_owned()];
    if existing.description().stream().is_some() {
        losses.push("its stream, with every record not read yet".to_owned());
    }

    match (has_pitr, backups) {
        (Some(true), _) => losses
            .push("its point-in-time history (AWS keeps one last backup for 35 days)".to_owned()),
        (Some(false), Some(0)) => {
            losses.push("the last copy of its items: it has no backup".to_owned());
        }
        (Some(false) | None, _) => {}
    }

    losses
}
