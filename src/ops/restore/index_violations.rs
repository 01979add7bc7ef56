//! Items of the dump that violate the keys of indexes: these indexes are created after the items.

use std::collections::BTreeMap;

use super::RestoreRequest;
use super::settings::Settings;
use crate::ops::source::ItemSource;
use crate::schema::{LaterIndexes, TableSchema};

/// For each index, the number of items of the dump that violate its key, as the dump records it; without zeros.
pub(crate) fn recorded_violations(source: &ItemSource) -> BTreeMap<String, u64> {
    let mut violations = source.index_key_violations().unwrap_or_default();
    violations.retain(|_, items| *items > 0);

    violations
}

/// Adds the indexes with violations to those that are created after the items. Without items, all are created with the table.
pub(crate) fn postpone_indexes(request: &mut RestoreRequest, source: &ItemSource) {
    if request.content.includes_items() {
        let indexes = recorded_violations(source).into_keys();
        request.settings.later_indexes.extend(indexes);
    } else {
        request.settings.later_indexes = LaterIndexes::default();
    }
}

/// Warnings about items that will not be in an index, or that an index of `table` will refuse.
pub(crate) fn violation_warnings(
    violations: &BTreeMap<String, u64>,
    settings: &Settings,
    table: Option<&TableSchema>,
) -> Vec<String> {
    let warnings = violations.iter().filter_map(|(index, items)| {
        let items = if *items == 1 {
            "1 item does".to_owned()
        } else {
            format!("{items} items do")
        };

        if settings.creates_index(index) {
            Some(format!(
                "Index {index} is created after the items: {items} not fit its key and will be in the table only."
            ))
        } else {
            let has_index = table.is_some_and(|table| table.has_index(index));
            has_index.then(|| format!("{items} not fit the key of index {index} and will be rejected."))
        }
    });

    warnings.collect()
}
