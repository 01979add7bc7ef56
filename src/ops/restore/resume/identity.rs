//! Identity of a restore, so that only the same restore resumes it.

use crate::ops::journal::RestoreIdentity;
use crate::ops::restore::RestoreRequest;
use crate::ops::source::ItemSource;

/// The identity of a restore of `source`. `content_sha256` identifies the items that the source holds.
pub(crate) fn restore_identity(
    source: &ItemSource,
    request: &RestoreRequest,
    content_sha256: String,
) -> RestoreIdentity {
    RestoreIdentity {
        source: source.to_string(),
        data_sha256: content_sha256,
        on_conflict: request.write.on_conflict,
        salvage: source.is_salvaged(),
        transform: request.transform.identity(),
    }
}
