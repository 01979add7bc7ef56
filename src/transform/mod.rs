//! Items in, items out: jq filters, conditions, samples, commands and masks, on all cores, in order.
//!
//! Items arrive and leave as raw bytes of DynamoDB JSON, and one that is not changed stays the very bytes it was. What a transform makes
//! is checked as DynamoDB would; what cannot go on is [rejected](Outcome::Rejected) with a reason, never dropped. [`Transform`]
//! says what is to happen, [`Feeder`] and [`Results`] make it happen. Nothing here reads files or the environment: texts and keys
//! are handed in. The user's side is described in `docs/TRANSFORM.md`.

mod check;
mod command;
mod document;
mod jq;
mod lane;
mod mask;
mod outcome;
mod pool;
mod runner;
mod sampling;
mod stage;
#[cfg(test)]
mod tests;
#[expect(
    clippy::module_inception,
    reason = "the layer is named after what it is about"
)]
mod transform;

pub use self::command::CommandSpec;
pub use self::mask::{MaskKey, MaskRules, Masks};
pub use self::outcome::{Outcome, Reason};
pub use self::runner::{Feeder, Results, Transformed};
pub use self::transform::Transform;
