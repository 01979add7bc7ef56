//! The sections of `table-schema.json` other than `Table`: settings that `DescribeTable` does not return. Each is the verbatim
//! response of a call of its own, or the reason why that call failed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::raw::raw;
use crate::schema::TableSchema;

/// A section of `table-schema.json` other than `Table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// `TimeToLiveDescription` of `DescribeTimeToLive`.
    TimeToLive,
    /// `Tags` of `ListTagsOfResource`, all pages in one array.
    Tags,
    /// `ContinuousBackupsDescription` of `DescribeContinuousBackups`.
    ContinuousBackups,
    /// The whole response of `GetResourcePolicy` for the table; absent if there is none.
    ResourcePolicy,
    /// The whole response of `GetResourcePolicy` for the table's stream; absent if there is none.
    StreamResourcePolicy,
    /// `ScalableTargets` and `ScalingPolicies` of Application Auto Scaling for table and indexes, as one object.
    AutoScaling,
    /// An array of the responses of `DescribeContributorInsights` for the table and each GSI.
    ContributorInsights,
    /// `KinesisDataStreamDestinations` of `DescribeKinesisStreamingDestination`.
    KinesisDestinations,
}

impl Section {
    /// Every section, in the order of the document.
    pub const ALL: [Self; 8] = [
        Self::TimeToLive,
        Self::Tags,
        Self::ContinuousBackups,
        Self::ResourcePolicy,
        Self::StreamResourcePolicy,
        Self::AutoScaling,
        Self::ContributorInsights,
        Self::KinesisDestinations,
    ];

    /// The section's name in the document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeToLive => "TimeToLive",
            Self::Tags => "Tags",
            Self::ContinuousBackups => "ContinuousBackups",
            Self::ResourcePolicy => "ResourcePolicy",
            Self::StreamResourcePolicy => "StreamResourcePolicy",
            Self::AutoScaling => "AutoScaling",
            Self::ContributorInsights => "ContributorInsights",
            Self::KinesisDestinations => "KinesisDestinations",
        }
    }

    /// Position in the document. Unknown sections come last.
    fn position(name: &str) -> usize {
        Self::ALL
            .iter()
            .position(|section| section.name() == name)
            .unwrap_or(Self::ALL.len())
    }
}

/// Result of capturing a section.
#[derive(Debug, Clone)]
pub enum Captured {
    /// The table lacks the setting; the document has no such section.
    Nothing,
    /// The response, verbatim.
    Document(Box<RawValue>),
    /// The call failed: the section is `{"not_captured": "<reason>"}`.
    NotCaptured(String),
}

/// Placeholder for a section that could not be captured.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NotCaptured<'a> {
    not_captured: Cow<'a, str>,
}

impl TableSchema {
    /// The schema with these sections in place of those of the same name. In the document they follow `Table` in the order of
    /// [`Section::ALL`], before any sections that this version does not know.
    #[must_use]
    pub fn with_sections(mut self, sections: Vec<(Section, Captured)>) -> Self {
        for (section, captured) in sections {
            // Also for `Captured::Nothing`: the table no longer has the old value.
            self.sections.retain(|(name, _)| name != section.name());
            let value = match captured {
                Captured::Nothing => continue,
                Captured::Document(value) => value,
                Captured::NotCaptured(reason) => raw(&NotCaptured {
                    not_captured: reason.into(),
                }),
            };

            self.sections.push((section.name().to_owned(), value));
        }

        // The sort is stable, so sections that this version does not know keep their order.
        self.sections
            .sort_by_key(|(name, _)| Section::position(name));
        self
    }

    /// The captured value of `section`; `None` if the table lacks the setting or it was not captured.
    #[must_use]
    pub fn section(&self, section: Section) -> Option<&RawValue> {
        // A placeholder is the reason for a missing value, not a value.
        self.section_text(section)
            .filter(|value| reason_of(value).is_none())
    }

    /// The sections that could not be captured, each by name and with the reason.
    #[must_use]
    pub fn not_captured(&self) -> Vec<(String, String)> {
        let sections = self.sections.iter();
        sections
            .filter_map(|(name, value)| Some((name.clone(), reason_of(value)?)))
            .collect()
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
