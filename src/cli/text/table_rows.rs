//! A row for each table of a plan or a summary about several.

use super::format;
use crate::layout::RowGroup;

/// Maximum number of tables that are listed without details.
const MAX_TABLES: usize = 20;

/// `films`, or `prod-films → films`.
pub(super) fn name(source: &str, target: &str) -> String {
    if source == target {
        source.to_owned()
    } else {
        format!("{source} → {target}")
    }
}

/// One row for each table that may be changed: nobody can confirm targets that are not shown.
pub(super) fn list_targets(
    group: &mut RowGroup,
    tables: impl IntoIterator<Item = (String, String)>,
) {
    for (table, text) in tables {
        group.named(&table, text, false);
    }
}

/// One row for each table. Without details, a long list is shortened.
pub(super) fn list_tables(group: &mut RowGroup, tables: Vec<(String, String)>) {
    let count = tables.len();
    for (position, (table, text)) in tables.into_iter().enumerate() {
        group.named(&table, text, position >= MAX_TABLES);
    }

    if count > MAX_TABLES {
        let more = format::counted((count - MAX_TABLES) as u64, "more table");
        group.short("…", format!("and {more}; --verbose lists all"));
    }
}
