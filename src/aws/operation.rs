//! AWS operations: which service provides them, and how a request names them.

/// A service that takes JSON bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    /// Engines serve it on DynamoDB's port; AWS has other hosts for it.
    DynamoDbStreams,
    ApplicationAutoScaling,
    Kms,
}

/// One operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiOperation {
    pub(crate) service: Service,
    /// Name in the AWS API, such as `DescribeTable`.
    pub(crate) name: &'static str,
}

/// The operations that are used, other than those about settings. `docs/permissions.md` lists the permissions for all of them.
impl ApiOperation {
    pub(crate) const BATCH_WRITE_ITEM: Self = Self::dynamodb("BatchWriteItem");
    pub(crate) const CREATE_TABLE: Self = Self::dynamodb("CreateTable");
    pub(crate) const DELETE_TABLE: Self = Self::dynamodb("DeleteTable");
    pub(crate) const DESCRIBE_TABLE: Self = Self::dynamodb("DescribeTable");
    pub(crate) const GET_ITEM: Self = Self::dynamodb("GetItem");
    pub(crate) const LIST_TABLES: Self = Self::dynamodb("ListTables");
    pub(crate) const LIST_TAGS_OF_RESOURCE: Self = Self::dynamodb("ListTagsOfResource");
    pub(crate) const PUT_ITEM: Self = Self::dynamodb("PutItem");
    pub(crate) const SCAN: Self = Self::dynamodb("Scan");

    pub(crate) const fn dynamodb(name: &'static str) -> Self {
        Self {
            service: Service::DynamoDb,
            name,
        }
    }

    pub(crate) const fn streams(name: &'static str) -> Self {
        Self {
            service: Service::DynamoDbStreams,
            name,
        }
    }

    pub(crate) const fn auto_scaling(name: &'static str) -> Self {
        Self {
            service: Service::ApplicationAutoScaling,
            name,
        }
    }

    pub(crate) const fn kms(name: &'static str) -> Self {
        Self {
            service: Service::Kms,
            name,
        }
    }

    /// Value of the header `x-amz-target`.
    pub(super) fn target(self) -> String {
        format!("{}.{}", self.service.target_prefix(), self.name)
    }
}

impl Service {
    /// Name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB",
            Self::DynamoDbStreams => "DynamoDB Streams",
            Self::ApplicationAutoScaling => "Application Auto Scaling",
            Self::Kms => "KMS",
        }
    }

    const fn target_prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB_20120810",
            Self::DynamoDbStreams => "DynamoDBStreams_20120810",
            Self::ApplicationAutoScaling => "AnyScaleFrontendService",
            Self::Kms => "TrentService",
        }
    }

    /// Name in the scope of a signature.
    pub(super) const fn signing_name(self) -> &'static str {
        match self {
            Self::DynamoDb | Self::DynamoDbStreams => "dynamodb",
            Self::ApplicationAutoScaling => "application-autoscaling",
            Self::Kms => "kms",
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::DynamoDb | Self::DynamoDbStreams => "application/x-amz-json-1.0",
            Self::ApplicationAutoScaling | Self::Kms => "application/x-amz-json-1.1",
        }
    }
}
