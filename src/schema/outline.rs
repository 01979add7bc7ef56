//! A schema in words, for plans.

use serde::Serialize;

use super::settings::SETTINGS;
use super::{TableSchema, vector_indexes, wording};

impl TableSchema {
    /// Keys, billing, indexes and settings in words. Settings at their default are omitted.
    #[must_use]
    pub fn outline(&self) -> TableOutline {
        let table = &self.description;
        let keys = wording::key_lines(table).into_iter();
        let secondary = wording::indexes(table);
        let secondary = secondary.iter().map(|index| (index.label(), index.words()));
        let vector = vector_indexes::indexes(self);
        let vector = vector.iter().map(|index| {
            (
                format!("vector index {}", index.name),
                wording::vector_index(index),
            )
        });
        // Billing is not optional, and has a field of its own.
        let choices = SETTINGS.iter().filter(|spec| spec.is_choice);
        let settings =
            choices.filter_map(|spec| Some((spec.label.to_owned(), (spec.words)(self).read()?)));

        TableOutline {
            keys: keys
                .map(|(label, words)| (label.to_owned(), words))
                .collect(),
            billing: wording::billing(table),
            indexes: secondary.chain(vector).collect(),
            settings: settings.collect(),
        }
    }
}

/// A table in words, for plans. Keys, indexes and settings are labels with descriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableOutline {
    /// `("partition key", "id (S)")`, `("sort key", "year (N)")`.
    pub keys: Vec<(String, String)>,
    /// `provisioned 5 RCU / 5 WCU`.
    pub billing: String,
    /// `("GSI by-director", "director (S), year (N), projection ALL, 5 RCU / 5 WCU")`.
    pub indexes: Vec<(String, String)>,
    /// `("TTL", "on attribute expires")`.
    pub settings: Vec<(String, String)>,
}

impl TableOutline {
    /// Everything as labels and descriptions.
    #[must_use]
    pub fn rows(&self) -> Vec<(&str, &str)> {
        let billing = [("billing", self.billing.as_str())];
        pairs(&self.keys)
            .chain(billing)
            .chain(pairs(&self.indexes))
            .chain(pairs(&self.settings))
            .collect()
    }
}

fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(label, words)| (&**label, &**words))
}
