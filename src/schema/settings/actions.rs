//! The actions that apply one setting to a table: calls, and the parts that cannot be applied.

use super::name::{Operation, Setting, SettingCall, SettingChoice};
use crate::schema::TableSchema;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

/// The table to which settings are applied.
pub(crate) struct SettingTarget<'a> {
    pub(crate) table: &'a str,
    pub(crate) choice: &'a SettingChoice,
    pub(crate) same_table: bool,
    /// The table as described; `None` if it is being created, in which case its class, key, tags and warm throughput are set by
    /// `CreateTable`.
    pub(crate) existing: Option<&'a TableSchema>,
}

/// The actions that apply one setting of a schema.
#[derive(Default)]
pub(crate) struct SettingActions {
    /// Description for people; `None` if there is nothing to apply.
    pub(crate) description: Option<String>,
    /// Calls in order; empty if `CreateTable` applies the setting.
    pub(crate) calls: Vec<SettingCall>,
    /// Parts that cannot be applied, each with the reason.
    pub(crate) not_applied: Vec<(String, String)>,
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

    /// Applies the setting with `update` to an existing table, and without a call to a table being created.
    pub(crate) fn at_creation(
        setting: Setting,
        what: String,
        target: &SettingTarget<'_>,
        update: &JsonBody,
    ) -> Self {
        match target.existing {
            Some(_) => Self::one(update_table(setting, what, update)),
            None => Self {
                description: Some(what),
                ..Self::default()
            },
        }
    }

    /// Converts the value of a view with `read`; a value that is unavailable is reported in `not_applied`.
    pub(crate) fn from_view<T>(
        view: SectionView<T>,
        name: &str,
        read: impl FnOnce(T) -> Self,
    ) -> Self {
        let reason = match view {
            SectionView::Absent => return Self::default(),
            SectionView::Value(value) => return read(value),
            SectionView::NotCaptured(reason) => {
                format!("not captured when the dump was made: {reason}")
            }
            SectionView::Unreadable => {
                "the schema tells it in a form that this version cannot read".to_owned()
            }
        };

        Self {
            not_applied: vec![(name.to_owned(), reason)],
            ..Self::default()
        }
    }
}

/// Builds a call about `setting`.
pub(crate) fn call(
    setting: Setting,
    operation: Operation,
    what: String,
    body: &JsonBody,
) -> SettingCall {
    // Only `UpdateTable` changes the status of the table from `ACTIVE`.
    let waits_for_active = operation == Operation::UpdateTable;
    SettingCall {
        setting,
        what,
        operation,
        body: body.text(),
        waits_for_active,
    }
}

/// Builds an `UpdateTable` call.
pub(crate) fn update_table(setting: Setting, what: String, body: &JsonBody) -> SettingCall {
    call(setting, Operation::UpdateTable, what, body)
}
