//! Why a request was throttled: newer errors name the limit, and the table or index it belongs to
//! (`ThrottlingReasons`).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::RequestError;

/// Maximum number of reasons that are read. A request has one or two for each index of its table.
const MAX_REASONS: usize = 64;

/// Longest name of a table or an index.
const MAX_NAME_BYTES: usize = 255;

/// The limit that a throttled request exceeded. Those of a whole table or index come before that of
/// one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ThrottlingCause {
    /// The provisioned capacity.
    ProvisionedCapacity,
    /// The maximum throughput that was set for an on-demand table or index.
    OnDemandMaximum,
    /// The quota of the account for each table.
    AccountQuota,
    /// The capacity of one partition: a few partition keys are used too often, and all other items
    /// are not affected.
    KeyRange,
}

/// Why a request was throttled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Throttling {
    cause: ThrottlingCause,
    is_read: bool,
    /// Name of the index if it is not the table's own limit; empty if it is not known.
    index: Option<String>,
}

#[derive(Deserialize)]
struct ThrottlingReason {
    reason: String,
    resource: Option<String>,
}

impl Throttling {
    /// Reads the member `ThrottlingReasons` of an error. A request that exceeded several limits has
    /// several reasons; the one that concerns most items is returned.
    pub(super) fn from_reasons(reasons: &RawValue) -> Option<Self> {
        let reasons: Vec<ThrottlingReason> = serde_json::from_str(reasons.get()).ok()?;
        reasons
            .iter()
            .take(MAX_REASONS)
            .filter_map(Self::from_reason)
            .min_by_key(|throttling| throttling.cause)
    }

    /// Reads a reason such as `IndexWriteKeyRangeThroughputExceeded`.
    fn from_reason(reason: &ThrottlingReason) -> Option<Self> {
        let (is_index, limit) = match reason.reason.strip_prefix("Index") {
            Some(limit) => (true, limit),
            None => (false, reason.reason.strip_prefix("Table")?),
        };
        let (is_read, limit) = match limit.strip_prefix("Read") {
            Some(limit) => (true, limit),
            None => (false, limit.strip_prefix("Write")?),
        };
        let cause = match limit {
            "ProvisionedThroughputExceeded" => ThrottlingCause::ProvisionedCapacity,
            "MaxOnDemandThroughputExceeded" => ThrottlingCause::OnDemandMaximum,
            "AccountLimitExceeded" => ThrottlingCause::AccountQuota,
            "KeyRangeThroughputExceeded" => ThrottlingCause::KeyRange,
            _ => return None,
        };

        Some(Self {
            cause,
            is_read,
            index: is_index.then(|| index_name(reason.resource.as_deref())),
        })
    }

    /// The same with another text for the index.
    pub(super) fn with_index(self, change: impl FnOnce(&str) -> String) -> Self {
        Self {
            index: self.index.as_deref().map(change),
            ..self
        }
    }

    /// The limit that was exceeded, and what can be done about it.
    fn advice(&self) -> String {
        let owner = match self.index.as_deref() {
            None => "the table".to_owned(),
            Some("") => "an index".to_owned(),
            Some(index) => format!("index {index}"),
        };
        let (direction, member, partition) = if self.is_read {
            ("read", "MaxReadRequestUnits", "3,000")
        } else {
            ("write", "MaxWriteRequestUnits", "1,000")
        };

        match self.cause {
            ThrottlingCause::ProvisionedCapacity => format!(
                "the provisioned {direction} capacity of {owner} is used up; raise it, or run again later"
            ),
            ThrottlingCause::OnDemandMaximum => format!(
                "the on-demand maximum of {owner} is reached ({member}); raise it, or run again later"
            ),
            ThrottlingCause::AccountQuota => format!(
                "{owner} has reached a quota of the account; request a higher one (Service Quotas, Amazon DynamoDB: \
                 \"Table-level {direction} throughput limit\"), or run again later"
            ),
            ThrottlingCause::KeyRange => format!(
                "a partition of {owner} has reached its limit ({partition} {direction} units per second); requests to \
                 other partitions continue at full speed, and more capacity for {owner} does not help"
            ),
        }
    }
}

impl RequestError {
    /// The limit that the request exceeded, if the error names it.
    pub(crate) fn throttling_cause(&self) -> Option<ThrottlingCause> {
        self.throttling
            .as_deref()
            .map(|throttling| throttling.cause)
    }

    /// Advice on the limit that the request exceeded, if the error names it.
    pub(crate) fn throttling_advice(&self) -> Option<String> {
        self.throttling.as_deref().map(Throttling::advice)
    }
}

