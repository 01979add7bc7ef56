//! The two streams. Standard output carries data alone; all sink goes to standard error, in lines that say what they are:
//! `[INFO]`, `[WARNING]`, `[ERROR]`.
//!
//! Every line is escaped here, so that no text from a file or a server steers the terminal. A stream that its reader has closed
//! is no failure: there is nobody left to tell.

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Style, style};
use indicatif::ProgressBar;

use crate::cli::text::format::escape;
use crate::error::{Error, Result};

/// How much is said, and how it looks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutputOptions {
    /// Warnings and errors alone.
    pub(crate) quiet: bool,
    /// Retries and where settings come from, too.
    pub(crate) verbose: bool,
    /// One report object on standard output.
    pub(crate) json: bool,
    /// Whether to colour.
    pub(crate) color: Color,
}

/// When to colour. `Auto` is on a terminal, unless `NO_COLOR` is set or the terminal is a `dumb` one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// <https://no-color.org>: any value that is not empty.
    fn is_on(self, is_terminal: bool) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto => is_terminal && !refused && !is_dumb(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether the terminal knows nothing but text, as that of an editor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Standard error, and the progress bar that stands in its last line.
pub(crate) struct Console {
    command: &'static str,
    options: OutputOptions,
    /// Standard error is a terminal.
    is_terminal: bool,
    sink: Mutex<Box<dyn Write + Send>>,
    bar: Mutex<Option<ProgressBar>>,
    /// Every warning so far, for the report of `--json`.
    warnings: Mutex<Vec<String>>,
    /// A question stands in the last line.
    is_prompting: AtomicBool,
}

impl Console {
    /// Talks on standard error as `command`.
    pub(crate) fn new(command: &'static str, options: OutputOptions) -> Self {
        Self::with_sink(
            command,
            options,
            io::stderr().is_terminal(),
            Box::new(io::stderr()),
        )
    }

    fn with_sink(
        command: &'static str,
        options: OutputOptions,
        is_terminal: bool,
        sink: Box<dyn Write + Send>,
    ) -> Self {
        console::set_colors_enabled_stderr(options.color.is_on(is_terminal));
        Self {
            command,
            options,
            is_terminal,
            sink: Mutex::new(sink),
            bar: Mutex::new(None),
            warnings: Mutex::new(Vec::new()),
            is_prompting: AtomicBool::new(false),
        }
    }

    pub(crate) fn command(&self) -> &'static str {
        self.command
    }

    pub(crate) fn options(&self) -> OutputOptions {
        self.options
    }

    /// Whether progress bars can be drawn: a dumb terminal cannot go back in its line.
    pub(crate) fn draws_bars(&self) -> bool {
        self.is_terminal && !self.options.quiet && !is_dumb()
    }

    /// Whether somebody can be asked: both ends of the conversation are a terminal.
    pub(crate) fn can_prompt(&self) -> bool {
        self.is_terminal && io::stdin().is_terminal()
    }

    /// Whether a question stands in the last line.
    pub(crate) fn is_prompting(&self) -> bool {
        self.is_prompting.load(Ordering::Relaxed)
    }

    /// Says whether a question stands in the last line.
    pub(crate) fn set_prompting(&self, is_prompting: bool) {
        self.is_prompting.store(is_prompting, Ordering::Relaxed);
    }

    /// Something worth knowing; silent with `--quiet`.
    pub(crate) fn info(&self, text: &str) {
        if !self.options.quiet {
            self.labelled("[INFO]", &Style::new().cyan(), text);
        }
    }

    /// Something that deserves attention.
    pub(crate) fn warning(&self, text: &str) {
        if self.options.json {
            lock(&self.warnings).push(text.to_owned());
        }

        self.labelled("[WARNING]", &Style::new().yellow().bold(), text);
    }

    /// Every warning so far; kept with `--json` only.
    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// A failure: what happened, its causes, what to do next.
    pub(crate) fn error(&self, error: &Error) {
        let mut what = error.to_string();
        what.insert_str(0, ": ");
        what.insert_str(0, self.command);

        // In a log every kind of line has its label; a person at a terminal knows what they started.
        if self.is_terminal {
            self.lines(&indent_continuation(&what));
        } else {
            self.labelled("[ERROR]", &Style::new().red().bold(), &what);
        }

        let details: Vec<String> = error
            .details()
            .iter()
            .map(|line| format!("    {line}"))
            .collect();

        self.lines(&details);

        for cause in distinct_causes(error) {
            self.lines(&indent_continuation(&format!("  caused by: {cause}")));
        }

        if let Some(hint) = error.hint() {
            self.lines(&indent_continuation(&format!("hint: {hint}")));
        }
    }

    /// Lines as they are.
    pub(crate) fn lines(&self, lines: &[String]) {
        let mut text = String::new();
        for line in lines {
            text.push_str(&escape(line));
            text.push('\n');
        }

        self.write(&text);
    }

    /// Lines in colour.
    pub(crate) fn styled_lines(&self, lines: &[(String, Style)]) {
        let styled = lines.iter().map(|(line, style)| {
            format!("{}\n", style.clone().for_stderr().apply_to(escape(line)))
        });
        self.write(&styled.collect::<String>());
    }

    /// A heading and its lines.
    pub(crate) fn section(&self, heading: &str, lines: &[String]) {
        if self.is_terminal {
            let heading = style(escape(heading)).for_stderr().bold();
            self.write(&format!("{heading}\n"));
        } else {
            self.labelled("[INFO]", &Style::new().cyan(), heading);
        }

        self.lines(lines);
    }

    /// What was done, headline first; silent with `--quiet`.
    pub(crate) fn result(&self, lines: &[String]) {
        if let Some((headline, lines)) = lines.split_first().filter(|_| !self.options.quiet) {
            self.section(headline, lines);
        }
    }

    /// Something that went wrong though the run went on to its end.
    pub(crate) fn problem(&self, text: &str) {
        self.labelled("[ERROR]", &Style::new().red().bold(), text);
    }

    /// Puts `bar` into the last line of the terminal, in place of the one there.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        if let Some(old) = std::mem::replace(&mut *lock(&self.bar), bar) {
            old.finish_and_clear();
        }
    }

    /// Does something with the bar, if there is one.
    pub(crate) fn with_bar(&self, change: impl FnOnce(&ProgressBar)) {
        if let Some(bar) = &*lock(&self.bar) {
            change(bar);
        }
    }

    fn labelled(&self, label: &str, style: &Style, text: &str) {
        let mut lines = indent_continuation(text).into_iter();
        let first = lines.next().unwrap_or_default();
        let label = style.clone().for_stderr().apply_to(label);
        self.write(&format!("{label} {}\n", escape(&first)));
        self.lines(&lines.collect::<Vec<_>>());
    }

    /// Writes above the bar. An error has nowhere to go.
    fn write(&self, text: &str) {
        let write = || {
            let mut sink = lock(&self.sink);
            let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        };
        match &*lock(&self.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// Writes data to standard output.
///
/// # Errors
/// Standard output refuses it, unless that is because its reader has gone.
pub(crate) fn write_data(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed("cannot write to standard output").with_source(error))
        }
        _ => Ok(()),
    }
}

