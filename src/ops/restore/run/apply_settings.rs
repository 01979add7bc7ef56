//! Applies table settings, one call at a time. A failed call does not prevent the next ones; the summary reports it.

use super::table::TargetTable;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase};
use crate::ops::restore::plan::settings::{
    PlannedSetting, SettingOutcome, SettingResult, Settings,
};
use crate::ops::{recreated, until_cancelled};
use crate::schema::{Progress, Setting, SettingCall, TableSchema, When, restoring_tag_removal};

/// Some engines accept a setting without an error and ignore it.
const IGNORED: &str = "the target took the request and ignored it";

/// Applies settings to one table and collects their results.
pub(crate) struct SettingsApplier<'a> {
    pub(crate) table: &'a TargetTable<'a>,
    /// The table when it became ready for items; `None` before that.
    pub(crate) active_table: Option<TableSchema>,
    pub(crate) outcomes: Vec<SettingOutcome>,
    /// Calls that were accepted and that neither their response nor a description showed, with the positions of their outcomes.
    unconfirmed: Vec<(usize, SettingCall)>,
}

/// Result of a call that was accepted.
enum Accepted {
    Applied,
    /// No description shows it yet.
    Unconfirmed,
    /// The change does not complete, for this reason.
    Incomplete(String),
}

impl<'a> SettingsApplier<'a> {
    pub(crate) fn new(table: &'a TargetTable<'a>) -> Self {
        Self {
            table,
            active_table: None,
            outcomes: Vec::new(),
            unconfirmed: Vec::new(),
        }
    }

    /// Checks that the table was not deleted or recreated since it became ready for items: a success must not be reported for another
    /// table.
    pub(crate) async fn check_not_recreated(&self) -> Result<()> {
        let Some(active) = &self.active_table else {
            return Ok(());
        };

        let interrupted = || {
            Error::new(ErrorKind::Interrupted, "interrupted: every item is written")
                .with_hint("run the same command again to resume")
        };
        until_cancelled(
            self.table.cancel,
            interrupted,
            recreated::check_not_recreated(self.table.store.reader(), self.table.name, active),
        )
        .await
    }

    /// Records the results of the settings in the request that created the table. `refused` are those that the endpoint refused, with its
    /// error messages.
    pub(crate) async fn record_creation(
        &mut self,
        settings: &Settings,
        refused: Vec<(Setting, String)>,
    ) -> Result<()> {
        if settings.at_creation.is_empty() {
            return Ok(());
        }

        // Described when it became ready, which was a moment ago.
        let created = self.active_table.clone();
        for call in &settings.at_creation {
            let refusal = refused.iter().find(|(setting, _)| *setting == call.setting);
            let accepted = match (refusal, &created) {
                (Some((_, message)), _) => Err(message.clone()),
                (None, Some(table)) => self.apply_if_ignored(table, call).await,
                (None, None) => Ok(Accepted::Applied),
            };

            self.record(call, When::Creation, accepted);
        }

        Ok(())
    }

    /// Records the result of a call, or the reason why it failed.
    fn record(&mut self, call: &SettingCall, when: When, accepted: Result<Accepted, String>) {
        let failure = match accepted {
            Ok(Accepted::Applied) => None,
            Ok(Accepted::Unconfirmed) => {
                self.unconfirmed.push((self.outcomes.len(), call.clone()));
                None
            }
            Ok(Accepted::Incomplete(reason)) | Err(reason) => Some(reason),
        };

        let planned = PlannedSetting::new(call, when);
        self.outcomes.push(SettingOutcome::new(planned, failure));
    }

    /// Looks again for settings that no description has shown: it is eventually consistent. Those that it still does not show were ignored.
    pub(crate) async fn confirm(&mut self) -> Result<()> {
        if self.unconfirmed.is_empty() {
            return Ok(());
        }

        let unconfirmed = &mut self.unconfirmed;
        let shows_all = |table: &TableSchema| {
            unconfirmed.retain(|(_, call)| !call.is_shown_by(table));
            unconfirmed.is_empty()
        };
        self.table.look_again(shows_all).await?;

        for (position, _) in std::mem::take(&mut self.unconfirmed) {
            self.outcomes[position].fail(IGNORED);
        }

        Ok(())
    }

    /// Looks for a setting of a table that was just created. If it is missing and has a call of its own, that call is made: some
    /// engines support the setting only there.
    async fn apply_if_ignored(
        &self,
        table: &TableSchema,
        call: &SettingCall,
    ) -> Result<Accepted, String> {
        if !call.setting.has_own_call() {
            return Ok(self.unless_shown(call.is_shown_by(table)));
        }

        let reader = self.table.store.reader();
        let sections = reader.capture(table, call.setting.sections()).await;
        if call.is_shown_by(&table.clone().with_sections(sections)) {
            return Ok(Accepted::Applied);
        }

        let applied = self.table.store.apply(self.table.name, call, Some(table));
        let applied = applied.await;
        applied
            .map(|_| Accepted::Applied)
            .map_err(|error| one_line(&error))
    }

