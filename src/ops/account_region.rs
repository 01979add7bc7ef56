//! Account and region of a table: whether two tables are in the same, and what DynamoDB does only there.

use std::fmt;

use super::table_location::TableLocation;
use crate::error::Error;

/// Account and region of a table, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AccountRegion<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
}

impl<'a> AccountRegion<'a> {
    /// Those of a table. Engines on this machine invent accounts.
    pub(crate) fn of(location: &'a TableLocation) -> Self {
        Self {
            account: location.account.as_deref().filter(|_| !location.local),
            region: location.region.as_deref(),
        }
    }

    /// Whether account or region are known on both sides and differ.
    pub(crate) fn differs_from(self, other: AccountRegion<'_>) -> bool {
        let differ = |one: Option<&str>, two: Option<&str>| matches!((one, two), (Some(one), Some(two)) if one != two);

        differ(self.account, other.account) || differ(self.region, other.region)
    }
}

/// Account and region, separated by a space.
impl fmt::Display for AccountRegion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = [self.account, self.region].into_iter().flatten().collect();
        f.write_str(&known.join(" "))
    }
}

/// The error for a table that DynamoDB would have to restore in another account or region than that of `subject`, the backup or the
/// source of one.
pub(crate) fn restored_elsewhere(subject: &str, from: &str, to: &str) -> Error {
    Error::usage(format!(
        "{subject} is at {from}, the target at {to}: DynamoDB restores a backup only in its account and region"
    ))
}
