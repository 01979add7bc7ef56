//! Whether to ask if an interrupted dump or restore is resumed, of one table or several.

use crate::environment::Answers;
use crate::field::Field;
use crate::layout::counted;
use crate::ops::ContentScope;
use crate::ops::dump::InterruptedDump;
use crate::ops::restore::{ExistingTable, RestoreRequest};
use crate::ops::set::InterruptedSet;

/// Whether the options of a restore leave open whether an interrupted one is resumed. `--replace` starts over; `--if-missing` and
/// `--if-empty` resume. `--yes` and `--confirm` answer for a person who is not there: without `--resume`, they start over, with or without a terminal.
pub(crate) fn asks_to_resume_restore(request: &RestoreRequest, answers: &Answers) -> bool {
    !request.resume
        && request.existing == ExistingTable::Add
        && request.content != ContentScope::SchemaOnly
        && is_unanswered(answers)
}

/// Whether the options of a dump leave open whether the interrupted one, if it can be resumed, is resumed.
pub(crate) fn asks_to_resume_dump(
    interrupted: &InterruptedDump,
    is_resumed: bool,
    answers: &Answers,
) -> bool {
    !is_resumed && interrupted.obstacles.is_empty() && is_unanswered(answers)
}

/// Whether the options of a dump of several tables leave open whether an interrupted one is resumed.
pub(crate) fn asks_to_resume_set_dump(is_resumed: bool, answers: &Answers) -> bool {
    !is_resumed && is_unanswered(answers)
}

fn is_unanswered(answers: &Answers) -> bool {
    !answers.yes && answers.confirm.is_none()
}

/// The question whether an interrupted `job` is resumed that has completed this number of items.
pub(crate) fn question(job: &str, items: u64) -> String {
    format!(
        "Resume the interrupted {job} ({} done)?",
        counted(items, "item")
    )
}

/// The question whether an interrupted `job` of several tables is resumed.
pub(crate) fn set_question(job: &str, interrupted: &InterruptedSet) -> String {
    format!(
        "Resume the interrupted {job} ({} of {} done)?",
        interrupted.finished,
        counted(interrupted.tables, "table")
    )
}

/// The warning that an interrupted dump is discarded, with the reason.
pub(crate) fn discarded_dump(interrupted: &InterruptedDump) -> String {
    let reason = if interrupted.obstacles.is_empty() {
        format!("{} would resume it.", Field::Resume)
    } else {
        format!(
            "It cannot be resumed: {}.",
            interrupted.obstacles.join("; ")
        )
    };

    format!(
        "Discarding the interrupted dump ({}). {reason}",
        counted(interrupted.items, "item")
    )
}
