//! Plans the calls that apply a dump's settings to a table, in order, and lists the settings that are not applied.

use super::actions::{SettingActions, SettingTarget};
use super::calls::setting_actions;
use super::name::{Setting, SettingCall, SettingChoice, SettingsPlan, SkippedSetting};
use crate::schema::arn;
use crate::schema::{Description, TableSchema};

impl TableSchema {
    /// Plans the calls that apply the settings of this schema to the table `table`. `existing` is the current table, sections
    /// included; `None` for a table that [`creation`](Self::creation) creates with the same `choice`. Settings of an existing
    /// table are changed only with `apply_to_existing`, and only if they differ. Settings missing from the dump are left alone.
    #[must_use]
    pub fn settings_plan(
        &self,
        table: &str,
        choice: &SettingChoice,
        same_table: bool,
        existing: Option<&TableSchema>,
        apply_to_existing: bool,
    ) -> SettingsPlan {
        let mut plan = SettingsPlan::default();
        if existing.is_some() && !apply_to_existing {
            return plan;
        }

        let target = SettingTarget {
            table,
            choice,
            same_table,
            existing,
        };

        for setting in std::iter::once(Setting::Billing).chain(Setting::ALL) {
            let mut actions = setting_actions(self, setting, &target);
            if let Some(existing) = existing {
                remove_present(&mut actions, setting, existing, &target);
                refuse_changes(&mut actions, setting, &self.description, existing);
            }

            // A requested key was named for this target, so only --without applies to it.
            let is_requested = setting == Setting::Kms && self.description.requests_encryption();
            let refusal = choice.refusal(setting, same_table || is_requested);
            add_to_plan(&mut plan, setting, actions, refusal, choice);
        }

        plan
    }

    /// The call that gives the existing table `table` this schema's billing mode, capacity and upper bounds, for itself and for
    /// the indexes that both have; `None` if nothing differs.
    #[must_use]
    pub fn billing_call(&self, table: &str, existing: &TableSchema) -> Option<SettingCall> {
        super::billing::call(&self.description, table, &existing.description)
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
    setting: Setting,
    existing: &TableSchema,
    target: &SettingTarget<'_>,
) {
    let present = setting_actions(existing, setting, target).calls;
    // Adding one of these again does not change it, so an existing one counts as present whatever its body.
    let is_made_once = matches!(setting, Setting::Replicas | Setting::Kinesis);
    let is_present = |call: &SettingCall| {
        present.iter().any(|other| {
            if is_made_once {
                other.what == call.what
            } else {
                are_equal_bodies(&other.body, &call.body)
            }
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

/// Refuses to change the view type of a stream or the attribute of TTL: DynamoDB requires that the old one is disabled first,
/// which a restore does not do.
fn refuse_changes(
    actions: &mut SettingActions,
    setting: Setting,
    dump: &Description,
    existing: &TableSchema,
) {
    // No calls are left if the table already has the setting.
    if actions.calls.is_empty() {
        return;
    }

    let present = match setting {
        Setting::Stream => existing
            .description
            .stream()
            .filter(|view| Some(*view) != dump.stream())
            .map(|view| format!("the table has a stream with {view}, which would have to end first")),
        Setting::Ttl => existing.ttl_attribute().map(|attribute| {
            format!("the table has TTL on attribute {attribute}, which would have to be switched off first")
        }),
        _ => None,
    };

    let Some(reason) = present else {
        return;
    };

    if let Some(what) = actions.description.take() {
        actions.calls.clear();
        actions.not_applied.push((what, reason));
    }
}

fn add_to_plan(
    plan: &mut SettingsPlan,
    setting: Setting,
    actions: SettingActions,
    refusal: Option<String>,
    choice: &SettingChoice,
) {
    let skipped = |(what, reason)| SkippedSetting {
        setting,
        what,
        reason,
    };

    match (actions.description, refusal) {
        (Some(what), Some(reason)) => {
            plan.skipped.push(skipped((what, reason)));

            // Not for `--without`: a user who skips the whole setting does not need a report on its parts.
            if !choice.without.contains(&setting) {
                plan.skipped
                    .extend(actions.not_applied.into_iter().map(skipped));
            }
        }
        _ if choice.without.contains(&setting) => {}
        (description, _) => {
            // Without calls, `CreateTable` applies the setting.
            if actions.calls.is_empty()
                && let Some(description) = description
            {
                plan.at_creation.push((setting, description));
            }

            let calls = if choice.first.contains(&setting) {
                &mut plan.before
            } else {
                &mut plan.after
            };

            calls.extend(actions.calls);
            plan.skipped
                .extend(actions.not_applied.into_iter().map(skipped));
        }
    }
}

#[cfg(test)]
mod tests;
