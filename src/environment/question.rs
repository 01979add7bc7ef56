//! Questions: the risks that a user must accept before something is changed.

use std::fmt;

use crate::layout::{counted, names};

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
    /// Items that the source does not have are deleted.
    DeleteItems {
        /// The table.
        table: String,
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
            Self::DeleteItems { table } => write!(
                f,
                "items of table {table:?} that the source does not have will be deleted"
            ),
            Self::OtherRisk(risk) => f.write_str(risk),
        }
    }
}

/// A question about one target, or equal questions about several tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionGroup {
    /// The question, about the first table.
    question: Question,
    /// The tables; none if there is only one target.
    tables: Vec<String>,
    /// Whether these are all tables of the command.
    is_about_all: bool,
}

impl QuestionGroup {
    /// Groups equal questions, in the order of their first occurrence. Each has its table if there are several; there are `tables`.
    pub(super) fn collect<'a>(
        questions: impl IntoIterator<Item = (&'a Question, Option<String>)>,
        tables: usize,
    ) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (question, table) in questions {
            match groups
                .iter_mut()
                .find(|group| group.question.is_like(question))
            {
                Some(group) if table.is_some() => {
                    // The account of a table that does not exist may be unknown: the more detailed place is that of both.
                    if question.to_string().len() > group.question.to_string().len() {
                        group.question = question.clone();
                    }

                    group.tables.extend(table);
                }
                _ => groups.push(Self {
                    question: question.clone(),
                    tables: table.into_iter().collect(),
                    is_about_all: false,
                }),
            }
        }

        for group in &mut groups {
            group.is_about_all = group.tables.len() == tables;
        }

        groups
    }

    /// Whether data is copied from one environment to another.
    #[must_use]
    pub fn is_cross_environment(&self) -> bool {
        matches!(self.question, Question::CrossEnvironment { .. })
    }

    /// The question as one line for people. It names all tables, or the first ones.
    #[must_use]
    pub fn text(&self, all_tables: bool) -> String {
        let question = &self.question;
        let is_about_environment = matches!(
            question,
            Question::CrossEnvironment { .. } | Question::RemoteTarget { .. }
        );
        match (question, &self.tables[..]) {
            // The question names the table, or there is only one.
            (_, []) | (Question::ReplaceTable { .. } | Question::DeleteItems { .. }, [_]) => {
                question.to_string()
            }
            (Question::ReplaceTable { losses, .. }, tables) => {
                let items = "its items".to_owned();
                let losses: Vec<_> = std::iter::once(&items).chain(losses).cloned().collect();
                format!(
                    "{} will be deleted and recreated: {}. Each loses {}",
                    counted(tables.len() as u64, "table"),
                    names(tables, all_tables),
                    losses.join(", ")
                )
            }
            (Question::DeleteItems { .. }, tables) => format!(
                "items of {} that their sources do not have will be deleted: {}",
                counted(tables.len() as u64, "table"),
                names(tables, all_tables)
            ),
            _ if self.is_about_all && is_about_environment => question.to_string(),
            (_, tables) => format!(
                "{question} ({}: {})",
                counted(tables.len() as u64, "table"),
                names(tables, all_tables)
            ),
        }
    }
}

impl Question {
    /// Whether both are the same question about two tables. All tables of a command have the same two environments.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::ReplaceTable { losses, .. },
                Self::ReplaceTable {
                    losses: other_losses,
                    ..
                },
            ) => losses == other_losses,
            (Self::DeleteItems { .. }, Self::DeleteItems { .. })
            | (Self::CrossEnvironment { .. }, Self::CrossEnvironment { .. })
            | (Self::RemoteTarget { .. }, Self::RemoteTarget { .. }) => true,
            _ => self == other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(questions: &[(Question, &str)], tables: usize) -> Vec<String> {
        let questions = questions
            .iter()
            .map(|(question, table)| (question, Some((*table).to_owned())));
        let groups = QuestionGroup::collect(questions, tables).into_iter();
        groups.map(|group| group.text(false)).collect()
    }

    fn replace(table: &str, losses: &[&str]) -> Question {
        Question::ReplaceTable {
            table: table.to_owned(),
            losses: losses.iter().map(|loss| (*loss).to_owned()).collect(),
        }
    }

    #[test]
    fn equal_questions_about_several_tables_are_one_that_names_them() {
        let cross = Question::CrossEnvironment {
            source: "prod".to_owned(),
            target: "dev".to_owned(),
        };
        let risk = Question::OtherRisk("the dump is incomplete".to_owned());
        let delete = |table: &str| Question::DeleteItems {
            table: table.to_owned(),
        };
        let questions = [
            (cross.clone(), "a"),
            (replace("a", &["its stream"]), "a"),
            (cross.clone(), "b"),
            (replace("b", &["its stream"]), "b"),
            (risk, "b"),
            (cross, "c"),
            (replace("c", &[]), "c"),
            (delete("b"), "b"),
            (delete("c"), "c"),
        ];

        assert_eq!(
            texts(&questions, 3),
            [
                "Source: prod → Target: dev",
                "2 tables will be deleted and recreated: a, b. Each loses its items, its stream",
                "the dump is incomplete (1 table: b)",
                "table \"c\" and its items will be deleted",
                "items of 2 tables that their sources do not have will be deleted: b, c",
            ]
        );
    }

    #[test]
    fn a_long_list_of_tables_is_shortened_unless_all_are_requested() {
        let tables: Vec<_> = (10..50).map(|number| format!("t{number}")).collect();
        let questions: Vec<_> = tables
            .iter()
            .map(|table| (replace(table, &[]), Some(table.clone())))
            .collect();
        let questions = questions
            .iter()
            .map(|(question, table)| (question, table.clone()));
        let groups = QuestionGroup::collect(questions, tables.len());

        assert_eq!(
            groups[0].text(false),
            "40 tables will be deleted and recreated: t10, t11, t12, t13, t14, t15, t16, t17, t18, t19 and 30 more. Each loses its items"
        );
        assert!(groups[0].text(true).contains("t48, t49. Each"));
    }
}
