//! Display of progress: a bar on a terminal, lines in a log, nothing with `--quiet`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::output::Console;
use crate::cli::text::format;
use crate::event::{Event, Phase, Reporter};

/// Redraw interval of a bar, also without events, so that a long request does not look like a hang.
const TICK: Duration = Duration::from_millis(100);

/// Interval of progress lines in a log.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Receives the events of a command and displays them.
pub(crate) struct ProgressDisplay {
    console: Arc<Console>,
    current: Mutex<Option<CurrentPhase>>,
}

/// The current phase and its counts.
struct CurrentPhase {
    phase: Phase,
    total: ExpectedTotal,
    /// Position, rate and time. In a log, it is hidden.
    bar: ProgressBar,
    counts: Arc<Counts>,
    last_logged: Instant,
}

/// Items and bytes so far; the bar reads them when it is drawn.
#[derive(Debug, Default)]
struct Counts {
    items: AtomicU64,
    bytes: AtomicU64,
}

/// The expected total of a phase, which is the length of its bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExpectedTotal {
    Items(u64),
    Bytes(u64),
    /// A few calls of different durations: shown without a rate and an ETA.
    Calls(u64),
    Unknown,
}

impl ExpectedTotal {
    /// The total of a phase. Zero counts as unknown, because DynamoDB updates its item counts about every six hours.
    fn for_phase(phase: Phase, items: Option<u64>, bytes: Option<u64>) -> Self {
        match (items, bytes) {
            (Some(calls), _) if calls > 0 && phase == Phase::Settings => Self::Calls(calls),
            (Some(items), _) if items > 0 => Self::Items(items),
            (_, Some(bytes)) if bytes > 0 => Self::Bytes(bytes),
            _ => Self::Unknown,
        }
    }

    fn length(self) -> Option<u64> {
        match self {
            Self::Items(length) | Self::Bytes(length) | Self::Calls(length) => Some(length),
            Self::Unknown => None,
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Items(_) => {
                "{spinner} {prefix}  {wide_bar:.cyan}  {human_pos}/{human_len} items  {counts}  {rate} items/s  ETA {eta}"
            }
            Self::Bytes(_) => {
                "{spinner} {prefix}  {wide_bar:.cyan}  {decimal_bytes}/{decimal_total_bytes}  {counts}  {decimal_bytes_per_sec}  ETA {eta}"
            }
            Self::Calls(_) => "{spinner} {prefix}  {wide_bar:.cyan}  {human_pos}/{human_len}",
            Self::Unknown => "{spinner} {prefix}  {counts}  {elapsed}",
        }
    }
}

impl ProgressDisplay {
    pub(crate) fn new(console: Arc<Console>) -> Self {
        Self {
            console,
            current: Mutex::new(None),
        }
    }

    /// Ends the current phase and removes its bar. Call this before printing anything that belongs after the phase.
    pub(crate) fn end(&self) {
        self.console.set_bar(None);
        let Some(ended) = self.current().take() else {
            return;
        };

        // The summary of the command has the same counts, so a log needs this line only for long phases.
        let elapsed = ended.bar.elapsed();
        let is_worth_a_line = self.console.options().verbose || elapsed >= LOG_INTERVAL;
        if is_worth_a_line && !self.console.draws_bars() && ended.counts.items() > 0 {
            let (phase, counts) = (phase_name(ended.phase), ended.counts_text());
            let seconds = format::seconds(elapsed.as_secs_f64());
            self.console
                .info(&format!("{phase}: {counts} in {seconds}"));
        }
    }

    fn start(&self, phase: Phase, items: Option<u64>, bytes: Option<u64>) {
        // Events do not announce the end of a phase, only the start of the next one.
        self.end();
        let started = CurrentPhase::new(phase, ExpectedTotal::for_phase(phase, items, bytes));
        if self.console.draws_bars() {
            // Standard output may carry the items.
            started.bar.set_draw_target(ProgressDrawTarget::stderr());
            started.bar.enable_steady_tick(TICK);
            self.console.set_bar(Some(started.bar.clone()));
        } else {
            let expected = expectation(phase, items, bytes);
            self.console
                .info(&format!("{}{expected}", phase_name(phase)));
        }

        *self.current() = Some(started);
    }

