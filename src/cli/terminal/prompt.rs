//! Questions at a terminal. Without one, or while standard input carries the dump, nothing is asked: a flag must answer.

use std::io;
use std::sync::Arc;

use console::Term;
use dialoguer::{Confirm, Input};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio_util::sync::CancellationToken;

use super::output::Console;
use super::signals::interrupted_without_changes;
use crate::cli::text::format::escape;
use crate::environment::{Answers, Approval, Confirmation, Decision, Prompt, Question};
use crate::error::{Error, Result};

/// An answer as it was given.
enum PromptAnswer {
    Yes(bool),
    Typed(String),
}

/// Shows what must be agreed to, in the words that people search their logs for.
pub(crate) fn show_questions(console: &Console, approval: &Approval) {
    for question in approval.questions() {
        if matches!(question, Question::CrossEnvironment { .. }) {
            console.warning("Cross-environment restore detected!");
        }

        console.warning(&question.to_string());
    }
}

/// Whether the flags answer everything that would be asked.
pub(crate) fn is_decided_by_flags(approval: &Approval, answers: &Answers) -> bool {
    matches!(approval.decide(answers), Ok(Decision::Granted(_)))
}

/// Gets the confirmation, from the flags or from whoever sits at the terminal. `prompt` is the question for a yes or no.
///
/// # Errors
/// The answer is no or wrong, nobody is there to answer, or `cancel` fires.
pub(crate) async fn confirm(
    console: &Arc<Console>,
    approval: &Approval,
    answers: &Answers,
    stdin_is_data: bool,
    prompt: &str,
    cancel: &CancellationToken,
) -> Result<Confirmation> {
    let kind = match approval.decide(answers)? {
        Decision::Granted(confirmation) => return Ok(confirmation),
        Decision::Ask(kind) => kind,
    };
    if stdin_is_data || !console.can_prompt() {
        return Err(approval.unanswered());
    }

    let prompt = escape(prompt).into_owned();
    let answer = run_prompt(console, cancel, move || ask(&kind, prompt)).await?;
    match answer.map_err(|error| prompt_error(error, approval.unanswered()))? {
        PromptAnswer::Yes(yes) => approval.answer_yes_no(yes),
        PromptAnswer::Typed(name) => approval.answer_typed(&name),
    }
}

/// Offers something that nobody should be surprised by: Enter is a yes, Escape is neither a yes nor a no.
///
/// # Errors
/// The answer is neither; `cancel` fires.
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
            .interact_opt()
    };

    let answer = run_prompt(console, cancel, question).await?;
    let unanswered = || Error::not_confirmed("there was no answer; nothing was changed");
    answer
        .map_err(|error| prompt_error(error, unanswered()))?
        .ok_or_else(unanswered)
}

/// Asks on a thread of its own, and leaves the terminal as it was, however that ends.
async fn run_prompt<T: Send + 'static>(
    console: &Console,
    cancel: &CancellationToken,
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<dialoguer::Result<T>> {
    // While a key is waited for the terminal neither echoes nor ends lines.
    let attributes = tcgetattr(io::stdin()).ok();
    console.set_prompting(true);
    let asking = tokio::task::spawn_blocking(question);
    let answer = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted_without_changes()),
        answer = asking => answer.map_err(|error| Error::failed("the question was cut off").with_source(error)),
    };

    if let Ok(Ok(_)) = &answer {
        console.set_prompting(false);
        return answer;
    }

    if let Some(attributes) = attributes {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &attributes);
    }

    // The question hides the cursor and shows it again, in a line of its own, only once it is answered. It counts as
    // still standing: the signal that ended it may be heard only now.
    let terminal = Term::stderr();
    let _ = terminal
        .show_cursor()
        .and_then(|()| terminal.write_line(""));

    answer
}

/// Asks. Escape is a no.
fn ask(kind: &Prompt, prompt: String) -> dialoguer::Result<PromptAnswer> {
    match kind {
        Prompt::YesNo => {
            let answer = Confirm::new()
                .with_prompt(prompt)
                .default(false)
                .interact_opt()?;
            Ok(PromptAnswer::Yes(answer.unwrap_or(false)))
        }
        Prompt::TypeName(_) => {
            let prompt = "This environment is protected. Type the name of the table to go ahead";
            let name = Input::<String>::new()
                .with_prompt(prompt)
                .allow_empty(true)
                .interact_text()?;
            Ok(PromptAnswer::Typed(name))
        }
    }
}

fn prompt_error(error: dialoguer::Error, unanswered: Error) -> Error {
    let error = io::Error::from(error);
    match error.kind() {
        io::ErrorKind::Interrupted => interrupted_without_changes(),
        // The terminal has gone: nobody is there.
        _ => unanswered.with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::terminal::output::OutputOptions;
    use crate::cli::terminal::output::testing::console;
    use crate::error::ErrorKind;

    fn approval() -> Approval {
        Approval::for_dump(vec![Question::CrossEnvironment {
            source: "prod".to_owned(),
            target: "local".to_owned(),
        }])
    }

    #[test]
    fn a_cross_environment_restore_is_announced_in_the_agreed_words() {
        let (console, heard) = console(
            OutputOptions {
                quiet: true,
                ..OutputOptions::default()
            },
            false,
        );

        show_questions(&console, &approval());
        assert_eq!(
            heard.text(),
            "[WARNING] Cross-environment restore detected!\n[WARNING] Source: prod → Target: local\n"
        );
    }

    #[tokio::test]
    async fn without_a_terminal_the_flag_answers_or_nobody_does() {
        let (console, _) = console(OutputOptions::default(), false);
        let (console, cancel) = (Arc::new(console), CancellationToken::new());
        let yes = Answers {
            yes: true,
            confirm: None,
        };
        assert!(
            confirm(&console, &approval(), &yes, false, "Go on?", &cancel)
                .await
                .is_ok()
        );

        let error = confirm(
            &console,
            &approval(),
            &Answers::default(),
            false,
            "Go on?",
            &cancel,
        )
        .await
        .unwrap_err();

        assert_eq!(
            (error.kind(), error.hint()),
            (ErrorKind::NotConfirmed, Some("pass --yes"))
        );
    }

    #[test]
    fn ctrl_c_at_a_question_is_an_interruption() {
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
