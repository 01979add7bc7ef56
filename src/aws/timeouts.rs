//! Timeouts of single requests.

use std::time::Duration;

/// Maximum time from sending a request until the response headers arrive.
const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);

/// Minimum attempt timeout, because a machine under load is slow too.
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum time until a connection is established.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The attempt timeout with which a hanging request is repeated before the run gives up.
pub(super) fn attempt_timeout(give_up_after: Duration) -> Duration {
    // A quarter leaves time for several attempts.
    ATTEMPT_TIMEOUT
        .min(give_up_after / 4)
        .max(MIN_ATTEMPT_TIMEOUT)
}
