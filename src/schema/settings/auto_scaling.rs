//! Application Auto Scaling of a table and its indexes: targets (between which bounds) and policies (by which measure).

use std::collections::BTreeSet;

use super::actions::{SettingActions, SettingTarget, call};
use super::name::{Operation, Setting, SettingCall};
use super::scaling_resource::{ScalingResource, dimension};
use crate::schema::TableSchema;
use crate::schema::document::views::{AutoScaling, ScalableTarget, ScalingPolicy};
use crate::schema::json_body::JsonBody;
use crate::schema::wording;

const SERVICE: &str = "dynamodb";

/// Part of the ARN of the service-linked role, which the service creates if it is missing; naming it would require more
/// permissions.
const SERVICE_LINKED: &str = ":role/aws-service-role/";

/// Registers every target, then puts every policy.
pub(crate) fn auto_scaling(
    schema: &TableSchema,
    scaling: &AutoScaling,
    target: &SettingTarget<'_>,
) -> SettingActions {
    let what = wording::scaling_count(scaling);
    if !schema.description.is_provisioned() {
        let reason = "an on-demand table has no capacity to scale".to_owned();
        return SettingActions {
            not_applied: vec![(what, reason)],
            ..SettingActions::default()
        };
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
                .map(|resource| register(scalable, &resource, target.same_table)),
        );
    }

    for policy in &scaling.scaling_policies {
        calls.extend(
            target_resource(&policy.resource_id).map(|resource| put_policy(policy, &resource)),
        );
    }

    let reason = "the table does not get the index";
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

    call(
        Setting::Autoscaling,
        Operation::RegisterScalableTarget,
        what,
        &body,
    )
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
    call(
        Setting::Autoscaling,
        Operation::PutScalingPolicy,
        what,
        &body,
    )
}
