//! `CloudWatch` contributor insights of table and indexes.

use serde::Deserialize;

use super::actions::call;
use super::operation::Operation;
use super::spec::{SettingActions, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::plain;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::{SectionView, is_on};
use crate::schema::json_body::JsonBody;

const LABEL: &str = "contributor insights";

const CHANGE: Operation = Operation::dynamodb("UpdateContributorInsights");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    // Those of an index need the index.
    comes_after: &["indexes"],
    sections: &[SECTION],
    changing_operations: &[CHANGE],
    ..SettingSpec::new("insights", LABEL, words, actions)
};

/// An array of the responses for the table and each GSI.
const SECTION: Section = Section::new(
    "ContributorInsights",
    LABEL,
    Reading::PerIndex(Operation::dynamodb("DescribeContributorInsights")),
    &plain(&[
        "ContributorInsightsMode",
        "ContributorInsightsRuleList",
        "ContributorInsightsStatus",
        "FailureException",
        "IndexName",
        "LastUpdateDateTime",
        "TableName",
    ]),
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContributorInsights {
    index_name: Option<String>,
    #[serde(rename = "ContributorInsightsStatus")]
    status: Option<String>,
    #[serde(rename = "ContributorInsightsMode")]
    mode: Option<String>,
}

impl ContributorInsights {
    /// `table`, `index by-year (THROTTLED_KEYS)`.
    fn in_words(&self) -> String {
        let resource = self
            .index_name
            .as_ref()
            .map_or_else(|| "table".to_owned(), |index| format!("index {index}"));

        match &self.mode {
            Some(mode) => format!("{resource} ({mode})"),
            None => resource,
        }
    }
}

fn contributor_insights(schema: &TableSchema) -> SectionView<Vec<ContributorInsights>> {
    schema
        .view::<Vec<ContributorInsights>>(SECTION)
        .and_then(|mut insights| {
            insights.retain(|entry| is_on(entry.status.as_deref()));
            (!insights.is_empty()).then_some(insights)
        })
}

fn insights_in_words(insights: &[ContributorInsights]) -> String {
    let mut words: Vec<_> = insights.iter().map(ContributorInsights::in_words).collect();
    words.sort_unstable();
    words.join(", ")
}

fn words(schema: &TableSchema) -> SectionView<String> {
    contributor_insights(schema).map(|insights| insights_in_words(&insights))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(contributor_insights(schema), LABEL, |insights| {
        let mut actions = SettingActions {
            description: Some(format!(
                "contributor insights of {}",
                insights_in_words(&insights)
            )),
            ..SettingActions::default()
        };

        for entry in insights {
            let what = match &entry.index_name {
                Some(index) => format!("contributor insights of index {index}"),
                None => LABEL.to_owned(),
            };
            // Overrides can have dropped the index.
            if entry
                .index_name
                .as_ref()
                .is_some_and(|index| !schema.has_index(index))
            {
                actions
                    .not_applied
                    .push((what, "the index is not created".to_owned()));
                continue;
            }

            let body = JsonBody::for_table(target.table)
                .with_some("IndexName", entry.index_name.as_ref())
                .with("ContributorInsightsAction", &"ENABLE")
                .with_some("ContributorInsightsMode", entry.mode.as_ref());
            let call = call(&SPEC, CHANGE, what, &body);
            actions
                .calls
                .push(call.about_index(entry.index_name.as_deref()));
        }

        actions
    })
}