#[cfg(test)]
impl RequestError {
    /// The error of a request that was throttled for this reason.
    pub(crate) fn throttled_by(reason: &str, resource: &str) -> Self {
        Self {
            throttling: Throttling::from_reason(&ThrottlingReason {
                reason: reason.to_owned(),
                resource: Some(resource.to_owned()),
            })
            .map(Box::new),
            ..Self::for_test("ThrottlingException", 400, "slow down")
        }
    }
}

/// The name of the index in an ARN such as `arn:aws:dynamodb:…:table/music/index/by-year`; empty if
/// there is none.
fn index_name(arn: Option<&str>) -> String {
    let name = arn
        .and_then(|arn| arn.rsplit_once("/index/"))
        .map_or("", |(_, name)| name);
    let is_valid = name.len() <= MAX_NAME_BYTES
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));

    if is_valid {
        name.to_owned()
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttling(reasons: &serde_json::Value) -> Option<Throttling> {
        let raw = RawValue::from_string(reasons.to_string()).unwrap();
        Throttling::from_reasons(&raw)
    }

    fn reason(reason: &str, resource: &str) -> serde_json::Value {
        let arn = format!("arn:aws:dynamodb:eu-west-1:123456789012:{resource}");
        serde_json::json!({"reason": reason, "resource": arn})
    }

    #[test]
    fn each_reason_has_its_cause_and_advice() {
        for (name, cause, advice) in [
            (
                "TableWriteProvisionedThroughputExceeded",
                ThrottlingCause::ProvisionedCapacity,
                "provisioned write capacity of the table is used up; raise it",
            ),
            (
                "IndexWriteProvisionedThroughputExceeded",
                ThrottlingCause::ProvisionedCapacity,
                "provisioned write capacity of index by-year is used up",
            ),
            (
                "TableReadMaxOnDemandThroughputExceeded",
                ThrottlingCause::OnDemandMaximum,
                "on-demand maximum of the table is reached (MaxReadRequestUnits)",
            ),
            (
                "IndexWriteMaxOnDemandThroughputExceeded",
                ThrottlingCause::OnDemandMaximum,
                "on-demand maximum of index by-year is reached (MaxWriteRequestUnits)",
            ),
            (
                "TableReadAccountLimitExceeded",
                ThrottlingCause::AccountQuota,
                "\"Table-level read throughput limit\"",
            ),
            (
                "IndexWriteAccountLimitExceeded",
                ThrottlingCause::AccountQuota,
                "index by-year has reached a quota of the account",
            ),
            (
                "TableReadKeyRangeThroughputExceeded",
                ThrottlingCause::KeyRange,
                "a partition of the table has reached its limit (3,000 read units per second)",
            ),
            (
                "IndexWriteKeyRangeThroughputExceeded",
                ThrottlingCause::KeyRange,
                "a partition of index by-year has reached its limit (1,000 write units per second)",
            ),
        ] {
            let resource = if name.starts_with("Index") {
                "table/music/index/by-year"
            } else {
                "table/music"
            };
            let found = throttling(&serde_json::json!([reason(name, resource)])).expect(name);
            assert_eq!(found.cause, cause, "{name}");
            assert!(
                found.advice().contains(advice),
                "{name}: {}",
                found.advice()
            );
        }
    }

    #[test]
    fn of_several_reasons_the_one_that_concerns_most_items_counts() {
        let reasons = serde_json::json!([
            reason("TableWriteKeyRangeThroughputExceeded", "table/music"),
            reason(
                "IndexWriteAccountLimitExceeded",
                "table/music/index/by-year"
            ),
            reason("SomethingNewExceeded", "table/music"),
        ]);
        assert_eq!(
            throttling(&reasons).unwrap().cause,
            ThrottlingCause::AccountQuota
        );
    }

    #[test]
    fn reasons_of_another_form_are_ignored() {
        for reasons in [
            serde_json::json!(null),
            serde_json::json!({}),
            serde_json::json!("TableWriteKeyRangeThroughputExceeded"),
            serde_json::json!([]),
            serde_json::json!([{"reason": 7}]),
            serde_json::json!([{"reason": "TableKeyRangeThroughputExceeded"}]),
            serde_json::json!(vec![reason("Unknown", ""); 1000]),
        ] {
            assert_eq!(throttling(&reasons), None, "{reasons}");
        }
    }

    #[test]
    fn a_name_that_no_index_can_have_is_not_shown() {
        for resource in [
            "table/music/index/\u{1b}[31m",
            &format!("table/music/index/{}", "x".repeat(256)),
            "table/music",
        ] {
            let reasons =
                serde_json::json!([reason("IndexReadKeyRangeThroughputExceeded", resource)]);
            let advice = throttling(&reasons).unwrap().advice();
            assert!(advice.starts_with("a partition of an index"), "{advice}");
        }
    }
}
