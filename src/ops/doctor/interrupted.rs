//! Commands that were interrupted, or are running, as their journals and locks describe them.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::field::Field;
use crate::layout::counted;
use crate::ops::journal::Job;
use crate::ops::set::journal;
use crate::place::JournalFile;

/// An interrupted or a running command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InterruptedCommand {
    /// Which command, and since when.
    pub(super) what: String,
    /// How to resume it; `None` if it is running.
    pub(super) hint: Option<String>,
}

/// The commands with these journals.
pub(super) fn interrupted_commands(
    files: impl Iterator<Item = JournalFile>,
) -> Vec<InterruptedCommand> {
    let mut found = Vec::new();
    for command in files.filter_map(|file| command(&file)) {
        // The journal of a dump may be found twice, next to the dump and in the state directory.
        if !found.contains(&command) {
            found.push(command);
        }
    }

    found
}

/// The command of one journal; `None` if there is neither a journal nor a lock.
fn command(file: &JournalFile) -> Option<InterruptedCommand> {
    if let Some((_, holder)) = file.holder() {
        return Some(InterruptedCommand {
            what: holder,
            hint: None,
        });
    }

    let Some(path) = file.existing_path() else {
        let left_by = file.left_by()?;
        return Some(InterruptedCommand {
            what: format!("a command was killed before it had saved anything: {left_by}"),
            hint: Some("run it again".to_owned()),
        });
    };

    let of_one_table = || {
        file.read()
            .ok()
            .flatten()
            .and_then(|content| in_words(&content))
    };
    Some(match journal::in_words(file).or_else(of_one_table) {
        Some(what) => InterruptedCommand {
            what,
            hint: Some(format!("run the same command again with {}", Field::Resume)),
        },
        None => InterruptedCommand {
            what: format!("{} is damaged or of another version", path.display()),
            hint: Some("resume with the version that wrote it, or start over".to_owned()),
        },
    })
}

/// The job of a journal in words; `None` if this version cannot read it.
fn in_words(content: &[u8]) -> Option<String> {
    Some(match Job::parse(content).ok()? {
        Job::Dump(job) => {
            let origin = &job.origin;
            let kept = job.sound_progress().map(|progress| {
                let items = counted(progress.items(), "item");
                format!(", {items} kept{}", since(progress.scan.started_at))
            });

            format!(
                "dump of table {} of environment {}{}",
                origin.table,
                origin.environment,
                kept.unwrap_or_default()
            )
        }
        Job::Restore(job) => {
            let boost = if job.boost.is_some() {
                "; its boosted capacity is still in effect"
            } else {
                ""
            };

            format!(
                "restore of {} into table {} of environment {}{}{boost}",
                job.source,
                job.table,
                job.environment,
                since(job.since)
            )
        }
        Job::Backup(job) => format!(
            "backup {} of table {}{}",
            job.name,
            job.table,
            since(job.requested_at)
        ),
    })
}

fn since(time: DateTime<Utc>) -> String {
    format!(
        ", since {}",
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ops::journal::BackupJob;

    fn found(state_dir: &Path) -> Vec<InterruptedCommand> {
        interrupted_commands(JournalFile::all_in(state_dir).unwrap().into_iter())
    }

    #[test]
    fn running_interrupted_and_unreadable_commands_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found(&dir.path().join("missing")), []);

        let file = JournalFile::in_state_dir(dir.path(), "backup-1");
        let locked = file.clone().lock().unwrap();
        let job = Job::Backup(Box::new(BackupJob {
            table: "films".to_owned(),
            name: "nightly".to_owned(),
            requested_at: "2026-11-20T09:00:00Z".parse().unwrap(),
            arn: None,
        }));
        locked.write(&job.to_content().unwrap()).unwrap();
        let running = found(dir.path());
        assert!(running[0].what.starts_with("process "), "{running:?}");
        assert_eq!(running[0].hint, None);

        drop(locked);
        let interrupted = found(dir.path());
        assert_eq!(interrupted.len(), 1);
        assert_eq!(
            interrupted[0].what,
            "backup nightly of table films, since 2026-11-20T09:00:00Z"
        );
        assert!(interrupted[0].hint.is_some());

        let journal = dir.path().join("backup-1.journal");
        crate::place::replace_file(&journal, b"other").unwrap();
        let unreadable = found(dir.path());
        assert!(
            unreadable[0].what.contains("of another version"),
            "{unreadable:?}"
        );
    }

    #[test]
    fn a_lock_file_of_a_killed_process_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = JournalFile::in_state_dir(dir.path(), "restore-1");
        let locked = file.lock().unwrap();
        locked.keep_lock_file();
        drop(locked);

        let killed = found(dir.path());
        assert!(
            killed[0].what.contains("was killed") && killed[0].what.contains("process "),
            "{killed:?}"
        );
    }
}
