//! Sources without an item that can be written: such a source neither creates a table nor replaces one, unless it is a complete
//! dump of an empty table or the request allows it. A pipeline whose first command failed looks the same as an empty table.

use super::RestoreRequest;
use super::plan::{RestorePlan, TableAction};
use super::writing::Moved;
use crate::backup::Source;
use crate::error::{Error, Result};
use crate::ops::dry_run::DryRunReport;

/// Whether the table may be changed only after the source has given an item that can be written.
pub(crate) fn needs_item(request: &RestoreRequest, action: &TableAction, source: &Source) -> bool {
    action.creates()
        && request.content.includes_items()
        && !request.allow_empty
        && !source.is_of_empty_table()
}

/// The failure of a restore whose source has nothing for a table that would have been created or replaced.
pub(crate) fn nothing_to_write(source: &Source, table: &str, moved: Option<&Moved>) -> Error {
    let found = moved.filter(|moved| moved.counts.read > 0).map_or_else(
        || "the source holds no items".to_owned(),
        |Moved { counts, .. }| {
            let (read, rejected, left_out) = (counts.read, counts.rejected, counts.filtered);
            format!(
                "none of its {read} items can be written ({rejected} rejected, {left_out} left out by the transform)"
            )
        },
    );

    let rejects = moved.and_then(|moved| moved.rejects_file.as_ref());
    let listed = rejects.map(|file| format!("the rejected items are in `{}`", file.display()));
    let pipe = if source.is_stream() {
        "check whether the command that writes to the pipe failed (`set -o pipefail`); "
    } else {
        ""
    };

    Error::damaged(format!(
        "nothing to write from {source}: {found}; table {table} was not touched"
    ))
    .with_details(listed)
    .with_hint(format!(
        "{pipe}pass --allow-empty if the table is to be empty"
    ))
}

impl RestorePlan {
    /// Whether the table may be changed only after the source has given an item that can be written.
    pub(crate) fn needs_item(&self) -> bool {
        needs_item(&self.parts.request, &self.action, &self.parts.source)
    }

    /// Refuses in a dry run what the restore itself would refuse before its first change.
    pub(crate) fn refuse_nothing_to_write(&self, trial: &DryRunReport) -> Result<()> {
        if self.needs_item() && trial.items_out == 0 {
            return Err(nothing_to_write(
                &self.parts.source,
                &self.target.table,
                None,
            ));
        }

        Ok(())
    }
}
