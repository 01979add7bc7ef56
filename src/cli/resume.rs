//! Resuming interrupted runs: the command to resume, the prompt, and the text of the plan.

use std::ffi::OsString;

use chrono::{DateTime, Utc};

use super::session::Session;
use super::terminal::prompt;
use super::text::format;
use crate::environment::Answers;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::Rows;
use crate::ops::dump::{DumpPlan, InterruptedDump};
use crate::ops::guard;
use crate::ops::set::InterruptedSet;

const FLAG: &str = "--resume";

/// The command line of this process with `--resume`, quoted for a shell.
pub(crate) fn resume_command() -> String {
    with_resume_flag(std::env::args_os())
}

/// A command line with `--resume`, quoted for a shell. It contains no secrets, because no option takes one.
pub(crate) fn with_resume_flag(arguments: impl IntoIterator<Item = OsString>) -> String {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // What follows `--` is not parsed as an option.
    let end_of_options = arguments
        .iter()
        .position(|word| word == "--")
        .unwrap_or(arguments.len());
    if !arguments[..end_of_options].iter().any(|word| word == FLAG) {
        arguments.insert(end_of_options, FLAG.into());
    }

    arguments
        .iter()
        .map(|word| format::shell_quoted(word))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The number of items kept, and the command to resume.
pub(crate) fn resume_hint_with_count(items_kept: u64, command: &str) -> String {
    format!(
        "{} saved. {}",
        format::items(items_kept),
        resume_hint(command)
    )
}

/// The hint how to resume this command, if that is possible. After a second signal, it follows `kept`, which says what remains.
pub(crate) fn announce_hint(session: &Session, can_be_resumed: bool, kept: &str) -> Option<String> {
    let hint = can_be_resumed.then(|| resume_hint(&resume_command()))?;
    let _ = session.abort_hint.set(format!("{kept} {hint}"));

    Some(hint)
}

/// The command to resume.
pub(crate) fn resume_hint(command: &str) -> String {
    format!("Resume with: {command}")
}

/// Adds the command to resume to the hint of an error, if there is something to resume.
pub(crate) fn with_resume_hint(error: Error, resume_hint: Option<String>) -> Error {
    let Some(resume_hint) = resume_hint else {
        return error;
    };

    match (error.kind(), error.hint()) {
        // A damaged file would stop a resumed run too.
        (ErrorKind::Damaged, _) => error,
        // The hint of an interruption is to run the same command again, which would start over.
        (ErrorKind::Interrupted, _) | (_, None) => error.with_hint(resume_hint),
        (_, Some(hint)) => {
            let hint = format!("{hint}\n{resume_hint}");
            error.with_hint(hint)
        }
    }
}

/// Asks whether to resume an interrupted dump if the options do not decide it. Without a terminal, the answer is no.
///
/// # Errors
/// The prompt is cancelled.
pub(crate) async fn offer_resume(
    plan: &DumpPlan,
    session: &Session,
    answers: &Answers,
) -> Result<bool> {
    let Some(interrupted) = &plan.unfinished else {
        return Ok(false);
    };

    let is_open = guard::asks_to_resume_dump(interrupted, plan.resumes, answers);
    if !is_open || !session.console.can_prompt() {
        return Ok(false);
    }

    session.progress.end();
    let question = guard::resume_question("dump", interrupted.items);
    prompt::ask_yes_no(&session.console, &question, &session.cancel).await
}

/// Asks whether to resume an interrupted `job` of several tables, if one was found.
///
/// # Errors
/// The prompt is cancelled.
pub(crate) async fn ask_for_set(
    job: &str,
    found: Option<InterruptedSet>,
    session: &Session,
) -> Result<bool> {
    let Some(found) = found else {
        return Ok(false);
    };

    session.progress.end();
    let question = guard::resume_set_question(job, &found);
    prompt::ask_yes_no(&session.console, &question, &session.cancel).await
}

/// Adds what is resumed to a plan, if anything is or if it was requested.
pub(crate) fn add_rows(rows: &mut Rows, plan: &DumpPlan, requested: bool, now: DateTime<Utc>) {
    let value = match &plan.unfinished {
        Some(interrupted) if plan.resumes => describe(interrupted, now),
        _ if requested => "no interrupted dump was found; a new one is started".to_owned(),
        _ => return,
    };

    rows.group("Interrupted dump").row("resumes", value);
}

/// Progress and age of an interrupted dump.
fn describe(interrupted: &InterruptedDump, now: DateTime<Utc>) -> String {
    format!(
        "{}, {} as JSON; started {}, interrupted {}",
        format::items(interrupted.items),
        format::bytes(interrupted.data_bytes),
        format::timestamp(interrupted.started_at),
        format::age(interrupted.reached_at, now),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resumed(line: &[&str]) -> String {
        with_resume_flag(line.iter().map(OsString::from))
    }

    #[test]
    fn resume_flag_is_added_once_and_arguments_are_quoted() {
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
    fn control_characters_and_invalid_utf8_are_quoted() {
        use std::os::unix::ffi::OsStringExt;

        assert_eq!(
            resumed(&["dumpdb", "it's\n\t\\ \u{9b}é"]),
            r"dumpdb $'it\'s\n\t\\ \302\233é' --resume"
        );
        let no_text = OsString::from_vec(b"a\xff1".to_vec());
        assert_eq!(with_resume_flag([no_text]), r"$'a\3771' --resume");
    }

    #[test]
    fn resume_hint_is_added_to_other_hints_but_replaces_the_hint_of_an_interruption() {
        let resume_hint = |items| resume_hint_with_count(items, "x --resume");
        let hint = |error: Error, kept: Option<u64>| {
            with_resume_hint(error, kept.map(resume_hint))
                .hint()
                .map(ToOwned::to_owned)
        };

        let full = || Error::failed("disk full").with_hint("free some space");
        assert_eq!(
            hint(full(), Some(2)).unwrap(),
            "free some space\n2 items saved. Resume with: x --resume"
        );
        assert_eq!(hint(full(), None).unwrap(), "free some space");
        let interrupted =
            Error::new(ErrorKind::Interrupted, "interrupted").with_hint("run it again");
        assert_eq!(
            hint(interrupted, Some(1)).unwrap(),
            "1 item saved. Resume with: x --resume"
        );
        assert_eq!(hint(Error::damaged("changed"), Some(1)), None);
    }
}
