//! AWS operations about settings, as data: `store/` makes the calls.

/// A service that settings belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SettingService {
    /// DynamoDB.
    DynamoDb,
    /// DynamoDB Streams.
    DynamoDbStreams,
    /// Application Auto Scaling.
    ApplicationAutoScaling,
    /// AWS Key Management Service.
    Kms,
}

/// An operation that reads or changes a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    /// The service.
    pub service: SettingService,
    /// Name in the AWS API: `UpdateTimeToLive`.
    pub name: &'static str,
}

impl Operation {
    /// `UpdateTable`, the only operation during which a table is not `ACTIVE`.
    pub const UPDATE_TABLE: Self = Self::dynamodb("UpdateTable");

    /// An operation of DynamoDB.
    #[must_use]
    pub const fn dynamodb(name: &'static str) -> Self {
        Self {
            service: SettingService::DynamoDb,
            name,
        }
    }

    /// An operation of DynamoDB Streams.
    pub(crate) const fn streams(name: &'static str) -> Self {
        Self {
            service: SettingService::DynamoDbStreams,
            name,
        }
    }

    /// An operation of Application Auto Scaling.
    pub(crate) const fn auto_scaling(name: &'static str) -> Self {
        Self {
            service: SettingService::ApplicationAutoScaling,
            name,
        }
    }

    /// An operation of AWS Key Management Service.
    pub(crate) const fn kms(name: &'static str) -> Self {
        Self {
            service: SettingService::Kms,
            name,
        }
    }
}
