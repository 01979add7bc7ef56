//! The sections of all settings, and their order in the schema document.

use super::SETTINGS;
use crate::schema::TableSchema;
use crate::schema::document::section::{Captured, Section, reason_of};
use crate::schema::not_recreated::MissingSetting;

impl Section {
    /// Every section, in the order of the document.
    #[must_use]
    pub fn all() -> Vec<Self> {
        SETTINGS
            .iter()
            .flat_map(|spec| spec.sections.iter().copied())
            .collect()
    }
}

impl TableSchema {
    /// The settings that could not be captured, each with the reason.
    #[must_use]
    pub fn not_captured(&self) -> Vec<MissingSetting> {
        let all = Section::all();
        let label = |name: &str| {
            let section = all.iter().find(|section| section.name() == name);
            section.map_or_else(|| name.to_owned(), |section| section.label().to_owned())
        };

        let sections = self.sections.iter();
        sections
            .filter_map(|(name, value)| {
                Some(MissingSetting {
                    reason: reason_of(value)?,
                    setting: label(name),
                })
            })
            .collect()
    }

    /// The schema with these sections in place of those of the same name. In the document they follow `Table` in the order of
    /// [`Section::all`], before any sections that this version does not know.
    #[must_use]
    pub fn with_sections(mut self, sections: Vec<(Section, Captured)>) -> Self {
        for (section, captured) in sections {
            // Also for `Captured::Nothing`: the table no longer has the old value.
            self.sections.retain(|(name, _)| name != section.name());
            if let Some(value) = captured.into_value() {
                self.sections.push((section.name().to_owned(), value));
            }
        }

        // Unknown sections come last. The sort is stable, so they keep their order.
        let order = Section::all();
        let position = |name: &str| {
            order
                .iter()
                .position(|section| section.name() == name)
                .unwrap_or(order.len())
        };
        self.sections.sort_by_key(|(name, _)| position(name));

        self
    }
}
