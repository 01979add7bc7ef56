//! Messages of a command for several tables: each names its table.

use std::sync::Arc;

use super::output::Console;
use crate::cli::text::format;
use crate::event::Event;
use crate::ops::set::SetReporter;

/// Receives the events of several tables and prints their messages.
pub(crate) struct SetMessages {
    console: Arc<Console>,
}

impl SetMessages {
    pub(crate) fn new(console: Arc<Console>) -> Self {
        Self { console }
    }
}

impl SetReporter for SetMessages {
    fn report(&self, table: &str, event: Event) {
        let is_verbose = self.console.options().verbose;
        match event {
            Event::Warning(text) => self.console.warning(&format!("table {table}: {text}")),
            Event::Info(text) if is_verbose => self.console.info(&format!("table {table}: {text}")),
            Event::Retry { reason, wait } if is_verbose => self.console.info(&format!(
                "table {table}: retrying in {}: {reason}",
                format::seconds(wait.as_secs_f64())
            )),
            _ => {}
        }
    }
}
