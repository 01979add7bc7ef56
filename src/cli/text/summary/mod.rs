//! Text of summaries: the result of a command, problems that need attention, and details.

mod dump;
mod next;
mod restore;

pub(crate) use dump::{dump, problems as dump_problems};
pub(crate) use next::{compare_command, verify_command};
pub(crate) use restore::{problems as restore_problems, restore};

use std::fmt::Write as _;

use super::format;
use super::scan::one_line;
use crate::layout::Rows;

/// The text of a finished command.
#[derive(Debug, Default)]
pub(crate) struct OutcomeText {
    /// The result in one sentence; `None` if the first problem says it.
    pub(crate) headline: Option<String>,
    /// Problems; any of them makes the exit code another than [`DONE`](crate::cli::exit::DONE).
    pub(crate) problems: Vec<String>,
    /// Everything else.
    pub(crate) rows: Rows,
    /// Whether details are shown without `--verbose`.
    pub(crate) all_details: bool,
}

/// Shown for a setting that was skipped or failed without a recorded reason.
const NO_REASON: &str = "no reason is known";

/// Lines for the most frequent reasons of `rejected` items, below a problem: `\n  12 × the key is missing`.
fn reason_lines(reasons: &[(String, u64)], rejected: u64) -> String {
    let mut lines = String::new();
    for (reason, items) in reasons {
        let _ = write!(
            lines,
            "\n  {} × {}",
            format::count(*items),
            one_line(reason)
        );
    }

    let listed: u64 = reasons.iter().map(|(_, items)| items).sum();
    if !reasons.is_empty() && rejected > listed {
        let _ = write!(
            lines,
            "\n  {} × other reasons",
            format::count(rejected - listed)
        );
    }

    lines
}

/// A message about items with equal keys; `pairs` are examples by their positions. `None` if there are none.
pub(crate) fn key_collisions(collisions: u64, pairs: &[(u64, u64)]) -> Option<String> {
    (collisions > 0).then(|| {
        let (items, have) = (
            format::items(collisions),
            if collisions == 1 { "has" } else { "have" },
        );
        let mut message = format!(
            "{items} {have} the same key as another item; a table can contain only one of them"
        );
        message.extend(
            pairs
                .iter()
                .map(|(first, second)| format!("\n  item {second} has the key of item {first}")),
        );

        message
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_counts_and_the_rest_is_one_line() {
        let reasons = [("no key".to_owned(), 1200), ("two\nlines".to_owned(), 3)];
        assert_eq!(
            reason_lines(&reasons, 1203),
            "\n  1,200 × no key\n  3 × two lines"
        );
        assert_eq!(
            reason_lines(&reasons[1..], 5),
            "\n  3 × two lines\n  2 × other reasons"
        );
        assert_eq!(reason_lines(&[], 5), "");
    }
}

#[cfg(test)]
mod testing {
    use crate::layout::{Line, Rows};
    use crate::ops::table_location::TableLocation;

    /// The rows with details, without wrapping.
    pub(super) fn lines(rows: &Rows) -> Vec<String> {
        let lines = rows.lines(true, usize::MAX).into_iter();
        lines
            .map(|line| match line {
                Line::Row(text) => text.trim_start().to_owned(),
                Line::Heading(text) => text.to_owned(),
            })
            .collect()
    }

    pub(super) fn location() -> TableLocation {
        TableLocation {
            environment: "local".to_owned(),
            table: "films".to_owned(),
            account: None,
            region: Some("us-east-1".to_owned()),
            endpoint: Some("http://localhost:4566".to_owned()),
            protected: false,
            local: true,
            credentials: "profile default, ~/.aws/credentials".to_owned(),
            sources: Vec::new(),
        }
    }
}
