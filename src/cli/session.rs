//! One run of a command, from its arguments to its exit code.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::args::{Arguments, CommonOptions};
use super::exit;
use super::report::{self, CommandOutcome};
use super::terminal::output::{Console, write_data};
use super::terminal::progress::ProgressDisplay;
use super::terminal::prompt;
use super::terminal::signals::{supervise, unless_cancelled};
use super::text::plan::Section;
use crate::environment::{Approval, Environment, ProcessEnvironment};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::store::{MissingDatabase, Store, StoreOptions};

/// Calls in flight are few and cheap; compression and file access have threads of their own.
const WORKER_THREADS: usize = 2;

/// How long an ended command waits for its threads: they have nothing left to do.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// What a command talks through.
pub(crate) struct Session {
    pub(crate) console: Arc<Console>,
    pub(crate) progress: Arc<ProgressDisplay>,
    /// Fires when the command is to stop cleanly.
    pub(crate) cancel: CancellationToken,
    /// What to do next if the command is left at once; to be set when that is known.
    pub(crate) abort_hint: Arc<OnceLock<String>>,
}

/// Reads the command line, runs the command, and tells how it ended.
pub(crate) fn run_command<A, C, F>(run: fn(C, Session) -> F) -> ExitCode
where
    A: Arguments<C>,
    F: Future<Output = Result<CommandOutcome>> + Send + 'static,
{
    let arguments = match A::try_parse() {
        Ok(arguments) => arguments,
        Err(notice) => {
            // Help, version, or what is wrong with the command line. Whoever has closed the stream does not want it.
            let _ = notice.print();
            let code = u8::try_from(notice.exit_code()).unwrap_or(exit::USAGE);
            if code == exit::USAGE && std::env::args_os().any(|word| word == "--json") {
                let error = Error::usage(clap_message(&notice.to_string()));
                let _ =
                    report::text(A::COMMAND, &Err(error), &[]).and_then(|text| write_data(&text));
            }

            return ExitCode::from(code);
        }
    };

    let console = Arc::new(Console::new(A::COMMAND, arguments.output_options()));
    let outcome = arguments
        .resolve()
        .and_then(|command| execute(&console, |session| run(command, session)));

    finish(&console, &outcome)
}

/// What clap says is wrong, without its mark before and its pointers behind.
fn clap_message(notice: &str) -> String {
    let text = notice
        .split("\n\nUsage:")
        .next()
        .and_then(|text| text.split("\n\nFor more").next())
        .unwrap_or(notice);

    let lines = text
        .trim_start_matches("error: ")
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());

    lines.collect::<Vec<_>>().join("; ")
}

/// Runs a command to its end, or to the second signal.
fn execute<F>(console: &Arc<Console>, run: impl FnOnce(Session) -> F) -> Result<CommandOutcome>
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

    // A task of its own: signals are heard even while the command computes.
    let work = runtime.spawn(run(session));
    let outcome = runtime.block_on(supervise(work, console, &cancel, &abort_hint));
    progress.end();

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

/// Tells how a command ended: the error to people, the report to programs, the code to both.
fn finish(console: &Console, outcome: &Result<CommandOutcome>) -> ExitCode {
    if let Err(error) = outcome {
        console.error(error);
    }

    let mut code = report::exit_code(outcome);
    if console.options().json {
        let reported = report::text(console.command(), outcome, &console.warnings())
            .and_then(|text| write_data(&text));
        if let Err(error) = reported {
            console.error(&error);
            if code == exit::DONE {
                code = exit::FAILED;
            }
        }
    }

    ExitCode::from(code)
}

impl Session {
    /// The environment that the command line means.
    ///
    /// # Errors
    /// See [`Environment::resolve`].
    pub(crate) fn environment(&self, common: &CommonOptions) -> Result<Environment> {
        let environment =
            Environment::resolve(&common.environment, &ProcessEnvironment::capture())?;
        if self.console.options().verbose {
            for setting in setting_sources(&environment, &common.environment.working_dir) {
                self.console.info(&setting);
            }
        }

        Ok(environment)
    }

