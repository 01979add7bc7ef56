//! Confirmation of dangerous calls. Such a call requires a [`Confirmation`], and only this file can
//! create one, so no code path can skip the questions.
//!
//! An unprotected target without questions needs no flag; `--yes` answers its questions. A
//! protected target always requires a name, typed or as `--confirm <name>`, which answers all
//! questions: the name of the table, or the name of the environment if there are several tables. A
//! wrong name, a missing answer and a "no" are
//! [`ErrorKind::NotConfirmed`](crate::error::ErrorKind::NotConfirmed).
//!
//! This module prints nothing: the caller shows the prompt in [`Decision::Ask`] and returns the
//! answer.

use std::collections::BTreeMap;

use super::Environment;
use super::question::{Question, QuestionGroup};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::counted;

/// Proof that changes were approved. Only this file can create it, and it cannot be cloned.
#[derive(Debug)]
pub struct Confirmation {
    /// The environment of the tables; `None` if it covers no table.
    environment: Option<String>,
    /// The tables with the risks that were accepted.
    tables: BTreeMap<String, Vec<Question>>,
}

impl Confirmation {
    /// Whether it allows writing to the table.
    #[must_use]
    pub fn covers(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether it allows deleting and recreating the table.
    #[must_use]
    pub fn covers_replacing(&self, table: &str) -> bool {
        // Only the question about this table allows its deletion.
        let is_about = |question: &Question| matches!(question, Question::ReplaceTable { table: replaced, .. } if replaced == table);
        self.tables
            .get(table)
            .is_some_and(|accepted| accepted.iter().any(is_about))
    }

    /// Whether it allows deleting items of the table.
    #[must_use]
    pub fn covers_deleting_items(&self, table: &str) -> bool {
        let is_about = |question: &Question| matches!(question, Question::DeleteItems { table: named } if named == table);
        self.tables
            .get(table)
            .is_some_and(|accepted| accepted.iter().any(is_about))
    }

    /// Whether everything that `approval` asks for was confirmed: each of its tables, with at least its risks.
    #[must_use]
    pub fn covers_approval(&self, approval: &Approval) -> bool {
        let Some(environment) = &approval.environment else {
            return approval.targets.is_empty() && approval.questions.is_empty();
        };

        let is_accepted = |target: &ApprovalTarget| {
            let accepted = self.tables.get(&target.table);
            accepted.is_some_and(|accepted| {
                let mut questions = target.questions.iter();
                questions.all(|question| accepted.contains(question))
            })
        };

        self.environment.as_ref() == Some(&environment.name)
            && approval.targets.iter().all(is_accepted)
    }
}

/// Answers on the command line.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm <name>`.
    pub confirm: Option<String>,
}

/// The tables that are changed, or a dump, and the questions that must be answered before.
#[derive(Debug, Clone)]
pub struct Approval {
    /// The environment of the tables; `None` for a dump.
    environment: Option<TargetEnvironment>,
    targets: Vec<ApprovalTarget>,
    /// Whether the tables are confirmed together, by the name of the environment.
    is_set: bool,
    action: String,
    /// The questions about a dump.
    questions: Vec<Question>,
}

#[derive(Debug, Clone)]
struct TargetEnvironment {
    name: String,
    protected: bool,
}

