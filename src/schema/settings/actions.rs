//! The actions that apply one setting to a table: calls, and the parts that cannot be applied.

use super::operation::Operation;
use super::spec::{Progress, Setting, SettingActions, SettingCall, SettingSpec};
use crate::schema::TableSchema;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

/// Placeholder in a body for the ARN of the target table.
pub const TABLE_ARN: &str = "dynadump:table-arn";

/// Placeholder in a body for the ARN of the target table's stream.
pub const STREAM_ARN: &str = "dynadump:stream-arn";

impl SettingCall {
    /// Whether the table has to be `ACTIVE` again before the next call.
    #[must_use]
    pub fn waits_for_active(&self) -> bool {
        self.operation == Operation::UPDATE_TABLE
    }

    /// Whether the table has what the call requests; `true` if its schema cannot tell.
    #[must_use]
    pub fn is_shown_by(&self, table: &TableSchema) -> bool {
        (self.setting.0.is_shown)(table, self)
    }

    /// Whether the change may take hours.
    pub(crate) fn may_take_hours(&self) -> bool {
        self.setting.0.progress.is_some()
    }

    /// Progress of the change in a described table; `None` if it takes no longer than other changes.
    pub(crate) fn progress(&self, table: &TableSchema) -> Option<Progress> {
        self.setting
            .0
            .progress
            .map(|progress| progress(table, self))
    }

    /// Part of the error message for a table that already has the setting.
    #[must_use]
    pub fn already_applied_message(&self) -> Option<&'static str> {
        self.setting.0.already_applied
    }

    /// The value of a field of the body.
    pub(crate) fn field(&self, name: &str) -> Option<serde_json::Value> {
        let mut body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        body.get_mut(name).map(serde_json::Value::take)
    }

    /// The call is about this GSI, which must exist before it.
    pub(crate) fn about_index(mut self, index: Option<&str>) -> Self {
        self.needs_index = index.map(ToOwned::to_owned);
        self
    }

    pub(crate) fn adding(mut self, what: &str) -> Self {
        self.adds = Some(what.to_owned());
        self
    }
}

impl SettingActions {
    /// A setting that one call applies.
    pub(crate) fn one(call: SettingCall) -> Self {
        Self {
            description: Some(call.what.clone()),
            calls: vec![call],
            not_applied: Vec::new(),
        }
    }

    /// A setting that cannot be applied.
    pub(crate) fn impossible(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            not_applied: vec![(what.into(), reason.into())],
            ..Self::default()
        }
    }

    /// Converts the value of a view with `read`; a value that is unavailable is reported in `not_applied`.
    pub(crate) fn from_view<T>(
        view: SectionView<T>,
        name: &str,
        read: impl FnOnce(T) -> Self,
    ) -> Self {
        match view {
            SectionView::Absent => Self::default(),
            SectionView::Value(value) => read(value),
            SectionView::NotCaptured(reason) => {
                Self::impossible(name, format!("not captured: {reason}"))
            }
            SectionView::Unreadable => {
                Self::impossible(name, "this version cannot read its form in the schema")
            }
        }
    }
}

/// Builds a call about a setting.
pub(crate) fn call(
    spec: &'static SettingSpec,
    operation: Operation,
    what: impl Into<String>,
    body: &JsonBody,
) -> SettingCall {
    SettingCall {
        setting: Setting(spec),
        what: what.into(),
        operation,
        body: body.text(),
        adds: None,
        needs_index: None,
    }
}

/// Builds an `UpdateTable` call.
pub(crate) fn update_table(
    spec: &'static SettingSpec,
    what: impl Into<String>,
    body: &JsonBody,
) -> SettingCall {
    call(spec, Operation::UPDATE_TABLE, what, body)
}
