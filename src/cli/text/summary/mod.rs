//! Text of summaries: the result of a command, and the problems that need attention.

mod dump;
mod restore;

pub(crate) use dump::{dump, dump_problems};
pub(crate) use restore::{restore, restore_problems, verify_command};

use super::format;

/// Shown for a setting that was skipped or failed without a recorded reason.
const NO_REASON: &str = "no reason is known";

/// A message about items with equal keys; `pairs` are examples by their positions. `None` if there are none.
pub(crate) fn key_collisions(collisions: u64, pairs: &[(u64, u64)]) -> Option<String> {
    (collisions > 0).then(|| {
        let (items, have) = (
            format::items(collisions),
            if collisions == 1 { "has" } else { "have" },
        );
        let mut message = format!(
            "{items} {have} the same key as another item: a table can hold only one of them"
        );
        message.extend(
            pairs
                .iter()
                .map(|(first, second)| format!("\n  item {second} has the key of item {first}")),
        );

        message
    })
}

#[cfg(test)]
mod testing {
    use crate::ops::table_location::TableLocation;

    pub(super) fn location() -> TableLocation {
        TableLocation {
            environment: "local".to_owned(),
            table: "films".to_owned(),
            account: None,
            region: Some("us-east-1".to_owned()),
            endpoint: Some("http://localhost:4566".to_owned()),
            protected: false,
            local: true,
            credentials: "profile default, ~/.aws/credentials".to_owned(),
            sources: Vec::new(),
        }
    }
}
