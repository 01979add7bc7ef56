//! How the result of a restore will be verified.

use serde::Serialize;

use super::target_state::TargetState;
use crate::ops::restore::{RestoreRequest, VerifyMode};
use crate::ops::source::ItemSource;

/// How the result will be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// Not at all.
    None,
    /// DynamoDB must acknowledge every item; nothing is read back.
    Acknowledged,
    /// All items are read back and compared.
    Full,
}

/// How the result will be verified. Standard input cannot be read twice, so it cannot be compared.
pub(crate) fn verification(
    request: &RestoreRequest,
    source: &ItemSource,
    state: &TargetState,
) -> Verification {
    if !request.content.includes_items() {
        return Verification::None;
    }

    match request.verify {
        VerifyMode::None => Verification::None,
        VerifyMode::Full if source.is_stream() => Verification::Acknowledged,
        VerifyMode::Full => Verification::Full,
        VerifyMode::Auto
            if request.is_repeatable(state.resume.progress.is_some())
                && state.place.local
                && source.is_free_to_read() =>
        {
            Verification::Full
        }
        VerifyMode::Auto => Verification::Acknowledged,
    }
}
