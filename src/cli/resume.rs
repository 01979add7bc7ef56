//! Going on with an interrupted run: the command that does it, the question at a terminal, what is said of it.

use std::ffi::OsString;

use chrono::{DateTime, Utc};

use super::session::Session;
use super::terminal::prompt;
use super::text::format;
use super::text::plan::Section;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::dump::{DumpPlan, InterruptedDump};

const FLAG: &str = "--resume";

/// The command line of this process with `--resume`, as a shell reads it back.
pub(crate) fn resume_command() -> String {
    with_resume_flag(std::env::args_os())
}

/// A command line with `--resume`, as a shell reads it back. Command lines hold no secrets: no option takes one.
pub(crate) fn with_resume_flag(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let options = arguments
        .iter()
        .position(|word| word == "--")
        .unwrap_or(arguments.len());
    if !arguments[..options].iter().any(|word| word == FLAG) {
        arguments.insert(options, FLAG.into());
    }

    arguments
        .iter()
        .map(|word| format::shell_quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// What is kept of an interrupted dump, and the command that goes on from it.
pub(crate) fn resume_hint_with_count(items_kept: u64, command: &str) -> String {
    format!(
        "{} kept; {}",
        count_with_verb(items_kept),
        resume_hint(command)
    )
}

/// The command that goes on.
pub(crate) fn resume_hint(command: &str) -> String {
    format!("to go on: {command}")
}

/// An error with the way on from it; as it is, where nothing is to go on from.
pub(crate) fn with_resume_hint(error: Error, resume_hint: Option<String>) -> Error {
    // What is damaged cannot be gone on with, whatever is kept.
    let Some(resume_hint) = resume_hint.filter(|_| error.kind() != ErrorKind::Damaged) else {
        return error;
    };

    // To run the same command again would be to start afresh.
    match error
        .hint()
        .filter(|_| error.kind() != ErrorKind::Interrupted)
        .map(ToOwned::to_owned)
    {
        Some(hint) => error.with_hint(format!("{hint}\n{resume_hint}")),
        None => error.with_hint(resume_hint),
    }
}

/// Whether to go on with an interrupted run that `--resume` does not speak of. Only somebody at a terminal is asked.
///
/// # Errors
/// There is no answer.
pub(crate) async fn offer_resume(plan: &DumpPlan, session: &Session, yes: bool) -> Result<bool> {
    let Some(found) = plan
        .unfinished
        .as_ref()
        .filter(|found| !plan.resumes && found.obstacles.is_empty())
    else {
        return Ok(false);
    };

    if !session.console.can_prompt() {
        return Ok(false);
    }

    session.progress.end();
    session.console.warning(&format!(
        "an interrupted dump lies there: {}",
        describe(found, Utc::now())
    ));

    if yes {
        Ok(true)
    } else {
        prompt::ask_yes_no(&session.console, "Resume it?", &session.cancel).await
    }
}

/// What is said of an interrupted run that the plan gives up.
pub(crate) fn discard_warning(plan: &DumpPlan, now: DateTime<Utc>) -> Option<String> {
    let found = plan.unfinished.as_ref().filter(|_| !plan.resumes)?;
    let why = if found.obstacles.is_empty() {
        "--resume would go on with it".to_owned()
    } else {
        format!(
            "it was of something else, or made in another way ({})",
            found.obstacles.join("; ")
        )
    };

    Some(format!(
        "an interrupted dump lies there and is given up: {}; {why}",
        describe(found, now)
    ))
}

/// What a plan says of resuming; nothing where that was not asked for and does not happen.
pub(crate) fn section(plan: &DumpPlan, requested: bool, now: DateTime<Utc>) -> Option<Section> {
    let line = match &plan.unfinished {
        Some(found) if plan.resumes => describe(found, now),
        _ if requested => "nothing: no interrupted dump is there".to_owned(),
        _ => return None,
    };

    Some(("Resumes", vec![format!("  {line}")]))
}

fn describe(found: &InterruptedDump, now: DateTime<Utc>) -> String {
    format!(
        "{}, {} read; begun {}, broken off {}",
        format::items(found.items),
        format::bytes(found.data_bytes),
        format::timestamp(found.started_at),
        format::age(found.reached_at, now),
    )
}

fn count_with_verb(items: u64) -> String {
    format!(
        "{} {}",
        format::items(items),
        if items == 1 { "is" } else { "are" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(line: &[&str]) -> String {
        with_resume_flag(line.iter().map(OsString::from))
    }

    #[test]
    fn the_command_is_the_one_that_was_typed_and_a_shell_reads_it_back() {
        assert_eq!(
            resumed(&["dumpdb", "--env=prod"]),
            "dumpdb --env=prod --resume"
        );
        assert_eq!(
            resumed(&["dumpdb", "--resume", "--output", "a b"]),
            "dumpdb --resume --output 'a b'"
        );
        assert_eq!(
            resumed(&["./dumpdb", "--output=it's", "$x"]),
            r"./dumpdb '--output=it'\''s' '$x' --resume"
        );
        assert_eq!(
            resumed(&["restoredb", "--", "--resume"]),
            "restoredb --resume -- --resume"
        );
        assert_eq!(resumed(&[]), "--resume");
    }

    #[test]
    fn what_a_terminal_does_not_show_as_it_is_comes_back_too() {
        use std::os::unix::ffi::OsStringExt;

        assert_eq!(
            resumed(&["dumpdb", "it's\n\t\\ \u{9b}é"]),
            r"dumpdb $'it\'s\n\t\\ \302\233é' --resume"
        );
        let no_text = OsString::from_vec(b"a\xff1".to_vec());
        assert_eq!(with_resume_flag([no_text]), r"$'a\3771' --resume");
    }

    #[test]
    fn the_way_on_stands_beside_other_advice_but_in_place_of_beginning_again() {
        let resume_hint = |items| resume_hint_with_count(items, "x --resume");
        let hint = |error: Error, kept: Option<u64>| {
            with_resume_hint(error, kept.map(resume_hint))
                .hint()
                .map(ToOwned::to_owned)
        };

        let full = || Error::failed("disk full").with_hint("free some space");
        assert_eq!(
            hint(full(), Some(2)).unwrap(),
            "free some space\n2 items are kept; to go on: x --resume"
        );
        assert_eq!(hint(full(), None).unwrap(), "free some space");
        let interrupted =
            Error::new(ErrorKind::Interrupted, "interrupted").with_hint("run it again");
        assert_eq!(
            hint(interrupted, Some(1)).unwrap(),
            "1 item is kept; to go on: x --resume"
        );
        assert_eq!(hint(Error::damaged("changed"), Some(1)), None);
    }
}
