//! Prompts. Without a terminal, or if the dump is read from standard input, there are none, and a flag must answer.

use std::io;
use std::sync::Arc;

use console::Term;
use dialoguer::{Confirm, Input};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio_util::sync::CancellationToken;

use super::output::Console;
use super::signals::interrupted_without_changes;
use crate::environment::{Answers, Approval, Confirmation, Decision, Prompt};
use crate::error::{Error, Result};
use crate::layout::escape;

/// The answer to a prompt.
enum PromptAnswer {
    Yes(bool),
    Typed(String),
}

/// Prints the questions that need confirmation as warnings. Their wording is stable, because people search logs for it.
pub(crate) fn show_questions(console: &Console, approval: &Approval) {
    for question in approval.questions() {
        if question.is_cross_environment() {
            let action = if console.command() == "copydb" {
                "copy"
            } else {
                "restore"
            };
            console.warning(&format!("Cross-environment {action} detected!"));
        }

        console.warning(&question.text(console.options().verbose));
    }
}

/// Whether flags such as `--yes` answer all questions.
pub(crate) fn is_decided_by_flags(approval: &Approval, answers: &Answers) -> bool {
    matches!(approval.decide(answers), Ok(Decision::Granted(_)))
}

/// Gets the confirmation from the flags or by a prompt.
///
/// # Errors
/// The answer is no or wrong, there is no terminal, or `cancel` is cancelled.
pub(crate) async fn confirm(
    console: &Arc<Console>,
    approval: &Approval,
    answers: &Answers,
    stdin_is_data: bool,
    cancel: &CancellationToken,
) -> Result<Confirmation> {
    let prompt = match approval.decide(answers)? {
        Decision::Granted(confirmation) => return Ok(confirmation),
        Decision::Ask(prompt) => prompt,
    };

    // Standard input that carries the dump cannot carry an answer.
    if stdin_is_data || !console.can_prompt() {
        return Err(approval.unanswered());
    }

    let answer = run_prompt(console, cancel, move || ask(&prompt)).await?;
    match answer.map_err(|error| prompt_error(error, approval.unanswered()))? {
        PromptAnswer::Yes(yes) => approval.answer_yes_no(yes),
        PromptAnswer::Typed(name) => approval.answer_typed(&name),
    }
}

/// Prompts for something harmless: Enter means yes, Escape cancels.
///
/// # Errors
/// The prompt is cancelled, by Escape or by `cancel`.
pub(crate) async fn ask_yes_no(
    console: &Arc<Console>,
    prompt: &str,
    cancel: &CancellationToken,
) -> Result<bool> {
    let prompt = escape(prompt).into_owned();
    let question = move || {
        Confirm::new()
            .with_prompt(prompt)
            .default(true)
            .wait_for_newline(true)
            .interact_opt()
    };

    let answer = run_prompt(console, cancel, question).await?;
    let unanswered = || Error::not_confirmed("there was no answer; nothing was changed");
    answer
        .map_err(|error| prompt_error(error, unanswered()))?
        .ok_or_else(unanswered)
}

/// Runs a prompt on a blocking thread, and restores the terminal if it is interrupted.
async fn run_prompt<T: Send + 'static>(
    console: &Console,
    cancel: &CancellationToken,
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<dialoguer::Result<T>> {
    // `dialoguer` turns off echo and line mode while it waits for a key, and its thread cannot be stopped.
    let attributes = tcgetattr(io::stdin()).ok();
    console.set_prompting(true);
    let answering = tokio::task::spawn_blocking(question);
    let answer = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted_without_changes()),
        answer = answering => answer.map_err(|error| Error::failed("the prompt stopped unexpectedly").with_source(error)),
    };

    if let Ok(Ok(_)) = &answer {
        console.set_prompting(false);
        return answer;
    }

    if let Some(attributes) = attributes {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &attributes);
    }

    // The prompt has hidden the cursor. It still counts as active, because the signal that ended it may be handled only after this.
    let terminal = Term::stderr();
    let _ = terminal
        .show_cursor()
        .and_then(|()| terminal.write_line(""));

    answer
}

/// Shows the prompt and waits for the answer, which ends with Enter. Escape means no.
fn ask(prompt: &Prompt) -> dialoguer::Result<PromptAnswer> {
    match prompt {
        Prompt::YesNo(text) => {
            let answer = Confirm::new()
                .with_prompt(escape(text))
                .default(false)
                .wait_for_newline(true)
                .interact_opt()?;
            Ok(PromptAnswer::Yes(answer.unwrap_or(false)))
        }
        Prompt::TypeName(text) => {
            let name = Input::<String>::new()
                .with_prompt(escape(text))
                .allow_empty(true)
                .interact_text()?;
            Ok(PromptAnswer::Typed(name))
        }
    }
}

/// The error of a failed prompt.
fn prompt_error(error: dialoguer::Error, unanswered: Error) -> Error {
    let error = io::Error::from(error);
    match error.kind() {
        io::ErrorKind::Interrupted => interrupted_without_changes(),
        // The terminal was closed.
        _ => unanswered.with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::output::OutputOptions;
    use crate::cli::terminal::output::testing::console;
    use crate::environment::Question;
    use crate::error::ErrorKind;

    fn approval() -> Approval {
        let question = Question::CrossEnvironment {
            source: "prod".to_owned(),
            target: "local".to_owned(),
        };
        Approval::for_dump("Replace the dump", vec![question])
    }

    #[test]
    fn cross_environment_restore_has_its_documented_warnings() {
        let (console, output) = console(
            OutputOptions {
                quiet: true,
                ..OutputOptions::default()
            },
            false,
        );

        show_questions(&console, &approval());
        assert_eq!(
            output.text(),
            "[WARNING] Cross-environment restore detected!\n[WARNING] Source: prod → Target: local\n"
        );
    }

    #[tokio::test]
    async fn without_a_terminal_only_a_flag_answers() {
        let (console, _) = console(OutputOptions::default(), false);
        let (console, cancel) = (Arc::new(console), CancellationToken::new());
        let yes = Answers {
            yes: true,
            confirm: None,
        };
        assert!(
            confirm(&console, &approval(), &yes, false, &cancel)
                .await
                .is_ok()
        );

        let error = confirm(&console, &approval(), &Answers::default(), false, &cancel)
            .await
            .unwrap_err();

        assert_eq!(
            (error.kind(), error.hint()),
            (ErrorKind::NotConfirmed, Some("pass `yes`"))
        );
    }

    #[test]
    fn ctrl_c_at_a_prompt_is_an_interruption() {
        let error = |kind| {
            prompt_error(
                dialoguer::Error::from(io::Error::from(kind)),
                approval().unanswered(),
            )
            .kind()
        };

        assert_eq!(error(io::ErrorKind::Interrupted), ErrorKind::Interrupted);
        assert_eq!(error(io::ErrorKind::UnexpectedEof), ErrorKind::NotConfirmed);
    }
}
