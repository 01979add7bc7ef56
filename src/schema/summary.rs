//! A schema as labels and values, for plans and summaries.

use super::TableSchema;
use super::settings::SETTINGS;

impl TableSchema {
    /// The table as label and description: its [shape](Self::shape_lines), then its settings. Settings at their default are left
    /// out.
    #[must_use]
    pub fn summary_lines(&self) -> Vec<(String, String)> {
        // Billing, which is no choice, is part of the shape.
        let choices = SETTINGS.iter().filter(|spec| spec.is_choice);
        let settings =
            choices.filter_map(|spec| Some((spec.label.to_owned(), (spec.words)(self).read()?)));

        let mut lines = self.shape_lines();
        lines.extend(settings);

        lines
    }
}
