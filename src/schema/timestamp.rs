//! Times as DynamoDB sends them in JSON.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

/// Seconds since 1970, with a fraction. `None` for a number that is not a time.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let seconds = Option::<f64>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of a time far from the limits; others saturate and are no time"
    )]
    let milliseconds = seconds.map(|seconds| (seconds * 1000.0) as i64);

    Ok(milliseconds.and_then(DateTime::from_timestamp_millis))
}
