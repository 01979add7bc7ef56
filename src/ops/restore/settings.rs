//! The table settings of a restore: planned, and with their results.

use serde::Serialize;
use serde_json::{Value, json};

use super::RestoreRequest;
use crate::error::Result;
use crate::schema::{
    CreateTable, NotRecreated, Operation, Setting, SettingCall, SkippedSetting, TABLE_ARN,
    TableSchema,
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

/// Time at which a setting is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// In the request that creates the table.
    Creation,
    /// Before the items are written.
    Before,
    /// After the items are written.
    After,
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
    /// Descriptions of those settings.
    at_creation: Vec<(Setting, String)>,
    /// Calls before the items.
    pub(crate) before: Vec<SettingCall>,
    /// Calls after the items.
    pub(crate) after: Vec<SettingCall>,
    /// Settings that are not applied, with the reason.
    pub(crate) skipped: Vec<SkippedSetting>,
    /// Settings that the target does not support.
    pub(crate) not_restored: Vec<NotRecreated>,
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
        let calls = wanted.settings_plan(table, &request.settings, same_table, existing, true);
        Ok(Self {
            not_restored: creation.not_recreated.clone(),
            create: existing.is_none().then_some(creation),
            at_creation: calls.at_creation,
            before: calls.before,
            after: calls.after,
            skipped: calls.skipped,
        })
    }

    /// Removes billing from the settings, because the boost sets it at its end. `boosted` creates the table with the boost.
    pub(crate) fn leave_billing_to_boost(&mut self, boosted: Option<CreateTable>) {
        if let Some(create) = &mut self.create {
            *create = boosted.unwrap_or_else(|| create.clone());
        }

        self.after.retain(|call| call.setting != Setting::Billing);
    }

    /// Moves settings that the target does not support to `not_restored`.
    pub(crate) async fn without_unsupported(mut self, store: &Reader, table: &str) -> Self {
        let mut wanted: Vec<Setting> = self.at_creation().map(|planned| planned.setting).collect();
        wanted.extend(
            self.before
                .iter()
                .chain(&self.after)
                .map(|call| call.setting),
        );

        wanted.sort_unstable();
        wanted.dedup();
        let unsupported = store.unsupported_settings(table, &wanted).await;
        let mut not_restored = std::mem::take(&mut self.not_restored);
        let mut is_supported = |setting: Setting, what: &str| {
            let error = unsupported.get(&setting);
            not_restored.extend(error.map(|error| NotRecreated {
                setting: what.to_owned(),
                reason: format!("the target does not know the operation ({error})"),
            }));
            error.is_none()
        };

        self.at_creation
            .retain(|(setting, what)| is_supported(*setting, what));

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

        self.before
            .retain(|call| is_supported(call.setting, &call.what));
        self.after
            .retain(|call| is_supported(call.setting, &call.what));
        self.not_restored = not_restored;

        self
    }

    /// The settings in the request that creates the table.
    pub(crate) fn at_creation(&self) -> impl Iterator<Item = PlannedSetting> {
        self.at_creation
            .iter()
            .map(|(setting, what)| PlannedSetting {
                setting: *setting,
                what: what.clone(),
                when: When::Creation,
            })
    }

    /// The warning that the table may be created without its KMS key. Only local endpoints may lack encryption.
    pub(crate) fn encryption_warning(&self, is_local: bool) -> Option<String> {
        let encrypts = self
            .at_creation
            .iter()
            .any(|(setting, _)| *setting == Setting::Kms);
        (is_local && self.create.is_some() && encrypts).then(|| {
            "A local endpoint may not support encryption. If it refuses the KMS key, the table is created without it.".into()
        })
    }

    /// The tags of the creation as a separate call.
    pub(crate) fn tag_call(&self) -> Option<SettingCall> {
        let create = self.create.as_ref()?;
        let body: Value = serde_json::from_slice(&create.body).ok()?;
        Some(SettingCall {
            setting: Setting::Tags,
            what: Setting::Tags.to_string(),
            operation: Operation::TagResource,
            body: json!({"ResourceArn": TABLE_ARN, "Tags": body["Tags"]}).to_string(),
            waits_for_active: false,
        })
    }

    /// All planned settings, in the order in which they are applied.
    pub(crate) fn planned(&self) -> Vec<PlannedSetting> {
        let call = |when| {
            move |call: &SettingCall| PlannedSetting {
                setting: call.setting,
                what: call.what.clone(),
                when,
            }
        };

        let before = self.before.iter().map(call(When::Before));
        self.at_creation()
            .chain(before)
            .chain(self.after.iter().map(call(When::After)))
            .collect()
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

    /// The result of a setting that the plan skips.
    pub(crate) fn skipped(skipped: SkippedSetting) -> Self {
        let SkippedSetting {
            setting,
            what,
            reason,
        } = skipped;

        Self {
            setting,
            what,
            result: SettingResult::Skipped,
            reason: Some(reason),
        }
    }
}
