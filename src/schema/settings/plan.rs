//! Plans the calls that apply a dump's settings to a table, in order, and lists the settings that are not applied.

use serde::Serialize;

use super::in_order_of_application;
use super::spec::{
    Setting, SettingActions, SettingCall, SettingChoice, SettingSpec, SettingTarget, When,
};
use crate::schema::{TableSchema, arn};

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

/// The calls that apply the settings of a dump to a table, in order.
#[derive(Debug, Clone, Default)]
pub struct SettingsPlan {
    /// Settings that are part of `CreateTable`, as the calls that would apply them to a table without them.
    pub at_creation: Vec<SettingCall>,
    /// Calls to make before the items are written.
    pub before: Vec<SettingCall>,
    /// Calls to make after the items are written, while a temporary boost is in force.
    pub indexing: Vec<SettingCall>,
    /// Calls to make after that.
    pub after: Vec<SettingCall>,
    /// Settings that are not applied.
    pub skipped: Vec<SkippedSetting>,
}

impl TableSchema {
    /// Plans the calls that apply the settings of this schema to the table `table`. `existing` is the current table, sections
    /// included; `None` for a table that [`creation`](Self::creation) creates with the same `choice`. Settings of an existing
    /// table are changed only if they differ. Settings missing from the dump are left alone.
    #[must_use]
    pub fn settings_plan(
        &self,
        table: &str,
        choice: &SettingChoice,
        same_table: bool,
        existing: Option<&TableSchema>,
    ) -> SettingsPlan {
        let mut plan = SettingsPlan::default();
        let target = SettingTarget {
            table,
            choice,
            same_table,
            existing,
        };

        for spec in in_order_of_application() {
            let mut actions = (spec.actions)(self, &target);
            if let Some(existing) = existing {
                remove_present(&mut actions, spec, existing, &target);
            }

            let setting = Setting(spec);
            // The default rule is about settings of the dumped table.
            let refusal = choice.refusal(setting, same_table || (spec.is_requested)(self));
            plan.add(setting, actions, refusal, &target);
        }

        plan
    }

    /// Whether a target is the very table that was dumped: account, region and name are known and equal. The account that
    /// engines use (`000000000000`) counts if the region is named like one of AWS's; in an invented ARN it is not.
    #[must_use]
    pub fn same_table(
        &self,
        target_account: Option<&str>,
        target_region: Option<&str>,
        target_table: &str,
    ) -> bool {
        let identity = self
            .description
            .table_arn
            .as_deref()
            .and_then(arn::identity);

        identity.is_some_and(|(account, region)| {
            (Some(account), Some(region), Some(target_table))
                == (target_account, target_region, self.table_name())
        })
    }
}

/// Removes the calls for settings that `existing` already has.
fn remove_present(
    actions: &mut SettingActions,
    spec: &SettingSpec,
    existing: &TableSchema,
    target: &SettingTarget<'_>,
) {
    let present = (spec.actions)(existing, target).calls;
    let is_present = |call: &SettingCall| {
        present.iter().any(|other| match &call.adds {
            // Adding it again does not change it.
            Some(what) => other.adds.as_ref() == Some(what),
            None => are_equal_bodies(&other.body, &call.body),
        })
    };

    actions.calls.retain(|call| !is_present(call));

    // Nothing is left to apply, so the plan must not mention the setting.
    if actions.calls.is_empty() {
        actions.description = None;
    }
}

/// Whether two bodies are equal but for the order of fields and the spelling of numbers.
fn are_equal_bodies(one: &str, other: &str) -> bool {
    let value = |body| serde_json::from_str::<serde_json::Value>(body).ok();
    one == other || value(one).is_some_and(|one| Some(one) == value(other))
}

impl SettingsPlan {
    fn add(
        &mut self,
        setting: Setting,
        actions: SettingActions,
        refusal: Option<String>,
        target: &SettingTarget<'_>,
    ) {
        let choice = target.choice;
        let is_left_out = choice.without.contains(&setting);
        let skipped = |(what, reason)| SkippedSetting {
            setting,
            what,
            reason,
        };

        // Not for `--without`: a user who skips the whole setting does not need a report on its parts.
        let not_applied = actions.not_applied.into_iter().filter(|_| !is_left_out);
        if let Some(reason) = refusal {
            let what = actions.description.map(|what| (what, reason));
            self.skipped
                .extend(what.into_iter().chain(not_applied).map(skipped));
            return;
        }

        let when = match setting.0.when {
            When::Creation if target.existing.is_none() => When::Creation,
            _ if choice.first.contains(&setting) => When::Before,
            When::Creation => When::After,
            when => when,
        };

        for call in actions.calls {
            let needs_later_index = call
                .needs_index
                .as_ref()
                .is_some_and(|index| target.lacks_index(index));

            let calls = match when {
                When::Before if needs_later_index => &mut self.after,
                When::Creation => &mut self.at_creation,
                When::Before => &mut self.before,
                When::Indexing => &mut self.indexing,
                When::After => &mut self.after,
            };
            calls.push(call);
        }

        self.skipped.extend(not_applied.map(skipped));
    }
}
