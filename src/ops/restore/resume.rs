//! Going on with a restore that was interrupted: whether there is one, and whether this run can take it up.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::checkpoint::{Checkpoint, Identity, Saved};
use super::marker::{Mark, Marker};
use super::plan::target_table;
use super::rejects::RejectPlaces;
use super::{ExistingTable, RestoreRequest};
use crate::backup::{Source, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::run_blocking;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;
use crate::store::ReadStore;

/// How far an interrupted restore had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Interrupted {
    /// Items that were written, rejected or left out.
    pub items: u64,
    /// When that was.
    pub at: DateTime<Utc>,
}

/// What is found of an interrupted restore into the same table.
pub(crate) enum Found {
    /// Nothing that this run could continue from or would mix with.
    Nothing,
    /// It can be continued. If other items were mixed in meanwhile, that is why the table is not this run's alone.
    Fits {
        checkpoint: Box<Checkpoint>,
        mixed: Option<String>,
    },
    /// It cannot, and why.
    Unfit {
        reason: String,
        /// Whether the table may hold other items than those of this run's source.
        is_other: bool,
    },
}

/// The restore that `request` would do and that an earlier run has begun, if it can be taken up. What is wrong with the request
/// is for the plan to say.
pub async fn interrupted(
    store: &impl ReadStore,
    environment: &Environment,
    request: &RestoreRequest,
) -> Option<Interrupted> {
    if !request.content.includes_items() || request.source == SourceSpec::Stdin {
        return None;
    }

    let source = Source::open(&request.source).ok()?;
    let table = target_table(request, environment, &source).ok()?;
    let marker = Marker::of(request.state_dir.as_deref()?, environment, &table);
    if !marker.has_checkpoint() || marker.refuse_if_held().is_err() {
        return None;
    }

    let existing = store
        .describe(&table)
        .await
        .ok()?
        .filter(|table| !table.is_being_deleted());

    let target = TableLocation::new(environment, &table, store.credentials());
    match look(
        Some(&marker),
        None,
        source,
        request,
        &target,
        existing.as_ref(),
    )
    .await
    .ok()?
    .1
    {
        Found::Fits { checkpoint, .. } => Some(checkpoint.interrupted()),
        Found::Nothing | Found::Unfit { .. } => None,
    }
}

/// Looks for an interrupted restore into `table`; `mark` is what the marker says of this very table.
///
/// # Errors
/// The checkpoint or the data file cannot be read.
pub(crate) async fn look(
    marker: Option<&Marker>,
    mark: Option<&Mark>,
    source: Source,
    request: &RestoreRequest,
    target: &TableLocation,
    table: Option<&TableSchema>,
) -> Result<(Source, Found)> {
    let (Some(marker), Some(table)) = (marker, table) else {
        return Ok((source, Found::Nothing));
    };

    let saved = if request.content.includes_items() {
        Checkpoint::read(&marker.checkpoint())?
    } else {
        Saved::Nothing
    };

    if mark.is_none() && matches!(saved, Saved::Nothing) {
        return Ok((source, Found::Nothing));
    }

    let (source, sha256) = run_blocking("reading the dump", move || {
        let sha256 = source.data_sha256()?;
        Ok((source, sha256))
    })
    .await?;

    let identity = sha256.map(|sha256| Identity::of(&source, request, sha256));
    let difference = mark.and_then(|mark| mark.wrote.differs_from(identity.as_ref(), &mark.source));
    let unfit = match (saved, &identity) {
        (Saved::Checkpoint(checkpoint), Some(identity)) => {
            let places = RejectPlaces::of(source.path(), request.state_dir.as_deref(), target);
            match checkpoint
                .unfit(identity, table, &places)
                .or_else(|| checkpoint.unreadable(&source))
            {
                None => {
                    return Ok((
                        source,
                        Found::Fits {
                            checkpoint,
                            mixed: difference,
                        },
                    ));
                }
                reason => reason,
            }
        }
        (Saved::OfAnotherVersion, _) => {
            Some("its checkpoint is of another version of the program".to_owned())
        }
        (Saved::Checkpoint(_) | Saved::Nothing, _) => None,
    };

    let is_other = difference.is_some();
    let found = unfit
        .or(difference)
        .map_or(Found::Nothing, |reason| Found::Unfit { reason, is_other });

    Ok((source, found))
}

impl Identity {
    /// What a restore of `source` is known by.
    pub(crate) fn of(source: &Source, request: &RestoreRequest, data_sha256: String) -> Self {
        Self {
            source: source.to_string(),
            data_sha256,
            on_conflict: request.on_conflict,
            salvage: source.is_salvaged(),
            transform: request.transform.identity(),
        }
    }
}

/// What a request makes of what was found: the checkpoint that the run continues from, or why it begins at the first item.
pub(crate) struct Taken {
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Why an unfinished restore is not continued.
    pub(crate) why_not: Option<String>,
    /// Whether the table may hold other items than those of this run's source.
    pub(crate) is_other: bool,
}

impl Taken {
    /// # Errors
    /// `--resume` was asked for, and what was interrupted is another restore.
    pub(crate) fn of(request: &RestoreRequest, found: Found) -> Result<Self> {
        let goes_on = request.resume || request.existing == ExistingTable::Keep;
        let begins = |why_not, is_other| {
            Ok(Self {
                checkpoint: None,
                why_not,
                is_other,
            })
        };

        match found {
            Found::Nothing => begins(None, false),
            Found::Fits { checkpoint, mixed } if goes_on => {
                let is_other = mixed.is_some();
                Ok(Self {
                    checkpoint: Some(*checkpoint),
                    why_not: mixed,
                    is_other,
                })
            }
            Found::Fits { .. } => begins(Some("--resume would go on with it".to_owned()), false),
            Found::Unfit { reason, .. } if request.resume && request.content.includes_items() => {
                Err(Error::failed(format!(
                    "the interrupted restore into this table cannot be resumed: {reason}"
                ))
                .with_hint("leave out --resume to write every item from the beginning"))
            }
            Found::Unfit { reason, is_other } => begins(Some(reason), is_other),
        }
    }
}

impl Checkpoint {
    pub(crate) fn interrupted(&self) -> Interrupted {
        Interrupted {
            items: self.counts.read,
            at: self.saved_at,
        }
    }
}