    /// Opens the environment's DynamoDB. `missing_database` is for the embedded engine.
    ///
    /// # Errors
    /// See [`Store::open`]; interrupted.
    pub(crate) async fn open(
        &self,
        environment: &Environment,
        common: &CommonOptions,
        missing_database: MissingDatabase,
    ) -> Result<Store> {
        let options = StoreOptions {
            give_up_after: common.give_up_after,
            wait: common.wait,
            concurrency: common.concurrency,
            wire_compression: common.wire_compression,
            missing_database,
            reporter: self.reporter(),
        };

        unless_cancelled(&self.cancel, Box::pin(Store::open(environment, options))).await
    }

    /// Who hears of events.
    pub(crate) fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.progress) as Arc<dyn Reporter>
    }

    /// Shows a plan with its warnings. `--quiet` leaves the warnings, unless the plan is what was asked for or is asked about.
    pub(crate) fn show_plan(
        &self,
        sections: &[Section],
        warnings: &[String],
        approval: &Approval,
        common: &CommonOptions,
    ) {
        self.progress.end();
        let needed = common.dry_run || !prompt::is_decided_by_flags(approval, &common.answers);
        if needed || !self.console.options().quiet {
            for (heading, lines) in sections {
                self.console.section(heading, lines);
            }
        }

        for warning in warnings {
            self.console.warning(warning);
        }

        prompt::show_questions(&self.console, approval);
    }
}

/// The settings of an environment, each with the place that named it. No secret is among them.
fn setting_sources(environment: &Environment, working_dir: &Path) -> Vec<String> {
    let shown = |file: &Path| {
        file.strip_prefix(working_dir)
            .unwrap_or(file)
            .display()
            .to_string()
    };

    let file = environment
        .file()
        .map_or_else(|| "no env file".to_owned(), shown);
    let mut settings = vec![format!("environment {}: {file}", environment.name())];
    if let Some(table) = environment.table() {
        settings.push(format!("table {}: {}", table.value, table.source));
    }

    if let Some(region) = environment.region() {
        settings.push(format!("region {}: {}", region.value, region.source));
    }

    if let Some(source) = environment.endpoint().source() {
        settings.push(format!("endpoint {}: {source}", environment.endpoint()));
    }

    if let Some(source) = environment.credentials().source() {
        settings.push(format!("credentials: {source}"));
    }

    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::output::OutputOptions;
    use crate::cli::terminal::output::testing::console;

    fn end(outcome: fn() -> Result<CommandOutcome>) -> (String, String) {
        let (console, heard) = console(OutputOptions::default(), false);
        let console = Arc::new(console);
        let outcome = execute(&console, |_session| async move { outcome() });

        (format!("{:?}", finish(&console, &outcome)), heard.text())
    }

    #[test]
    fn the_exit_code_follows_the_outcome_and_an_error_is_told() {
        let (code, talk) = end(|| Err(Error::damaged("the dump is damaged")));
        assert_eq!(
            (code, talk.as_str()),
            (
                format!("{:?}", ExitCode::from(12)),
                "[ERROR] dumpdb: the dump is damaged\n"
            )
        );

        let (code, talk) = end(|| CommandOutcome::acted(&serde_json::json!({}), false));
        assert_eq!(
            (code, talk.as_str()),
            (format!("{:?}", ExitCode::from(3)), "")
        );
    }

    #[test]
    fn an_error_in_the_program_is_a_failure_not_a_hang() {
        let (code, talk) = end(|| panic!("provoked"));
        assert_eq!(code, format!("{:?}", ExitCode::from(1)));
        assert!(
            talk.starts_with(
                "[ERROR] dumpdb: the command was cut off by an error in the program\n"
            ),
            "{talk}"
        );
    }
}
