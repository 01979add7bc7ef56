//! The rules for a restore.

mod action;
mod indexes;
mod source;
mod table_changes;
mod target;
mod unfinished;
mod verification;

pub(crate) use source::CheckedSource;
pub(crate) use table_changes::{BoostChange, TableChanges};
pub(crate) use target::{Target, stuck};
pub(crate) use unfinished::Resume;

use super::connection::{self, Connection};
use super::{Fact, Finding, Findings};
use crate::error::Result;
use crate::ops::restore::{RestoreRequest, TableAction};

/// What is known about a restore.
#[derive(Debug)]
pub(crate) struct RestoreFacts<'a> {
    /// The options of the command.
    pub(crate) request: &'a RestoreRequest,
    pub(crate) connection: &'a Connection,
    /// The table before the restore.
    pub(crate) target: Fact<Target<'a>>,
    /// The planned changes to the table.
    pub(crate) changes: Fact<TableChanges<'a>>,
    /// The dump, after its check.
    pub(crate) source: Fact<CheckedSource<'a>>,
}

type Rule = fn(&RestoreFacts<'_>) -> Option<Finding>;

/// Refusals, in the order in which they are certain.
const REFUSALS: &[Rule] = &[
    target::memory_is_lost,
    source::stream_is_read_twice,
    source::part_decides_what_is_deleted,
    unfinished::cannot_be_resumed,
    target::deletion_protection,
    target::global_table_is_replaced,
    target::accepts_no_items,
    unfinished::holds_items_of_another_restore,
    unfinished::is_restored_elsewhere,
    table_changes::missing_table,
    table_changes::missing_schema,
    table_changes::another_key,
    source::has_no_items,
];

const WARNINGS: &[Rule] = &[
    unfinished::starts_over,
    unfinished::may_be_restored_elsewhere,
    target::is_not_ready,
    target::stream_has_consumers,
    target::items_are_replicated,
    target::items_may_expire,
    target::items_are_overwritten,
    target::backups_remain,
    source::incomplete,
    indexes::created_after_items,
    indexes::reject_items,
    table_changes::boost_with_auto_scaling,
    table_changes::boost_without_journal,
    table_changes::ignored_overrides,
    table_changes::encryption_may_be_missing,
    verification::transform_is_repeated,
    verification::stream_is_not_read_back,
];

const QUESTIONS: &[Rule] = &[
    source::unknown_origin,
    source::cross_environment,
    target::remote,
    target::replacement,
    target::deletion_of_items,
    source::incomplete_replacement,
    source::remains_if_restore_fails,
];

impl<'a> RestoreFacts<'a> {
    /// The facts of the first stage: the options and the environment.
    pub(crate) fn new(request: &'a RestoreRequest, connection: &'a Connection) -> Self {
        Self {
            request,
            connection,
            target: Fact::Unknown,
            changes: Fact::Unknown,
            source: Fact::Unknown,
        }
    }

    /// Whether the restore changes anything. If not, nothing needs to be confirmed.
    fn has_changes(&self) -> bool {
        let (Some(target), Some(changes)) = (self.target.known(), self.changes.known()) else {
            return false;
        };

        let changes_table = match target.action {
            TableAction::Keep { .. } => false,
            TableAction::Add { .. } => {
                self.request.content.includes_items()
                    || changes.has_setting_calls
                    || self.deletes_backup()
            }
            TableAction::Create | TableAction::CreateWhenDeleted | TableAction::Replace { .. } => {
                true
            }
        };

        changes_table || changes.boost.is_some()
    }

    /// Whether the on-demand backup of a copy is deleted afterwards.
    fn deletes_backup(&self) -> bool {
        let backup = self.request.route.backup();
        backup.is_some_and(|backup| backup.delete_afterwards)
    }

    /// The target, if its table exists and the restore does not leave it alone.
    fn existing_target(&self) -> Option<&Target<'a>> {
        let target = self.target.known()?;
        let is_used = target.existing.is_some() && !target.action.keeps();
        is_used.then_some(target)
    }
}

/// Applies the rules for a restore.
///
/// # Errors
/// The restore is refused.
pub(crate) fn restore(facts: &RestoreFacts<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    findings.extend(facts, REFUSALS)?;
    findings.extend(facts.connection, connection::RULES)?;
    findings.extend(facts, WARNINGS)?;

    findings.action = action::describe(facts);
    if findings.action.is_some() {
        findings.extend(facts, QUESTIONS)?;
    }

    Ok(findings)
}
