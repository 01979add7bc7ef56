//! Confirmation of dangerous calls. Such a call requires a [`Confirmation`], and only this file can
//! create one, so no code path can skip the questions.
//!
//! An unprotected target without questions needs no flag; `--yes` answers its questions. A
//! protected target always requires the name of its table, typed or as `--confirm <table>`, which
//! answers all questions. A wrong name, a missing answer and a "no" are
//! [`ErrorKind::NotConfirmed`](crate::error::ErrorKind::NotConfirmed).
//!
//! This module prints nothing: the caller shows the prompt in [`Decision::Ask`] and returns the
//! answer.

use std::fmt;

use super::Environment;
use crate::error::{Error, Result};
use crate::field::Field;

/// Proof that a change was approved. Only this file can create it, and it cannot be cloned.
#[derive(Debug)]
pub struct Confirmation {
    table: Option<String>,
    replaces: bool,
}

impl Confirmation {
    /// Whether it allows writing to the table.
    #[must_use]
    pub fn covers(&self, table: &str) -> bool {
        self.table.as_deref() == Some(table)
    }

    /// Whether it allows deleting and recreating the table.
    #[must_use]
    pub fn covers_replacing(&self, table: &str) -> bool {
        self.replaces && self.covers(table)
    }
}

/// A risk that the user must accept. `Display` gives one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Data is copied from one environment to another.
    CrossEnvironment {
        /// The environment of the source.
        source: String,
        /// The environment of the target.
        target: String,
    },
    /// The target table is not on this machine.
    RemoteTarget {
        /// Its location: `AWS account 123456789012 in eu-west-1`, or a URL.
        place: String,
    },
    /// A table is deleted and recreated.
    ReplaceTable {
        /// The table.
        table: String,
        /// Losses in addition to the items, each as a fragment (`its 2 tags`).
        losses: Vec<String>,
    },
    /// Any other risk, as a statement: `the dump in x is complete, this one would not be`.
    OtherRisk(String),
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CrossEnvironment { source, target } => {
                write!(f, "Source: {source} → Target: {target}")
            }
            Self::RemoteTarget { place } => write!(f, "Remote target: {place}"),
            Self::ReplaceTable { table, losses } if losses.is_empty() => {
                write!(f, "table {table:?} and its items will be deleted")
            }
            Self::ReplaceTable { table, losses } => {
                write!(
                    f,
                    "table {table:?} and its items will be deleted, and with it {}",
                    losses.join(", ")
                )
            }
            Self::OtherRisk(risk) => f.write_str(risk),
        }
    }
}

/// Answers on the command line.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm <table>`.
    pub confirm: Option<String>,
}

/// A target and the questions that must be answered before it is changed.
#[derive(Debug, Clone)]
pub struct Approval {
    target: Option<ApprovalTarget>,
    action: String,
    questions: Vec<Question>,
}

#[derive(Debug, Clone)]
struct ApprovalTarget {
    environment: String,
    table: String,
    protected: bool,
}

/// Result of the answers given so far.
#[derive(Debug)]
pub enum Decision {
    /// Approved.
    Granted(Confirmation),
    /// Show this prompt, and pass the answer to [`Approval::answer_yes_no`] or
    /// [`Approval::answer_typed`].
    Ask(Prompt),
}

/// A question to the user, with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// A yes/no question.
    YesNo(String),
    /// The user must type the name of the target table.
    TypeName(String),
}

impl Approval {
    /// Creates an approval for writing to `table` in `environment`. `action` is the beginning of the question: `Write 312 items into
    /// table films (staging)`.
    #[must_use]
    pub fn for_table(
        environment: &Environment,
        table: impl Into<String>,
        action: impl Into<String>,
        questions: Vec<Question>,
    ) -> Self {
        let (name, protected) = (environment.name().to_owned(), environment.is_protected());
        Self {
            target: Some(ApprovalTarget {
                environment: name,
                table: table.into(),
                protected,
            }),
            action: action.into(),
            questions,
        }
    }

    /// Creates an approval for replacing a dump on disk. Its confirmation covers no table.
    #[must_use]
    pub fn for_dump(action: impl Into<String>, questions: Vec<Question>) -> Self {
        Self {
            target: None,
            action: action.into(),
            questions,
        }
    }

    /// An approval for a command that changes nothing. It needs no answer, and its confirmation covers no table.
    #[must_use]
    pub fn nothing() -> Self {
        Self::for_dump("", Vec::new())
    }

