//! Resuming: finds an interrupted restore of the same dump into the same table, and decides whether to resume it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::checkpoint::{RestoreCheckpoint, StoredCheckpoint};
use super::identity::RestoreIdentity;
use super::marker::{MarkerContents, MarkerFile};
use super::{ExistingTable, RestoreRequest};
use crate::backup::{Source, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::run_blocking;
use crate::ops::sink::table::RejectPaths;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;
use crate::store::Reader;

/// The point at which an interrupted restore is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResumePoint {
    /// Items that were written, rejected or filtered out before.
    pub items: u64,
    /// Time of the checkpoint.
    pub at: DateTime<Utc>,
}

/// Result of the search for an interrupted restore into the same table.
pub(crate) enum CheckpointMatch {
    /// There is none, and the table holds no items of another one.
    Absent,
    /// It can be resumed.
    Resumable {
        checkpoint: Box<RestoreCheckpoint>,
        /// Why the table may also hold items of another source.
        other_items: Option<String>,
    },
    /// It cannot be resumed.
    NotResumable {
        reason: String,
        /// Whether the table may hold items of another source.
        has_other_items: bool,
    },
}

/// Finds an interrupted restore that `request` can resume. Errors count as "not found": the plan reports them.
pub async fn find_interrupted(
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
) -> Option<ResumePoint> {
    if !request.content.includes_items() || request.source == SourceSpec::Stdin {
        return None;
    }

    let source = Source::open(&request.source).ok()?;
    let table = request.target_table(environment, &source).ok()?;
    let marker = MarkerFile::for_table(request.state_dir.as_deref()?, environment, &table);
    if !marker.has_checkpoint() || marker.check_unlocked().is_err() {
        return None;
    }

    let existing = store
        .describe(&table)
        .await
        .ok()?
        .filter(|table| !table.is_being_deleted());

    let target = TableLocation::new(environment, &table, store.credentials());
    let (_, found) = find_checkpoint(
        Some(&marker),
        None,
        source,
        request,
        &target,
        existing.as_ref(),
    )
    .await
    .ok()?;

    match found {
        CheckpointMatch::Resumable { checkpoint, .. } => Some(checkpoint.resume_point()),
        CheckpointMatch::Absent | CheckpointMatch::NotResumable { .. } => None,
    }
}

/// Searches for an interrupted restore into `table`. `contents` are those of the marker, if it is about this table.
///
/// # Errors
/// The checkpoint or the data file cannot be read.
pub(crate) async fn find_checkpoint(
    marker: Option<&MarkerFile>,
    contents: Option<&MarkerContents>,
    source: Source,
    request: &RestoreRequest,
    target: &TableLocation,
    table: Option<&TableSchema>,
) -> Result<(Source, CheckpointMatch)> {
    let (Some(marker), Some(table)) = (marker, table) else {
        return Ok((source, CheckpointMatch::Absent));
    };

    let saved = if request.content.includes_items() {
        RestoreCheckpoint::read(&marker.checkpoint_path())?
    } else {
        StoredCheckpoint::Missing
    };

    // Avoid hashing the data if there is nothing to compare it with.
    if contents.is_none() && matches!(saved, StoredCheckpoint::Missing) {
        return Ok((source, CheckpointMatch::Absent));
    }

    let (source, sha256) = run_blocking("reading the dump", move || {
        let sha256 = source.data_sha256()?;
        Ok((source, sha256))
    })
    .await?;

    let identity = sha256.map(|sha256| RestoreIdentity::new(&source, request, sha256));
    let difference = contents.and_then(|contents| {
        contents
            .wrote
            .difference_from(identity.as_ref(), &contents.source)
    });
    let mismatch = match (saved, &identity) {
        (StoredCheckpoint::Readable(checkpoint), Some(identity)) => {
            let paths = RejectPaths::new(source.path(), request.state_dir.as_deref(), target);
            match checkpoint
                .mismatch(identity, table, &paths)
                .or_else(|| checkpoint.unsupported_lanes(&source))
            {
                None => {
                    return Ok((
                        source,
                        CheckpointMatch::Resumable {
                            checkpoint,
                            other_items: difference,
                        },
                    ));
                }
                reason => reason,
            }
        }
        (StoredCheckpoint::OtherVersion, _) => {
            Some("its checkpoint is of another version of the program".to_owned())
        }
        (StoredCheckpoint::Readable(_) | StoredCheckpoint::Missing, _) => None,
    };

    let has_other_items = difference.is_some();
    let found = mismatch
        .or(difference)
        .map_or(CheckpointMatch::Absent, |reason| {
            CheckpointMatch::NotResumable {
                reason,
                has_other_items,
            }
        });

    Ok((source, found))
}

/// Where the restore starts: at a checkpoint, or at the first item.
pub(crate) struct ResumeDecision {
    /// The checkpoint to resume at.
    pub(crate) checkpoint: Option<RestoreCheckpoint>,
    /// Why an unfinished restore is not resumed, or why the table may hold other items.
    pub(crate) reason: Option<String>,
    /// Whether the table may hold items of another source.
    pub(crate) has_other_items: bool,
}

impl ResumeDecision {
    /// Decides by the request and the search.
    ///
    /// # Errors
    /// `--resume` was requested, and the interrupted restore cannot be resumed.
    pub(crate) fn new(request: &RestoreRequest, found: CheckpointMatch) -> Result<Self> {
        // A repeated `--if-missing` would otherwise find the table of its interrupted run and do nothing.
        let resumes = request.resume || request.existing == ExistingTable::Keep;
        match found {
            CheckpointMatch::Absent => Ok(Self::start_over(None, false)),
            CheckpointMatch::Resumable {
                checkpoint,
                other_items,
            } if resumes => Ok(Self {
                checkpoint: Some(*checkpoint),
                has_other_items: other_items.is_some(),
                reason: other_items,
            }),
            CheckpointMatch::Resumable { .. } => {
                let reason = "--resume would go on with it".to_owned();
                Ok(Self::start_over(Some(reason), false))
            }
            CheckpointMatch::NotResumable { reason, .. }
                if request.resume && request.content.includes_items() =>
            {
                Err(Error::failed(format!(
                    "the interrupted restore into this table cannot be resumed: {reason}"
                ))
                .with_hint("leave out --resume to write every item from the beginning"))
            }
            CheckpointMatch::NotResumable {
                reason,
                has_other_items,
            } => Ok(Self::start_over(Some(reason), has_other_items)),
        }
    }

    pub(crate) fn point(&self) -> Option<ResumePoint> {
        self.checkpoint
            .as_ref()
            .map(RestoreCheckpoint::resume_point)
    }

    fn start_over(reason: Option<String>, has_other_items: bool) -> Self {
        Self {
            checkpoint: None,
            reason,
            has_other_items,
        }
    }
}

impl RestoreCheckpoint {
    pub(crate) fn resume_point(&self) -> ResumePoint {
        ResumePoint {
            items: self.counts.read,
            at: self.saved_at,
        }
    }
}
