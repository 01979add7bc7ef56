//! The settings of a table other than keys, indexes and capacity: their names in flags and reports, and the calls that apply them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A setting that a restore applies, skips or reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// DynamoDB Streams.
    Stream,
    /// Time to live.
    Ttl,
    /// Tags.
    Tags,
    /// Point-in-time recovery.
    Pitr,
    /// `CloudWatch` contributor insights of table and indexes.
    Insights,
    /// Application Auto Scaling targets and policies of table and indexes.
    Autoscaling,
    /// Resource policies of table and stream.
    Policy,
    /// Kinesis destinations.
    Kinesis,
    /// Replicas of a global table.
    Replicas,
    /// Encryption with a KMS key.
    Kms,
    /// Table class.
    Class,
    /// Warm throughput.
    WarmThroughput,
    /// Deletion protection.
    DeletionProtection,
    /// Billing mode and throughput of an existing table. `CreateTable` always sets them, so no flag names them and
    /// [`ALL`](Self::ALL) does not include them.
    Billing,
}

/// The AWS operation of a setting call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `UpdateTable` (stream, replicas, warm throughput, deletion protection; of an existing table also billing, class, key).
    UpdateTable,
    /// `UpdateTimeToLive`.
    UpdateTimeToLive,
    /// `TagResource`.
    TagResource,
    /// `UpdateContinuousBackups`.
    UpdateContinuousBackups,
    /// `UpdateContributorInsights`.
    UpdateContributorInsights,
    /// `PutResourcePolicy`.
    PutResourcePolicy,
    /// `EnableKinesisStreamingDestination`.
    EnableKinesisStreamingDestination,
    /// `RegisterScalableTarget` of Application Auto Scaling.
    RegisterScalableTarget,
    /// `PutScalingPolicy` of Application Auto Scaling.
    PutScalingPolicy,
}

impl Setting {
    /// Every setting that flags name, in the order in which a restore applies them after the data; earlier, each could do harm or
    /// interfere.
    pub const ALL: [Self; 13] = [
        Self::Class,
        Self::Kms,
        Self::Tags,
        Self::WarmThroughput,
        Self::Stream,
        Self::Ttl,
        Self::Pitr,
        Self::Insights,
        Self::Autoscaling,
        Self::Policy,
        Self::Kinesis,
        Self::Replicas,
        Self::DeletionProtection,
    ];

    /// The name as flags and reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Ttl => "ttl",
            Self::Tags => "tags",
            Self::Pitr => "pitr",
            Self::Insights => "insights",
            Self::Autoscaling => "autoscaling",
            Self::Policy => "policy",
            Self::Kinesis => "kinesis",
            Self::Replicas => "replicas",
            Self::Kms => "kms",
            Self::Class => "class",
            Self::WarmThroughput => "warm-throughput",
            Self::DeletionProtection => "deletion-protection",
            Self::Billing => "billing",
        }
    }

    /// Whether the setting refers to an account or environment, so that by default only the dumped table itself gets it.
    #[must_use]
    pub fn is_bound(self) -> bool {
        matches!(
            self,
            Self::Kms | Self::Replicas | Self::Policy | Self::Kinesis
        )
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Setting {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|setting| setting.name() == name)
            .ok_or(())
    }
}

/// One call that applies a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingCall {
    /// The setting it belongs to.
    pub setting: Setting,
    /// Description for people: `TTL on attribute expires`.
    pub what: String,
    /// The operation.
    pub operation: Operation,
    /// The JSON body. If a call needs an ARN of the target, which is known only when the table exists, the body
    /// contains [`TABLE_ARN`] or [`STREAM_ARN`] instead.
    pub body: String,
    /// Whether the table has to be `ACTIVE` again before the next call.
    pub waits_for_active: bool,
}

/// Placeholder in a body for the ARN of the target table.
pub const TABLE_ARN: &str = "dynadump:table-arn";

/// Placeholder in a body for the ARN of the target table's stream.
pub const STREAM_ARN: &str = "dynadump:stream-arn";

/// A setting of the dump that is not applied, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedSetting {
    /// The setting.
    pub setting: Setting,
    /// Description of the dump's setting.
    pub what: String,
    /// Why it is not applied.
    pub reason: String,
}

/// The user's choice of settings, which takes precedence over the default rules.
#[derive(Debug, Clone, Default)]
pub struct SettingChoice {
    /// Applied although they would be skipped.
    pub with: Vec<Setting>,
    /// Left out.
    pub without: Vec<Setting>,
    /// Applied before the data and not after it.
    pub first: Vec<Setting>,
}

impl SettingChoice {
    /// Why `setting` is not applied; `None` when it is.
    pub(crate) fn refusal(&self, setting: Setting, same_table: bool) -> Option<String> {
        // First, because `--without` takes precedence over `--with`.
        if self.without.contains(&setting) {
            return Some("left out by --without".to_owned());
        }

        if self.with.contains(&setting) || (setting.is_bound() && same_table) {
            return None;
        }

        let why = match setting {
            Setting::Kms => {
                "the key is the dumped account's; without it a new table gets a key owned by AWS"
            }
            Setting::Replicas => "only the dumped table itself gets its replicas",
            Setting::Policy => "it was written for the dumped table and its account",
            Setting::Kinesis => "only the dumped table itself feeds its Kinesis stream",
            Setting::WarmThroughput => "it is billed and cannot be lowered again",
            _ => return None,
        };

        Some(format!("{why}; --with {setting} applies it"))
    }

    /// Whether `setting` is applied.
    pub(crate) fn applies(&self, setting: Setting, same_table: bool) -> bool {
        self.refusal(setting, same_table).is_none()
    }
}

/// The calls that apply the settings of a dump to a table.
#[derive(Debug, Clone, Default)]
pub struct SettingsPlan {
    /// Settings that are part of `CreateTable`, described for people; they need no calls.
    pub at_creation: Vec<(Setting, String)>,
    /// Calls to make before the items are written, in order.
    pub before: Vec<SettingCall>,
    /// Calls to make after the items are written, in order.
    pub after: Vec<SettingCall>,
    /// Settings that are not applied.
    pub skipped: Vec<SkippedSetting>,
}
