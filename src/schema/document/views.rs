//! Typed views of the sections other than `Table`: the part of each that this program reads. As in
//! [`Description`](crate::schema::Description), enumerations stay text and nothing is required that an engine may omit.
//!
//! A section that cannot be read is not lost: the document keeps it, and a restore reports it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::raw::fields_of;
use super::section::Section;
use crate::schema::TableSchema;
use crate::schema::description::{OnDemandThroughput, TableClassSummary};

/// Prefix of AWS's own tags, which cannot be set.
pub(crate) const AWS_TAG_PREFIX: &str = "aws:";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TimeToLive {
    time_to_live_status: Option<String>,
    attribute_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContinuousBackups {
    point_in_time_recovery_description: Option<PointInTimeRecovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PointInTimeRecovery {
    point_in_time_recovery_status: Option<String>,
    pub(crate) recovery_period_in_days: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
    policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct AutoScaling {
    pub(crate) scalable_targets: Vec<ScalableTarget>,
    pub(crate) scaling_policies: Vec<ScalingPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalableTarget {
    pub(crate) resource_id: String,
    pub(crate) scalable_dimension: String,
    pub(crate) min_capacity: u64,
    pub(crate) max_capacity: u64,
    #[serde(rename = "RoleARN")]
    pub(crate) role_arn: Option<String>,
    pub(crate) suspended_state: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalingPolicy {
    pub(crate) policy_name: String,
    pub(crate) resource_id: String,
    pub(crate) scalable_dimension: String,
    pub(crate) policy_type: String,
    pub(crate) target_tracking_scaling_policy_configuration: Option<Box<RawValue>>,
    pub(crate) step_scaling_policy_configuration: Option<Box<RawValue>>,
    pub(crate) predictive_scaling_policy_configuration: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContributorInsights {
    pub(crate) index_name: Option<String>,
    #[serde(rename = "ContributorInsightsStatus")]
    status: Option<String>,
    #[serde(rename = "ContributorInsightsMode")]
    pub(crate) mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KinesisDestination {
    pub(crate) stream_arn: String,
    destination_status: Option<String>,
    pub(crate) approximate_creation_date_time_precision: Option<String>,
}

/// One element of `Table.Replicas`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Replica {
    pub(crate) region_name: String,
    #[serde(rename = "ReplicaStatus")]
    status: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    pub(crate) kms_master_key_id: Option<String>,
    pub(crate) provisioned_throughput_override: Option<Box<RawValue>>,
    pub(crate) on_demand_throughput_override: Option<OnDemandThroughput>,
    #[serde(
        default,
        deserialize_with = "crate::schema::description::null_is_default"
    )]
    pub(crate) global_secondary_indexes: Vec<ReplicaIndex>,
    #[serde(rename = "ReplicaTableClassSummary")]
    pub(crate) class: Option<TableClassSummary>,
}

/// Settings of an index that differ in a replica.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicaIndex {
    pub(crate) index_name: String,
    pub(crate) provisioned_throughput_override: Option<Box<RawValue>>,
    pub(crate) on_demand_throughput_override: Option<OnDemandThroughput>,
}

/// The value of one section of a schema document.
pub(crate) enum SectionView<T> {
    Absent,
    NotCaptured(String),
    /// Present in a form that this version cannot read.
    Unreadable,
    Value(T),
}

impl<T> SectionView<T> {
    pub(crate) fn read(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    /// Describes the value with `words`; `nothing` if it is absent, `None` if it is unknown.
    pub(crate) fn describe_or(
        self,
        nothing: &str,
        words: impl FnOnce(T) -> String,
    ) -> Option<String> {
        match self {
            Self::Absent => Some(nothing.to_owned()),
            Self::Value(value) => Some(words(value)),
            Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    /// Converts the value with `filter`; absent if that returns `None`.
    fn and_then<U>(self, filter: impl FnOnce(T) -> Option<U>) -> SectionView<U> {
        match self {
            Self::Absent => SectionView::Absent,
            Self::NotCaptured(reason) => SectionView::NotCaptured(reason),
            Self::Unreadable => SectionView::Unreadable,
            Self::Value(value) => filter(value).map_or(SectionView::Absent, SectionView::Value),
        }
    }
}

impl TableSchema {
    /// The attribute that holds the expiry time of an item, if TTL is on.
    #[must_use]
    pub fn ttl_attribute(&self) -> Option<String> {
        self.time_to_live().read()
    }

    pub(crate) fn time_to_live(&self) -> SectionView<String> {
        self.view::<TimeToLive>(Section::TimeToLive)
            .and_then(|ttl| {
                if is_on(ttl.time_to_live_status.as_deref()) {
                    ttl.attribute_name
                } else {
                    None
                }
            })
    }

    /// The table's tags, AWS's own included, by name.
    pub(crate) fn tags(&self) -> SectionView<Vec<Tag>> {
        // A `CreateTable` request holds its tags in the table itself.
        let view = match self.view::<Vec<Tag>>(Section::Tags) {
            SectionView::Absent => self.field_view("Tags"),
            view => view,
        };
        view.and_then(|mut tags| {
            // The order of tags has no meaning; sorted lists are comparable.
            tags.sort();
            (!tags.is_empty()).then_some(tags)
        })
    }

    /// The table's tags without AWS's own.
    pub(crate) fn own_tags(&self) -> SectionView<Vec<Tag>> {
        self.tags().and_then(|mut tags| {
            tags.retain(|tag| !tag.key.starts_with(AWS_TAG_PREFIX));
            (!tags.is_empty()).then_some(tags)
        })
    }

    pub(crate) fn point_in_time_recovery(&self) -> SectionView<PointInTimeRecovery> {
        self.view::<ContinuousBackups>(Section::ContinuousBackups)
            .and_then(|backups| {
                let recovery = backups.point_in_time_recovery_description?;
                is_on(recovery.point_in_time_recovery_status.as_deref()).then_some(recovery)
            })
    }

    /// The policy of the table or, with [`Section::StreamResourcePolicy`], of its stream: a JSON text.
    pub(crate) fn policy(&self, section: Section) -> SectionView<String> {
        // A `CreateTable` request holds its policy in the table itself, without an envelope.
        match self.view::<Policy>(section) {
            SectionView::Absent if section == Section::ResourcePolicy => {
                self.field_view("ResourcePolicy")
            }
            view => view.and_then(|answer| answer.policy),
        }
    }

    pub(crate) fn auto_scaling(&self) -> SectionView<AutoScaling> {
        self.view::<AutoScaling>(Section::AutoScaling)
            .and_then(|scaling| {
                (!scaling.scalable_targets.is_empty() || !scaling.scaling_policies.is_empty())
                    .then_some(scaling)
            })
    }

    pub(crate) fn contributor_insights(&self) -> SectionView<Vec<ContributorInsights>> {
        self.view::<Vec<ContributorInsights>>(Section::ContributorInsights)
            .and_then(|mut insights| {
                insights.retain(|entry| is_on(entry.status.as_deref()));
                (!insights.is_empty()).then_some(insights)
            })
    }

    pub(crate) fn kinesis_destinations(&self) -> SectionView<Vec<KinesisDestination>> {
        self.view::<Vec<KinesisDestination>>(Section::KinesisDestinations)
            .and_then(|mut destinations| {
                destinations.retain(|destination| is_on(destination.destination_status.as_deref()));
                (!destinations.is_empty()).then_some(destinations)
            })
    }

    /// Replicas in other regions than the table's own.
    pub(crate) fn replicas(&self) -> SectionView<Vec<Replica>> {
        self.field_view::<Vec<Replica>>("Replicas")
            .and_then(|mut replicas| {
                // The list can include the table's own region.
                replicas.retain(|replica| {
                    Some(replica.region_name.as_str()) != self.region()
                        && replica.status.as_deref() != Some("DELETING")
                });
                (!replicas.is_empty()).then_some(replicas)
            })
    }

    /// A field of `Table`, as text.
    pub(crate) fn table_field(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = fields_of(&self.table)?
            .into_iter()
            .find(|(found, _)| found == name)?;
        Some(value).filter(|value| value.get() != "null")
    }

    fn view<T: DeserializeOwned>(&self, section: Section) -> SectionView<T> {
        // The placeholder first: read as a value, it would be in an unknown form.
        match self.not_captured_reason(section) {
            Some(reason) => SectionView::NotCaptured(reason),
            None => read(self.section(section)),
        }
    }

    fn field_view<T: DeserializeOwned>(&self, name: &str) -> SectionView<T> {
        read(self.table_field(name))
    }
}

fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> SectionView<T> {
    match value.filter(|value| value.get() != "null") {
        None => SectionView::Absent,
        Some(value) => {
            serde_json::from_str(value.get()).map_or(SectionView::Unreadable, SectionView::Value)
        }
    }
}

/// Whether a status means on. A missing status or one of a later API counts as on, so that the setting is not lost.
fn is_on(status: Option<&str>) -> bool {
    !matches!(
        status,
        Some("DISABLED" | "DISABLING" | "FAILED" | "ENABLE_FAILED")
    )
}