    /// The result of a call that a description or response shows, or not. AWS ignores no call, so that only a description can lag.
    fn unless_shown(&self, is_shown: bool) -> Accepted {
        if is_shown || !self.table.store.reader().may_ignore_settings() {
            Accepted::Applied
        } else {
            Accepted::Unconfirmed
        }
    }

    /// Applies `calls` in order. Only an interruption is an error.
    pub(crate) async fn apply_all(&mut self, calls: &[SettingCall], when: When) -> Result<()> {
        if calls.is_empty() {
            return Ok(());
        }

        self.table.reporter.report(Event::Phase {
            phase: Phase::Settings,
            items: Some(calls.len() as u64),
            bytes: None,
        });

        for (done, call) in calls.iter().enumerate() {
            let accepted = match self.apply_call(call).await {
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    return Err(interrupted(done, calls.len(), when));
                }
                accepted => accepted.map_err(|error| one_line(&error)),
            };

            self.record(call, when, accepted);
            self.table
                .reporter
                .report(Event::Progress { items: 1, bytes: 0 });
        }

        Ok(())
    }

    /// Records `calls` as skipped.
    pub(crate) fn skip(&mut self, calls: &[SettingCall], reason: &str) {
        self.outcomes
            .extend(calls.iter().map(|call| SettingOutcome {
                setting: call.setting,
                what: call.what.clone(),
                result: SettingResult::Skipped,
                reason: Some(reason.to_owned()),
            }));
    }

    /// Reports failed settings as warnings, for a restore that fails and has no summary.
    pub(crate) fn report_failures(&self) {
        for outcome in self
            .outcomes
            .iter()
            .filter(|outcome| outcome.result == SettingResult::Failed)
        {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            self.table.reporter.report(Event::Warning(format!(
                "{} was not applied: {reason}",
                outcome.what
            )));
        }
    }

    /// Removes the tag of an unfinished restore. If it cannot be removed, that is a failed setting. Only an interruption is an error.
    pub(crate) async fn remove_restoring_tag(&mut self) -> Result<()> {
        let call = restoring_tag_removal();
        let Err(error) = self.apply_call(&call).await else {
            return Ok(());
        };

        if error.kind() == ErrorKind::Interrupted {
            return Err(interrupted(0, 1, When::After));
        }

        // An engine without the operation may have ignored the tag.
        if self.is_tagged().await {
            let planned = PlannedSetting::new(&call, When::After);
            let failure = Some(one_line(&error));
            self.outcomes.push(SettingOutcome::new(planned, failure));
        }

        Ok(())
    }

    /// Whether the table is described with the tag of an unfinished restore.
    async fn is_tagged(&self) -> bool {
        let reader = self.table.store.reader();
        let Ok(Some(table)) = reader.describe(self.table.name).await else {
            return true;
        };

        let section = TableSchema::restoring_tag_section();
        let sections = reader.capture(&table, &[section]).await;
        table.with_sections(sections).restoring_tag().is_some()
    }

    /// Applies one setting and waits until the table is ready for the next.
    async fn apply_call(&self, call: &SettingCall) -> Result<Accepted> {
        let known = self.active_table.as_ref();
        let response = tokio::select! {
            biased;
            () = self.table.cancel.cancelled() => {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            applied = self.table.store.apply(self.table.name, call, known) => applied?,
        };

        if !call.waits_for_active() {
            return Ok(Accepted::Applied);
        }

        let is_in_response = response.is_some_and(|table| call.is_shown_by(&table));
        if is_in_response && call.may_take_hours() {
            // A description that lags does not show that the change has begun.
            let is_shown = |table: &TableSchema| call.is_shown_by(table);
            self.table.look_again(is_shown).await?;
        }

        let updated = self.table.wait_until_applied(call).await?;
        let is_shown = is_in_response || call.is_shown_by(&updated);

        Ok(match call.progress(&updated) {
            Some(Progress::Failed(reason)) => Accepted::Incomplete(reason),
            _ => self.unless_shown(is_shown),
        })
    }
}

fn interrupted(done: usize, calls: usize, when: When) -> Error {
    let items = match when {
        When::Indexing | When::After => "every item is written, ",
        When::Creation | When::Before => "no item is written yet, ",
    };

    Error::new(
        ErrorKind::Interrupted,
        format!("interrupted: {items}{done} of {calls} settings are applied"),
    )
    .with_hint("run the same command again to resume")
}

/// An error and its causes in one line.
pub(crate) fn one_line(error: &Error) -> String {
    let causes = error.causes();
    std::iter::once(error.to_string())
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}
