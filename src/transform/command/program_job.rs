//! Unit of work of one process.

use tokio::sync::oneshot;

use crate::error::Result;
use crate::transform::job::ItemProgress;

/// Receives the items with the answers of the program.
pub(crate) type Reply = oneshot::Sender<Result<Vec<ItemProgress>>>;

/// Items for a process, and where their answers go.
pub(crate) struct ProgramJob {
    pub(crate) items: Vec<ItemProgress>,
    pub(crate) reply: Reply,
}
