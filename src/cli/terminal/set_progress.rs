//! Display of the progress of several tables: on a terminal one bar for all, and below it a line for each table in progress; in a log a
//! line for each finished table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output::Console;
use super::progress::{LOG_INTERVAL, Moment, phase_name};
use crate::cli::text::format;
use crate::event::{Event, Phase};
use crate::layout::escape;
use crate::ops::set::SetReporter;

/// Redraw interval.
const TICK: Duration = Duration::from_millis(100);

/// Tables in progress that have a line of their own on a terminal.
const MAX_LINES: usize = 10;

/// Receives the events of several tables and displays them.
pub(crate) struct SetProgress {
    console: Arc<Console>,
    bar: ProgressBar,
    state: Mutex<SetState>,
}

struct SetState {
    /// The tables in progress.
    running: BTreeMap<String, TableProgress>,
    finished: u64,
    tables: u64,
    last_logged: Instant,
    last_drawn: Option<Instant>,
}

/// The current phase of a table.
#[derive(Debug, Clone, Copy)]
struct TableProgress {
    phase: Phase,
    total: Option<u64>,
    items: u64,
    bytes: u64,
}

impl SetProgress {
    /// Starts the display for this number of tables.
    pub(crate) fn start(console: Arc<Console>, tables: u64) -> Self {
        let style = ProgressStyle::with_template(
            "{spinner} Tables  {wide_bar:.cyan}  {human_pos}/{human_len}  {elapsed}{msg}",
        )
        .expect("the template is a constant that a test parses");
        let bar = ProgressBar::with_draw_target(Some(tables), ProgressDrawTarget::hidden());
        bar.set_style(style);
        if console.draws_bars() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            console.set_bar(Some(bar.clone()));
        }

        let state = SetState {
            running: BTreeMap::new(),
            finished: 0,
            tables,
            last_logged: Instant::now(),
            last_drawn: None,
        };

        Self {
            console,
            bar,
            state: Mutex::new(state),
        }
    }

    /// A table has ended. `result` says how, or `None` if it is not worth a line. It is information, or a warning.
    pub(crate) fn finished(&self, table: &str, result: Option<Result<String, String>>) {
        let (finished, tables) = {
            let mut state = self.state();
            state.running.remove(table);
            state.finished += 1;
            self.draw(&mut state, true);
            (state.finished, state.tables)
        };

        self.bar.set_position(finished);
        let place = format!("({} of {})", format::count(finished), format::count(tables));
        match result {
            // A bar shows what has been done.
            Some(Ok(_)) if self.console.draws_bars() && !self.console.options().verbose => {}
            Some(Ok(text)) => self.console.info(&format!("table {table}: {text} {place}")),
            Some(Err(text)) => self
                .console
                .warning(&format!("table {table}: {text} {place}")),
            None => {}
        }
    }

    /// Ends the display.
    pub(crate) fn end(&self) {
        self.console.set_bar(None);
    }

    fn detail(&self, table: &str, text: &str) {
        if self.console.options().verbose {
            self.console.info(&format!("table {table}: {text}"));
        }
    }

    fn state(&self) -> MutexGuard<'_, SetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the lines below the bar. Between two redraws, nobody would see it.
    fn draw(&self, state: &mut SetState, now: bool) {
        let is_due = state.last_drawn.is_none_or(|last| last.elapsed() >= TICK);
        if self.console.draws_bars() && (now || is_due) {
            state.last_drawn = Some(Instant::now());
            self.bar.set_message(lines(&state.running));
        }
    }

    fn log(&self, state: &mut SetState, now: Moment) {
        let since_last_line = now.instant.duration_since(state.last_logged);
        if self.console.draws_bars() || since_last_line < LOG_INTERVAL {
            return;
        }

        state.last_logged = now.instant;
        let tables: Vec<String> = state
            .running
            .iter()
            .map(|(table, progress)| format!("{table} ({})", progress.counts()))
            .collect();
        self.console.info(&format!(
            "{} {} of {} finished; in progress: {}",
            format::timestamp(now.time),
            format::count(state.finished),
            format::counted(state.tables, "table"),
            tables.join(", ")
        ));
    }
}

