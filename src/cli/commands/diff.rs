//! Output of `verifydb --schema-only`: one line per difference on standard output.

use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::text::format;
use crate::error::Result;
use crate::ops::restore::SchemaDifferences;
use crate::schema::Difference;

/// Prints differences, one per line.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn report_differences(
    found: &SchemaDifferences,
    session: &Session,
) -> Result<CommandOutcome> {
    session.progress.end();

    let not_compared = found
        .not_compared
        .iter()
        .map(|skipped| (skipped.setting.as_str(), skipped.reason.as_str()));
    let not_compared = format::grouped_by_reason(not_compared);
    if !not_compared.is_empty() {
        session
            .console
            .warning(&format!("Not compared:\n{}", not_compared.join("\n")));
    }

    session.console.info(&headline(found));
    let lines: Vec<String> = found
        .differences
        .iter()
        .map(|difference| line(difference, &found.sides))
        .collect();

    session.console.result_lines(&lines)?;

    CommandOutcome::acted(found, found.differences.is_empty())
}

fn headline(found: &SchemaDifferences) -> String {
    let SchemaDifferences {
        source,
        target,
        differences,
        ..
    } = found;

    let table = format!(
        "table {} of environment {}",
        target.table, target.environment
    );
    match differences.len() as u64 {
        0 => format!("{table} matches the schema of {source}"),
        count => format!(
            "{table} differs from the schema of {source} in {}",
            format::counted(count, "setting")
        ),
    }
}

fn line(difference: &Difference, [source, target]: &[String; 2]) -> String {
    let Difference {
        setting,
        dump,
        table,
        ..
    } = difference;

    format!("{setting}: {source} {dump} / {target} {table}")
}
