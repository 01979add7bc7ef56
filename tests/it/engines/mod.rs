//! Behaviour that every engine must have.

mod round_trip;
mod store_contract;
