//! Timeouts of single requests.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;

/// Maximum time from sending a request until the response headers arrive.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Minimum attempt timeout, because a machine under load is slow too.
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeouts with which a hanging request is repeated before the run gives up.
pub(crate) fn timeouts(give_up_after: Duration) -> TimeoutConfig {
    // A quarter leaves time for several attempts.
    let attempt = ATTEMPT_TIMEOUT
        .min(give_up_after / 4)
        .max(MIN_ATTEMPT_TIMEOUT);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(attempt)
        .build()
}
