//! Events of several tables: each names its table.

use std::sync::Arc;

use crate::event::{Event, Reporter};

/// Receives the events of several tables. Several tasks may call it concurrently, and it must return quickly.
pub trait SetReporter: Send + Sync {
    /// Receives one event of a table.
    fn report(&self, table: &str, event: Event);
}

/// The reporter of one table, which adds the table's name to each event.
pub struct TableReporter {
    table: String,
    reporter: Arc<dyn SetReporter>,
}

impl TableReporter {
    /// A reporter for the events of `table`.
    pub fn new(table: impl Into<String>, reporter: Arc<dyn SetReporter>) -> Self {
        Self {
            table: table.into(),
            reporter,
        }
    }
}

impl Reporter for TableReporter {
    fn report(&self, event: Event) {
        self.reporter.report(&self.table, event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(String, Event)>>);

    impl SetReporter for Recorder {
        fn report(&self, table: &str, event: Event) {
            self.0.lock().unwrap().push((table.to_owned(), event));
        }
    }

    #[test]
    fn each_event_names_its_table() {
        let recorder = Arc::new(Recorder::default());
        let event = |text: &str| Event::Info(text.to_owned());
        for table in ["films", "actors"] {
            let reporter = Arc::clone(&recorder) as Arc<dyn SetReporter>;
            TableReporter::new(table, reporter).report(event(table));
        }

        assert_eq!(
            *recorder.0.lock().unwrap(),
            [
                ("films".to_owned(), event("films")),
                ("actors".to_owned(), event("actors"))
            ]
        );
    }
}