impl SetReporter for SetProgress {
    fn report(&self, table: &str, event: Event) {
        let mut state = self.state();
        match event {
            Event::Phase { phase, items, .. } => {
                let progress = TableProgress {
                    phase,
                    total: items.filter(|items| *items > 0),
                    items: 0,
                    bytes: 0,
                };
                state.running.insert(table.to_owned(), progress);
                self.draw(&mut state, true);
            }
            Event::Progress { items, bytes } => {
                if let Some(progress) = state.running.get_mut(table) {
                    progress.items += items;
                    progress.bytes += bytes;
                }

                self.draw(&mut state, false);
                self.log(&mut state, Moment::now());
            }
            Event::Info(text) => self.console.info(&format!("table {table}: {text}")),
            Event::Warning(text) => self.console.warning(&format!("table {table}: {text}")),
            Event::Detail(text) => self.detail(table, &text),
            Event::Retry { reason, wait } => {
                let wait = format::seconds(wait.as_secs_f64());
                self.detail(table, &format!("retrying in {wait}: {reason}"));
            }
        }
    }
}

impl TableProgress {
    fn counts(&self) -> String {
        let items = match self.total {
            Some(total) => format!("{}/{}", format::count(self.items), format::items(total)),
            None => format::items(self.items),
        };

        format!("{items}, {} as JSON", format::bytes(self.bytes))
    }
}

/// A line for each table, each after a line break.
fn lines(running: &BTreeMap<String, TableProgress>) -> String {
    let line = |(table, progress): (&String, &TableProgress)| {
        let (phase, counts) = (phase_name(progress.phase), progress.counts());
        format!("\n  {}  {phase}  {counts}", escape(table))
    };
    let mut text: String = running.iter().take(MAX_LINES).map(line).collect();
    if running.len() > MAX_LINES {
        let more = format::counted((running.len() - MAX_LINES) as u64, "more table");
        let _ = write!(text, "\n  and {more}");
    }

    text
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::cli::terminal::output::OutputOptions;
    use crate::cli::terminal::output::testing::console;

    fn phase(items: u64) -> Event {
        Event::Phase {
            phase: Phase::Dumping,
            items: Some(items),
            bytes: None,
        }
    }

    #[test]
    fn a_log_has_a_line_for_each_finished_table() {
        let (console, output) = console(OutputOptions::default(), false);
        let progress = SetProgress::start(Arc::new(console), 3);
        progress.report("films", phase(3));
        progress.report("films", Event::Progress { items: 3, bytes: 9 });
        progress.report("actors", Event::Warning("look".to_owned()));
        progress.finished("films", Some(Ok("3 items".to_owned())));
        progress.finished("actors", Some(Err("denied".to_owned())));
        progress.finished("late", None);
        progress.end();

        assert_eq!(
            output.text(),
            "[WARNING] Table actors: look\n[INFO] Table films: 3 items (1 of 3)\n[WARNING] Table actors: denied (2 of 3)\n"
        );
    }

    #[test]
    fn a_log_lists_the_tables_in_progress_at_most_every_ten_seconds() {
        let (console, output) = console(OutputOptions::default(), false);
        let progress = SetProgress::start(Arc::new(console), 2);
        progress.report("films", phase(3));
        let start = progress.state().last_logged;
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for second in 1..=19 {
            let passed = Duration::from_secs(second);
            let moment = Moment {
                instant: start + passed,
                time: time + passed,
            };
            progress.log(&mut progress.state(), moment);
        }

        assert_eq!(
            output.text(),
            "[INFO] 2027-01-15T08:00:10Z 0 of 2 tables finished; in progress: films (0/3 items, 0 B as JSON)\n"
        );
    }

    #[test]
    fn a_terminal_has_a_line_for_each_table_in_progress() {
        let progress = |items| TableProgress {
            phase: Phase::Dumping,
            total: Some(2_000),
            items,
            bytes: 10,
        };
        let two = [
            ("a\u{1b}".to_owned(), progress(1_000)),
            ("b".to_owned(), progress(0)),
        ];
        assert_eq!(
            lines(&two.into_iter().collect()),
            "\n  a\\u{1b}  Reading items  1,000/2,000 items, 10 B as JSON\n  b  Reading items  0/2,000 items, 10 B as JSON"
        );

        let many = (0..13).map(|at| (format!("t{at:02}"), progress(at)));
        let text = lines(&many.collect());
        assert_eq!(text.lines().count(), 1 + MAX_LINES + 1);
        assert!(text.ends_with("\n  and 3 more tables"), "{text}");
    }
}
