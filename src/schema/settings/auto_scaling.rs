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

/// In the ARN of a role that the service makes for itself where there is none; naming it would only ask for more permissions.
const SERVICE_LINKED: &str = ":role/aws-service-role/";

/// First every target, then every policy: a policy needs its target.
pub(crate) fn auto_scaling(
    schema: &TableSchema,
    scaling: &AutoScaling,
    target: &SettingTarget<'_>,
) -> SettingActions {
    let what = wording::scaling_count(scaling);
    if !schema.description.is_provisioned() {
        let reason = "an on-demand table has no capacity to scale".to_owned();
        return SettingActions {
            lost: vec![(what, reason)],
            ..SettingActions::default()
        };
    }

    let mut lost = BTreeSet::new();
    let mut resource = |resource: &str| {
        let place = ScalingResource::parse(resource)
            .filter(|of| of.index.is_none_or(|index| schema.has_index(index)));
        if place.is_none() {
            lost.insert(format!("auto scaling of {resource}"));
        }

        place.map(|of| of.in_table(target.table))
    };

    let mut calls = Vec::new();
    for of in &scaling.scalable_targets {
        calls.extend(
            resource(&of.resource_id).map(|resource| register(of, &resource, target.same_table)),
        );
    }

    for of in &scaling.scaling_policies {
        calls.extend(resource(&of.resource_id).map(|resource| put_policy(of, &resource)));
    }

    let reason = "the table does not get the index";
    let lost = lost
        .into_iter()
        .map(|what| (what, reason.to_owned()))
        .collect();
    SettingActions {
        what: Some(what),
        calls,
        lost,
    }
}

fn register(of: &ScalableTarget, resource: &str, same_table: bool) -> SettingCall {
    let role = of
        .role_arn
        .as_ref()
        .filter(|role| same_table && !role.contains(SERVICE_LINKED));
    let suspended = of
        .suspended_state
        .as_ref()
        .filter(|state| state.get().contains("true"));
    let body = JsonBody::new()
        .with("ServiceNamespace", &SERVICE)
        .with("ResourceId", &resource)
        .with("ScalableDimension", &of.scalable_dimension)
        .with("MinCapacity", &of.min_capacity)
        .with("MaxCapacity", &of.max_capacity)
        .with_some("RoleARN", role)
        .with_some("SuspendedState", suspended);

    let what = format!(
        "auto scaling of {} of {resource} between {} and {}",
        dimension(&of.scalable_dimension),
        of.min_capacity,
        of.max_capacity
    );

    call(
        Setting::Autoscaling,
        Operation::RegisterScalableTarget,
        what,
        &body,
    )
}

fn put_policy(of: &ScalingPolicy, resource: &str) -> SettingCall {
    let body = JsonBody::new()
        .with("PolicyName", &of.policy_name)
        .with("ServiceNamespace", &SERVICE)
        .with("ResourceId", &resource)
        .with("ScalableDimension", &of.scalable_dimension)
        .with("PolicyType", &of.policy_type)
        .with_some(
            "TargetTrackingScalingPolicyConfiguration",
            of.target_tracking_scaling_policy_configuration.as_ref(),
        )
        .with_some(
            "StepScalingPolicyConfiguration",
            of.step_scaling_policy_configuration.as_ref(),
        )
        .with_some(
            "PredictiveScalingPolicyConfiguration",
            of.predictive_scaling_policy_configuration.as_ref(),
        );

    let what = format!(
        "auto scaling policy for {} of {resource}",
        dimension(&of.scalable_dimension)
    );
    call(
        Setting::Autoscaling,
        Operation::PutScalingPolicy,
        what,
        &body,
    )
}
