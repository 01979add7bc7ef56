//! One step of a transform.

use std::sync::Arc;

use super::command::TransformCommand;
use super::item_step::ItemStep;

/// One step of a transform.
#[derive(Clone)]
pub(crate) enum TransformStep {
    /// Processes each item on its own, on any thread.
    PerItem(Arc<dyn ItemStep>),
    /// Sends items through a program of the user.
    Command(TransformCommand),
}
