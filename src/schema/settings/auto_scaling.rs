//! Application Auto Scaling of a table and its indexes: targets (between which bounds) and policies (by which measure).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::actions::call;
use super::operation::Operation;
use super::scaling_resource::{ScalingResource, dimension};
use super::spec::{SettingActions, SettingCall, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::raw::fields_of;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::wording::count;

const LABEL: &str = "auto scaling";
const SERVICE: &str = "dynamodb";

/// Part of the ARN of the service-linked role, which the service creates if it is missing; naming it would require more
/// permissions.
const SERVICE_LINKED: &str = ":role/aws-service-role/";

const REGISTER_TARGET: Operation = Operation::auto_scaling("RegisterScalableTarget");
const PUT_POLICY: Operation = Operation::auto_scaling("PutScalingPolicy");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    // Only a provisioned table can be scaled, and only an index that exists.
    comes_after: &["billing", "indexes"],
    sections: &[SECTION],
    changing_operations: &[REGISTER_TARGET, PUT_POLICY],
    ..SettingSpec::new("autoscaling", LABEL, words, actions)
};

/// `ScalableTargets` and `ScalingPolicies` of table and indexes, as one object.
pub(crate) const SECTION: Section = Section::new(
    "AutoScaling",
    LABEL,
    Reading::AutoScaling {
        targets: Operation::auto_scaling("DescribeScalableTargets"),
        policies: Operation::auto_scaling("DescribeScalingPolicies"),
    },
    &KnownFields {
        plain: &[],
        nested: &[
            (
                "ScalableTargets",
                &plain(&[
                    "CreationTime",
                    "MaxCapacity",
                    "MinCapacity",
                    "PredictedCapacity",
                    "ResourceId",
                    "RoleARN",
                    "ScalableDimension",
                    "ScalableTargetARN",
                    "ServiceNamespace",
                    "SuspendedState",
                ]),
            ),
            (
                "ScalingPolicies",
                &plain(&[
                    "Alarms",
                    "CreationTime",
                    "PolicyARN",
                    "PolicyName",
                    "PolicyType",
                    "PredictiveScalingPolicyConfiguration",
                    "ResourceId",
                    "ScalableDimension",
                    "ServiceNamespace",
                    "StepScalingPolicyConfiguration",
                    "TargetTrackingScalingPolicyConfiguration",
                ]),
            ),
        ],
    },
);

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct AutoScaling {
    scalable_targets: Vec<ScalableTarget>,
    scaling_policies: Vec<ScalingPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalableTarget {
    resource_id: String,
    scalable_dimension: String,
    min_capacity: u64,
    max_capacity: u64,
    #[serde(rename = "RoleARN")]
    role_arn: Option<String>,
    suspended_state: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScalingPolicy {
    policy_name: String,
    resource_id: String,
    scalable_dimension: String,
    policy_type: String,
    target_tracking_scaling_policy_configuration: Option<Box<RawValue>>,
    step_scaling_policy_configuration: Option<Box<RawValue>>,
    predictive_scaling_policy_configuration: Option<Box<RawValue>>,
}

impl TableSchema {
    /// Whether auto scaling may change the capacity of the table.
    #[must_use]
    pub fn has_auto_scaling(&self) -> bool {
        self.section(SECTION).is_some()
    }
}

/// Whether anything is known to be scaled.
pub(crate) fn is_on(schema: &TableSchema) -> bool {
    matches!(auto_scaling(schema), SectionView::Value(_))
}

fn auto_scaling(schema: &TableSchema) -> SectionView<AutoScaling> {
    schema.view::<AutoScaling>(SECTION).and_then(|scaling| {
        (!scaling.scalable_targets.is_empty() || !scaling.scaling_policies.is_empty())
            .then_some(scaling)
    })
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(auto_scaling(schema), LABEL, |scaling| {
        apply(schema, &scaling, target)
    })
}

/// Registers every target, then puts every policy.
fn apply(
    schema: &TableSchema,
    scaling: &AutoScaling,
    target: &SettingTarget<'_>,
) -> SettingActions {
    let what = scaling_count(scaling);
    if !schema.description.is_provisioned() {
        return SettingActions::impossible(what, "an on-demand table has no capacity to scale");
    }

    // A set, because a resource has several targets and policies but is reported once.
    let mut missing = BTreeSet::new();
    let mut target_resource = |id: &str| {
        let resource = ScalingResource::parse(id)
            .filter(|resource| resource.index.is_none_or(|index| schema.has_index(index)));
        if resource.is_none() {
            missing.insert(format!("auto scaling of {id}"));
        }

        resource.map(|resource| resource.in_table(target.table))
    };

    // All targets first: a policy needs its target.
    let mut calls = Vec::new();
    for scalable in &scaling.scalable_targets {
        calls.extend(
            target_resource(&scalable.resource_id)
                .map(|resource| register(scalable, &resource, target.same_table))
                .map(|call| call.about_index(index_of(&scalable.resource_id))),
        );
    }

    for policy in &scaling.scaling_policies {
        calls.extend(
            target_resource(&policy.resource_id)
                .map(|resource| put_policy(policy, &resource))
                .map(|call| call.about_index(index_of(&policy.resource_id))),
        );
    }

    let reason = "the index is not created";
    let not_applied = missing
        .into_iter()
        .map(|what| (what, reason.to_owned()))
        .collect();
    SettingActions {
        description: Some(what),
        calls,
        not_applied,
    }
}

/// The index of a resource ID.
fn index_of(id: &str) -> Option<&str> {
    ScalingResource::parse(id)?.index
}

fn register(target: &ScalableTarget, resource: &str, same_table: bool) -> SettingCall {
    // A role belongs to the account of the dumped table; without one, the service-linked role is used.
    let role = target
        .role_arn
        .as_ref()
        .filter(|role| same_table && !role.contains(SERVICE_LINKED));
    // Sent only if something is suspended: the default is that nothing is.
    let suspended = target
        .suspended_state
        .as_ref()
        .filter(|state| state.get().contains("true"));
    let body = JsonBody::new()
        .with("ServiceNamespace", &SERVICE)
        .with("ResourceId", &resource)
        .with("ScalableDimension", &target.scalable_dimension)
        .with("MinCapacity", &target.min_capacity)
        .with("MaxCapacity", &target.max_capacity)
        .with_some("RoleARN", role)
        .with_some("SuspendedState", suspended);

    let what = format!(
        "auto scaling of {} of {resource} between {} and {}",
        dimension(&target.scalable_dimension),
        target.min_capacity,
        target.max_capacity
    );

    call(&SPEC, REGISTER_TARGET, what, &body)
}

fn put_policy(policy: &ScalingPolicy, resource: &str) -> SettingCall {
    let body = JsonBody::new()
        .with("PolicyName", &policy.policy_name)
        .with("ServiceNamespace", &SERVICE)
        .with("ResourceId", &resource)
        .with("ScalableDimension", &policy.scalable_dimension)
        .with("PolicyType", &policy.policy_type)
        .with_some(
            "TargetTrackingScalingPolicyConfiguration",
            policy.target_tracking_scaling_policy_configuration.as_ref(),
        )
        .with_some(
            "StepScalingPolicyConfiguration",
            policy.step_scaling_policy_configuration.as_ref(),
        )
        .with_some(
            "PredictiveScalingPolicyConfiguration",
            policy.predictive_scaling_policy_configuration.as_ref(),
        );

    let what = format!(
        "auto scaling policy for {} of {resource}",
        dimension(&policy.scalable_dimension)
    );
    call(&SPEC, PUT_POLICY, what, &body)
}

/// `auto scaling (4 targets, 4 policies)`.
fn scaling_count(scaling: &AutoScaling) -> String {
    let targets = count(scaling.scalable_targets.len(), "target", "targets");
    let policies = count(scaling.scaling_policies.len(), "policy", "policies");
    format!("auto scaling ({targets}, {policies})")
}

fn words(schema: &TableSchema) -> SectionView<String> {
    auto_scaling(schema).map(|scaling| scaling_in_words(&scaling))
}

/// `table RCU 5 to 100 at 70`, for every target and the policy of it, if there is one.
fn scaling_in_words(scaling: &AutoScaling) -> String {
    let word = |target: &ScalableTarget| {
        let bounds = format!(
            "{} {} to {}",
            target.in_words(),
            target.min_capacity,
            target.max_capacity
        );

        // A policy belongs to the target with the same resource and dimension.
        let mut policies = scaling.scaling_policies.iter().filter(|policy| {
            (&policy.resource_id, &policy.scalable_dimension)
                == (&target.resource_id, &target.scalable_dimension)
        });
        match policies.next().map(ScalingPolicy::target_value) {
            None => bounds,
            Some(None) => format!("{bounds} by a policy"),
            Some(Some(aim)) => format!("{bounds} at {aim}"),
        }
    };

    // Sorted, so that the order of the response makes no difference.
    let mut words: Vec<_> = scaling.scalable_targets.iter().map(word).collect();
    words.sort_unstable();

    words.join(", ")
}

impl ScalableTarget {
    /// Description without the table's name: `table RCU`, `index by-year WCU`.
    fn in_words(&self) -> String {
        let place = match ScalingResource::parse(&self.resource_id) {
            Some(ScalingResource { index: None }) => "table".to_owned(),
            Some(ScalingResource { index: Some(index) }) => format!("index {index}"),
            None => self.resource_id.clone(),
        };

        format!("{place} {}", dimension(&self.scalable_dimension))
    }
}

impl ScalingPolicy {
    /// The target value of a target tracking policy.
    fn target_value(&self) -> Option<String> {
        let configuration = self
            .target_tracking_scaling_policy_configuration
            .as_deref()?;
        let fields = fields_of(configuration)?;
        let (_, value) = fields.iter().find(|(name, _)| name == "TargetValue")?;
        let value: f64 = serde_json::from_str(value.get()).ok()?;

        Some(value.to_string())
    }
}
