//! The rules for a dump.

use super::{Connection, Fact, Finding, Findings, connection, warning};
use crate::backup::{Metadata, TargetContents};
use crate::environment::Question;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::{counted, names};
use crate::ops::ContentScope;
use crate::ops::account_region::AccountRegion;
use crate::ops::dump::{DumpRequest, InterruptedDump};
use crate::ops::table_location::TableLocation;
use crate::schema::{TableSchema, account_of};

/// What is known about a dump.
#[derive(Debug)]
pub(crate) struct DumpFacts<'a> {
    /// The options of the command.
    pub(crate) request: &'a DumpRequest,
    pub(crate) connection: &'a Connection,
    /// What is at the target, which the dump replaces.
    pub(crate) replaced: Fact<&'a TargetContents>,
    /// The table.
    pub(crate) table: Fact<DumpedTable<'a>>,
    /// The interrupted dump into the same target.
    pub(crate) interrupted: Fact<Option<&'a InterruptedDump>>,
}

/// The table that is dumped.
#[derive(Debug)]
pub(crate) struct DumpedTable<'a> {
    pub(crate) location: &'a TableLocation,
    pub(crate) schema: &'a TableSchema,
}

type Rule = fn(&DumpFacts<'_>) -> Option<Finding>;

const RULES: &[Rule] = &[
    resumes_another_dump,
    is_not_ready,
    masked_keys,
    partial_dump,
    replaces_set,
    another_table,
    another_environment,
    another_account,
];

/// Applies the rules for a dump.
///
/// # Errors
/// The dump is refused.
pub(crate) fn dump(facts: &DumpFacts<'_>) -> Result<Findings> {
    let mut findings = Findings::default();
    findings.extend(facts, RULES)?;
    findings.extend(facts.connection, connection::RULES)?;

    Ok(findings)
}

fn resumes_another_dump(facts: &DumpFacts<'_>) -> Option<Finding> {
    let obstacles = &facts.interrupted.known()?.as_ref()?.obstacles;
    (facts.request.resume && !obstacles.is_empty()).then(|| {
        let error = Error::usage(
            "the interrupted dump is of another table or was started with other options",
        )
        .with_details(obstacles.iter().cloned())
        .with_hint(format!(
            "give the same options again, or omit {} to start over",
            Field::Resume
        ));
        Finding::Refusal(error)
    })
}

fn is_not_ready(facts: &DumpFacts<'_>) -> Option<Finding> {
    let schema = facts.table.known()?.schema;
    (!schema.is_active()).then(|| Finding::Warning(schema.activity()))
}

/// Collisions are found only among the items of one run, and masked keys must not be in a journal.
fn masked_keys(facts: &DumpFacts<'_>) -> Option<Finding> {
    if !facts.request.masks_key(facts.table.known()?.schema) {
        return None;
    }

    Some(warning(
        "a mask changes keys, all of which are compared at the end: the dump cannot be resumed",
    ))
}

/// A question about a risk.
fn risk(text: String) -> Finding {
    Finding::Question(Question::OtherRisk(text))
}

/// A dump of a part replaces one that may be whole.
fn partial_dump(facts: &DumpFacts<'_>) -> Option<Finding> {
    let TargetContents::Dump(old) = facts.replaced.known()? else {
        return None;
    };

    let request = facts.request;
    let is_part = request.scan.limit.is_some() || !request.scan.selection.is_empty();
    let part = match request.content {
        ContentScope::SchemaOnly => "would contain no items",
        ContentScope::DataOnly => "would contain no schema",
        ContentScope::All if is_part => "would contain part of the table",
        ContentScope::All if !request.transform.is_empty() => "would contain transformed items",
        ContentScope::All => return None,
    };

    if old.as_ref().is_some_and(|old| !old.complete) {
        return None;
    }

    Some(risk(format!(
        "the existing dump may be complete; the new one {part}"
    )))
}

fn replaces_set(facts: &DumpFacts<'_>) -> Option<Finding> {
    let TargetContents::Set(set) = facts.replaced.known()? else {
        return None;
    };

    let tables: Vec<String> = set.tables.keys().cloned().collect();
    let tables = names(&tables, false);
    Some(risk(format!(
        "the existing set of {} ({tables}) would be replaced by a dump of one table",
        counted(set.tables.len() as u64, "table")
    )))
}

fn another_table(facts: &DumpFacts<'_>) -> Option<Finding> {
    let (old, new) = (replaced_dump(facts)?, facts.table.known()?.location);
    is_of_another("table", &old.table, &new.table)
}

fn another_environment(facts: &DumpFacts<'_>) -> Option<Finding> {
    let (old, new) = (replaced_dump(facts)?, facts.table.known()?.location);
    is_of_another("environment", &old.environment, &new.environment)
}

fn is_of_another(what: &str, old: &str, new: &str) -> Option<Finding> {
    if old == new {
        return None;
    }

    Some(risk(format!(
        "the existing dump is of {what} {old}, not {new}"
    )))
}

/// An environment may have changed its account or region.
fn another_account(facts: &DumpFacts<'_>) -> Option<Finding> {
    let (old, new) = (replaced_dump(facts)?, facts.table.known()?.location);
    let from = AccountRegion {
        account: old.table_arn.as_deref().and_then(account_of),
        region: old.region.as_deref(),
    };
    // With the account that a local engine invents: a dump of AWS is never taken for one of that engine.
    let to = AccountRegion {
        account: new.account.as_deref(),
        region: new.region.as_deref(),
    };

    if old.environment != new.environment || !from.differs_from(to) {
        return None;
    }

    Some(risk(format!(
        "the dump to be replaced is of a table in {from}, not in {to}"
    )))
}

/// The metadata of the dump that is replaced, if it has any.
fn replaced_dump<'a>(facts: &DumpFacts<'a>) -> Option<&'a Metadata> {
    match facts.replaced.known()? {
        TargetContents::Dump(old) => old.as_deref(),
        TargetContents::Absent | TargetContents::Empty | TargetContents::Set(_) => None,
    }
}
