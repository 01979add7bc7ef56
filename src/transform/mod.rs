//! Transforms of items: jq filters, conditions, samples, commands and masks, in parallel and in
//! order.
//!
//! Items are raw bytes of DynamoDB JSON. An unchanged item keeps its bytes. A changed item is
//! validated against the rules of DynamoDB, and an invalid one is [rejected](Outcome::Rejected)
//! with a reason, never dropped. [`Transform`] describes the steps, [`TransformInput`] and
//! [`TransformOutput`] run them. This module reads neither files nor the environment: the caller
//! passes texts and keys. `docs/TRANSFORM.md` describes transforms for users.

mod check;
mod command;
mod document;
mod job;
mod jq;
mod mask;
mod ordered_queue;
mod outcome;
mod pipeline;
mod sampling;
mod stage;
mod step;
#[cfg(test)]
mod tests;
mod thread_pool;
#[expect(
    clippy::module_inception,
    reason = "the layer is named after its main type"
)]
mod transform;

pub use self::command::CommandSpec;
pub use self::mask::{MaskKey, MaskRules, Masks};
pub use self::outcome::{Outcome, RejectReason};
pub use self::pipeline::{TransformInput, TransformOutput, TransformedChunk};
pub use self::transform::Transform;
