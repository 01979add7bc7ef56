//! The user's choice of settings, and of the indexes that are created after the items.

use std::collections::BTreeSet;

use super::spec::{DefaultRule, LaterIndexes, Setting, SettingChoice, SettingTarget};
use crate::field::Field;

impl SettingChoice {
    /// Why `setting` is not applied; `None` when it is.
    pub(crate) fn refusal(&self, setting: Setting, same_table: bool) -> Option<String> {
        // First, because `--without` takes precedence over `--with`.
        if self.without.contains(&setting) {
            return Some(format!("excluded by {}", Field::Without));
        }

        let reason = match setting.0.default {
            _ if self.with.contains(&setting) => return None,
            DefaultRule::Applied => return None,
            DefaultRule::SameTable(_) if same_table => return None,
            DefaultRule::SameTable(reason) | DefaultRule::Skipped(reason) => reason,
        };

        Some(format!(
            "{reason}; {with} {setting} applies it",
            with = Field::With
        ))
    }

    /// Whether `setting` is applied to some table.
    pub(crate) fn may_apply(&self, setting: Setting) -> bool {
        self.applies(setting, true)
    }

    /// Whether `setting` is applied.
    pub(crate) fn applies(&self, setting: Setting, same_table: bool) -> bool {
        self.refusal(setting, same_table).is_none()
    }
}

impl LaterIndexes {
    /// Whether the GSI `name` is created after the items.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.contains(name),
            Self::All => true,
        }
    }

    /// Adds GSIs.
    pub fn extend(&mut self, indexes: impl IntoIterator<Item = String>) {
        if let Self::Named(names) = self {
            names.extend(indexes);
        }
    }
}

impl Default for LaterIndexes {
    /// No index.
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl SettingTarget<'_> {
    /// Whether the GSI `name` does not exist before the items: it is created after them with a new table, or an existing table lacks
    /// it.
    pub(crate) fn lacks_index(&self, name: &str) -> bool {
        match self.existing {
            None => self.choice.later_indexes.contains(name),
            Some(existing) => {
                !existing.has_index(name) || existing.deleting_indexes().any(|index| index == name)
            }
        }
    }
}
