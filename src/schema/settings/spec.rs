//! The description of one table setting. What is captured, planned, probed, compared and applied is derived from it.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::operation::Operation;
use crate::schema::TableSchema;
use crate::schema::description::{Description, GlobalIndex};
use crate::schema::document::known_fields::KnownFields;
use crate::schema::document::section::Section;
use crate::schema::document::views::SectionView;

/// The description of one table setting.
pub(crate) struct SettingSpec {
    /// Name in flags and reports: `ttl`.
    pub(crate) name: &'static str,
    /// Name in plans, summaries and differences: `TTL`.
    pub(crate) label: &'static str,
    /// Value in differences for a table without the setting.
    pub(crate) absent: &'static str,
    /// Whether flags can name it. `CreateTable` always sets billing, so there is nothing to choose.
    pub(crate) is_choice: bool,
    /// When it is applied to a new table.
    pub(crate) when: When,
    /// Names of the settings that must be applied before this one.
    pub(crate) comes_after: &'static [&'static str],
    /// Whether it is applied if no flag names it.
    pub(crate) default: DefaultRule,
    /// The sections of the schema document that contain it; none if `Table` does.
    pub(crate) sections: &'static [Section],
    /// Whether the description of a table tells whether it has the setting, even without the sections.
    pub(crate) is_described: bool,
    /// The fields of `Table` that contain it.
    pub(crate) table_fields: KnownFields,
    /// Its part of the `CreateTable` request.
    pub(crate) creation: Option<CreationField>,
    /// Read operation with an empty body that a local engine has if it supports the setting. A setting with sections is probed
    /// with the operation that reads them.
    pub(crate) local_probe: Option<Operation>,
    /// Part of the error message for a table that already has the setting.
    pub(crate) already_applied: Option<&'static str>,
    /// The value in words; absent if it is the default.
    pub(crate) words: fn(&TableSchema) -> SectionView<String>,
    /// Compares dump and table; `None` compares the words.
    pub(crate) differences: Option<fn(&TableSchema, &TableSchema) -> Vec<SettingDifference>>,
    /// Whether the schema requests the setting for this very target, so that the default rule does not apply to it.
    pub(crate) is_requested: fn(&TableSchema) -> bool,
    /// The calls that apply the setting of a schema.
    pub(crate) actions: fn(&TableSchema, &SettingTarget<'_>) -> SettingActions,
    /// The operations of these calls.
    pub(crate) changing_operations: &'static [Operation],
    /// Whether a table has what the call requests; `true` if its schema cannot tell.
    pub(crate) is_shown: fn(&TableSchema, &SettingCall) -> bool,
    /// Progress of a change that may take hours; `None` if the table is `ACTIVE` again within minutes.
    pub(crate) progress: Option<fn(&TableSchema, &SettingCall) -> Progress>,
}

/// Progress of a change that a call started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The table does not have it, or has it completely.
    Settled,
    /// The current activity: `replica in eu-west-1 is CREATING`.
    Pending(String),
    /// Why the change does not complete.
    Failed(String),
}

/// One call that applies a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingCall {
    /// The setting it belongs to.
    pub setting: Setting,
    /// Description for people: `TTL on attribute expires`.
    pub what: String,
    /// The operation.
    pub operation: Operation,
    /// The JSON body. If a call needs an ARN of the target, which is known only when the table exists, the body
    /// contains [`TABLE_ARN`](super::actions::TABLE_ARN) or [`STREAM_ARN`](super::actions::STREAM_ARN) instead.
    pub body: String,
    /// What the call adds to a list that the table has, such as the region of a replica; `None` for other calls. Adding it again
    /// does not change it.
    pub adds: Option<String>,
    /// The GSI that must exist before the call.
    pub needs_index: Option<String>,
}

/// The table to which settings are applied.
pub(crate) struct SettingTarget<'a> {
    pub(crate) table: &'a str,
    pub(crate) choice: &'a SettingChoice,
    pub(crate) same_table: bool,
    /// The table as described; `None` if it is being created.
    pub(crate) existing: Option<&'a TableSchema>,
}

/// The actions that apply one setting of a schema.
#[derive(Default)]
pub(crate) struct SettingActions {
    /// Description for people; `None` if there is nothing to apply.
    pub(crate) description: Option<String>,
    /// Calls in order. A setting that `CreateTable` applies to a new table has the call that would apply it later.
    pub(crate) calls: Vec<SettingCall>,
    /// Parts that cannot be applied, each with the reason.
    pub(crate) not_applied: Vec<(String, String)>,
}

/// The user's choice of settings, which takes precedence over the default rules.
#[derive(Debug, Clone, Default)]
pub struct SettingChoice {
    /// Applied although they would be skipped.
    pub with: Vec<Setting>,
    /// Left out.
    pub without: Vec<Setting>,
    /// Applied before the data and not after it.
    pub first: Vec<Setting>,
    /// GSIs that are created after the data and not with the table.
    pub later_indexes: LaterIndexes,
}

