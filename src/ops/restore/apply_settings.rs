//! Applies table settings, one call at a time. A failed call does not prevent the next ones; the summary reports it.

use super::settings::{PlannedSetting, SettingOutcome, SettingResult, Settings, When};
use super::table::TargetTable;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase};
use crate::ops::{recreated, until_cancelled};
use crate::schema::{Captured, Encryption, Section, Setting, SettingCall, TableSchema};

/// Applies settings to one table and collects their results.
pub(crate) struct SettingsApplier<'a> {
    pub(crate) table: &'a TargetTable<'a>,
    /// The table when it became ready for items; `None` before that.
    pub(crate) active_table: Option<TableSchema>,
    pub(crate) outcomes: Vec<SettingOutcome>,
}

impl<'a> SettingsApplier<'a> {
    pub(crate) fn new(table: &'a TargetTable<'a>) -> Self {
        Self {
            table,
            active_table: None,
            outcomes: Vec::new(),
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
                .with_hint("run the same command again to go on")
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
        let planned: Vec<PlannedSetting> = settings.at_creation().collect();
        if planned.is_empty() {
            return Ok(());
        }

        let created = self.table.store.reader().describe(self.table.name).await?;
        for planned in planned {
            let refusal = refused
                .iter()
                .find(|(setting, _)| *setting == planned.setting);
            let failure = match (refusal, &created) {
                (Some((_, message)), _) => Some(message.clone()),
                (None, Some(table)) if planned.setting == Setting::Tags => {
                    self.tag_if_ignored(table, settings).await
                }
                (None, Some(table)) => ignored_setting(planned.setting, table),
                (None, None) => None,
            };

            self.outcomes.push(SettingOutcome::new(planned, failure));
        }

        Ok(())
    }

    /// Tags the table if it was created without its tags: some engines support tags only in a separate call. Returns the error.
    async fn tag_if_ignored(&self, table: &TableSchema, settings: &Settings) -> Option<String> {
        let tags = self
            .table
            .store
            .reader()
            .capture(table, &[Section::Tags])
            .await;
        match tags.first() {
            Some((_, Captured::Nothing)) => {
                let call = settings.tag_call()?;
                self.table
                    .store
                    .apply(self.table.name, &call)
                    .await
                    .err()
                    .map(|error| one_line(&error))
            }
            _ => None,
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
            let failure = match self.apply_call(call).await {
                Ok(failure) => failure,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    return Err(interrupted(done, calls.len(), when));
                }
                Err(error) => Some(one_line(&error)),
            };

            let planned = PlannedSetting {
                setting: call.setting,
                what: call.what.clone(),
                when,
            };

            self.outcomes.push(SettingOutcome::new(planned, failure));
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

    /// Applies one setting and waits until the table is ready for the next. Returns the reason if the endpoint accepted the call and
    /// ignored it.
    async fn apply_call(&self, call: &SettingCall) -> Result<Option<String>> {
        tokio::select! {
            biased;
            () = self.table.cancel.cancelled() => {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            applied = self.table.store.apply(self.table.name, call) => applied?,
        }

        if !call.waits_for_active {
            return Ok(None);
        }

        let updated = self.table.wait_until_active().await?;

        Ok(ignored_setting(call.setting, &updated))
    }
}

/// The reason if the table does not have the setting: some engines accept a setting without an error and ignore it.
fn ignored_setting(setting: Setting, table: &TableSchema) -> Option<String> {
    let table = table.description();
    let is_kept = match setting {
        Setting::Stream => table.stream().is_some(),
        Setting::DeletionProtection => table.is_deletion_protected(),
        Setting::Class => table.class() != "STANDARD",
        Setting::Kms => table.encryption() != Encryption::AwsOwned,
        _ => true,
    };

    (!is_kept).then(|| "the target took the request and ignored it".to_owned())
}

fn interrupted(done: usize, calls: usize, when: When) -> Error {
    let items = if when == When::After {
        "every item is written, "
    } else {
        "no item is written yet, "
    };

    Error::new(
        ErrorKind::Interrupted,
        format!("interrupted: {items}{done} of {calls} settings are applied"),
    )
    .with_hint("run the same command again to go on")
}

/// An error and its causes in one line.
pub(crate) fn one_line(error: &Error) -> String {
    let causes = error.causes();
    std::iter::once(error.to_string())
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}