    fn advance(&self, items: u64, bytes: u64) {
        let mut current = self.current();
        let Some(current) = current.as_mut() else {
            return;
        };

        current.advance(items, bytes);

        if !self.console.draws_bars() && current.last_logged.elapsed() >= LOG_INTERVAL {
            current.last_logged = Instant::now();
            let (phase, counts) = (phase_name(current.phase), current.counts_text());
            self.console.info(&format!("{phase}: {counts} so far"));
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<CurrentPhase>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for ProgressDisplay {
    fn report(&self, event: Event) {
        match event {
            Event::Phase {
                phase,
                items,
                bytes,
            } => self.start(phase, items, bytes),
            Event::Progress { items, bytes } => self.advance(items, bytes),
            Event::Info(text) => self.console.info(&text),
            Event::Detail(text) => {
                if self.console.options().verbose {
                    self.console.info(&text);
                }
            }
            Event::Warning(text) => self.console.warning(&text),
            Event::Retry { reason, wait } => {
                if self.console.options().verbose {
                    self.console.info(&format!(
                        "retrying in {}: {reason}",
                        format::seconds(wait.as_secs_f64())
                    ));
                }
            }
        }
    }
}

impl Counts {
    fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl CurrentPhase {
    fn new(phase: Phase, total: ExpectedTotal) -> Self {
        let counts = Arc::new(Counts::default());
        Self {
            phase,
            total,
            bar: hidden_bar(phase, total, Arc::clone(&counts)),
            counts,
            last_logged: Instant::now(),
        }
    }

    fn advance(&self, items: u64, bytes: u64) {
        self.counts.items.fetch_add(items, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(match self.total {
            ExpectedTotal::Bytes(_) => bytes,
            ExpectedTotal::Items(_) | ExpectedTotal::Calls(_) | ExpectedTotal::Unknown => items,
        });

        // The total may be an estimate that is too low.
        let position = self.bar.position();
        if self.bar.length().is_some_and(|length| position > length) {
            self.bar.set_length(position);
        }
    }

    fn counts_text(&self) -> String {
        counts(self.phase, self.counts.items(), self.counts.bytes())
    }
}

/// A bar that is not drawn yet. Next to its own unit, it shows the other one of `counts`.
fn hidden_bar(phase: Phase, total: ExpectedTotal, counts: Arc<Counts>) -> ProgressBar {
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for display"
        )]
        let rate = state.per_sec().round() as u64;
        let _ = write!(text, "{}", HumanCount(rate));
    };
    let other_counts = move |_: &ProgressState, text: &mut dyn Write| {
        let (items, bytes) = (counts.items(), counts.bytes());
        let _ = text.write_str(&match total {
            ExpectedTotal::Items(_) => format::bytes(bytes),
            ExpectedTotal::Bytes(_) => format::items(items),
            ExpectedTotal::Calls(_) | ExpectedTotal::Unknown => self::counts(phase, items, bytes),
        });
    };

    let style = ProgressStyle::with_template(total.template())
        .expect("the templates are constants that a test parses")
        .with_key("rate", rate)
        .with_key("counts", other_counts);
    let bar = ProgressBar::with_draw_target(total.length(), ProgressDrawTarget::hidden());
    bar.set_style(style);
    bar.set_prefix(phase_name(phase));

    bar
}

pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "Waiting for the endpoint",
        Phase::BackingUp => "Waiting for the backup",
        Phase::Dumping => "Reading items",
        Phase::Checking => "Checking the dump",
        Phase::DryRun => "Reading items for the dry run",
        Phase::Deleting => "Deleting the table",
        Phase::Creating => "Creating the table",
        Phase::Boosting => "Changing the table's capacity",
        Phase::Writing => "Writing items",
        Phase::Verifying => "Comparing items",
        Phase::Settings => "Applying settings",
    }
}

fn counts(phase: Phase, items: u64, bytes: u64) -> String {
    if phase == Phase::Settings {
        return format::counted(items, "call");
    }

    format!("{}, {}", format::items(items), format::bytes(bytes))
}

