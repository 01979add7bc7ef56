//! Execution of `dumpdb --list-tables`: a table of tables on standard output.

use std::path::Path;

use crate::cli::args::DumpCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::{format, table_list};
use crate::error::Result;
use crate::ops::guard;
use crate::ops::set::{self, TableSelection};
use crate::store::MissingDatabase;

/// Lists the selected tables. `dumps` is the folder of the last dumps.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(super) async fn run(
    command: &DumpCommand,
    dumps: &Path,
    session: &Session,
) -> Result<CommandOutcome> {
    let common = &command.common;
    let environment = session.environment(common).await?;
    let selection = TableSelection::for_listing(&environment, &command.selection)?;
    for warning in guard::check_connection(&environment)? {
        session.console.warning(&warning);
    }

    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    let listing = set::list(&store, &environment, &selection, dumps);
    let list = unless_cancelled(&session.cancel, Box::pin(listing)).await?;
    session.progress.end();

    let failures = format::grouped_by_reason(list.failures());
    if !failures.is_empty() {
        let failures = failures.join("\n");
        session
            .console
            .warning(&format!("Not described:\n{failures}"));
    }

    session.console.result_lines(&table_list::lines(&list))?;

    CommandOutcome::acted(&list, true)
}
