//! Injected faults, and the errors that they cause.

mod early_end;
mod error_messages;
mod fault_matrix;
mod interruptions;
#[cfg(target_os = "linux")]
mod journal_kills;
mod not_dynamodb;
mod retryable_errors;
mod single_faults;
mod throttling;
