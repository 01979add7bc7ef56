//! The sections of `table-schema.json` other than `Table`: settings that `DescribeTable` does not return. Each is the verbatim
//! response of a call of its own, or the reason why that call failed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::known_fields::KnownFields;
use super::raw::raw;
use crate::schema::TableSchema;
use crate::schema::settings::operation::Operation;

/// A section of `table-schema.json` other than `Table`, identified by its name.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    name: &'static str,
    label: &'static str,
    reading: Reading,
    pub(crate) known_fields: &'static KnownFields,
}

/// How a section is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reading {
    /// One field of the response to a call about the table.
    Field(Operation, &'static str),
    /// All elements of a list of the table that is returned page by page.
    List(Operation, &'static str),
    /// The whole response; a resource without one is reported as not found.
    Document(Operation, Resource),
    /// The responses for the table and each of its GSIs, as one array.
    PerIndex(Operation),
    /// One field of the response to a call about the KMS key that the description names; absent if it names none.
    Key(Operation, &'static str),
    /// The scaling targets and policies of the table and its indexes, as one object.
    AutoScaling {
        targets: Operation,
        policies: Operation,
    },
}

impl Reading {
    /// The operations that read it.
    pub(crate) fn operations(self) -> Vec<Operation> {
        match self {
            Self::Field(operation, _)
            | Self::List(operation, _)
            | Self::Document(operation, _)
            | Self::PerIndex(operation)
            | Self::Key(operation, _) => vec![operation],
            Self::AutoScaling { targets, policies } => vec![targets, policies],
        }
    }
}

/// A resource with an ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Table,
    Stream,
}

impl Section {
    pub(crate) const fn new(
        name: &'static str,
        label: &'static str,
        reading: Reading,
        known_fields: &'static KnownFields,
    ) -> Self {
        Self {
            name,
            label,
            reading,
            known_fields,
        }
    }

    /// The section's name in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The setting that it contains, as plans and summaries name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        self.label
    }

    /// How the section is read.
    pub(crate) fn reading(self) -> Reading {
        self.reading
    }
}

impl PartialEq for Section {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Section {}

/// Result of capturing a section.
#[derive(Debug, Clone)]
pub enum Captured {
    /// The table lacks the setting; the document has no such section.
    Nothing,
    /// The response, verbatim.
    Document(Box<RawValue>),
    /// The call failed: the section is `{"not_captured": "<reason>"}`.
    NotCaptured {
        /// The error of the call.
        reason: String,
        /// Whether the endpoint does not have the operation.
        is_unsupported: bool,
        /// Whether the credentials lack the permission.
        is_denied: bool,
    },
}

impl Captured {
    /// The value in the document; `None` if the document has no such section.
    pub(crate) fn into_value(self) -> Option<Box<RawValue>> {
        match self {
            Self::Nothing => None,
            Self::Document(value) => Some(value),
            Self::NotCaptured { reason, .. } => Some(raw(&NotCaptured {
                not_captured: reason.into(),
            })),
        }
    }
}

/// Placeholder for a section that could not be captured.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotCaptured<'a> {
    not_captured: Cow<'a, str>,
}

impl TableSchema {
    /// The captured value of `section`; `None` if the table lacks the setting or it was not captured.
    #[must_use]
    pub fn section(&self, section: Section) -> Option<&RawValue> {
        // A placeholder is the reason for a missing value, not a value.
        self.section_text(section)
            .filter(|value| reason_of(value).is_none())
    }

    /// Why `section` could not be captured, if so.
    pub(crate) fn not_captured_reason(&self, section: Section) -> Option<String> {
        self.section_text(section).and_then(reason_of)
    }

    fn section_text(&self, section: Section) -> Option<&RawValue> {
        self.sections
            .iter()
            .find(|(name, _)| name == section.name())
            .map(|(_, value)| &**value)
    }
}

/// The reason in `{"not_captured": "<reason>"}`.
pub(crate) fn reason_of(value: &RawValue) -> Option<String> {
    let NotCaptured { not_captured } = serde_json::from_str(value.get()).ok()?;
    Some(not_captured.into_owned())
}
