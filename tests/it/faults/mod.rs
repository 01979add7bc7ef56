//! Injected faults, and the errors that they cause.

mod early_end;
mod error_messages;
mod fault_matrix;
mod interruptions;
mod not_dynamodb;
mod retryable_errors;
mod single_faults;
mod throttling;
