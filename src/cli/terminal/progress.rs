//! Display of progress: a bar on a terminal, lines in a log, nothing with `--quiet`.

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
    items: u64,
    bytes: u64,
    started: Instant,
    last_shown: Instant,
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
                "{spinner} {prefix}  {wide_bar:.cyan}  {human_pos}/{human_len} items  {msg}  {rate} items/s  ETA {eta}"
            }
            Self::Bytes(_) => {
                "{spinner} {prefix}  {wide_bar:.cyan}  {decimal_bytes}/{decimal_total_bytes}  {msg}  {decimal_bytes_per_sec}  ETA {eta}"
            }
            Self::Calls(_) => "{spinner} {prefix}  {wide_bar:.cyan}  {human_pos}/{human_len}",
            Self::Unknown => "{spinner} {prefix}  {msg}  {elapsed}",
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

        if !self.console.draws_bars() && ended.items > 0 {
            let counts = ended.counts();
            let seconds = format::seconds(ended.started.elapsed().as_secs_f64());
            self.console.info(&format!(
                "{}: {counts} in {seconds}",
                phase_name(ended.phase)
            ));
        }
    }

    fn start(&self, phase: Phase, items: Option<u64>, bytes: Option<u64>) {
        // Events do not announce the end of a phase, only the start of the next one.
        self.end();
        let total = ExpectedTotal::for_phase(phase, items, bytes);
        let now = Instant::now();
        *self.current() = Some(CurrentPhase {
            phase,
            total,
            items: 0,
            bytes: 0,
            started: now,
            last_shown: now,
        });

        if self.console.draws_bars() {
            self.console.set_bar(Some(bar(phase, total)));
        } else {
            self.console.info(&format!(
                "{}{}",
                phase_name(phase),
                expectation(phase, items, bytes)
            ));
        }
    }

    fn advance(&self, items: u64, bytes: u64) {
        let mut current = self.current();
        let Some(current) = current.as_mut() else {
            return;
        };

        current.items += items;
        current.bytes += bytes;

        if self.console.draws_bars() {
            self.console.with_bar(|bar| current.update_bar(bar));
        } else if current.last_shown.elapsed() >= LOG_INTERVAL {
            current.last_shown = Instant::now();
            self.console.info(&format!(
                "{}: {} so far",
                phase_name(current.phase),
                current.counts()
            ));
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
            Event::Warning(text) => self.console.warning(&text),
            Event::Retry { reason, wait } => {
                if self.console.options().verbose {
                    self.console.info(&format!(
                        "trying again in {}: {reason}",
                        format::seconds(wait.as_secs_f64())
                    ));
                }
            }
        }
    }
}

impl CurrentPhase {
    fn update_bar(&mut self, bar: &ProgressBar) {
        let position = match self.total {
            ExpectedTotal::Bytes(_) => self.bytes,
            ExpectedTotal::Items(_) | ExpectedTotal::Calls(_) | ExpectedTotal::Unknown => {
                self.items
            }
        };
        // The total may be an estimate that is too low.
        if self.total.length().is_some_and(|length| position > length) {
            bar.set_length(position);
        }

        bar.set_position(position);

        // The message is text to format, unlike the position: update it less often.
        if self.last_shown.elapsed() >= TICK {
            self.last_shown = Instant::now();
            bar.set_message(match self.total {
                ExpectedTotal::Items(_) => format::bytes(self.bytes),
                ExpectedTotal::Bytes(_) => format::items(self.items),
                ExpectedTotal::Calls(_) | ExpectedTotal::Unknown => self.counts(),
            });
        }
    }

    fn counts(&self) -> String {
        counts(self.phase, self.items, self.bytes)
    }
}

fn bar(phase: Phase, total: ExpectedTotal) -> ProgressBar {
    let style = ProgressStyle::with_template(total.template())
        .expect("the templates are constants that a test parses")
        .with_key(
            "rate",
            |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate for display"
                )]
                let rate = state.per_sec().round() as u64;
                let _ = write!(text, "{}", HumanCount(rate));
            },
        );

    // Standard output may carry the items.
    let bar = ProgressBar::with_draw_target(total.length(), ProgressDrawTarget::stderr());
    bar.set_style(style);
    bar.set_prefix(phase_name(phase));
    bar.enable_steady_tick(TICK);

    bar
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "waiting for the endpoint",
        Phase::Dumping => "reading items",
        Phase::Checking => "checking the dump",
        Phase::DryRun => "reading items for the dry run",
        Phase::Deleting => "deleting the table",
        Phase::Creating => "creating the table",
        Phase::Boosting => "changing the table's capacity",
        Phase::Writing => "writing items",
        Phase::Verifying => "comparing items",
        Phase::Settings => "applying settings",
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
        "about "
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
    fn log_has_a_line_for_the_start_and_end_of_each_phase() {
        let text = log(OutputOptions::default());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[..3],
            [
                "[INFO] creating the table",
                "[INFO] writing items (300 items, 2.00 kB)",
                r"[WARNING] look \u{7}here"
            ]
        );

        assert!(
            lines[3].starts_with("[INFO] writing items: 300 items, 2.00 kB in 0.0"),
            "{}",
            lines[3]
        );

        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn verbose_prints_retries() {
        let text = log(OutputOptions {
            verbose: true,
            ..OutputOptions::default()
        });
        assert!(
            text.contains("[INFO] trying again in 0.25 s: Scan: throttled\n"),
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
            "[WARNING] look \\u{7}here\n"
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
            let bar = bar(Phase::Dumping, total);
            let now = Instant::now();
            let mut current = CurrentPhase {
                phase: Phase::Dumping,
                total,
                items: 40,
                bytes: 40,
                started: now,
                last_shown: now,
            };

            current.update_bar(&bar);
            assert_eq!(
                (bar.position(), bar.length()),
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
        let (console, output) = console(OutputOptions::default(), false);
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
        assert_eq!(lines[0], "[INFO] applying settings (2 calls)");
        assert!(
            lines[1].starts_with("[INFO] applying settings: 1 call in 0.0"),
            "{}",
            lines[1]
        );
    }
}
