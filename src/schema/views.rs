//! The typed view of the sections beside `Table`: the part of each that this program reads. As in
//! [`Description`](super::Description), enumerations stay text and nothing is required that an engine may leave out.
//!
//! What cannot be read is not lost: the document keeps it, and a restore names it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::TableSchema;
use super::description::{OnDemandThroughput, TableClassSummary};
use super::raw::fields_of;
use super::section::Section;

/// Tags whose names begin so are AWS's own and cannot be set.
pub(super) const AWS_TAG_PREFIX: &str = "aws:";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TimeToLive {
    time_to_live_status: Option<String>,
    attribute_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContinuousBackups {
    point_in_time_recovery_description: Option<PointInTimeRecovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PointInTimeRecovery {
    point_in_time_recovery_status: Option<String>,
    pub(super) recovery_period_in_days: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct AutoScaling {
    pub(super) scalable_targets: Vec<ScalableTarget>,
    pub(super) scaling_policies: Vec<ScalingPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScalableTarget {
    pub(super) resource_id: String,
    pub(super) scalable_dimension: String,
    pub(super) min_capacity: u64,
    pub(super) max_capacity: u64,
    #[serde(rename = "RoleARN")]
    pub(super) role_arn: Option<String>,
    pub(super) suspended_state: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScalingPolicy {
    pub(super) policy_name: String,
    pub(super) resource_id: String,
    pub(super) scalable_dimension: String,
    pub(super) policy_type: String,
    pub(super) target_tracking_scaling_policy_configuration: Option<Box<RawValue>>,
    pub(super) step_scaling_policy_configuration: Option<Box<RawValue>>,
    pub(super) predictive_scaling_policy_configuration: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContributorInsights {
    pub(super) index_name: Option<String>,
    #[serde(rename = "ContributorInsightsStatus")]
    status: Option<String>,
    #[serde(rename = "ContributorInsightsMode")]
    pub(super) mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct KinesisDestination {
    pub(super) stream_arn: String,
    destination_status: Option<String>,
    pub(super) approximate_creation_date_time_precision: Option<String>,
}

/// One element of `Table.Replicas`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Replica {
    pub(super) region_name: String,
    #[serde(rename = "ReplicaStatus")]
    status: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    pub(super) kms_master_key_id: Option<String>,
    pub(super) provisioned_throughput_override: Option<Box<RawValue>>,
    pub(super) on_demand_throughput_override: Option<OnDemandThroughput>,
    #[serde(default, deserialize_with = "super::description::null_is_default")]
    pub(super) global_secondary_indexes: Vec<ReplicaIndex>,
    #[serde(rename = "ReplicaTableClassSummary")]
    pub(super) class: Option<TableClassSummary>,
}

/// What an index has otherwise in a replica.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ReplicaIndex {
    pub(super) index_name: String,
    pub(super) provisioned_throughput_override: Option<Box<RawValue>>,
    pub(super) on_demand_throughput_override: Option<OnDemandThroughput>,
}

/// What the document says of one part.
pub(super) enum View<T> {
    Nothing,
    NotCaptured(String),
    /// It is there, in a form that this version cannot read.
    Unreadable,
    Read(T),
}

impl<T> View<T> {
    pub(super) fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Nothing | Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    /// In words, with `nothing` for nothing; `None` where nobody knows.
    pub(super) fn told(self, nothing: &str, words: impl FnOnce(T) -> String) -> Option<String> {
        match self {
            Self::Nothing => Some(nothing.to_owned()),
            Self::Read(value) => Some(words(value)),
            Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    /// The part that `filter` takes from what was read; nothing where it takes none.
    fn and_then<U>(self, filter: impl FnOnce(T) -> Option<U>) -> View<U> {
        match self {
            Self::Nothing => View::Nothing,
            Self::NotCaptured(reason) => View::NotCaptured(reason),
            Self::Unreadable => View::Unreadable,
            Self::Read(value) => filter(value).map_or(View::Nothing, View::Read),
        }
    }
}

impl TableSchema {
    /// The attribute that tells when an item expires, when TTL is on.
    #[must_use]
    pub fn ttl_attribute(&self) -> Option<String> {
        self.time_to_live().read()
    }

    pub(super) fn time_to_live(&self) -> View<String> {
        self.view::<TimeToLive>(Section::TimeToLive)
            .and_then(|ttl| ttl.attribute_name.filter(|_| is_on(ttl.time_to_live_status.as_deref())))
    }

    /// The table's tags, AWS's own included, by name.
    pub(super) fn tags(&self) -> View<Vec<Tag>> {
        let view = match self.view::<Vec<Tag>>(Section::Tags) {
            View::Nothing => self.field_view("Tags"),
            view => view,
        };
        view.and_then(|mut tags| {
            tags.sort();
            (!tags.is_empty()).then_some(tags)
        })
    }

    /// The table's tags without AWS's own.
    pub(super) fn own_tags(&self) -> View<Vec<Tag>> {
        self.tags().and_then(|mut tags| {
            tags.retain(|tag| !tag.key.starts_with(AWS_TAG_PREFIX));
            (!tags.is_empty()).then_some(tags)
        })
    }

    pub(super) fn point_in_time_recovery(&self) -> View<PointInTimeRecovery> {
        self.view::<ContinuousBackups>(Section::ContinuousBackups).and_then(|backups| {
            let recovery = backups.point_in_time_recovery_description?;
            is_on(recovery.point_in_time_recovery_status.as_deref()).then_some(recovery)
        })
    }

    /// The policy of the table or, with [`Section::StreamResourcePolicy`], of its stream: a JSON text.
    pub(super) fn policy(&self, section: Section) -> View<String> {
        match self.view::<Policy>(section) {
            View::Nothing if section == Section::ResourcePolicy => self.field_view("ResourcePolicy"),
            view => view.and_then(|answer| answer.policy),
        }
    }

    pub(super) fn auto_scaling(&self) -> View<AutoScaling> {
        self.view::<AutoScaling>(Section::AutoScaling).and_then(|scaling| {
            (!scaling.scalable_targets.is_empty() || !scaling.scaling_policies.is_empty()).then_some(scaling)
        })
    }

    pub(super) fn contributor_insights(&self) -> View<Vec<ContributorInsights>> {
        self.view::<Vec<ContributorInsights>>(Section::ContributorInsights).and_then(|mut insights| {
            insights.retain(|of| is_on(of.status.as_deref()));
            (!insights.is_empty()).then_some(insights)
        })
    }

    pub(super) fn kinesis_destinations(&self) -> View<Vec<KinesisDestination>> {
        self.view::<Vec<KinesisDestination>>(Section::KinesisDestinations).and_then(|mut destinations| {
            destinations.retain(|destination| is_on(destination.destination_status.as_deref()));
            (!destinations.is_empty()).then_some(destinations)
        })
    }

    /// Replicas in other regions than the table's own.
    pub(super) fn replicas(&self) -> View<Vec<Replica>> {
        self.field_view::<Vec<Replica>>("Replicas").and_then(|mut replicas| {
            replicas.retain(|replica| {
                Some(replica.region_name.as_str()) != self.region() && replica.status.as_deref() != Some("DELETING")
            });
            (!replicas.is_empty()).then_some(replicas)
        })
    }

    /// A field of `Table`, as text.
    pub(super) fn table_field(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = fields_of(&self.table)?.into_iter().find(|(found, _)| found == name)?;
        Some(value).filter(|value| value.get() != "null")
    }

    fn view<T: DeserializeOwned>(&self, section: Section) -> View<T> {
        match self.not_captured_reason(section) {
            Some(reason) => View::NotCaptured(reason),
            None => read(self.section(section)),
        }
    }

    fn field_view<T: DeserializeOwned>(&self, name: &str) -> View<T> {
        read(self.table_field(name))
    }
}

fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> View<T> {
    match value.filter(|value| value.get() != "null") {
        None => View::Nothing,
        Some(value) => serde_json::from_str(value.get()).map_or(View::Unreadable, View::Read),
    }
}

/// Whether a status means on. One that is not told, or one of a later API, counts as on, so that the setting is not lost.
fn is_on(status: Option<&str>) -> bool {
    !matches!(status, Some("DISABLED" | "DISABLING" | "FAILED" | "ENABLE_FAILED"))
}