    /// The questions, to be shown before the prompt.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Evaluates the answers on the command line.
    ///
    /// # Errors
    /// `--confirm` names a table other than the target.
    pub fn decide(&self, answers: &Answers) -> Result<Decision> {
        // Checked even if nothing is asked, because a wrong name may mean the wrong environment.
        if let (Some(target), Some(name)) = (&self.target, &answers.confirm) {
            return self
                .confirm_name(target, name, &format!("{} names", Field::Confirm))
                .map(Decision::Granted);
        }

        match self.protected_target() {
            Some(target) => Ok(Decision::Ask(Prompt::TypeName(format!(
                "{}? {} is protected: type the name of the table to confirm",
                self.action, target.environment
            )))),
            // `--yes` is not sufficient for a protected target, which the case above covers.
            None if self.questions.is_empty() || answers.yes => {
                Ok(Decision::Granted(self.confirmation()))
            }
            None => Ok(Decision::Ask(Prompt::YesNo(format!("{}?", self.action)))),
        }
    }

    /// Evaluates the answer to [`Prompt::YesNo`].
    ///
    /// # Errors
    /// The answer is no, or the target is protected, for which a yes is not sufficient.
    pub fn answer_yes_no(&self, yes: bool) -> Result<Confirmation> {
        // The caller showed the wrong prompt. A yes must not approve a protected target.
        if self.protected_target().is_some() {
            return Err(self.unanswered());
        }

        if yes {
            Ok(self.confirmation())
        } else {
            Err(Error::not_confirmed(
                "the answer was no; nothing was changed",
            ))
        }
    }

    /// Evaluates the answer to [`Prompt::TypeName`], ignoring surrounding white space.
    ///
    /// # Errors
    /// The answer is not the name of the target table.
    pub fn answer_typed(&self, name: &str) -> Result<Confirmation> {
        match &self.target {
            Some(target) => self.confirm_name(target, name.trim(), "the name typed is"),
            None => Err(self.unanswered()),
        }
    }

    /// The error if the questions cannot be answered; its hint is the flag that answers them.
    #[must_use]
    pub fn unanswered(&self) -> Error {
        let (what, flag) = match (&self.target, self.protected_target()) {
            (
                Some(ApprovalTarget {
                    environment, table, ..
                }),
                Some(_),
            ) => (
                format!(
                    "writing to table {table:?} of the protected environment {environment:?} was not confirmed"
                ),
                format!(
                    "pass {}={table}; {} is not sufficient",
                    Field::Confirm,
                    Field::Yes
                ),
            ),
            (
                Some(ApprovalTarget {
                    environment, table, ..
                }),
                None,
            ) => (
                format!(
                    "writing to table {table:?} of environment {environment:?} was not confirmed{}",
                    self.reasons()
                ),
                format!("pass {}, or {}={table}", Field::Yes, Field::Confirm),
            ),
            (None, _) => (
                format!("replacing the dump was not confirmed{}", self.reasons()),
                format!("pass {}", Field::Yes),
            ),
        };

        Error::not_confirmed(what).with_hint(flag)
    }

