//! Rules about the verification of a restore.

use super::RestoreFacts;
use crate::ops::guard::{Finding, warning};
use crate::ops::restore::VerifyMode;

/// A program, or the current time in a filter, may give another result the second time.
pub(super) fn transform_is_repeated(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let is_resumed = facts.target.known()?.resume.is_resumed;
    if facts.request.verify != VerifyMode::Full || facts.request.is_repeatable(is_resumed) {
        return None;
    }

    let noun = if facts.request.is_copy() {
        "items"
    } else {
        "dump"
    };

    Some(warning(format!(
        "the comparison transforms the {noun} once more: what does not come out the same twice differs"
    )))
}

pub(super) fn stream_is_not_read_back(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let request = facts.request;
    let is_stream = request.reads_stdin() && request.content.includes_items();
    if request.verify != VerifyMode::Full || !is_stream {
        return None;
    }

    Some(warning(
        "Standard input cannot be read twice: items will not be read back.",
    ))
}
