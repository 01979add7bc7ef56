//! The table settings of a restore: planned, and with their results.

use serde::Serialize;

use crate::error::Result;
use crate::field::Field;
use crate::ops::restore::RestoreRequest;
use crate::schema::{
    CreateTable, MissingSetting, Setting, SettingCall, SettingChoice, SkippedSetting, TableSchema,
    When,
};
use crate::store::Reader;

/// A setting that will be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSetting {
    /// The setting.
    pub setting: Setting,
    /// Description: `TTL on attribute expires`.
    pub what: String,
    /// When it is applied.
    pub when: When,
}

/// Result of one setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingOutcome {
    /// The setting.
    pub setting: Setting,
    /// Description of the setting in the dump.
    pub what: String,
    /// Whether it was applied.
    pub result: SettingResult,
    /// Reason for a failure or a skip.
    pub reason: Option<String>,
}

/// Whether a setting was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingResult {
    /// The table has the setting.
    Applied,
    /// It was planned and could not be applied.
    Failed,
    /// It was not applied on purpose.
    Skipped,
}

/// The requests that apply the settings.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The request that creates the table, with the settings that it supports.
    pub(crate) create: Option<CreateTable>,
    /// Those settings, as the calls that would apply them to a table without them.
    pub(crate) at_creation: Vec<SettingCall>,
    /// Calls before the items.
    pub(crate) before: Vec<SettingCall>,
    /// Calls after the items, while a boost is in force.
    pub(crate) indexing: Vec<SettingCall>,
    /// Calls after that.
    pub(crate) after: Vec<SettingCall>,
    /// Settings that are not applied, with the reason.
    pub(crate) skipped: Vec<SkippedSetting>,
    /// Settings that the target does not support.
    pub(crate) not_restored: Vec<MissingSetting>,
}

impl Settings {
    /// The requests that create a table from `wanted`, or that apply the settings of `wanted` to an existing table.
    pub(crate) fn plan(
        request: &RestoreRequest,
        wanted: &TableSchema,
        existing: Option<&TableSchema>,
        table: &str,
        same_table: bool,
    ) -> Result<Self> {
        let creation = wanted.creation(table, &request.settings, same_table)?;
        let calls = wanted.settings_plan(table, &request.settings, same_table, existing);
        Ok(Self {
            not_restored: creation.not_recreated.clone(),
            create: existing.is_none().then_some(creation),
            at_creation: calls.at_creation,
            before: calls.before,
            indexing: calls.indexing,
            after: calls.after,
            skipped: calls.skipped,
        })
    }

    /// The settings of an existing table that is not changed: those of `wanted` that the user requested are skipped.
    pub(crate) fn unchanged(
        request: &RestoreRequest,
        wanted: &TableSchema,
        existing: &TableSchema,
        table: &str,
        same_table: bool,
    ) -> Self {
        let choice = &request.settings;
        let plan = wanted.settings_plan(table, choice, same_table, Some(existing));
        let calls = plan.before.into_iter().chain(plan.after);
        let requested = calls.filter(|call| choice.with.contains(&call.setting));
        let skipped = requested.map(|call| SkippedSetting {
            setting: call.setting,
            what: call.what,
            reason: format!(
                "the table exists and keeps its settings; {} applies it",
                Field::ApplySettings
            ),
        });

        Self {
            skipped: skipped.collect(),
            ..Self::default()
        }
    }

    /// Removes billing from the settings, because the boost sets it at its end. `boosted` creates the table with the boost.
    pub(crate) fn leave_billing_to_boost(&mut self, boosted: Option<CreateTable>) {
        if let Some(create) = &mut self.create {
            *create = boosted.unwrap_or_else(|| create.clone());
        }

        self.indexing
            .retain(|call| call.setting != Setting::BILLING);
    }

    /// Moves settings that the target does not support to `not_restored`, unless the user requested them: their calls fail with the
    /// endpoint's own message.
    pub(crate) async fn without_unsupported(
        mut self,
        store: &Reader,
        table: &str,
        choice: &SettingChoice,
    ) -> Self {
        let mut wanted: Vec<Setting> = self
            .planned()
            .into_iter()
            .map(|planned| planned.setting)
            .filter(|setting| !choice.with.contains(setting))
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let unsupported = store.unsupported_settings(table, &wanted).await;
        for calls in [
            &mut self.at_creation,
            &mut self.before,
            &mut self.indexing,
            &mut self.after,
        ] {
            calls.retain(|call| {
                let error = unsupported.get(&call.setting);
                self.not_restored.extend(error.map(|error| MissingSetting {
                    setting: call.what.clone(),
                    reason: format!("the target does not support the operation ({error})"),
                }));
                error.is_none()
            });
        }

        if let Some(create) = &mut self.create {
            for (_, field) in create
                .optional
                .clone()
                .into_iter()
                .filter(|(setting, _)| unsupported.contains_key(setting))
            {
                *create = create.without(field);
            }
        }

        self
    }

    /// Whether the table is created with a KMS key.
    pub(crate) fn creates_with_kms_key(&self) -> bool {
        let mut at_creation = self.at_creation.iter();
        self.create.is_some() && at_creation.any(|call| call.setting == Setting::KMS)
    }

    /// The GSIs that are created after the items.
    pub(crate) fn later_indexes(&self) -> impl Iterator<Item = &str> {
        self.indexing.iter().filter_map(|call| call.adds.as_deref())
    }

    /// Whether a call changes a table that exists.
    pub(crate) fn has_calls(&self) -> bool {
        let calls = [&self.before, &self.indexing, &self.after];
        calls.iter().any(|calls| !calls.is_empty())
    }

    /// Whether a call changes the table after the items were written: an index that refuses some of them, a stream that would report
    /// items that are written again.
    pub(crate) fn follow_items(&self) -> bool {
        !self.indexing.is_empty() || !self.after.is_empty()
    }

    /// All planned settings, in the order in which they are applied.
    pub(crate) fn planned(&self) -> Vec<PlannedSetting> {
        let planned = |when, calls: &[SettingCall]| {
            let planned = calls.iter().map(|call| PlannedSetting::new(call, when));
            planned.collect::<Vec<_>>()
        };

        [
            planned(When::Creation, &self.at_creation),
            planned(When::Before, &self.before),
            planned(When::Indexing, &self.indexing),
            planned(When::After, &self.after),
        ]
        .concat()
    }
}

impl PlannedSetting {
    pub(crate) fn new(call: &SettingCall, when: When) -> Self {
        Self {
            setting: call.setting,
            what: call.what.clone(),
            when,
        }
    }
}

impl SettingOutcome {
    /// The result of a setting that was applied, or failed for the reason `failure`.
    pub(crate) fn new(planned: PlannedSetting, failure: Option<String>) -> Self {
        let result = if failure.is_some() {
            SettingResult::Failed
        } else {
            SettingResult::Applied
        };

        Self {
            setting: planned.setting,
            what: planned.what,
            result,
            reason: failure,
        }
    }

    /// The result of a setting that the plan skips. A setting that the user requested and that is not applied has failed.
    pub(crate) fn skipped(skipped: SkippedSetting, choice: &SettingChoice) -> Self {
        let SkippedSetting {
            setting,
            what,
            reason,
        } = skipped;

        let result = if choice.with.contains(&setting) {
            SettingResult::Failed
        } else {
            SettingResult::Skipped
        };

        Self {
            setting,
            what,
            result,
            reason: Some(reason),
        }
    }

    /// Records that the setting was not applied after all.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.result = SettingResult::Failed;
        self.reason = Some(reason.to_owned());
    }
}