    fn reasons(&self) -> String {
        let reasons: Vec<String> = self.questions.iter().map(ToString::to_string).collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join("; "))
        }
    }

    fn protected_target(&self) -> Option<&ApprovalTarget> {
        self.target.as_ref().filter(|target| target.protected)
    }

    fn confirm_name(&self, target: &ApprovalTarget, name: &str, who: &str) -> Result<Confirmation> {
        if name == target.table {
            return Ok(self.confirmation());
        }

        Err(Error::not_confirmed(format!(
            "{who} {name:?}, but the target table is {:?}",
            target.table
        ))
        .with_hint("nothing was changed; check the environment and the table"))
    }

    fn confirmation(&self) -> Confirmation {
        let table = self.target.as_ref().map(|target| target.table.clone());
        // Only the question about this table allows its deletion.
        let replaces = self.questions.iter().any(
            |question| matches!(question, Question::ReplaceTable { table: replaced, .. } if Some(replaced) == table.as_ref()),
        );
        Confirmation { table, replaces }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn approval(protected: bool, questions: &[Question]) -> Approval {
        let target = ApprovalTarget {
            environment: "there".to_owned(),
            table: "films".to_owned(),
            protected,
        };

        Approval {
            target: Some(target),
            action: "Write 2 items into table films (there)".to_owned(),
            questions: questions.to_vec(),
        }
    }

    fn cross() -> Question {
        Question::CrossEnvironment {
            source: "prod".to_owned(),
            target: "there".to_owned(),
        }
    }

    fn replace(table: &str) -> Question {
        Question::ReplaceTable {
            table: table.to_owned(),
            losses: Vec::new(),
        }
    }

    fn answers(yes: bool, confirm: Option<&str>) -> Answers {
        Answers {
            yes,
            confirm: confirm.map(str::to_owned),
        }
    }

    #[test]
    fn who_is_asked_what() {
        for (protected, asked, yes, confirm, outcome) in [
            (false, false, false, None, "granted"),
            (false, true, false, None, "yes or no"),
            (false, true, true, None, "granted"),
            (false, true, false, Some("films"), "granted"),
            (false, true, true, Some("other"), "refused"),
            (false, false, false, Some("other"), "refused"),
            (true, false, false, None, "name"),
            (true, true, false, None, "name"),
            (true, true, true, None, "name"),
            (true, true, false, Some("films"), "granted"),
            (true, true, true, Some("Films"), "refused"),
            (true, true, true, Some(""), "refused"),
        ] {
            let question = Question::OtherRisk("x".to_owned());
            let approval = approval(
                protected,
                if asked {
                    std::slice::from_ref(&question)
                } else {
                    &[]
                },
            );

            let got = match approval.decide(&answers(yes, confirm)) {
                Ok(Decision::Granted(_)) => "granted",
                Ok(Decision::Ask(Prompt::YesNo(text))) => {
                    assert_eq!(text, "Write 2 items into table films (there)?");
                    "yes or no"
                }
                Ok(Decision::Ask(Prompt::TypeName(text))) => {
                    assert_eq!(
                        text,
                        "Write 2 items into table films (there)? there is protected: type the name of the table to confirm"
                    );
                    "name"
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotConfirmed);
                    "refused"
                }
            };

            assert_eq!(
                got, outcome,
                "protected {protected}, asked {asked}, --yes {yes}, --confirm {confirm:?}"
            );
        }
    }

    #[test]
    fn answers_given_at_a_terminal() {
        let open = approval(false, &[cross()]);
        assert!(open.answer_yes_no(true).unwrap().covers("films"));
        assert_eq!(
            open.answer_yes_no(false).unwrap_err().kind(),
            ErrorKind::NotConfirmed
        );
        let protected = approval(true, &[cross()]);
        assert!(protected.answer_typed(" films\n").unwrap().covers("films"));
        assert_eq!(
            protected
                .answer_typed("film\u{1b}s")
                .unwrap_err()
                .to_string(),
            "the name typed is \"film\\u{1b}s\", but the target table is \"films\""
        );

        assert_eq!(
            protected.answer_typed("").unwrap_err().kind(),
            ErrorKind::NotConfirmed
        );
        assert_eq!(
            protected.answer_yes_no(true).unwrap_err().kind(),
            ErrorKind::NotConfirmed
        );
    }

    #[test]
    fn a_confirmation_covers_what_was_asked_and_no_more() {
        let plain = approval(false, &[cross()]).answer_yes_no(true).unwrap();
        assert!(
            plain.covers("films") && !plain.covers("Films") && !plain.covers_replacing("films")
        );
        let replacing = approval(true, &[cross(), replace("films")])
            .answer_typed("films")
            .unwrap();
        assert!(replacing.covers_replacing("films") && !replacing.covers_replacing("other"));
        let of_another = approval(false, &[replace("other")])
            .answer_yes_no(true)
            .unwrap();
        assert!(!of_another.covers_replacing("films") && !of_another.covers_replacing("other"));
    }

    #[test]
    fn a_dump_takes_a_yes_and_covers_no_table() {
        let risk = Question::OtherRisk("the dump there is complete".to_owned());
        let approval = Approval::for_dump("Replace the dump in out", vec![risk]);
        assert!(matches!(
            approval.decide(&answers(false, None)).unwrap(),
            Decision::Ask(Prompt::YesNo(text)) if text == "Replace the dump in out?"
        ));
        let Decision::Granted(confirmation) = approval.decide(&answers(true, None)).unwrap() else {
            panic!("--yes answers it")
        };

        assert!(!confirmation.covers("films") && !confirmation.covers(""));
        assert_eq!(
            approval.unanswered().to_string(),
            "replacing the dump was not confirmed (the dump there is complete)"
        );
        assert_eq!(approval.unanswered().hint(), Some("pass `yes`"));
    }

    #[test]
    fn without_a_terminal_the_hint_is_the_flag() {
        let error = approval(true, &[cross()]).unanswered();
        assert_eq!(error.kind(), ErrorKind::NotConfirmed);
        assert_eq!(
            error.hint(),
            Some("pass `confirm`=films; `yes` is not sufficient")
        );
        let error = approval(false, &[cross()]).unanswered();
        assert_eq!(
            error.to_string(),
            "writing to table \"films\" of environment \"there\" was not confirmed (Source: prod → Target: there)"
        );
        assert_eq!(error.hint(), Some("pass `yes`, or `confirm`=films"));
    }
}
