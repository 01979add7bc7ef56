//! The temporary boost: a provisioned table gets more write capacity, or on-demand billing, while items are written.
//!
//! Both states of the table are recorded in the journal of the restore, so that after a crash the next run can revert the
//! boost.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::ops::journal::BoostRecord;
use crate::schema::{Boost, CreateTable, SettingChoice, TableSchema};

/// The planned boost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum PlannedBoost {
    /// The table is boosted while items are written.
    Raise {
        /// Billing and capacity during the boost.
        to: String,
        /// Billing and capacity afterwards.
        back_to: String,
    },
    /// An unfinished restore left a boost on the table; this restore reverts it at its end.
    #[serde(rename = "take-back")]
    Revert {
        /// Billing and capacity afterwards.
        back_to: String,
    },
    /// An unfinished restore left a boost on the table, and this restore does not touch the table.
    #[serde(rename = "stays")]
    LeftInPlace {
        /// Billing and capacity without the boost.
        back_to: String,
    },
    /// A boost was requested and has no effect.
    Nothing {
        /// Reason.
        reason: String,
    },
}

/// Result of a boost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoostOutcome {
    /// Billing and capacity while items were written.
    pub during: String,
    /// Reason why the table was not boosted.
    pub refused: Option<String>,
    /// Billing and capacity afterwards.
    pub after: String,
    /// Set if the boost could not be reverted.
    #[serde(rename = "not_reverted")]
    pub not_reverted: Option<BoostNotReverted>,
    /// Whether the endpoint accepted a change and does not show it: engines do not keep every capacity, and auto scaling may have
    /// changed it again.
    pub is_ignored: bool,
}

/// A boost that remains on the table, and costs money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoostNotReverted {
    /// Reason.
    pub reason: String,
    /// The AWS CLI command that reverts it; `None` for the embedded engine.
    pub command: Option<String>,
}

impl BoostOutcome {
    /// The message for a boost that could not be reverted: the reason, and the command to run.
    #[must_use]
    pub fn failure_message(&self) -> Option<String> {
        let not_reverted = self.not_reverted.as_ref()?;
        let mut message = format!(
            "the boost was not reverted; the table may still not be {}: {}",
            self.after, not_reverted.reason
        );
        if let Some(command) = &not_reverted.command {
            message.push_str("\nrevert it manually: ");
            message.push_str(command);
        }

        Some(message)
    }
}

/// A boost that an unfinished restore left on the table.
pub(crate) struct LeftoverBoost {
    boosted: TableSchema,
    after: TableSchema,
}

impl LeftoverBoost {
    /// The boost in a journal, if the table still has it. A later change of the billing by someone else is kept. A table that is
    /// still being updated may yet get the boost.
    ///
    /// # Errors
    /// The record cannot be parsed.
    pub(crate) fn find(existing: &TableSchema, record: &BoostRecord) -> Result<Option<Self>> {
        let schema = |body: &Value| TableSchema::parse(body.to_string().as_bytes());
        let (boosted, after) = (schema(&record.boosted)?, schema(&record.after)?);
        let has_billing = boosted.description().billing() == existing.description().billing();
        let is_boosted = has_billing || !existing.is_active();

        Ok(is_boosted.then_some(Self { boosted, after }))
    }

    /// The plan of a restore that does not touch the table.
    pub(crate) fn left_in_place(&self) -> PlannedBoost {
        PlannedBoost::LeftInPlace {
            back_to: self.after.billing_in_words(),
        }
    }

    /// The table without the boost.
    pub(crate) fn removed_from(&self, existing: &TableSchema) -> Result<TableSchema> {
        existing.billed_as(&self.after)
    }
}

/// A boost that this restore reverts at its end.
pub(crate) struct TemporaryBoost {
    /// The table with the boost.
    pub(crate) boosted: TableSchema,
    /// The table after the boost.
    pub(crate) after: TableSchema,
    /// Whether this restore boosts the table; otherwise, an unfinished restore has done so.
    pub(crate) is_new: bool,
    /// Why the table could not be boosted.
    pub(crate) refused: Option<String>,
    /// Whether the endpoint accepted the boost and does not show it.
    pub(crate) is_ignored: bool,
}

impl TemporaryBoost {
    /// Plans the boost of the table `base`, which is as `after` at the end.
    pub(crate) fn plan(
        requested: Option<Boost>,
        leftover: Option<LeftoverBoost>,
        base: &TableSchema,
        after: &TableSchema,
    ) -> Result<(Option<Self>, Option<PlannedBoost>)> {
        let back_to = after.billing_in_words();
        let new = |boosted, is_new| Self {
            boosted,
            after: after.clone(),
            is_new,
            refused: None,
            is_ignored: false,
        };

        let boosted = requested.map(|boost| base.boosted(boost)).transpose()?;
        if let Some(boosted) = boosted.flatten() {
            let planned = PlannedBoost::Raise {
                to: boosted.billing_in_words(),
                back_to,
            };
            return Ok((Some(new(boosted, true)), Some(planned)));
        }

        if let Some(leftover) = leftover {
            let planned = PlannedBoost::Revert { back_to };
            return Ok((Some(new(leftover.boosted, false)), Some(planned)));
        }

        let planned = requested.map(|_| {
            let reason = if base.description().is_provisioned() {
                "the table has that capacity already"
            } else {
                "the table is on-demand, so there is nothing to boost"
            };

            PlannedBoost::Nothing {
                reason: reason.to_owned(),
            }
        });

        Ok((None, planned))
    }

    /// Whether the table has the boost, as far as its endpoint shows.
    pub(crate) fn is_in_force(&self) -> bool {
        self.refused.is_none() && !self.is_ignored
    }

    /// The request that creates the table with the boost.
    pub(crate) fn creation(
        &self,
        table: &str,
        choice: &SettingChoice,
        same_table: bool,
    ) -> Result<CreateTable> {
        self.boosted.creation(table, choice, same_table)
    }

    /// The record for the journal.
    pub(crate) fn record(&self, table: &str) -> Result<BoostRecord> {
        let request = |schema: &TableSchema| {
            let request = schema.create_table_request(table)?;
            serde_json::from_slice(&request.body)
                .map_err(|error| Error::failed("the boost cannot be recorded").with_source(error))
        };

        Ok(BoostRecord {
            boosted: request(&self.boosted)?,
            after: request(&self.after)?,
        })
    }
}
