//! Items of the source that violate the keys of indexes: these indexes are created after the items.

use std::collections::BTreeMap;

use crate::backup::CheckSummary;
use crate::item::IndexKeys;
use crate::ops::restore::RestoreRequest;
use crate::ops::source::ItemSource;
use crate::schema::{LaterIndexes, TableSchema};

/// For each index, the number of items of the source that violate its key, as the dump has recorded it or the check has counted it;
/// without zeros.
pub(crate) fn violations(
    recorded: Option<BTreeMap<String, u64>>,
    checked: Option<&CheckSummary>,
) -> BTreeMap<String, u64> {
    let recorded = recorded.unwrap_or_default().into_iter();
    let recorded = recorded.filter(|(_, items)| *items > 0);
    let counted = checked.map(|checked| checked.index_violations.clone());

    recorded.chain(counted.unwrap_or_default()).collect()
}

/// The keys of the indexes of `table` that the check of the source must count violations of: none if the dump has recorded them, or if a
/// transform may change the items.
pub(crate) fn uncounted_keys(
    request: &RestoreRequest,
    source: &ItemSource,
    table: Option<&TableSchema>,
) -> IndexKeys {
    let keys = table.map(TableSchema::index_key_schemas);
    let keys = keys.filter(|_| request.transform.is_empty());
    let recorded = source.index_key_violations().unwrap_or_default();
    let is_recorded = |name: &str| recorded.contains_key(name);

    keys.filter(|keys| !keys.names().all(is_recorded))
        .unwrap_or_default()
}

/// Adds the indexes with violations to those that are created after the items. Returns whether this changes anything. Without items, all
/// indexes are created with the table.
pub(crate) fn postpone_indexes(
    request: &mut RestoreRequest,
    violations: &BTreeMap<String, u64>,
) -> bool {
    let later = &mut request.settings.later_indexes;
    if !request.content.includes_items() {
        *later = LaterIndexes::default();
        return false;
    }

    let is_changed = violations.keys().any(|index| !later.contains(index));
    later.extend(violations.keys().cloned());

    is_changed
}
