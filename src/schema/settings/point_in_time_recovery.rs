//! Point-in-time recovery.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::actions::call;
use super::operation::Operation;
use super::spec::{SettingActions, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::{SectionView, is_on};
use crate::schema::json_body::JsonBody;
use crate::schema::timestamp::seconds;
use crate::schema::wording;

const LABEL: &str = "PITR";

const CHANGE: Operation = Operation::dynamodb("UpdateContinuousBackups");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    sections: &[SECTION],
    changing_operations: &[CHANGE],
    ..SettingSpec::new("pitr", LABEL, words, actions)
};

const SECTION: Section = Section::new(
    "ContinuousBackups",
    LABEL,
    Reading::Field(
        Operation::dynamodb("DescribeContinuousBackups"),
        "ContinuousBackupsDescription",
    ),
    &KnownFields {
        plain: &["ContinuousBackupsStatus"],
        nested: &[(
            "PointInTimeRecoveryDescription",
            &plain(&[
                "EarliestRestorableDateTime",
                "LatestRestorableDateTime",
                "PointInTimeRecoveryStatus",
                "RecoveryPeriodInDays",
            ]),
        )],
    },
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContinuousBackups {
    point_in_time_recovery_description: Option<PointInTimeRecovery>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PointInTimeRecovery {
    #[serde(rename = "PointInTimeRecoveryStatus")]
    status: Option<String>,
    recovery_period_in_days: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    earliest_restorable_date_time: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "seconds")]
    latest_restorable_date_time: Option<DateTime<Utc>>,
}

/// The times to which a table can be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestorableWindow {
    pub(crate) earliest: DateTime<Utc>,
    pub(crate) latest: DateTime<Utc>,
}

impl PointInTimeRecovery {
    /// `35 days`; `None` if the period is unknown.
    fn period(&self) -> Option<String> {
        self.recovery_period_in_days.map(|days| {
            if days == 1 {
                "1 day".to_owned()
            } else {
                format!("{days} days")
            }
        })
    }
}

impl TableSchema {
    /// The section that tells whether point-in-time recovery is on.
    #[must_use]
    pub fn point_in_time_recovery_section() -> Section {
        SECTION
    }

    /// Whether point-in-time recovery is on; `None` if unknown.
    #[must_use]
    pub fn has_point_in_time_recovery(&self) -> Option<bool> {
        match (self.section(SECTION), point_in_time_recovery(self)) {
            (None, _) | (_, SectionView::NotCaptured(_) | SectionView::Unreadable) => None,
            (Some(_), SectionView::Absent) => Some(false),
            (Some(_), SectionView::Value(_)) => Some(true),
        }
    }

    /// The times to which the table can be restored; `None` if point-in-time recovery is off, or they are unknown.
    pub(crate) fn restorable_window(&self) -> Option<RestorableWindow> {
        let recovery = point_in_time_recovery(self).read()?;

        Some(RestorableWindow {
            earliest: recovery.earliest_restorable_date_time?,
            latest: recovery.latest_restorable_date_time?,
        })
    }
}

fn point_in_time_recovery(schema: &TableSchema) -> SectionView<PointInTimeRecovery> {
    schema
        .view::<ContinuousBackups>(SECTION)
        .and_then(|backups| {
            let recovery = backups.point_in_time_recovery_description?;
            is_on(recovery.status.as_deref()).then_some(recovery)
        })
}

fn words(schema: &TableSchema) -> SectionView<String> {
    point_in_time_recovery(schema).map(|recovery| {
        recovery
            .period()
            .unwrap_or_else(|| wording::on_or_off(true))
    })
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(point_in_time_recovery(schema), LABEL, |recovery| {
        let specification = JsonBody::new()
            .with("PointInTimeRecoveryEnabled", &true)
            .with_some(
                "RecoveryPeriodInDays",
                recovery.recovery_period_in_days.as_ref(),
            );
        let body = JsonBody::for_table(target.table)
            .with("PointInTimeRecoverySpecification", &specification);

        let what = match recovery.period() {
            Some(period) => format!("PITR {period}"),
            None => "PITR".to_owned(),
        };
        SettingActions::one(call(&SPEC, CHANGE, what, &body))
    })
}
