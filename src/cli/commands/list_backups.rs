//! Execution of `restoredb --list-backups`: a table of on-demand backups on standard output.

use crate::cli::args::RestoreCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::backup_list;
use crate::error::Result;
use crate::ops::guard;
use crate::ops::managed_backups;
use crate::store::MissingDatabase;

/// Lists the on-demand backups of `tables`, or of all tables.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(super) async fn run(
    command: &RestoreCommand,
    tables: &[String],
    session: &Session,
) -> Result<CommandOutcome> {
    let common = &command.common;
    let environment = session.environment(common).await?;
    for warning in guard::check_connection(&environment)? {
        session.console.warning(&warning);
    }

    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    let listing = managed_backups::list(&store, &environment, tables);
    let list = unless_cancelled(&session.cancel, Box::pin(listing)).await?;
    session.progress.end();

    if list.backups.is_empty() {
        session.console.info(&backup_list::nothing(&list, tables));
        return CommandOutcome::acted(&list, true);
    }

    session.console.result_lines(&backup_list::lines(&list))?;

    CommandOutcome::acted(&list, true)
}
