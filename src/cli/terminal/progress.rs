//! Display of progress: a bar on a terminal, lines in a log, nothing with `--quiet`.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::output::Console;
use crate::cli::text::format;
use crate::event::{Event, Phase, Reporter};

/// Redraw interval of a bar, also without events, so that a long request does not look like a hang.
const TICK: Duration = Duration::from_millis(100);

/// Minimum interval of progress lines in a log.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The time of a progress line: on a clock that never jumps, and for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) time: DateTime<Utc>,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: Utc::now(),
        }
    }
}

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
    started: Instant,
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
                "{spinner} {prefix}  {wide_bar:.cyan}  {percent}%  {human_pos}/{human_len} items  {counts}  {rate} items/s  ETA {eta}"
            }
            Self::Bytes(_) => {
                "{spinner} {prefix}  {wide_bar:.cyan}  {percent}%  {decimal_bytes}/{decimal_total_bytes}  {counts}  {decimal_bytes_per_sec}  ETA {eta}"
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
        let elapsed = ended.started.elapsed();
        let is_worth_a_line = self.console.options().verbose || elapsed >= LOG_INTERVAL;
        if is_worth_a_line && !self.console.draws_bars() && ended.counts.items() > 0 {
            let (phase, counts) = (phase_name(ended.phase), ended.counts_text());
            let seconds = format::seconds(elapsed.as_secs_f64());
            self.console
                .info(&format!("{phase}: {counts} in {seconds}"));
        }
    }

    fn start(&self, phase: Phase, items: Option<u64>, bytes: Option<u64>, now: Instant) {
        // Events do not announce the end of a phase, only the start of the next one.
        self.end();
        let total = ExpectedTotal::for_phase(phase, items, bytes);
        let started = CurrentPhase::new(phase, total, now);
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

    fn advance(&self, items: u64, bytes: u64, now: Moment) {
        let mut current = self.current();
        let Some(current) = current.as_mut() else {
            return;
        };

        current.advance(items, bytes);

        let since_last_line = now.instant.duration_since(current.last_logged);
        if !self.console.draws_bars() && since_last_line >= LOG_INTERVAL {
            current.last_logged = now.instant;
            let (time, phase) = (format::timestamp(now.time), phase_name(current.phase));
            let progress = current.progress_text(now.instant);
            self.console.info(&format!("{time} {phase}: {progress}"));
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
            } => self.start(phase, items, bytes, Instant::now()),
            Event::Progress { items, bytes } => self.advance(items, bytes, Moment::now()),
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
    fn new(phase: Phase, total: ExpectedTotal, now: Instant) -> Self {
        let counts = Arc::new(Counts::default());
        Self {
            phase,
            total,
            bar: hidden_bar(phase, total, Arc::clone(&counts)),
            counts,
            started: now,
            last_logged: now,
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

    /// Counts, percentage, rate and ETA for a log.
    fn progress_text(&self, now: Instant) -> String {
        let (items, bytes) = (self.counts.items(), self.counts.bytes());
        let elapsed = now.duration_since(self.started).as_secs_f64();
        let rate = format::rate(items, bytes, elapsed);
        let rate = rate.map_or_else(String::new, |rate| format!(", {rate}"));
        // The bar grows if the expected total is too low.
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if total == 0 {
            return format!("{}{rate}", self.counts_text());
        }

        let percent = done.saturating_mul(100) / total;
        match self.total {
            ExpectedTotal::Calls(calls) => {
                format!(
                    "{} of {}",
                    format::count(items),
                    format::counted(calls, "call")
                )
            }
            ExpectedTotal::Bytes(_) => format!(
                "{}, {} of {} ({percent}%){rate}, ETA {}",
                format::items(items),
                format::bytes(done),
                format::bytes(total),
                eta(done, total, elapsed)
            ),
            ExpectedTotal::Items(_) | ExpectedTotal::Unknown => format!(
                "{} of {} ({percent}%), {} as JSON{rate}, ETA {}",
                format::count(done),
                format::items(total),
                format::bytes(bytes),
                eta(done, total, elapsed)
            ),
        }
    }
}

/// Time until the end, if the rate remains what it was.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn eta(done: u64, total: u64, elapsed: f64) -> String {
    if done == 0 {
        return "n/a".to_owned();
    }

    let remaining = total.saturating_sub(done) as f64 / done as f64 * elapsed;

    format::seconds(remaining)
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
            ExpectedTotal::Items(_) => format!("{} as JSON", format::bytes(bytes)),
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

    format!("{}, {} as JSON", format::items(items), format::bytes(bytes))
}

/// The expected total in the first line of a phase. Only counts of a live table are estimates.
fn expectation(phase: Phase, items: Option<u64>, bytes: Option<u64>) -> String {
    let measure = match phase {
        Phase::Dumping => "in the table",
        _ => "as JSON",
    };
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
        (Some(items), Some(bytes)) => format!(
            " ({about}{}, {} {measure})",
            format::items(items),
            format::bytes(bytes)
        ),
        (Some(items), None) => format!(" ({about}{})", format::items(items)),
        // Only the size of the data file is known.
        (None, Some(bytes)) if phase == Phase::Checking => {
            format!(" ({} in the file)", format::bytes(bytes))
        }
        (None, Some(bytes)) => format!(" ({about}{} {measure})", format::bytes(bytes)),
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
            "[INFO] Creating the table\n[INFO] Writing items (300 items, 2.00 kB as JSON)\n\
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
            text.contains("[INFO] Writing items: 300 items, 2.00 kB as JSON in 0.0"),
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
            let current = CurrentPhase::new(Phase::Dumping, total, Instant::now());
            current.advance(30, 30);
            current.advance(10, 10);
            assert_eq!(
                (current.bar.position(), current.bar.length()),
                (40, total.length().map(|_| 40))
            );
        }
    }

    /// Lines of a log for a phase that advances at these seconds after its start.
    fn timed_log(
        phase: Phase,
        (items, bytes): (Option<u64>, Option<u64>),
        steps: &[(u64, u64, u64)],
    ) -> Vec<String> {
        let (console, output) = console(OutputOptions::default(), false);
        let progress = ProgressDisplay::new(Arc::new(console));
        let start = Instant::now();
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        progress.start(phase, items, bytes, start);
        for (second, items, bytes) in steps {
            let passed = Duration::from_secs(*second);
            let moment = Moment {
                instant: start + passed,
                time: time + passed,
            };
            progress.advance(*items, *bytes, moment);
        }

        output.text().lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn a_log_has_a_line_with_the_time_at_most_every_ten_seconds() {
        let steps: Vec<_> = (1..=31).map(|second| (second, 10, 1000)).collect();
        assert_eq!(
            timed_log(Phase::Dumping, (Some(400), None), &steps),
            [
                "[INFO] 2027-01-15T08:00:10Z Reading items: 100 of 400 items (25%), 10.00 kB as JSON, 10 items/s, 1.00 kB/s, ETA 30.0 s",
                "[INFO] 2027-01-15T08:00:20Z Reading items: 200 of 400 items (50%), 20.00 kB as JSON, 10 items/s, 1.00 kB/s, ETA 20.0 s",
                "[INFO] 2027-01-15T08:00:30Z Reading items: 300 of 400 items (75%), 30.00 kB as JSON, 10 items/s, 1.00 kB/s, ETA 10.0 s",
            ]
        );
    }

    #[test]
    fn lines_of_a_log_show_what_is_known() {
        let line = |phase, total, steps: &[_]| timed_log(phase, total, steps).concat();
        let of = |phase, total| line(phase, total, &[(10, 100, 3000)]);
        assert_eq!(
            of(Phase::Checking, (None, Some(12_000))),
            "[INFO] 2027-01-15T08:00:10Z Checking the dump: 100 items, 3.00 kB of 12.00 kB (25%), 10 items/s, 300 B/s, ETA 30.0 s"
        );
        assert_eq!(
            of(Phase::Dumping, (None, None)),
            "[INFO] 2027-01-15T08:00:10Z Reading items: 100 items, 3.00 kB as JSON, 10 items/s, 300 B/s"
        );
        // The expected number was too low.
        assert_eq!(
            of(Phase::Dumping, (Some(40), None)),
            "[INFO] 2027-01-15T08:00:10Z Reading items: 100 of 100 items (100%), 3.00 kB as JSON, 10 items/s, 300 B/s, ETA 0.00 s"
        );
        assert_eq!(
            line(Phase::Settings, (Some(3), None), &[(10, 2, 0)]),
            "[INFO] 2027-01-15T08:00:10Z Applying settings: 2 of 3 calls"
        );
        assert_eq!(
            line(Phase::Dumping, (Some(40), None), &[(10, 0, 0)]),
            "[INFO] 2027-01-15T08:00:10Z Reading items: 0 of 40 items (0%), 0 B as JSON, ETA n/a"
        );
    }

    #[test]
    fn expected_sizes_say_what_they_measure() {
        for (phase, total, text) in [
            (
                Phase::Dumping,
                (Some(3), Some(70)),
                " (~3 items, 70 B in the table)",
            ),
            (
                Phase::Writing,
                (Some(3), Some(70)),
                " (3 items, 70 B as JSON)",
            ),
            (Phase::Writing, (Some(3), None), " (3 items)"),
            (Phase::Checking, (None, Some(70)), " (70 B in the file)"),
        ] {
            let (items, bytes) = total;
            assert_eq!(expectation(phase, items, bytes), text);
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
