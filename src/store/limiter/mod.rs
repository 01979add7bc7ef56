//! Limits on requests: in-flight permits, caps set by the user, the rate a table accepts, and the estimated capacity of a call.

pub(crate) mod adaptive_rate;
pub(crate) mod cap;
pub(crate) mod capacity_estimate;
pub(crate) mod permit;
pub(crate) mod tables;
