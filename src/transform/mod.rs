//! Transforms of items: jq filters, conditions, samples, commands, Python functions and masks, in
//! parallel and in order.
//!
//! Items are raw bytes of DynamoDB JSON. An unchanged item keeps its bytes. A changed item is
//! validated against the rules of DynamoDB, and an invalid one is [rejected](Outcome::Rejected)
//! with a reason, never dropped. [`Transform`] describes the steps and applies them to a stream of
//! items. This module reads neither files nor the environment: the caller
//! passes texts and keys. `docs/TRANSFORM.md` describes transforms for users.

mod check;
mod command;
mod document;
mod function;
mod item_step;
mod job;
mod jq;
mod mask;
mod outcome;
mod pipeline;
mod python;
mod sampling;
mod step;
#[cfg(test)]
mod tests;
#[expect(
    clippy::module_inception,
    reason = "the layer is named after its main type"
)]
mod transform;

pub use self::command::CommandSpec;
pub use self::mask::{MaskKey, MaskRules, Masks};
pub use self::outcome::{Outcome, RejectReason};
pub use self::pipeline::{ItemChunk, TransformedChunk};
pub use self::python::PythonSpec;
pub use self::transform::Transform;
