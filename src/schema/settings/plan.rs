//! Plans the calls that apply a dump's settings to a table, in order, and lists the settings that are not applied.

use super::actions::{SettingActions, SettingTarget};
use super::calls::setting_actions;
use super::name::{Setting, SettingCall, SettingChoice, SettingsPlan, SkippedSetting};
use crate::schema::arn;
use crate::schema::{Description, TableSchema};

impl TableSchema {
    /// How the settings of this schema reach the table `table`. `existing` is the table as it is, sections included; `None` for
    /// one that [`creation`](Self::creation) makes by the same `choice`. An existing table's settings are only changed with
    /// `apply_to_existing`, and only where they differ. Nothing is switched off: what the table has and the dump has not stays.
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
            let mut found = setting_actions(self, setting, &target);
            if let Some(existing) = existing {
                remove_present(&mut found, setting, existing, &target);
                refuse_changes(&mut found, setting, &self.description, existing);
            }

            let is_asked_for = setting == Setting::Kms && self.description.requests_encryption();
            let refusal = choice.refusal(setting, same_table || is_asked_for);
            add_to_plan(&mut plan, setting, found, refusal, choice);
        }

        plan
    }

    /// The call that gives the existing table `table` this schema's billing mode, capacity and upper bounds, for itself and for
    /// the indexes that both have; `None` where nothing differs.
    #[must_use]
    pub fn billing_call(&self, table: &str, existing: &TableSchema) -> Option<SettingCall> {
        super::billing::call(&self.description, table, &existing.description)
    }

    /// Whether a target is the very table that was dumped: account, region and name are known and equal. The account that
    /// engines use (`000000000000`) counts where the region is one of AWS's, which tells such an engine from a made-up ARN.
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
    found: &mut SettingActions,
    setting: Setting,
    existing: &TableSchema,
    target: &SettingTarget<'_>,
) {
    let present = setting_actions(existing, setting, target).calls;
    // These can be added, and not be changed by adding them again.
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

    found.calls.retain(|call| !is_present(call));

    if found.calls.is_empty() {
        found.what = None;
    }
}

/// Whether two bodies are equal but for the order of fields and the spelling of numbers.
fn are_equal_bodies(one: &str, other: &str) -> bool {
    let value = |body| serde_json::from_str::<serde_json::Value>(body).ok();
    one == other || value(one).is_some_and(|one| Some(one) == value(other))
}

/// DynamoDB does not change a stream's view or the attribute of TTL: the old one would have to end first, which is not for a
/// restore to do.
fn refuse_changes(
    found: &mut SettingActions,
    setting: Setting,
    dump: &Description,
    existing: &TableSchema,
) {
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

    let Some(reason) = present.filter(|_| !found.calls.is_empty()) else {
        return;
    };

    if let Some(what) = found.what.take() {
        found.calls.clear();
        found.lost.push((what, reason));
    }
}

fn add_to_plan(
    plan: &mut SettingsPlan,
    setting: Setting,
    found: SettingActions,
    refusal: Option<String>,
    choice: &SettingChoice,
) {
    let skipped = |(what, reason)| SkippedSetting {
        setting,
        what,
        reason,
    };

    match (found.what, refusal) {
        (Some(what), Some(reason)) => {
            plan.skipped.push(skipped((what, reason)));
            if !choice.without.contains(&setting) {
                plan.skipped.extend(found.lost.into_iter().map(skipped));
            }
        }
        _ if choice.without.contains(&setting) => {}
        (what, _) => {
            plan.at_creation.extend(
                what.filter(|_| found.calls.is_empty())
                    .map(|what| (setting, what)),
            );
            let calls = if choice.first.contains(&setting) {
                &mut plan.before
            } else {
                &mut plan.after
            };

            calls.extend(found.calls);
            plan.skipped.extend(found.lost.into_iter().map(skipped));
        }
    }
}

#[cfg(test)]
mod tests;
