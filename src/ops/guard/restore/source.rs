//! Rules about the dump that is restored.

use super::RestoreFacts;
use crate::environment::Question;
use crate::error::Error;
use crate::field::Field;
use crate::ops::account_region::AccountRegion;
use crate::ops::guard::{Finding, warning};
use crate::ops::restore::{SourceFacts, TableAction, needs_item, nothing_to_write};
use crate::ops::source::ItemSource;
use crate::ops::table_location::TableLocation;
use crate::schema::TableOrigin;

/// The dump after its check.
#[derive(Debug)]
pub(crate) struct CheckedSource<'a> {
    pub(crate) facts: &'a SourceFacts,
    /// Whether it is damaged so that its metadata is lost.
    pub(crate) lacks_metadata: bool,
    /// Whether it is a complete dump of an empty table.
    pub(crate) is_of_empty_table: bool,
    /// What DynamoDB restores the table from, together with its items.
    pub(crate) origin: Option<TableOrigin>,
    /// Name of the backup of a copy, which may not exist yet.
    pub(crate) planned_backup: Option<&'a str>,
}

impl<'a> CheckedSource<'a> {
    pub(crate) fn new(facts: &'a SourceFacts, source: &'a ItemSource) -> Self {
        Self {
            facts,
            lacks_metadata: source.lacks_metadata(),
            is_of_empty_table: source.is_of_empty_table(),
            origin: source.origin(),
            planned_backup: source.planned_backup().map(|backup| &*backup.name),
        }
    }

    /// The reasons why the dump is incomplete in parentheses, or nothing.
    fn incompleteness_reasons(&self) -> String {
        let reasons = self.facts.partial.join(", ");
        if reasons.is_empty() {
            reasons
        } else {
            format!(" ({reasons})")
        }
    }
}

/// Standard input can be read only once.
pub(super) fn stream_is_read_twice(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let request = facts.request;
    let field = match (request.resume, request.salvage) {
        (true, _) => Field::Resume,
        (false, true) => Field::Salvage,
        (false, false) => return None,
    };

    request.reads_stdin().then(|| {
        let error = Error::usage(format!(
            "{field} needs a file: standard input can be read only once"
        ))
        .with_hint("save the items in a file first");
        Finding::Refusal(error)
    })
}

/// The items of a stream are counted while they are read.
pub(super) fn has_no_items(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let (source, target) = (facts.source.known()?, facts.target.known()?);
    let is_empty = source.facts.items == Some(0);
    let needs_item = needs_item(facts.request, target.action, source.is_of_empty_table);
    (is_empty && needs_item).then(|| {
        let error = nothing_to_write(source.facts, &target.place.table, None);
        Finding::Refusal(error)
    })
}

/// With a part of the source, items that it has would be deleted.
pub(super) fn part_decides_what_is_deleted(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let request = facts.request;
    if !request.delete_extra {
        return None;
    }

    let scan = request.scan();
    let field = if scan.is_none_or(|scan| scan.options.limit.is_some()) {
        Field::Limit
    } else if scan.is_some_and(|scan| scan.options.selection.filter().is_some()) {
        Field::FilterExpression
    } else if !request.content.includes_items() {
        Field::SchemaOnly
    } else {
        request.transform.selections().next()?.0
    };

    let error = Error::usage(format!(
        "{} cannot be combined with {field}: items that are not read would be deleted",
        Field::DeleteExtra
    ))
    .with_hint("omit one of them");
    Some(Finding::Refusal(error))
}

pub(super) fn incomplete(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let source = facts.source.known()?;
    if source.facts.complete {
        return None;
    }

    let reasons = source.incompleteness_reasons();
    Some(warning(if source.facts.scan.is_some() {
        format!("Only part of the source table is copied{reasons}.")
    } else {
        format!("the dump contains part of the table{reasons}")
    }))
}

pub(super) fn unknown_origin(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let source = facts.source.known()?;
    (source.lacks_metadata && source.facts.environment.is_none()).then(|| {
        let risk = "the damaged dump does not say which environment it is from";
        Finding::Question(Question::OtherRisk(risk.to_owned()))
    })
}

pub(super) fn cross_environment(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let (source, target) = (facts.source.known()?, facts.target.known()?);
    let (source, target) = crossed_environments(source.facts, target.place)?;
    Some(Finding::Question(Question::CrossEnvironment {
        source,
        target,
    }))
}

/// Replacing a table from a source that is known to lack items.
pub(super) fn incomplete_replacement(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let source = facts.source.known()?;
    let target = facts.existing_target()?;
    if !matches!(target.action, TableAction::Replace { .. }) {
        return None;
    }

    let reasons = source.incompleteness_reasons();
    let risk = match (source.facts.salvage, &source.facts.scan) {
        (None, _) if source.facts.complete => return None,
        (Some(_), _) => {
            "the dump is damaged: the new table will lack the items that the dump lacks".to_owned()
        }
        (None, None) => format!(
            "the dump is incomplete{reasons}: the new table will lack the items that the dump lacks"
        ),
        (None, Some(_)) => format!(
            "only part of the source table is copied{reasons}: the new table will lack the other items"
        ),
    };

    Some(Finding::Question(Question::OtherRisk(risk)))
}

/// DynamoDB restores into a new table only, so the old one is gone if that fails.
pub(super) fn remains_if_restore_fails(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let source = facts.source.known()?;
    let target = facts.existing_target()?;
    if !matches!(target.action, TableAction::Replace { .. }) {
        return None;
    }

    let remains = match (source.planned_backup, &source.origin) {
        (Some(name), _) => {
            let risk = format!(
                "if DynamoDB cannot restore the table after the deletion, backup {name} remains, and the same command with {} restores it",
                Field::Resume
            );
            return Some(Finding::Question(Question::OtherRisk(risk)));
        }
        (None, None) => return None,
        (None, Some(TableOrigin::Backup { arn })) => format!("backup {arn}"),
        (None, Some(origin @ TableOrigin::PointInTime { .. })) => {
            let table = origin.table_name().unwrap_or("the source");
            format!("table {table} with its point-in-time history")
        }
    };
    let risk = format!(
        "if DynamoDB cannot restore the table after the deletion, {remains} remains, and the same command restores it"
    );
    Some(Finding::Question(Question::OtherRisk(risk)))
}

/// An environment and where it is.
fn place(table: &TableLocation) -> String {
    format!("{} ({})", table.environment, table.location())
}

/// Source and target environment, if they differ. Because one name may stand for two places (`no-env` always may), account and region
/// are compared as well, as far as they are known. Local engines invent accounts.
fn crossed_environments(facts: &SourceFacts, target: &TableLocation) -> Option<(String, String)> {
    let source = facts.environment.as_deref();
    if let Some(source) = source
        && source != target.environment
    {
        return Some(match &facts.scan {
            Some(scan) => (place(&scan.location), place(target)),
            None => (source.to_owned(), target.environment.clone()),
        });
    }

    // A local target may stand for any region, unless the dump is of an environment with the same name.
    let [from, to] = [
        (&facts.account, &facts.region),
        (&target.account, &target.region),
    ]
    .map(|(account, region)| AccountRegion {
        account: account.as_deref().filter(|_| !target.local),
        region: region
            .as_deref()
            .filter(|_| source.is_some() || !target.local),
    });

    from.differs_from(to).then(|| {
        let source = source.unwrap_or("unknown environment");
        (
            format!("{source} ({from})"),
            format!("{} ({to})", target.environment),
        )
    })
}
