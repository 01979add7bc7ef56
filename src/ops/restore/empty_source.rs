//! Sources without an item that can be written. Such a source neither creates nor replaces a table, unless it is an empty table, a
//! complete dump of one, or the request allows it: a pipeline whose first command failed looks the same as an empty table.

use super::run::transfer_totals::TransferTotals;
use super::{RestoreRequest, SourceFacts, TableAction};
use crate::error::Error;
use crate::field::Field;

/// Whether the table may only be changed after an item that can be written was read.
pub(crate) fn needs_item(
    request: &RestoreRequest,
    action: &TableAction,
    is_of_empty_table: bool,
) -> bool {
    action.creates()
        && request.content.includes_items()
        && !request.allow_empty
        && !is_of_empty_table
}

/// The error if a table would be created or replaced and there is no item to write.
pub(crate) fn nothing_to_write(
    source: &SourceFacts,
    table: &str,
    totals: Option<&TransferTotals>,
) -> Error {
    let found = totals.filter(|totals| totals.counts.read > 0).map_or_else(
        || "the source contains no items".to_owned(),
        |TransferTotals { counts, .. }| {
            let (read, rejected, left_out) = (counts.read, counts.rejected, counts.filtered);
            format!(
                "none of its {read} items can be written ({rejected} rejected, {left_out} filtered out by the transform)"
            )
        },
    );

    let rejects = totals.and_then(|totals| totals.rejects_file.as_ref());
    let listed = rejects.map(|file| format!("the rejected items are in `{}`", file.display()));
    // Only the items of a stream have not been counted before.
    let pipe = if source.items.is_none() && source.scan.is_none() {
        "check whether the command that writes to the pipe failed (`set -o pipefail`); "
    } else {
        ""
    };

    Error::damaged(format!(
        "nothing to write from {}: {found}; table {table} was not touched",
        source.path
    ))
    .with_details(listed)
    .with_hint(format!(
        "{pipe}pass {allow_empty} to create an empty table",
        allow_empty = Field::AllowEmpty
    ))
}
