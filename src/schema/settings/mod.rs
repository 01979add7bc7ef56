//! The settings of a table: their names, what a schema says of them, and the calls that apply them.

pub(crate) mod actions;
pub(crate) mod auto_scaling;
pub(crate) mod billing;
pub(crate) mod boost;
pub(crate) mod calls;
pub(crate) mod name;
pub(crate) mod plan;
pub(crate) mod scaling_resource;
pub(crate) mod values;
