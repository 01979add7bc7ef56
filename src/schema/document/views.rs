//! Typed views of parts of the document. As in [`Description`](crate::schema::Description), enumerations stay text and nothing is
//! required that an engine may omit.
//!
//! A part that cannot be read is not lost: the document keeps it, and a restore reports it.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::raw::fields_of;
use super::section::Section;
use crate::schema::TableSchema;

/// The value of one part of a schema document.
pub(crate) enum SectionView<T> {
    Absent,
    NotCaptured(String),
    /// Present in a form that this version cannot read.
    Unreadable,
    Value(T),
}

impl<T> SectionView<T> {
    pub(crate) fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }

    pub(crate) fn read(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    /// Describes the value with `words`; `nothing` if it is absent, `None` if it is unknown.
    pub(crate) fn describe_or(
        self,
        nothing: &str,
        words: impl FnOnce(T) -> String,
    ) -> Option<String> {
        match self {
            Self::Absent => Some(nothing.to_owned()),
            Self::Value(value) => Some(words(value)),
            Self::NotCaptured(_) | Self::Unreadable => None,
        }
    }

    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> SectionView<U> {
        self.and_then(|value| Some(convert(value)))
    }

    /// Converts the value with `filter`; absent if that returns `None`.
    pub(crate) fn and_then<U>(self, filter: impl FnOnce(T) -> Option<U>) -> SectionView<U> {
        match self {
            Self::Absent => SectionView::Absent,
            Self::NotCaptured(reason) => SectionView::NotCaptured(reason),
            Self::Unreadable => SectionView::Unreadable,
            Self::Value(value) => SectionView::from_option(filter(value)),
        }
    }
}

impl TableSchema {
    /// A field of `Table`, as text.
    pub(crate) fn table_field(&self, name: &str) -> Option<&RawValue> {
        let (_, value) = fields_of(&self.table)?
            .into_iter()
            .find(|(found, _)| found == name)?;
        Some(value).filter(|value| value.get() != "null")
    }

    /// A section.
    pub(crate) fn view<T: DeserializeOwned>(&self, section: Section) -> SectionView<T> {
        // The placeholder first: read as a value, it would be in an unknown form.
        match self.not_captured_reason(section) {
            Some(reason) => SectionView::NotCaptured(reason),
            None => read(self.section(section)),
        }
    }

    /// A field of `Table`.
    pub(crate) fn field_view<T: DeserializeOwned>(&self, name: &str) -> SectionView<T> {
        read(self.table_field(name))
    }
}

fn read<T: DeserializeOwned>(value: Option<&RawValue>) -> SectionView<T> {
    match value.filter(|value| value.get() != "null") {
        None => SectionView::Absent,
        Some(value) => {
            serde_json::from_str(value.get()).map_or(SectionView::Unreadable, SectionView::Value)
        }
    }
}

/// Whether a status means on. A missing status or one of a later API counts as on, so that the setting is not lost.
pub(crate) fn is_on(status: Option<&str>) -> bool {
    !matches!(
        status,
        Some("DISABLED" | "DISABLING" | "FAILED" | "ENABLE_FAILED")
    )
}
