//! Rate limits: in-flight requests, caps set by the user, the rate that a table accepts, and the
//! estimated cost of a call.

pub(crate) mod adaptive_rate;
pub(crate) mod cap;
pub(crate) mod capacity_estimate;
pub(crate) mod permit;
pub(crate) mod tables;
pub(crate) mod write_ranges;
