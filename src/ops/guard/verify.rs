//! The rules for a comparison, which changes nothing: there are no questions.

use super::{Fact, Finding, Findings, warning};
use crate::error::{Error, Result};
use crate::field::Field;

/// What is known about a comparison.
#[derive(Debug, Default)]
pub(crate) struct ComparisonFacts<'a> {
    /// The dump that a table is compared with.
    pub(crate) dump: Fact<ComparedDump>,
    /// The tables that are compared with each other.
    pub(crate) tables: Fact<ComparedTables<'a>>,
}

/// A dump that a table is compared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct ComparedDump {
    pub(crate) is_stream: bool,
    /// The reasons why it contains only part of the table; `None` if it is complete.
    pub(crate) partial: Option<Vec<String>>,
}

/// Two tables that are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComparedTables<'a> {
    /// Name and environment of the first one.
    pub(crate) table: &'a str,
    pub(crate) environment: &'a str,
    /// Whether both are the same table.
    pub(crate) are_same: bool,
}

type Rule = fn(&ComparisonFacts<'_>) -> Option<Finding>;

const RULES: &[Rule] = &[stream_is_compared, table_with_itself, partial_dump];

/// Applies the rules for a comparison, and returns the warnings.
///
/// # Errors
/// The comparison is refused.
pub(crate) fn compare(facts: &ComparisonFacts<'_>) -> Result<Vec<String>> {
    let mut findings = Findings::default();
    findings.extend(facts, RULES)?;

    Ok(findings.warnings)
}

/// Items that differ are read a second time.
fn stream_is_compared(facts: &ComparisonFacts<'_>) -> Option<Finding> {
    facts.dump.known()?.is_stream.then(|| {
        let error =
            Error::usage("items from a stream cannot be compared: a stream can be read only once")
                .with_hint("save it to a file first");
        Finding::Refusal(error)
    })
}

/// The result would be "equal", and a wrong option for the second table would go unnoticed.
fn table_with_itself(facts: &ComparisonFacts<'_>) -> Option<Finding> {
    let ComparedTables {
        table,
        environment,
        are_same,
    } = facts.tables.known()?;

    are_same.then(|| {
        let error = Error::usage(format!(
            "table {table} of environment {environment} would be compared with itself"
        ))
        .with_hint(format!(
            "name another table with {}, or another environment with {}",
            Field::SecondTable,
            Field::SecondEnvironment
        ));
        Finding::Refusal(error)
    })
}

fn partial_dump(facts: &ComparisonFacts<'_>) -> Option<Finding> {
    let partial = facts.dump.known()?.partial.as_ref()?;
    Some(warning(format!(
        "the dump contains part of the table ({}): the table may contain more items",
        partial.join(", ")
    )))
}
