//! Rules about an unfinished restore of the same table.

use super::RestoreFacts;
use crate::error::Error;
use crate::field::Field;
use crate::ops::guard::{Finding, warning};
use crate::ops::journal::WrittenItems;
use crate::schema::RESTORING_TAG;

/// How the restore relates to an interrupted one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resume<'a> {
    /// Whether it is resumed.
    pub(crate) is_resumed: bool,
    /// Number of items that it has completed, if it is resumed.
    pub(crate) items_done: u64,
    /// Why it is not resumed, or why the table may hold other items.
    pub(crate) reason: Option<&'a str>,
    /// Whether the table may hold items of another source.
    pub(crate) has_other_items: bool,
}

pub(super) fn cannot_be_resumed(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let resume = facts.target.known()?.resume;
    let reason = resume.reason.filter(|_| !resume.is_resumed)?;
    let is_requested = facts.request.resume && facts.request.content.includes_items();
    is_requested.then(|| {
        let noun = facts.request.noun();
        let error = Error::failed(format!(
            "the interrupted {noun} into this table cannot be resumed: {reason}"
        ))
        .with_hint(format!(
            "omit {} to write every item from the beginning",
            Field::Resume
        ));
        Finding::Refusal(error)
    })
}

/// `--if-missing` and `--if-empty` complete the table of an unfinished restore, but only with the items of that restore.
pub(super) fn holds_items_of_another_restore(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let job = target.unfinished?;
    let is_completed = facts.request.existing.implies_resume() && !target.action.keeps();
    if !is_completed || !target.resume.has_other_items {
        return None;
    }

    let (table, source) = (&target.place.table, &job.source);
    let reason = target.resume.reason.unwrap_or("it was of another dump");
    let resume_hint = match &job.wrote {
        WrittenItems::ItemsOf(_) => {
            format!(
                "to finish it, restore {source} again with the same options and {}; ",
                Field::Resume
            )
        }
        WrittenItems::Nothing | WrittenItems::Unknown => String::new(),
    };

    let origin = if job.created {
        "was created by"
    } else {
        "contains items of"
    };
    let error = Error::failed(format!(
        "table {table} {origin} a restore of {source} that did not end; {reason}"
    ))
    .with_hint(format!(
        "{resume_hint}to start over with this source, pass {} instead",
        Field::ReplaceExisting
    ));
    Some(Finding::Refusal(error))
}

/// The value of the tag of a restore that has no journal on this machine.
fn restored_elsewhere(facts: &RestoreFacts<'_>) -> Option<String> {
    let target = facts.target.known()?;
    let is_own = target.unfinished.is_some_and(|job| job.created);
    target.existing?.restoring_tag().filter(|_| !is_own)
}

/// `--if-missing` and `--if-empty` do not succeed while a restore from another machine has not finished.
pub(super) fn is_restored_elsewhere(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.target.known()?;
    let value = restored_elsewhere(facts)?;
    if !facts.request.existing.implies_resume() {
        return None;
    }

    let description = target.existing?.description();
    let arn = description.table_arn.as_deref().unwrap_or("ARN");
    let error = Error::failed(format!(
        "table {} is not complete: a restore that is not known on this machine has not finished ({RESTORING_TAG}: {value})",
        target.place.table
    ))
    .with_hint(format!(
        "resume it where it was started, or start over with {}; if the table is complete, remove the tag: \
         `aws dynamodb untag-resource --resource-arn {arn} --tag-keys {RESTORING_TAG}`",
        Field::ReplaceExisting
    ));
    Some(Finding::Refusal(error))
}

pub(super) fn may_be_restored_elsewhere(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let value = restored_elsewhere(facts)?;
    Some(warning(format!(
        "A restore of this table that is not known on this machine has not finished ({RESTORING_TAG}: {value}). The tag will not be removed."
    )))
}

pub(super) fn starts_over(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let target = facts.existing_target()?;
    target.unfinished?;
    let resume = target.resume;
    if resume.is_resumed || !facts.request.content.includes_items() {
        return None;
    }

    let keeps_other_items = resume.has_other_items && !target.action.creates();
    let consequence = if keeps_other_items {
        "the items that it wrote remain in the table"
    } else {
        "every item is written again"
    };

    let reason = resume
        .reason
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    Some(warning(format!(
        "an earlier {} into this table did not end; {consequence}{reason}",
        facts.request.noun()
    )))
}
