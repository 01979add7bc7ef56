//! Standard output and standard error. Data goes to standard output, messages to standard error with a label: `[INFO]`,
//! `[WARNING]`, `[ERROR]`.
//!
//! All text is escaped here, because names and messages from files and servers could control the terminal. Errors of standard error
//! are ignored: there is no other place to report them.

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use console::{Style, Term, style};
use indicatif::ProgressBar;

use crate::cli::text::summary::OutcomeText;
use crate::error::{Error, Result};
use crate::layout::{Line, Rows, escape, sentence_case};

/// Verbosity and format of the output.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OutputOptions {
    /// Print only warnings and errors.
    pub(crate) quiet: bool,
    /// Also print retries and the sources of settings.
    pub(crate) verbose: bool,
    /// Print a JSON report to standard output.
    pub(crate) json: bool,
    /// When to use colour.
    pub(crate) color: Color,
}

/// When to use colour. `Auto`: on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// `NO_COLOR` counts if it is not empty (<https://no-color.org>).
    fn is_on(self, is_terminal: bool) -> bool {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Auto => is_terminal && !no_color && !is_dumb(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Whether the terminal supports no control sequences, such as the one inside an editor.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Standard error, and the progress bar on its last line.
pub(crate) struct Console {
    command: &'static str,
    options: OutputOptions,
    /// Whether standard error is a terminal.
    is_terminal: bool,
    sink: Mutex<Box<dyn Write + Send>>,
    bar: Mutex<Option<ProgressBar>>,
    /// Warnings so far, for the `--json` report.
    warnings: Mutex<Vec<String>>,
    /// Whether a prompt is on the last line.
    is_prompting: AtomicBool,
}

impl Console {
    /// A console on standard error; errors are prefixed with the name of the command.
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
        // A global setting of the `console` crate.
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

    /// Whether progress bars are drawn. A dumb terminal cannot redraw a line.
    pub(crate) fn draws_bars(&self) -> bool {
        self.is_terminal && !self.options.quiet && !is_dumb()
    }

    /// Whether the user can be prompted: standard input and standard error are terminals.
    pub(crate) fn can_prompt(&self) -> bool {
        self.is_terminal && io::stdin().is_terminal()
    }

    /// Whether a prompt is on the last line.
    pub(crate) fn is_prompting(&self) -> bool {
        self.is_prompting.load(Ordering::Relaxed)
    }

    /// Records whether a prompt is on the last line.
    pub(crate) fn set_prompting(&self, is_prompting: bool) {
        self.is_prompting.store(is_prompting, Ordering::Relaxed);
    }

    /// Prints information; hidden by `--quiet`.
    pub(crate) fn info(&self, text: &str) {
        if !self.options.quiet {
            self.labelled("[INFO]", &Style::new().cyan(), text);
        }
    }

    /// Prints a warning.
    pub(crate) fn warning(&self, text: &str) {
        // Only the report needs them.
        if self.options.json {
            lock(&self.warnings).push(text.to_owned());
        }

        self.labelled("[WARNING]", &Style::new().yellow().bold(), text);
    }

    /// The warnings so far; recorded with `--json` only.
    pub(crate) fn warnings(&self) -> Vec<String> {
        lock(&self.warnings).clone()
    }

    /// Prints an error with its details, causes and hint.
    pub(crate) fn error(&self, error: &Error) {
        self.problem(&error.to_string());

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

    /// Prints lines without a label.
    pub(crate) fn lines(&self, lines: &[String]) {
        self.write(&escaped(lines));
    }

    /// Prints the lines of a result to standard output. With `--json`, that is reserved for the report, so they go to standard error.
    ///
    /// # Errors
    /// Those of [`write_data`].
    pub(crate) fn result_lines(&self, lines: &[String]) -> Result<()> {
        if self.options().json {
            self.lines(lines);
            return Ok(());
        }

        write_data(&escaped(lines))
    }

    /// Prints the rows of a result like [`result_lines`](Self::result_lines), wrapped at the width of the terminal. `style_of` is the
    /// style of the start of a row, with its length in bytes.
    ///
    /// # Errors
    /// Those of [`write_data`].
    pub(crate) fn result_rows(
        &self,
        rows: &Rows,
        style_of: fn(&str) -> Option<(usize, Style)>,
    ) -> Result<()> {
        let is_terminal = io::stdout().is_terminal();
        let is_styled = !self.options.json && self.options.color.is_on(is_terminal);
        let width = if is_terminal {
            Term::stdout().size().1.into()
        } else {
            usize::MAX
        };
        let styled = |text: &str, end: usize, style: Style| {
            let start = style.force_styling(true).apply_to(&text[..end]);
            format!("{start}{}", &text[end..])
        };

        let mut text = String::new();
        for line in rows.lines(true, width) {
            let (line, style) = match line {
                Line::Heading(heading) => (
                    heading.to_owned(),
                    Some((heading.len(), Style::new().bold())),
                ),
                Line::Row(row) => {
                    let style = style_of(&row);
                    (row, style)
                }
            };
            text.push_str(&match style.filter(|_| is_styled) {
                Some((end, style)) => styled(&line, end, style),
                None => line,
            });
            text.push('\n');
        }

        if self.options.json {
            self.write(&text);
            return Ok(());
        }

        write_data(&text)
    }

    /// Prints lines, each with a style.
    pub(crate) fn styled_lines(&self, lines: &[(String, Style)]) {
        let styled = lines.iter().map(|(line, style)| {
            format!("{}\n", style.clone().for_stderr().apply_to(escape(line)))
        });
        self.write(&styled.collect::<String>());
    }

    /// Prints rows with their headings. Details are shown with `--verbose`, and if `all_details` is set.
    pub(crate) fn rows(&self, rows: &Rows, all_details: bool) {
        for line in rows.lines(self.options.verbose || all_details, self.width()) {
            match line {
                Line::Heading(heading) => self.heading(heading),
                Line::Row(text) => self.lines(&[text]),
            }
        }
    }

    /// Columns of the terminal. Lines in a log are not wrapped.
    fn width(&self) -> usize {
        if self.is_terminal {
            Term::stderr().size().1.into()
        } else {
            usize::MAX
        }
    }

    fn heading(&self, heading: &str) {
        if self.is_terminal {
            let heading = style(escape(heading)).for_stderr().bold();
            self.write(&format!("{heading}\n"));
        } else {
            self.info(heading);
        }
    }

    /// Prints the result of a command: the headline, problems, details. `--quiet` leaves only the problems.
    pub(crate) fn outcome(&self, text: &OutcomeText) {
        let is_shown = !self.options.quiet;
        if is_shown && let Some(headline) = &text.headline {
            self.heading(&sentence_case(headline));
        }

        for problem in &text.problems {
            self.problem(problem);
        }

        if is_shown {
            self.rows(&text.rows, text.all_details);
        }
    }

    /// Prints an error, or a problem of a command that nevertheless ran to its end.
    fn problem(&self, text: &str) {
        self.labelled("[ERROR]", &Style::new().red().bold(), text);
    }

    /// Replaces the progress bar.
    pub(crate) fn set_bar(&self, bar: Option<ProgressBar>) {
        // Without clearing it, the last state of the old bar would stay on the screen.
        if let Some(old) = std::mem::replace(&mut *lock(&self.bar), bar) {
            old.finish_and_clear();
        }
    }

    fn labelled(&self, label: &str, style: &Style, text: &str) {
        let mut lines = indent_continuation(&sentence_case(text)).into_iter();
        let first = lines.next().unwrap_or_default();
        let label = style.clone().for_stderr().apply_to(label);
        self.write(&format!("{label} {}\n", escape(&first)));
        self.lines(&lines.collect::<Vec<_>>());
    }

    /// Writes above the progress bar. Errors are ignored: there is no other stream to report them on.
    fn write(&self, text: &str) {
        let write = || {
            let mut sink = lock(&self.sink);
            let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        };
        match &*lock(&self.bar) {
            // The next redraw of the bar would overwrite the text.
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn escaped(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&escape(line));
        text.push('\n');
    }

    text
}

/// Writes data to standard output.
///
/// # Errors
/// Writing fails, except that a pipe closed by its reader is not an error.
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

/// Whether the error was caused by a pipe that its reader has closed.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    // The I/O error may be wrapped several times.
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

/// The causes without those whose text is part of the message before: many errors include their source in their message.
fn distinct_causes(error: &Error) -> Vec<String> {
    let mut previous = error.to_string();
    error
        .causes()
        .filter(|cause| {
            let is_new = !previous.contains(cause.as_str());
            if is_new {
                previous.clone_from(cause);
            }

            is_new
        })
        .collect()
}

/// The lines of a text, indented after the first, so that no message can imitate a labelled line.
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
    //! A console that captures its output.

    use std::sync::Arc;

    use super::*;

    /// The output so far.
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

    /// A console and its output; `is_terminal` selects the format for a terminal instead of a log.
    pub(crate) fn console(options: OutputOptions, is_terminal: bool) -> (Console, CapturedOutput) {
        let output = CapturedOutput::default();
        let options = OutputOptions {
            color: Color::Never,
            ..options
        };
        (
            Console::with_sink("dumpdb", options, is_terminal, Box::new(output.clone())),
            output,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::testing::console;
    use super::*;

    fn error() -> Error {
        Error::not_found("no response from http://x\u{1b}[31m")
            .with_source(
                Error::failed("tcp connect error")
                    .with_source(io::Error::other("refused\nfor a reason")),
            )
            .with_hint("start it")
    }

    #[test]
    fn an_error_in_a_log() {
        let (console, output) = console(OutputOptions::default(), false);
        console.error(&error());
        assert_eq!(
            output.text(),
            "[ERROR] No response from http://x\\u{1b}[31m\n  caused by: tcp connect error\n  caused by: refused\n    \
             for a reason\nhint: start it\n"
        );
    }

    #[test]
    fn an_error_has_the_same_form_at_a_terminal() {
        let (console, output) = console(OutputOptions::default(), true);
        console.error(&error());
        assert!(
            output.text().starts_with("[ERROR] No response from "),
            "{}",
            output.text()
        );
    }

    #[test]
    fn a_result_starts_with_its_headline_and_quiet_leaves_only_its_problems() {
        let text = OutcomeText {
            headline: Some("table films has the 3 items.".to_owned()),
            problems: vec!["1 item rejected".to_owned()],
            rows: Rows::plain(|group| {
                group.row("boost", "none").detail("consumed", "1 read unit");
            }),
            all_details: false,
        };
        let printed = |quiet, verbose| {
            let (console, output) = console(
                OutputOptions {
                    quiet,
                    verbose,
                    ..OutputOptions::default()
                },
                false,
            );
            console.outcome(&text);
            output.text()
        };

        let headline = "[INFO] Table films has the 3 items.\n";
        let problem = "[ERROR] 1 item rejected\n";
        assert_eq!(
            printed(false, false),
            format!("{headline}{problem}  Boost  none\n")
        );
        assert_eq!(
            printed(false, true),
            format!("{headline}{problem}  Boost     none\n  Consumed  1 read unit\n")
        );
        assert_eq!(printed(true, false), problem);
    }

    #[test]
    fn cause_that_is_part_of_the_message_is_not_repeated() {
        let cause = io::Error::other("disk full");
        let error = Error::failed(format!("cannot write x: {cause}")).with_source(cause);
        assert!(distinct_causes(&error).is_empty());
    }

    #[test]
    fn quiet_prints_only_warnings_and_errors() {
        let (console, output) = console(
            OutputOptions {
                quiet: true,
                ..OutputOptions::default()
            },
            false,
        );

        console.info("not this");
        console.warning("this\n[INFO] no line of its own");
        assert_eq!(
            output.text(),
            "[WARNING] This\n    [INFO] no line of its own\n"
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
