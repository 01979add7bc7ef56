//! Rate limits: in-flight requests, caps set by the user, the rates that a table and the ranges of
//! its keys accept, and the estimated cost of a call.

pub(crate) mod adaptive_rate;
pub(crate) mod cap;
pub(crate) mod capacity_estimate;
pub(crate) mod control_plane;
pub(crate) mod page;
pub(crate) mod permit;
pub(crate) mod read_ranges;
pub(crate) mod tables;
pub(crate) mod write_ranges;
