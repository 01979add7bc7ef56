//! Brings settings back, one call after the other. One that fails does not stop the others; the summary tells it.

use tokio_util::sync::CancellationToken;

use super::settings::{PlannedSetting, SettingOutcome, SettingResult, Settings, When};
use super::table;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::{recreated, until_cancelled};
use crate::schema::{Captured, Encryption, Section, Setting, SettingCall, TableSchema};
use crate::store::WriteStore;

/// Applies settings to one table and keeps what became of them.
pub(crate) struct Applying<'a, S> {
    pub(crate) store: &'a S,
    pub(crate) table: &'a str,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) cancel: &'a CancellationToken,
    /// The table as it was when it was ready for items; `None` before that.
    pub(crate) ready: Option<TableSchema>,
    pub(crate) outcomes: Vec<SettingOutcome>,
}

impl<S: WriteStore> Applying<'_, S> {
    /// Refuses a result for another table than the one that was ready for items.
    pub(crate) async fn check_not_recreated(&self) -> Result<()> {
        let Some(ready) = &self.ready else {
            return Ok(());
        };

        let interrupted = || {
            Error::new(ErrorKind::Interrupted, "interrupted: every item is written")
                .with_hint("run the same command again to go on")
        };
        until_cancelled(
            self.cancel,
            interrupted,
            recreated::check_not_recreated(self.store, self.table, ready),
        )
        .await
    }

    /// Records which settings the table was created with; `refused` are those that it was created without.
    pub(crate) async fn note_creation(
        &mut self,
        settings: &Settings,
        refused: Vec<(Setting, String)>,
    ) -> Result<()> {
        let planned: Vec<PlannedSetting> = settings.creation().collect();
        if planned.is_empty() {
            return Ok(());
        }

        let created = self.store.describe(self.table).await?;
        for planned in planned {
            let refusal = refused
                .iter()
                .find(|(setting, _)| *setting == planned.setting);
            let failure = match (refusal, &created) {
                (Some((_, words)), _) => Some(words.clone()),
                (None, Some(table)) if planned.setting == Setting::Tags => {
                    self.ignored_tags(table, settings).await
                }
                (None, Some(table)) => ignored(planned.setting, table),
                (None, None) => None,
            };

            self.outcomes.push(SettingOutcome::new(planned, failure));
        }

        Ok(())
    }

    /// Tags a table that was created without the tags it was to have: some engines take them only by a call of their own.
    async fn ignored_tags(&self, table: &TableSchema, settings: &Settings) -> Option<String> {
        let tags = self.store.capture(table, &[Section::Tags]).await;
        match tags.first() {
            Some((_, Captured::Nothing)) => {
                let call = settings.tagging()?;
                self.store
                    .apply(self.table, &call)
                    .await
                    .err()
                    .map(|error| told(&error))
            }
            _ => None,
        }
    }

    /// Makes `calls` in order. Only an interruption is an error.
    pub(crate) async fn make(&mut self, calls: &[SettingCall], when: When) -> Result<()> {
        if calls.is_empty() {
            return Ok(());
        }

        self.reporter.report(Event::Phase {
            phase: Phase::Settings,
            items: Some(calls.len() as u64),
            bytes: None,
        });

        for (done, call) in calls.iter().enumerate() {
            let failure = match self.one(call).await {
                Ok(failure) => failure,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    return Err(interrupted(done, calls.len(), when));
                }
                Err(error) => Some(told(&error)),
            };

            let planned = PlannedSetting {
                setting: call.setting,
                what: call.what.clone(),
                when,
            };

            self.outcomes.push(SettingOutcome::new(planned, failure));
            self.reporter.report(Event::Progress { items: 1, bytes: 0 });
        }

        Ok(())
    }

    /// Notes that `calls` were not made.
    pub(crate) fn leave(&mut self, calls: &[SettingCall], reason: &str) {
        self.outcomes
            .extend(calls.iter().map(|call| SettingOutcome {
                setting: call.setting,
                what: call.what.clone(),
                result: SettingResult::Skipped,
                reason: Some(reason.to_owned()),
            }));
    }

    /// Tells what failed so far, where there will be no summary to do it.
    pub(crate) fn tell_failures(&self) {
        for outcome in self
            .outcomes
            .iter()
            .filter(|outcome| outcome.result == SettingResult::Failed)
        {
            let reason = outcome.reason.as_deref().unwrap_or_default();
            self.reporter.report(Event::Warning(format!(
                "{} was not applied: {reason}",
                outcome.what
            )));
        }
    }

    /// Makes one call and waits until the table can take the next. Returns why the table does not have the setting although the
    /// call was taken.
    async fn one(&self, call: &SettingCall) -> Result<Option<String>> {
        let stop = || Error::new(ErrorKind::Interrupted, "interrupted");
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(stop()),
            applied = self.store.apply(self.table, call) => applied?,
        }

        if !call.waits_for_active {
            return Ok(None);
        }

        let settled =
            table::until_active(self.store, self.table, self.reporter, self.cancel).await?;

        Ok(ignored(call.setting, &settled))
    }
}

/// Some engines take a setting without a word and do not keep it; a table that is described without it does not have it.
fn ignored(setting: Setting, table: &TableSchema) -> Option<String> {
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

/// A failure and its causes in one line.
pub(crate) fn told(error: &Error) -> String {
    let causes = error.causes();
    std::iter::once(error.to_string())
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}
