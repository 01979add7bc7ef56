//! Lifecycle of a command: parses arguments, runs it with signal handling, and reports the outcome.

use std::env::ArgsOs;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::args::{Arguments, CommonOptions, Unexecuted, parse};
use super::exit;
use super::report::{self, CommandOutcome};
use super::terminal::output::{Console, OutputOptions, write_data};
use super::terminal::progress::ProgressDisplay;
use super::terminal::prompt;
use super::terminal::set_messages::SetMessages;
use super::terminal::signals::{supervise, unless_cancelled};
use crate::environment::{
    Approval, Confirmation, Environment, EnvironmentRequest, NamedSource, ProcessEnvironment,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::field::name_fields_with;
use crate::layout::Rows;
use crate::ops;
use crate::ops::set::SetReporter;
use crate::store::{MissingDatabase, Reader, StoreOptions, Writer, resolve_environment};

/// Requests need little CPU time; compression and file access have threads of their own.
const WORKER_THREADS: usize = 2;

/// Time for blocking threads to end after the command has finished.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Output, progress and cancellation of a running command.
pub(crate) struct Session {
    pub(crate) console: Arc<Console>,
    pub(crate) progress: Arc<ProgressDisplay>,
    /// Cancelled by the first signal; the command then finishes its requests in flight and stops.
    pub(crate) cancel: CancellationToken,
    /// Hint of the error after a second signal; set once the command has written something that can be resumed.
    pub(crate) abort_hint: Arc<OnceLock<String>>,
}

/// Parses the arguments, of which the first one is the name of the program, runs the command and reports the outcome.
pub(crate) fn run_command<A, C, F>(arguments: ArgsOs, run: fn(C, Session) -> F) -> ExitCode
where
    A: Arguments<C>,
    F: Future<Output = Result<CommandOutcome>> + Send + 'static,
{
    name_fields_with(A::flag);

    let arguments = match parse::<A, C>(arguments) {
        Ok(arguments) => arguments,
        Err(unexecuted) => return answer(A::COMMAND, unexecuted),
    };

    let console = Arc::new(Console::new(A::COMMAND, arguments.output_options()));
    let outcome = arguments
        .resolve()
        .and_then(|command| execute(&console, A::IS_SERVER, |session| run(command, session)));

    finish(&console, &outcome)
}

/// Prints the answer to a command line that is not executed.
pub(crate) fn answer(command: &'static str, unexecuted: Unexecuted) -> ExitCode {
    match unexecuted {
        Unexecuted::Help(help) => {
            // A closed stream is not an error.
            let _ = help.print();
            ExitCode::from(exit::DONE)
        }
        Unexecuted::Text(text) => {
            let printed = write_data(&text);
            ExitCode::from(printed.map_or(exit::FAILED, |()| exit::DONE))
        }
        Unexecuted::Mistake(error) => {
            let options = OutputOptions {
                // The arguments could not be parsed, so look for the flag itself.
                json: std::env::args_os().any(|word| word == "--json"),
                ..OutputOptions::default()
            };
            finish(&Console::new(command, options), &Err(error))
        }
    }
}

/// Runs a command until it ends or a second signal aborts it.
fn execute<F>(
    console: &Arc<Console>,
    is_server: bool,
    run: impl FnOnce(Session) -> F,
) -> Result<CommandOutcome>
where
    F: Future<Output = Result<CommandOutcome>> + Send + 'static,
{
    let runtime = runtime()?;
    let cancel = CancellationToken::new();
    let progress = Arc::new(ProgressDisplay::new(Arc::clone(console)));
    let abort_hint = Arc::new(OnceLock::new());
    let session = Session {
        console: Arc::clone(console),
        progress: Arc::clone(&progress),
        cancel: cancel.clone(),
        abort_hint: Arc::clone(&abort_hint),
    };

    // A task of its own, so that signals are handled even while the command computes.
    let work = runtime.spawn(run(session));
    let outcome = runtime.block_on(supervise(work, console, is_server, &cancel, &abort_hint));
    progress.end();

    // After an interruption, a blocking thread may wait for a key press or a child process: do not wait for it.
    match &outcome {
        Err(error) if error.kind() == ErrorKind::Interrupted => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(SHUTDOWN_TIMEOUT),
    }

    outcome
}

fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build();
    runtime.map_err(|error| Error::failed("the runtime cannot be started").with_source(error))
}

/// Prints the error and the `--json` report, and returns the exit code.
fn finish(console: &Console, outcome: &Result<CommandOutcome>) -> ExitCode {
    if let Err(error) = outcome {
        console.error(error);
    }

    let mut code = report::exit_code(outcome);
    if console.options().json {
        let reported = report::text(console.command(), outcome, &console.warnings())
            .and_then(|text| write_data(&text));
        if let Err(error) = reported {
            // A command that succeeded without its report has failed for a script.
            console.error(&error);
            if code == exit::DONE {
                code = exit::FAILED;
            }
        }
    }

    ExitCode::from(code)
}

