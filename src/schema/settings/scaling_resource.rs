//! Resource IDs, dimensions and target values of Application Auto Scaling.

use crate::schema::document::raw::fields_of;
use crate::schema::document::views::{ScalableTarget, ScalingPolicy};

/// A resource ID of Application Auto Scaling: `table/<name>` or `table/<name>/index/<index>`.
pub(crate) struct ScalingResource<'a> {
    pub(crate) index: Option<&'a str>,
}

impl<'a> ScalingResource<'a> {
    /// Parses a resource ID; `None` if it has neither form.
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let table = id.strip_prefix("table/")?;
        match table.split_once('/') {
            None => Some(Self { index: None }),
            Some((_, rest)) => Some(Self {
                index: Some(rest.strip_prefix("index/")?),
            }),
        }
    }

    /// The ID of the same resource of another table.
    pub(crate) fn in_table(&self, table: &str) -> String {
        match self.index {
            None => format!("table/{table}"),
            Some(index) => format!("table/{table}/index/{index}"),
        }
    }
}

/// Description of a scalable target without the table's name: `table RCU`, `index by-year WCU`.
pub(crate) fn describe_target(target: &ScalableTarget) -> String {
    let place = match ScalingResource::parse(&target.resource_id) {
        Some(ScalingResource { index: None }) => "table".to_owned(),
        Some(ScalingResource { index: Some(index) }) => format!("index {index}"),
        None => target.resource_id.clone(),
    };

    format!("{place} {}", dimension(&target.scalable_dimension))
}

/// The target value of a target tracking policy.
pub(crate) fn target_value(policy: &ScalingPolicy) -> Option<String> {
    let configuration = policy
        .target_tracking_scaling_policy_configuration
        .as_deref()?;
    let fields = fields_of(configuration)?;
    let (_, value) = fields.iter().find(|(name, _)| name == "TargetValue")?;
    let value: f64 = serde_json::from_str(value.get()).ok()?;

    Some(value.to_string())
}

/// `dynamodb:table:ReadCapacityUnits` as a short label: `RCU`.
pub(crate) fn dimension(name: &str) -> &str {
    match name.rsplit(':').next() {
        Some("ReadCapacityUnits") => "RCU",
        Some("WriteCapacityUnits") => "WCU",
        _ => name,
    }
}