#[derive(Debug, Clone)]
struct ApprovalTarget {
    table: String,
    questions: Vec<Question>,
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
    /// The user must type the name of the target table, or of its environment.
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
        Self {
            environment: Some(TargetEnvironment::new(environment)),
            targets: vec![ApprovalTarget {
                table: table.into(),
                questions,
            }],
            is_set: false,
            action: action.into(),
            questions: Vec::new(),
        }
    }

    /// Creates one approval for several tables of `environment`, from the approvals for each. A protected environment is confirmed by
    /// its name. If no table is changed, it needs no answer.
    #[must_use]
    pub fn for_tables(
        environment: &Environment,
        tables: impl IntoIterator<Item = Self>,
        action: impl Into<String>,
    ) -> Self {
        let targets: Vec<_> = tables.into_iter().flat_map(|table| table.targets).collect();
        if targets.is_empty() {
            return Self::nothing();
        }

        Self {
            environment: Some(TargetEnvironment::new(environment)),
            targets,
            is_set: true,
            action: action.into(),
            questions: Vec::new(),
        }
    }

    /// Creates an approval for replacing a dump on disk. Its confirmation covers no table.
    #[must_use]
    pub fn for_dump(action: impl Into<String>, questions: Vec<Question>) -> Self {
        Self {
            environment: None,
            targets: Vec::new(),
            is_set: false,
            action: action.into(),
            questions,
        }
    }

    /// An approval for a command that changes nothing. It needs no answer, and its confirmation covers no table.
    #[must_use]
    pub fn nothing() -> Self {
        Self::for_dump("", Vec::new())
    }

    /// The questions, to be shown before the prompt. Equal questions about several tables are one.
    #[must_use]
    pub fn questions(&self) -> Vec<QuestionGroup> {
        let of_dump = self.questions.iter().map(|question| (question, None));
        let name_of = |target: &'_ ApprovalTarget| self.is_set.then(|| target.table.clone());
        let of_tables = self.targets.iter().flat_map(|target| {
            let questions = target.questions.iter();
            questions.map(move |question| (question, name_of(target)))
        });

        QuestionGroup::collect(of_dump.chain(of_tables), self.targets.len())
    }

    /// Evaluates the answers on the command line.
    ///
    /// # Errors
    /// `--confirm` contains another name than that of the target.
    pub fn decide(&self, answers: &Answers) -> Result<Decision> {
        // Checked even if nothing is asked, because a wrong name may mean the wrong environment.
        if let (Some(target), Some(name)) = (self.target_name(), &answers.confirm) {
            return self
                .confirm_name(target, name, &format!("{} names", Field::Confirm))
                .map(Decision::Granted);
        }

        match self.protected() {
            Some(environment) => Ok(Decision::Ask(Prompt::TypeName(format!(
                "{}? {} is protected: type the name of the {} to confirm",
                self.action,
                environment.name,
                self.kind_of_name()
            )))),
            // `--yes` is not sufficient for a protected target, which the case above covers.
            None if !self.has_questions() || answers.yes => {
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
        if self.protected().is_some() {
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
    /// The answer is not the name of the target table, or of the environment if there are several tables.
    pub fn answer_typed(&self, name: &str) -> Result<Confirmation> {
        match self.target_name() {
            Some(target) => self.confirm_name(target, name.trim(), "the name typed is"),
            None => Err(self.unanswered()),
        }
    }

    /// The error if the questions cannot be answered; its hint is the flag that answers them.
    #[must_use]
    pub fn unanswered(&self) -> Error {
        let (Some(environment), Some(name)) = (&self.environment, self.target_name()) else {
            return Error::not_confirmed(format!(
                "replacing the dump was not confirmed{}",
                self.reasons()
            ))
            .with_hint(format!("pass {}", Field::Yes));
        };

        let tables = match &self.targets[..] {
            [target] => format!("table {:?}", target.table),
            targets => counted(targets.len() as u64, "table"),
        };
        if environment.protected {
            Error::not_confirmed(format!(
                "writing to {tables} of the protected environment {:?} was not confirmed",
                environment.name
            ))
            .with_hint(format!(
                "pass {}={name}; {} is not sufficient",
                Field::Confirm,
                Field::Yes
            ))
        } else {
            Error::not_confirmed(format!(
                "writing to {tables} of environment {:?} was not confirmed{}",
                environment.name,
                self.reasons()
            ))
            .with_hint(format!("pass {}, or {}={name}", Field::Yes, Field::Confirm))
        }
    }

    fn reasons(&self) -> String {
        let questions = self.questions().into_iter();
        let reasons: Vec<String> = questions.map(|question| question.text(false)).collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join("; "))
        }
    }

    fn has_questions(&self) -> bool {
        let mut of_tables = self.targets.iter().map(|target| &target.questions);
        !self.questions.is_empty() || of_tables.any(|questions| !questions.is_empty())
    }

    fn protected(&self) -> Option<&TargetEnvironment> {
        let environment = self.environment.as_ref();
        environment.filter(|environment| environment.protected)
    }

    /// The name that confirms everything; `None` for a dump.
    fn target_name(&self) -> Option<&str> {
        if self.is_set {
            return Some(&self.environment.as_ref()?.name);
        }

        self.targets.first().map(|target| target.table.as_str())
    }

    fn kind_of_name(&self) -> &'static str {
        if self.is_set { "environment" } else { "table" }
    }

    fn confirm_name(&self, target: &str, name: &str, who: &str) -> Result<Confirmation> {
        if name == target {
            return Ok(self.confirmation());
        }

        let error = Error::not_confirmed(format!(
            "{who} {name:?}, but the target {} is {target:?}",
            self.kind_of_name()
        ));
        Err(error.with_hint(if self.is_set {
            "nothing was changed; several tables are confirmed by the name of their environment"
        } else {
            "nothing was changed; check the environment and the table"
        }))
    }

    fn confirmation(&self) -> Confirmation {
        let environment = self.environment.as_ref();
        let targets = self.targets.iter();

        Confirmation {
            environment: environment.map(|environment| environment.name.clone()),
            tables: targets
                .map(|target| (target.table.clone(), target.questions.clone()))
                .collect(),
        }
    }
}

impl TargetEnvironment {
    fn new(environment: &Environment) -> Self {
        Self {
            name: environment.name().to_owned(),
            protected: environment.is_protected(),
        }
    }
}

#[cfg(test)]
mod tests;