/// The GSIs of a new table that are created after its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaterIndexes {
    /// Those with these names.
    Named(BTreeSet<String>),
    /// All of them.
    All,
}

/// A difference between dump and table in one setting, described for people.
pub(crate) struct SettingDifference {
    /// The setting or the part of it that differs.
    pub(crate) label: &'static str,
    pub(crate) dump: String,
    pub(crate) table: String,
}

/// When a setting is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// In the request that creates the table; to an existing table after the items.
    Creation,
    /// Before the items are written.
    Before,
    /// After the items are written and before a temporary boost is reverted: DynamoDB fills a new index from the items.
    Indexing,
    /// After that; earlier, it could do harm or interfere.
    After,
}

/// Whether a setting is applied if no flag names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultRule {
    /// To every table.
    Applied,
    /// Only to the dumped table itself, for this reason: the setting refers to an account or environment.
    SameTable(&'static str),
    /// To no table, for this reason.
    Skipped(&'static str),
}

/// A setting's part of the `CreateTable` request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreationField {
    /// Field of the request.
    pub(crate) name: &'static str,
    /// Other words, in lower case, by which error messages of engines refer to the field.
    pub(crate) aliases: &'static [&'static str],
    /// Whether a remote table must not be created without it.
    pub(crate) is_required: bool,
    /// Whether the setting's own call is made if a table was created without it: some engines accept it only in that call.
    pub(crate) has_own_call: bool,
    /// The value for the table.
    pub(crate) value: fn(&TableSchema) -> Option<Box<RawValue>>,
    /// The value for one of its GSIs.
    pub(crate) index_value: fn(&Description, &GlobalIndex) -> Option<Box<RawValue>>,
}

impl SettingSpec {
    /// A setting that is on or off, that flags can name, and that is applied after the items.
    pub(crate) const fn new(
        name: &'static str,
        label: &'static str,
        words: fn(&TableSchema) -> SectionView<String>,
        actions: fn(&TableSchema, &SettingTarget<'_>) -> SettingActions,
    ) -> Self {
        Self {
            name,
            label,
            absent: "off",
            is_choice: true,
            when: When::After,
            comes_after: &[],
            default: DefaultRule::Applied,
            sections: &[],
            is_described: false,
            table_fields: KnownFields::NONE,
            creation: None,
            local_probe: None,
            already_applied: None,
            words,
            differences: None,
            is_requested: |_| false,
            actions,
            changing_operations: &[Operation::UPDATE_TABLE],
            is_shown: |_, _| true,
            progress: None,
        }
    }

    /// The differences between dump and table in this setting. A value that is unknown on one side is not compared.
    pub(crate) fn compare(
        &'static self,
        dump: &TableSchema,
        table: &TableSchema,
    ) -> Vec<SettingDifference> {
        if let Some(differences) = self.differences {
            return differences(dump, table);
        }

        let words = |schema| (self.words)(schema).describe_or(self.absent, |words| words);
        let (Some(dump), Some(table)) = (words(dump), words(table)) else {
            return Vec::new();
        };

        SettingDifference::between(self.label, dump, table)
            .into_iter()
            .collect()
    }
}

impl SettingDifference {
    /// The difference between two values; `None` if they are equal.
    pub(crate) fn between(label: &'static str, dump: String, table: String) -> Option<Self> {
        (dump != table).then_some(Self { label, dump, table })
    }
}

impl CreationField {
    /// A field that table and GSIs can do without, and that only the table has.
    pub(crate) const fn new(
        name: &'static str,
        aliases: &'static [&'static str],
        value: fn(&TableSchema) -> Option<Box<RawValue>>,
    ) -> Self {
        Self {
            name,
            aliases,
            is_required: false,
            has_own_call: false,
            value,
            index_value: |_, _| None,
        }
    }
}

/// A setting that a restore applies, skips or reports, identified by its name.
#[derive(Clone, Copy)]
pub struct Setting(pub(crate) &'static SettingSpec);

impl Setting {
    /// The name as flags and reports write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub(crate) fn sections(self) -> &'static [Section] {
        self.0.sections
    }

    pub(crate) fn local_probe(self) -> Option<Operation> {
        self.0.local_probe
    }

    /// Whether the setting's own call is made if a table was created without it.
    pub(crate) fn has_own_call(self) -> bool {
        self.0.creation.is_some_and(|field| field.has_own_call)
    }

    /// Words by which error messages refer to the setting's field in a `CreateTable` request.
    pub(crate) fn creation_aliases(self) -> &'static [&'static str] {
        self.0.creation.map_or(&[], |field| field.aliases)
    }

    /// Whether a remote table must not be created without the setting.
    pub(crate) fn is_required_at_creation(self) -> bool {
        self.0.creation.is_some_and(|field| field.is_required)
    }
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Setting {}

impl PartialOrd for Setting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Setting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
