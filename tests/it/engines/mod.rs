//! Behaviour that every engine must have.

mod managed_backups;
mod round_trip;
mod sets;
mod signed_requests;
mod store_contract;
mod two_accounts;
