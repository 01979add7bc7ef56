//! Promises that every engine must keep.

mod round_trip;
mod store_contract;
