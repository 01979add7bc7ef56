//! The settings of a table. Each is described in a file of its own, and everything else is derived from [`SETTINGS`].

pub(crate) mod actions;
pub(crate) mod boost;
mod choice;
pub(crate) mod operation;
pub(crate) mod plan;
mod scaling_resource;
mod sections;
pub(crate) mod spec;
#[cfg(test)]
mod tests;
pub(crate) mod values;

// One file per setting.
pub(crate) mod auto_scaling;
pub(crate) mod billing;
pub(crate) mod class;
mod contributor_insights;
mod deletion_protection;
pub(crate) mod encryption;
mod indexes;
mod kinesis;
mod point_in_time_recovery;
pub(crate) mod replicas;
mod resource_policy;
mod stream;
pub(crate) mod tags;
mod time_to_live;
pub(crate) mod warm_throughput;

use std::str::FromStr;

use operation::Operation;
use spec::{Setting, SettingSpec};

/// Every setting, in the order of help, plans, summaries and schema documents. Where one setting need not come after another, it
/// is also the order in which they are applied.
pub(crate) static SETTINGS: &[&SettingSpec] = &[
    &billing::SPEC,
    &indexes::SPEC,
    &class::SPEC,
    &encryption::SPEC,
    &tags::SPEC,
    &warm_throughput::SPEC,
    &stream::SPEC,
    &time_to_live::SPEC,
    &point_in_time_recovery::SPEC,
    &contributor_insights::SPEC,
    &auto_scaling::SPEC,
    &resource_policy::SPEC,
    &kinesis::SPEC,
    &deletion_protection::SPEC,
    &replicas::SPEC,
];

impl Setting {
    /// Billing mode and throughput. `CreateTable` always sets them, so no flag names this setting.
    pub const BILLING: Self = Self(&billing::SPEC);
    /// GSIs that are created after the items.
    pub const INDEXES: Self = Self(&indexes::SPEC);
    /// Table class.
    pub const CLASS: Self = Self(&class::SPEC);
    /// Encryption with a KMS key.
    pub const KMS: Self = Self(&encryption::SPEC);
    /// Time to live.
    pub const TTL: Self = Self(&time_to_live::SPEC);
    /// Tags.
    pub const TAGS: Self = Self(&tags::SPEC);
    /// Application Auto Scaling of table and indexes.
    pub const AUTOSCALING: Self = Self(&auto_scaling::SPEC);

    /// The settings that flags can name.
    pub fn choices() -> impl Iterator<Item = Self> {
        SETTINGS
            .iter()
            .filter(|spec| spec.is_choice)
            .map(|spec| Self(spec))
    }

    /// The operations that read the settings of a table.
    pub(crate) fn reading_operations() -> impl Iterator<Item = Operation> {
        SETTINGS
            .iter()
            .flat_map(|spec| spec.sections)
            .flat_map(|section| section.reading().operations())
    }

    /// The operations that apply this setting.
    pub(crate) fn changing_operations(self) -> &'static [Operation] {
        self.0.changing_operations
    }
}

impl FromStr for Setting {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::choices()
            .find(|setting| setting.name() == name)
            .ok_or(())
    }
}

/// The settings in the order in which they are applied: each after those that it comes after, otherwise in the order of the list.
pub(crate) fn in_order_of_application() -> Vec<&'static SettingSpec> {
    let mut open = SETTINGS.to_vec();
    let mut ordered = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let is_ready = |spec: &&SettingSpec| {
            let is_open = |name: &&str| open.iter().any(|other| other.name == *name);
            !spec.comes_after.iter().any(is_open)
        };

        // A unit test checks that no setting comes after itself.
        let next = open.iter().position(is_ready).unwrap_or(0);
        ordered.push(open.remove(next));
    }

    ordered
}
