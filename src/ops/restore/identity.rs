//! Identities: of a restore, so that only the same restore resumes it, and of a table, to detect that it was recreated.

use super::RestoreRequest;
use crate::backup::Source;
use crate::ops::journal::RestoreIdentity;
use crate::schema::TableSchema;

/// The identity of a restore of `source`.
pub(crate) fn restore_identity(
    source: &Source,
    request: &RestoreRequest,
    data_sha256: String,
) -> RestoreIdentity {
    RestoreIdentity {
        source: source.to_string(),
        data_sha256,
        on_conflict: request.on_conflict,
        salvage: source.is_salvaged(),
        transform: request.transform.identity(),
    }
}

/// The table's id, or its creation time on endpoints without ids. A recreated table has another one.
pub(crate) fn table_id(table: &TableSchema) -> Option<String> {
    let description = table.description();
    description.table_id.clone().or_else(|| {
        description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string)
    })
}
