//! Advice to let DynamoDB transfer the data, where a Scan would be slow or burden the table.
//!
//! A backup consumes no capacity, and is [available within
//! minutes](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateBackup.html), whatever the size of the table.

use serde::Serialize;

use super::prices::{Price, Prices};
use super::scan_cost::ScanCost;
use super::table_location::TableLocation;
use crate::schema::TableSchema;

/// Size from which a Scan takes hours.
const LARGE_TABLE_BYTES: u64 = 100_000_000_000;

/// Duration from which a Scan burdens a provisioned table noticeably, in seconds.
const LONG_SCAN_SECONDS: f64 = 60.0;

/// An on-demand backup as the alternative to a Scan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteAdvice {
    /// Why the Scan is not the best route.
    pub reason: AdviceReason,
    /// The route to use instead.
    pub route: &'static str,
    /// Read units that it consumes.
    pub read_units: u64,
    /// Price of the backup's storage for a month.
    pub storage_per_month: Option<Price>,
    /// Price of its restore, which makes a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Price>,
}

/// Why a Scan is not the best route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceReason {
    /// The table is large.
    LargeTable,
    /// The table is protected, and its provisioned capacity serves others.
    ProtectedCapacity,
}

/// What the advice depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
struct AdviceFacts {
    /// Local engines lack backups, or do not restore them faithfully.
    is_aws: bool,
    is_protected: bool,
    is_provisioned: bool,
    /// Size of the table.
    bytes: u64,
    /// Estimated duration of the Scan in seconds.
    scan_seconds: Option<f64>,
    /// Whether the items are transferred as they are: a backup cannot be filtered or transformed.
    is_whole: bool,
}

impl RouteAdvice {
    /// The advice for a copy, which takes a restore as well.
    pub(crate) fn with_restore(self, location: &TableLocation, table: &TableSchema) -> Self {
        let bytes = table.description().table_size_bytes.unwrap_or(0);
        let restore = Prices::of(location, table).restore(bytes);

        Self { restore, ..self }
    }

    /// The advice for a Scan of `table` with this cost, if there is a better route. `is_whole`: all items are transferred as they are.
    pub(crate) fn new(
        location: &TableLocation,
        table: &TableSchema,
        scan: Option<&ScanCost>,
        is_whole: bool,
    ) -> Option<Self> {
        let scan = scan?;
        let bytes = table.description().table_size_bytes.unwrap_or(0);
        let reason = advise(&AdviceFacts {
            is_aws: location.is_aws(),
            is_protected: location.protected,
            is_provisioned: table.description().is_provisioned(),
            bytes,
            scan_seconds: scan.seconds,
            is_whole,
        })?;

        Some(Self {
            reason,
            route: "backup",
            read_units: 0,
            storage_per_month: Prices::of(location, table).backup_storage(bytes),
            restore: None,
        })
    }
}

fn advise(facts: &AdviceFacts) -> Option<AdviceReason> {
    if !facts.is_aws || !facts.is_whole {
        return None;
    }

    let is_long = facts
        .scan_seconds
        .is_some_and(|seconds| seconds >= LONG_SCAN_SECONDS);
    if facts.bytes > LARGE_TABLE_BYTES {
        Some(AdviceReason::LargeTable)
    } else if facts.is_protected && facts.is_provisioned && is_long {
        Some(AdviceReason::ProtectedCapacity)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ops::testing::aws_location;

    const LARGE: AdviceFacts = AdviceFacts {
        is_aws: true,
        is_protected: false,
        is_provisioned: false,
        bytes: LARGE_TABLE_BYTES + 1,
        scan_seconds: None,
        is_whole: true,
    };

    const PROTECTED: AdviceFacts = AdviceFacts {
        is_protected: true,
        is_provisioned: true,
        bytes: 1_000_000,
        scan_seconds: Some(LONG_SCAN_SECONDS),
        ..LARGE
    };

    #[test]
    fn a_backup_is_named_where_it_is_better_and_possible() {
        let large = Some(AdviceReason::LargeTable);
        let capacity = Some(AdviceReason::ProtectedCapacity);
        let changed = |mut facts: AdviceFacts, change: fn(&mut AdviceFacts)| {
            change(&mut facts);
            facts
        };
        let of_large = |change| changed(LARGE, change);
        let of_protected = |change| changed(PROTECTED, change);

        let rows = [
            ("large", LARGE, large),
            ("100 GB", of_large(|it| it.bytes = LARGE_TABLE_BYTES), None),
            ("a local engine", of_large(|it| it.is_aws = false), None),
            ("a filter", of_large(|it| it.is_whole = false), None),
            ("protected", PROTECTED, capacity),
            ("both", of_protected(|it| it.bytes = LARGE.bytes), large),
            ("open", of_protected(|it| it.is_protected = false), None),
            (
                "on-demand",
                of_protected(|it| it.is_provisioned = false),
                None,
            ),
            (
                "short",
                of_protected(|it| it.scan_seconds = Some(59.0)),
                None,
            ),
            (
                "unknown time",
                of_protected(|it| it.scan_seconds = None),
                None,
            ),
            ("a transform", of_protected(|it| it.is_whole = false), None),
            ("another engine", of_protected(|it| it.is_aws = false), None),
        ];

        for (case, facts, expected) in rows {
            assert_eq!(advise(&facts), expected, "{case}");
        }
    }

    #[test]
    fn the_advice_has_the_price_of_the_storage() {
        let document = json!({
            "TableName": "films",
            "TableSizeBytes": 200_u64 << 30,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        });
        let table = TableSchema::parse(document.to_string().as_bytes()).unwrap();
        let location = aws_location("us-east-1");
        let advice = RouteAdvice::new(&location, &table, Some(&ScanCost::default()), true).unwrap();
        assert_eq!(advice.read_units, 0);
        assert!(
            matches!(advice.storage_per_month, Some(Price::Listed { usd, .. }) if (usd - 20.0).abs() < 1e-9),
            "{advice:?}"
        );
        let copy = advice.with_restore(&location, &table);
        assert!(
            matches!(copy.restore, Some(Price::Listed { usd, .. }) if (usd - 30.0).abs() < 1e-9),
            "{copy:?}"
        );
    }
}