/// Whether the failure is that the reader of a pipe has gone.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            return true;
        }

        cause = error.source();
    }

    false
}

/// The causes that say more than the line above them.
fn distinct_causes(error: &Error) -> Vec<String> {
    let mut said = error.to_string();
    error
        .causes()
        .filter(|cause| {
            let is_new = !said.contains(cause.as_str());
            if is_new {
                said.clone_from(cause);
            }

            is_new
        })
        .collect()
}

/// A text of several lines, the further ones indented, so that none of them passes for a line of its own.
fn indent_continuation(text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    std::iter::once(first)
        .chain(lines.map(|line| format!("    {line}")))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod testing {
    //! A console whose sink can be read.

    use std::sync::Arc;

    use super::*;

    /// What was said so far.
    #[derive(Clone, Default)]
    pub(crate) struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

    impl CapturedOutput {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    impl Write for CapturedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console in a log, or on something that it takes for a terminal.
    pub(crate) fn console(options: OutputOptions, is_terminal: bool) -> (Console, CapturedOutput) {
        let heard = CapturedOutput::default();
        let options = OutputOptions {
            color: Color::Never,
            ..options
        };
        (
            Console::with_sink("dumpdb", options, is_terminal, Box::new(heard.clone())),
            heard,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::testing::console;
    use super::*;

    fn error() -> Error {
        Error::not_found("no answer from http://x\u{1b}[31m")
            .with_source(
                Error::failed("tcp connect error")
                    .with_source(io::Error::other("refused\nfor a reason")),
            )
            .with_hint("start it")
    }

    #[test]
    fn an_error_in_a_log() {
        let (console, heard) = console(OutputOptions::default(), false);
        console.error(&error());
        assert_eq!(
            heard.text(),
            "[ERROR] dumpdb: no answer from http://x\\u{1b}[31m\n  caused by: tcp connect error\n  caused by: refused\n    \
             for a reason\nhint: start it\n"
        );
    }

    #[test]
    fn an_error_at_a_terminal() {
        let (console, heard) = console(OutputOptions::default(), true);
        console.error(&error());
        assert!(
            heard.text().starts_with("dumpdb: no answer from "),
            "{}",
            heard.text()
        );
    }

    #[test]
    fn a_cause_that_was_already_told_is_not_told_again() {
        let cause = io::Error::other("disk full");
        let error = Error::failed(format!("cannot write x: {cause}")).with_source(cause);
        assert!(distinct_causes(&error).is_empty());
    }

    #[test]
    fn quiet_means_warnings_and_errors_alone() {
        let (console, heard) = console(
            OutputOptions {
                quiet: true,
                ..OutputOptions::default()
            },
            false,
        );

        console.info("not this");
        console.warning("this\n[INFO] no line of its own");
        assert_eq!(
            heard.text(),
            "[WARNING] this\n    [INFO] no line of its own\n"
        );
    }

    #[test]
    fn a_closed_pipe_is_found_below_other_causes() {
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(
            &Error::failed("a").with_source(Error::failed("b").with_source(pipe))
        ));
        assert!(!is_closed_pipe(&error()));
    }
}