/// The expected total in the first line of a phase. Only counts of a live table are estimates.
fn expectation(phase: Phase, items: Option<u64>, bytes: Option<u64>) -> String {
    let about = if matches!(phase, Phase::Dumping | Phase::DryRun) {
        "~"
    } else {
        ""
    };

    match (
        items.filter(|items| *items > 0),
        bytes.filter(|bytes| *bytes > 0),
    ) {
        (Some(calls), _) if phase == Phase::Settings => format!(" ({})", counts(phase, calls, 0)),
        (Some(items), Some(bytes)) => format!(" ({about}{})", counts(phase, items, bytes)),
        (Some(items), None) => format!(" ({about}{})", format::items(items)),
        (None, Some(bytes)) => format!(" ({about}{})", format::bytes(bytes)),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::output::OutputOptions;
    use crate::cli::terminal::output::testing::console;

    fn log(manner: OutputOptions) -> String {
        let (console, output) = console(manner, false);
        let progress = ProgressDisplay::new(Arc::new(console));
        progress.report(Event::Phase {
            phase: Phase::Creating,
            items: None,
            bytes: None,
        });

        progress.report(Event::Phase {
            phase: Phase::Writing,
            items: Some(300),
            bytes: Some(2000),
        });

        progress.report(Event::Progress {
            items: 100,
            bytes: 1500,
        });
        progress.report(Event::Retry {
            reason: "Scan: throttled".to_owned(),
            wait: Duration::from_millis(250),
        });
        progress.report(Event::Progress {
            items: 200,
            bytes: 500,
        });
        progress.report(Event::Warning("look \u{7}here".to_owned()));
        progress.end();
        progress.end();

        output.text()
    }

    #[test]
    fn log_has_a_line_for_the_start_of_each_phase() {
        assert_eq!(
            log(OutputOptions::default()),
            "[INFO] Creating the table\n[INFO] Writing items (300 items, 2.00 kB)\n\
             [WARNING] Look \\u{7}here\n"
        );
    }

    #[test]
    fn verbose_prints_retries_and_the_end_of_each_phase() {
        let text = log(OutputOptions {
            verbose: true,
            ..OutputOptions::default()
        });
        assert!(
            text.contains("[INFO] Retrying in 0.25 s: Scan: throttled\n"),
            "{text}"
        );
        assert!(
            text.contains("[INFO] Writing items: 300 items, 2.00 kB in 0.0"),
            "{text}"
        );
    }

    #[test]
    fn quiet_prints_only_warnings() {
        assert_eq!(
            log(OutputOptions {
                quiet: true,
                ..OutputOptions::default()
            }),
            "[WARNING] Look \\u{7}here\n"
        );
    }

    #[test]
    fn progress_before_the_first_phase_is_ignored() {
        let (console, output) = console(OutputOptions::default(), false);
        ProgressDisplay::new(Arc::new(console)).report(Event::Progress { items: 1, bytes: 1 });
        assert_eq!(output.text(), "");
    }

    #[test]
    fn templates_parse_and_a_bar_grows_beyond_an_estimate() {
        for total in [
            ExpectedTotal::Items(10),
            ExpectedTotal::Bytes(10),
            ExpectedTotal::Calls(10),
            ExpectedTotal::Unknown,
        ] {
            let current = CurrentPhase::new(Phase::Dumping, total);
            current.advance(30, 30);
            current.advance(10, 10);
            assert_eq!(
                (current.bar.position(), current.bar.length()),
                (40, total.length().map(|_| 40))
            );
        }
    }

    #[test]
    fn zero_is_not_a_total() {
        assert_eq!(
            ExpectedTotal::for_phase(Phase::Writing, Some(0), Some(0)),
            ExpectedTotal::Unknown
        );
        assert_eq!(
            ExpectedTotal::for_phase(Phase::Writing, Some(0), Some(7)),
            ExpectedTotal::Bytes(7)
        );
        assert_eq!(
            ExpectedTotal::for_phase(Phase::Writing, Some(3), Some(7)),
            ExpectedTotal::Items(3)
        );
        assert_eq!(
            ExpectedTotal::for_phase(Phase::Settings, Some(0), None),
            ExpectedTotal::Unknown
        );
    }

    #[test]
    fn settings_are_counted_in_calls() {
        let verbose = OutputOptions {
            verbose: true,
            ..OutputOptions::default()
        };
        let (console, output) = console(verbose, false);
        let progress = ProgressDisplay::new(Arc::new(console));
        progress.report(Event::Phase {
            phase: Phase::Settings,
            items: Some(2),
            bytes: None,
        });

        progress.report(Event::Progress { items: 1, bytes: 0 });
        progress.end();
        let text = output.text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "[INFO] Applying settings (2 calls)");
        assert!(
            lines[1].starts_with("[INFO] Applying settings: 1 call in 0.0"),
            "{}",
            lines[1]
        );
    }
}
