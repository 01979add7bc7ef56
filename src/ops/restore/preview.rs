//! Preview of a restore: its plan without the check of the data. It holds neither open files nor locks, so that many can be kept.

use std::sync::Arc;

use serde::Serialize;

use super::plan::source_check::DataCheck;
use super::plan::{RestorePlan, plan_after};
use super::{RestoreRequest, ResumePoint, SourceFacts, TableAction};
use crate::environment::{Approval, Environment};
use crate::error::Result;
use crate::event::Reporter;
use crate::ops::table_location::TableLocation;
use crate::store::Reader;

/// The plan of a restore as far as it is known from the metadata of the dump.
#[derive(Debug, Serialize)]
pub struct RestorePreview {
    /// The dump.
    pub source: SourceFacts,
    /// The target table.
    pub target: TableLocation,
    /// The action on the table itself.
    pub action: TableAction,
    /// Where an interrupted restore is resumed.
    pub resumes: Option<ResumePoint>,
    /// Warnings before the restore.
    pub warnings: Vec<String>,
    /// ID of the existing table, unless it is deleted.
    #[serde(skip)]
    table_id: Option<String>,
    #[serde(skip)]
    approval: Approval,
}

impl RestorePreview {
    /// The confirmation that the restore requires, unless the check of the data finds more risks.
    #[must_use]
    pub fn approval(&self) -> &Approval {
        &self.approval
    }

    /// Whether `plan` does the same to the same table: a plan for the present state, which may have changed since the preview.
    #[must_use]
    pub fn agrees_with(&self, plan: &RestorePlan) -> bool {
        let is_same_action = match (&self.action, &plan.action) {
            // A table that was deleted meanwhile need not be deleted.
            (
                TableAction::CreateWhenDeleted | TableAction::Replace { .. },
                TableAction::Create | TableAction::CreateWhenDeleted,
            )
            // Nothing is changed.
            | (_, TableAction::Keep { .. }) => true,
            (TableAction::Add { .. }, TableAction::Add { .. }) => {
                self.table_id == plan.prepared.run_state.table_id
            }
            (before, now) => std::mem::discriminant(before) == std::mem::discriminant(now),
        };

        self.target.table == plan.target.table && is_same_action
    }
}

/// Plans a restore from the metadata of the dump. With [`salvage`](RestoreRequest::salvage), the data is read nevertheless: what a
/// damaged dump holds is not known from its metadata. Changes nothing.
///
/// # Errors
/// See [`plan`](fn@super::plan), except for damaged data.
pub async fn preview(
    store: &Reader,
    environment: &Environment,
    request: RestoreRequest,
    reporter: Arc<dyn Reporter>,
) -> Result<RestorePreview> {
    let check = if request.salvage {
        DataCheck::Whole
    } else {
        DataCheck::None
    };
    let planning = plan_after(check, store, environment, request, reporter);
    let plan = Box::pin(planning).await?;

    Ok(RestorePreview {
        approval: plan.approval().clone(),
        source: plan.source,
        target: plan.target,
        action: plan.action,
        resumes: plan.resumes,
        warnings: plan.warnings,
        table_id: plan.prepared.run_state.table_id,
    })
}
