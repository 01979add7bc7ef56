//! Execution of `dumpdb --doctor`: a row for each check on standard output.

use crate::cli::args::{DumpCommand, state_dir};
use crate::cli::exit;
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::doctor;
use crate::cli::text::summary::OutcomeText;
use crate::environment::ProcessEnvironment;
use crate::error::Result;
use crate::ops::doctor::{DoctorRequest, diagnose};

/// Checks what the dump needs.
///
/// # Errors
/// Interrupted; standard output cannot be written. A problem that was found is not an error.
pub(super) async fn run(command: &DumpCommand, session: &Session) -> Result<CommandOutcome> {
    let request = DoctorRequest {
        environment: command.common.environment.clone(),
        selection: command.selection.clone(),
        target: command.request.target.clone(),
        compression: command.request.compression,
        state_dir: state_dir(),
        reporter: session.reporter(),
    };
    let process = ProcessEnvironment::capture();
    let checking = async { Ok(Box::pin(diagnose(&request, &process)).await) };
    let diagnosis = unless_cancelled(&session.cancel, checking).await?;
    session.progress.end();

    let console = &session.console;
    let is_quiet = console.options().quiet;
    console.result_rows(&doctor::rows(&diagnosis, is_quiet), doctor::style)?;
    let verdict = doctor::verdict(&diagnosis);
    if diagnosis.problems > 0 {
        console.outcome(&OutcomeText {
            problems: vec![verdict],
            ..OutcomeText::default()
        });
    } else if diagnosis.warnings > 0 {
        console.warning(&verdict);
    } else {
        console.info(&verdict);
    }

    let exit_code = diagnosis
        .failure()
        .map_or(exit::DONE, |kind| exit::of_error(kind).code);
    CommandOutcome::diagnosed(&diagnosis, exit_code)
}