impl Session {
    /// Resolves the environment of a command, and checks it before the first request.
    ///
    /// # Errors
    /// See [`resolve_environment`]; the guard refuses the connection.
    pub(crate) async fn environment(&self, common: &CommonOptions) -> Result<Environment> {
        self.requested_environment(&common.environment).await
    }

    /// Resolves an environment, and checks it before the first request.
    ///
    /// # Errors
    /// See [`resolve_environment`]; the guard refuses the connection.
    pub(crate) async fn requested_environment(
        &self,
        request: &EnvironmentRequest,
    ) -> Result<Environment> {
        let process = ProcessEnvironment::capture();
        let environment = resolve_environment(request, &process).await?;
        ops::guard::check_connection(&environment)?;
        if self.console.options().verbose {
            for NamedSource {
                name,
                value,
                source,
            } in environment.sources()
            {
                let value = value.map_or_else(String::new, |value| format!(" {value}"));
                self.console.info(&format!("{name}{value}: {source}"));
            }
        }

        Ok(environment)
    }

    /// Connects to the environment's DynamoDB. `missing_database` applies to the embedded engine, whose
    /// new database is filled from the environment's sample.
    ///
    /// # Errors
    /// See [`Reader::open`]; the sample cannot be loaded; [`ErrorKind::Interrupted`] after a signal.
    pub(crate) async fn open(
        &self,
        environment: &Environment,
        common: &CommonOptions,
        missing_database: MissingDatabase,
    ) -> Result<Reader> {
        let options = StoreOptions {
            missing_database,
            reporter: self.reporter(),
            ..common.store_options()
        };
        let opening = ops::open(environment, options);

        unless_cancelled(&self.cancel, Box::pin(opening)).await
    }

    /// The confirmed write access to the store of a plan. If that is temporary because the database file is missing, the file is
    /// created: a refused command must not create it.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub(crate) async fn open_writer(
        &self,
        planned: Reader,
        environment: &Environment,
        common: &CommonOptions,
        confirmation: Confirmation,
    ) -> Result<Writer> {
        let store = if planned.is_temporary() {
            let created = self.open(environment, common, MissingDatabase::Create);
            created.await?
        } else {
            planned
        };

        Ok(Writer::new(store, confirmation))
    }

    /// The receiver of events.
    pub(crate) fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.progress) as Arc<dyn Reporter>
    }

    /// The receiver of the events of several tables.
    pub(crate) fn set_reporter(&self) -> Arc<dyn SetReporter> {
        Arc::new(SetMessages::new(Arc::clone(&self.console)))
    }

    /// Prints a plan and its warnings. `--quiet` hides the plan, unless it is a dry run or a prompt follows. A dry run shows all
    /// details, because the plan is its result.
    pub(crate) fn show_plan(
        &self,
        rows: &Rows,
        warnings: &[String],
        approval: &Approval,
        common: &CommonOptions,
    ) {
        self.progress.end();
        // Nobody can confirm a plan that is not shown.
        let needed = common.dry_run || !prompt::is_decided_by_flags(approval, &common.answers);
        if needed || !self.console.options().quiet {
            self.console.rows(rows, common.dry_run);
        }

        for warning in warnings {
            self.console.warning(warning);
        }

        prompt::show_questions(&self.console, approval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::output::testing::console;

    fn end(outcome: fn() -> Result<CommandOutcome>) -> (String, String) {
        let (console, output) = console(OutputOptions::default(), false);
        let console = Arc::new(console);
        let outcome = execute(&console, false, |_session| async move { outcome() });

        (format!("{:?}", finish(&console, &outcome)), output.text())
    }

    #[test]
    fn exit_code_matches_the_outcome_and_errors_are_printed() {
        let (code, output) = end(|| Err(Error::damaged("the dump is damaged")));
        assert_eq!(
            (code, output.as_str()),
            (
                format!("{:?}", ExitCode::from(12)),
                "[ERROR] The dump is damaged\n"
            )
        );

        let (code, output) = end(|| CommandOutcome::acted(&serde_json::json!({}), false));
        assert_eq!(
            (code, output.as_str()),
            (format!("{:?}", ExitCode::from(3)), "")
        );
    }

    #[test]
    fn panic_is_reported_as_a_failure() {
        let (code, output) = end(|| panic!("provoked"));
        assert_eq!(code, format!("{:?}", ExitCode::from(1)));
        assert!(
            output.starts_with("[ERROR] The command stopped unexpectedly; this is a bug\n"),
            "{output}"
        );
    }
}
