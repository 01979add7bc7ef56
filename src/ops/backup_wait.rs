//! Waits until DynamoDB has made an on-demand backup.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::until_cancelled;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::field::Field;
use crate::schema::TableBackup;
use crate::store::Reader;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Time between two messages of a wait.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A wait for a backup.
pub(crate) struct BackupWait<'a> {
    pub(crate) store: &'a Reader,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) cancel: &'a CancellationToken,
}

impl BackupWait<'_> {
    /// Waits until the backup is available, without a limit: DynamoDB decides how long that takes.
    ///
    /// # Errors
    /// The backup was deleted, has failed, or cannot be described; interrupted.
    pub(crate) async fn until_available(&self, mut backup: TableBackup) -> Result<TableBackup> {
        self.reporter.report(Event::Phase {
            phase: Phase::BackingUp,
            items: None,
            bytes: None,
        });

        let (mut elapsed, mut reported) = (Duration::ZERO, Duration::ZERO);
        let mut pause = FIRST_PAUSE;
        while !backup.is_available() {
            if !backup.is_being_created() {
                return Err(failed(&backup));
            }

            if elapsed >= reported + REPORT_INTERVAL {
                reported = elapsed;
                self.reporter.report(Event::Info(format!(
                    "backup {} is CREATING, {} s so far",
                    backup.name,
                    elapsed.as_secs()
                )));
            }

            let describing = async {
                tokio::time::sleep(pause).await;
                self.store.describe_backup(&backup.arn).await
            };
            let found = until_cancelled(self.cancel, || interrupted(&backup), describing).await?;
            elapsed += pause;
            pause = (pause * 2).min(MAX_PAUSE);
            backup = found.ok_or_else(|| {
                Error::failed(format!(
                    "backup {} was deleted before it was available",
                    backup.arn
                ))
                .with_hint("run the same command again to create another backup")
            })?;
        }

        Ok(backup)
    }
}

fn failed(backup: &TableBackup) -> Error {
    let status = backup.status.as_deref().unwrap_or("unknown");
    Error::failed(format!(
        "backup {} cannot be used: its status is {status}",
        backup.arn
    ))
    .with_hint("run the same command again to create another backup")
}

/// The error after an interruption: the backup is DynamoDB's.
pub(crate) fn interrupted(backup: &TableBackup) -> Error {
    Error::new(
        ErrorKind::Interrupted,
        format!(
            "interrupted: DynamoDB continues with backup {}",
            backup.name
        ),
    )
    .with_hint(format!(
        "resume with {}, or on another machine with {} {}",
        Field::Resume,
        Field::BackupArn,
        backup.arn
    ))
}
