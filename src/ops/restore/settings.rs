//! The settings of a restore: what the plan promises, and what became of each promise.

use serde::Serialize;
use serde_json::{Value, json};

use super::RestoreRequest;
use crate::error::Result;
use crate::schema::{
    CreateTable, NotRecreated, Operation, Setting, SettingCall, SkippedSetting, TABLE_ARN,
    TableSchema,
};
use crate::store::ReadStore;

/// A setting that a restore is going to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSetting {
    /// The setting.
    pub setting: Setting,
    /// What it will be, in people's words: `TTL on attribute expires`.
    pub what: String,
    /// When it is applied.
    pub when: When,
}

/// When a setting is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The table is created with it.
    Creation,
    /// Before the items are written.
    Before,
    /// After the items are written.
    After,
}

/// What became of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingOutcome {
    /// The setting.
    pub setting: Setting,
    /// What the dump has, in people's words.
    pub what: String,
    /// What became of it.
    pub result: SettingResult,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
}

/// What became of a setting, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingResult {
    /// The table has it.
    Applied,
    /// It was promised and could not be applied.
    Failed,
    /// It was left out, as the plan said.
    Skipped,
}

/// How settings reach the table.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The request that creates the table, with the settings that come with it.
    pub(crate) create: Option<CreateTable>,
    /// What those settings are, in people's words.
    at_creation: Vec<(Setting, String)>,
    /// Calls before the items.
    pub(crate) before: Vec<SettingCall>,
    /// Calls after the items.
    pub(crate) after: Vec<SettingCall>,
    /// What is left out, and why.
    pub(crate) skipped: Vec<SkippedSetting>,
    /// What the target cannot have.
    pub(crate) not_restored: Vec<NotRecreated>,
}

impl Settings {
    /// For a table that `wanted` creates, or for one that exists and is to be as `wanted` says.
    pub(crate) fn of(
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

    /// Leaves billing to a boost, which ends with what the table is to have. A table that is created is created raised.
    pub(crate) fn leave_billing_to_boost(&mut self, raised: Option<CreateTable>) {
        if let Some(create) = &mut self.create {
            *create = raised.unwrap_or_else(|| create.clone());
        }

        self.after.retain(|call| call.setting != Setting::Billing);
    }

    /// Takes out what the target lacks, and says so.
    pub(crate) async fn without_what_lacks(mut self, store: &impl ReadStore, table: &str) -> Self {
        let mut wanted: Vec<Setting> = self.creation().map(|planned| planned.setting).collect();
        wanted.extend(
            self.before
                .iter()
                .chain(&self.after)
                .map(|call| call.setting),
        );

        wanted.sort_unstable();
        wanted.dedup();
        let lacking = store.unsupported_settings(table, &wanted).await;
        let mut not_restored = std::mem::take(&mut self.not_restored);
        let mut can_have = |setting: Setting, what: &str| {
            let words = lacking.get(&setting);
            not_restored.extend(words.map(|words| NotRecreated {
                setting: what.to_owned(),
                reason: format!("the target does not know the operation ({words})"),
            }));
            words.is_none()
        };

        self.at_creation
            .retain(|(setting, what)| can_have(*setting, what));

        if let Some(create) = &mut self.create {
            for (_, field) in create
                .optional
                .clone()
                .into_iter()
                .filter(|(setting, _)| lacking.contains_key(setting))
            {
                *create = create.without(field);
            }
        }

        self.before
            .retain(|call| can_have(call.setting, &call.what));
        self.after.retain(|call| can_have(call.setting, &call.what));
        self.not_restored = not_restored;

        self
    }

    /// The settings that the table is created with.
    pub(crate) fn creation(&self) -> impl Iterator<Item = PlannedSetting> {
        self.at_creation
            .iter()
            .map(|(setting, what)| PlannedSetting {
                setting: *setting,
                what: what.clone(),
                when: When::Creation,
            })
    }

    /// The warning that a table may be created without its encryption, which only local endpoints may lack.
    pub(crate) fn warning_of_encryption(&self, is_local: bool) -> Option<String> {
        let encrypts = self
            .at_creation
            .iter()
            .any(|(setting, _)| *setting == Setting::Kms);
        (is_local && self.create.is_some() && encrypts).then(|| {
            "A local endpoint may not support encryption. If it refuses the KMS key, the table is created without it.".into()
        })
    }

    /// The tags of the creation as a call of their own.
    pub(crate) fn tagging(&self) -> Option<SettingCall> {
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

    /// Every setting that is promised, in order.
    pub(crate) fn planned(&self) -> Vec<PlannedSetting> {
        let call = |when| {
            move |call: &SettingCall| PlannedSetting {
                setting: call.setting,
                what: call.what.clone(),
                when,
            }
        };

        let before = self.before.iter().map(call(When::Before));
        self.creation()
            .chain(before)
            .chain(self.after.iter().map(call(When::After)))
            .collect()
    }
}

impl SettingOutcome {
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
