//! Resuming: finds an interrupted restore of the same dump into the same table, and decides whether to resume it.

pub(super) mod identity;
pub(super) mod table_journal;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backup::Source;
use crate::environment::Environment;
use crate::error::Result;
use crate::field::Field;
use crate::ops::identity::table_id;
use crate::ops::journal::{RestoreIdentity, RestoreJob, RestoreProgress};
use crate::ops::restore::RestoreRequest;
use crate::ops::run_blocking;
use crate::ops::sink::table::RejectPaths;
use crate::ops::source::ItemSource;
use crate::ops::source::lanes::LanePositions;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;
use crate::store::Reader;
use identity::restore_identity;
use table_journal::TableJournal;

/// The point at which an interrupted restore is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ResumePoint {
    /// Items that were written, rejected or filtered out before.
    pub items: u64,
    /// Time at which the progress was saved.
    pub at: DateTime<Utc>,
}

/// The journal of an unfinished restore.
pub(crate) struct SavedRestore {
    pub(crate) job: RestoreJob,
    /// Whether it is about the existing table.
    pub(crate) is_of_table: bool,
}

/// Result of the search for an interrupted restore into the same table.
pub(crate) enum ProgressMatch {
    /// There is none, and the table holds no items of another one.
    Absent,
    /// It can be resumed.
    Resumable {
        progress: Box<RestoreProgress>,
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
    if !request.content.includes_items() || request.reads_stdin() {
        return None;
    }

    let dump = Source::open(request.dump().ok()?).ok()?;
    let source = ItemSource::Dump(Arc::new(dump));

    find_interrupted_from(store, environment, request, source).await
}

/// Finds an interrupted restore of `source` that `request` can resume.
pub(crate) async fn find_interrupted_from(
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
    source: ItemSource,
) -> Option<ResumePoint> {
    let table = request.target_table(environment, &source).ok()?;
    let state_dir = request.state_dir.as_deref()?;
    let found = store.describe(&table).await.ok()?;
    let existing = found.filter(|table| !table.is_being_deleted())?;
    let target = TableLocation::find(store, environment, &table, Some(&existing)).await;
    let journal = TableJournal::find(state_dir, environment, &target, Some(&existing)).await;
    journal.check_unlocked().ok()?;
    let job = journal.read().ok()?.filter(|job| job.progress.is_some())?;

    let saved = SavedRestore {
        job,
        is_of_table: false,
    };
    let (_, found) = find_progress(Some(&saved), source, request, &target, Some(&existing))
        .await
        .ok()?;

    match found {
        ProgressMatch::Resumable { progress, .. } => Some(resume_point(&progress)),
        ProgressMatch::Absent | ProgressMatch::NotResumable { .. } => None,
    }
}

/// Searches for an interrupted restore into `table`.
///
/// # Errors
/// The data file cannot be read.
pub(crate) async fn find_progress(
    saved: Option<&SavedRestore>,
    source: ItemSource,
    request: &RestoreRequest,
    target: &TableLocation,
    table: Option<&TableSchema>,
) -> Result<(ItemSource, ProgressMatch)> {
    let (Some(SavedRestore { job, is_of_table }), Some(table)) = (saved, table) else {
        return Ok((source, ProgressMatch::Absent));
    };

    let includes_items = request.content.includes_items();
    let progress = job.progress.as_ref().filter(|_| includes_items);

    // Avoid hashing the data if there is nothing to compare it with.
    if !is_of_table && progress.is_none() {
        return Ok((source, ProgressMatch::Absent));
    }

    let (source, sha256) = run_blocking("reading the dump", move || {
        let sha256 = source.content_sha256()?;
        Ok((source, sha256))
    })
    .await?;

    let identity = sha256.map(|sha256| restore_identity(&source, request, sha256));
    let difference = is_of_table
        .then(|| job.wrote.difference_from(identity.as_ref(), &job.source))
        .flatten();
    let mismatch = match progress.zip(identity.as_ref()) {
        Some((progress, identity)) => {
            let paths = RejectPaths::new(source.path(), request.state_dir.as_deref(), target);
            let mismatch = mismatch(progress, identity)
                // A recreated table lacks the items before the positions.
                .or_else(|| (job.table_id != table_id(table)).then(recreated))
                .or_else(|| other_option(progress, identity))
                .or_else(|| lost_rejects(progress, &paths))
                .or_else(|| unsupported_lanes(progress, &source, request));
            if mismatch.is_none() {
                let resumable = ProgressMatch::Resumable {
                    progress: Box::new(progress.clone()),
                    other_items: difference,
                };
                return Ok((source, resumable));
            }

            mismatch
        }
        None => None,
    };

    let has_other_items = difference.is_some();
    let found = mismatch
        .or(difference)
        .map_or(ProgressMatch::Absent, |reason| {
            ProgressMatch::NotResumable {
                reason,
                has_other_items,
            }
        });

    Ok((source, found))
}

/// The reason why a restore with this identity writes other items than the interrupted one.
fn mismatch(progress: &RestoreProgress, identity: &RestoreIdentity) -> Option<String> {
    match &progress.identity {
        Some(own) => own.difference_from(identity),
        None => Some("which items it wrote is not known".to_owned()),
    }
}

fn recreated() -> String {
    "the table was deleted and created again since".to_owned()
}

fn other_option(progress: &RestoreProgress, identity: &RestoreIdentity) -> Option<String> {
    let own = progress.identity.as_ref()?.on_conflict;
    (own != identity.on_conflict).then(|| {
        format!(
            "it was run with {on_conflict} {}",
            own.word(),
            on_conflict = Field::OnConflict
        )
    })
}

fn lost_rejects(progress: &RestoreProgress, paths: &RejectPaths) -> Option<String> {
    paths
        .check(progress.rejects.as_ref(), progress.conflicts.as_ref())
        .err()
        .map(|error| error.to_string())
}

/// The reason why `source` cannot be read from the positions although it holds the same items.
fn unsupported_lanes(
    progress: &RestoreProgress,
    source: &ItemSource,
    request: &RestoreRequest,
) -> Option<String> {
    match (&progress.lanes, source) {
        (LanePositions::Lanes(_), ItemSource::Dump(dump)) if dump.lane_text().is_none() => {
            Some("it read the folder of the dump, not the data file alone".to_owned())
        }
        (LanePositions::Whole { .. } | LanePositions::Lanes(_), ItemSource::Dump(_)) => None,
        (LanePositions::Segments(segments), ItemSource::Table(_)) => {
            let requested = request.scan().and_then(|scan| scan.options.segments);
            let is_other = |requested: &u32| *requested as usize != segments.len();
            requested.filter(is_other).map(|_| {
                let count = segments.len();
                format!("it was run with {} {count}", Field::Segments)
            })
        }
        _ => Some("it read another kind of source".to_owned()),
    }
}

/// Where the restore starts: where an interrupted one has stopped, or at the first item.
pub(crate) struct ResumeDecision {
    /// The progress to resume at.
    pub(crate) progress: Option<RestoreProgress>,
    /// Why an unfinished restore is not resumed, or why the table may hold other items.
    pub(crate) reason: Option<String>,
    /// Whether the table may hold items of another source.
    pub(crate) has_other_items: bool,
}

impl ResumeDecision {
    /// Decides by the request and the search.
    pub(crate) fn new(request: &RestoreRequest, found: ProgressMatch) -> Self {
        let resumes = request.resume || request.existing.implies_resume();
        match found {
            ProgressMatch::Absent => Self::start_over(None, false),
            ProgressMatch::Resumable {
                progress,
                other_items,
            } if resumes => Self {
                progress: Some(*progress),
                has_other_items: other_items.is_some(),
                reason: other_items,
            },
            ProgressMatch::Resumable { .. } => {
                let reason = format!("{} would resume it", Field::Resume);
                Self::start_over(Some(reason), false)
            }
            ProgressMatch::NotResumable {
                reason,
                has_other_items,
            } => Self::start_over(Some(reason), has_other_items),
        }
    }

    pub(crate) fn point(&self) -> Option<ResumePoint> {
        self.progress.as_ref().map(resume_point)
    }

    fn start_over(reason: Option<String>, has_other_items: bool) -> Self {
        Self {
            progress: None,
            reason,
            has_other_items,
        }
    }
}

fn resume_point(progress: &RestoreProgress) -> ResumePoint {
    ResumePoint {
        items: progress.counts.read,
        at: progress.saved_at,
    }
}
