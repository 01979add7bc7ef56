//! Going on with a restore that was interrupted: whether there is one, and whether this run can take it up.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::checkpoint::{Checkpoint, Identity};
use super::marker::Marker;
use super::plan::target_table;
use super::{ExistingTable, RestoreRequest};
use crate::backup::{Source, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::blocking;
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
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// It can be taken up.
    Fits(Box<Checkpoint>),
    /// It cannot, and why.
    Unfit(String),
}

/// The restore that `request` would do and that an earlier run has begun, if it can be taken up. What is wrong with the request
/// is for the plan to say.
pub async fn interrupted(
    store: &impl ReadStore,
    environment: &Environment,
    request: &RestoreRequest,
) -> Option<Interrupted> {
    if !request.content.data() || request.source == SourceSpec::Stdin {
        return None;
    }
    let source = Source::open(&request.source).ok()?;
    let table = target_table(request, environment, &source).ok()?;
    let marker = Marker::of(request.state_dir.as_deref()?, environment, &table);
    if !marker.has_checkpoint() || marker.refuse_if_held().is_err() {
        return None;
    }
    let existing = store.describe(&table).await.ok()?;
    match look(Some(&marker), source, request, existing.as_ref()).await.ok()?.1 {
        Found::Fits(checkpoint) => Some(checkpoint.interrupted()),
        Found::Nothing | Found::Unfit(_) => None,
    }
}

/// Looks for an interrupted restore into `table`.
///
/// # Errors
/// The data file cannot be read.
pub(super) async fn look(
    marker: Option<&Marker>,
    source: Source,
    request: &RestoreRequest,
    table: Option<&TableSchema>,
) -> Result<(Source, Found)> {
    let marker = marker.filter(|marker| request.content.data() && marker.has_checkpoint());
    let (Some(marker), Some(table)) = (marker, table) else { return Ok((source, Found::Nothing)) };
    let checkpoint = match Checkpoint::read(&marker.checkpoint()) {
        Ok(Some(checkpoint)) => checkpoint,
        Ok(None) => return Ok((source, Found::Nothing)),
        Err(error) => return Ok((source, Found::Unfit(error.to_string()))),
    };
    let (source, sha256) = blocking("reading the dump", move || {
        let sha256 = source.data_sha256()?;
        Ok((source, sha256))
    })
    .await?;
    let Some(data_sha256) = sha256 else { return Ok((source, Found::Nothing)) };
    let unfit = checkpoint.unfit(&Identity::of(&source, request, data_sha256), table);
    let found = match unfit.or_else(|| checkpoint.unreadable(&source)) {
        None => Found::Fits(Box::new(checkpoint)),
        Some(reason) => Found::Unfit(reason),
    };
    Ok((source, found))
}

impl Identity {
    /// What a restore of `source` is known by.
    pub(super) fn of(source: &Source, request: &RestoreRequest, data_sha256: String) -> Self {
        Self {
            source: source.to_string(),
            data_sha256,
            on_conflict: request.on_conflict,
            salvage: source.is_salvaged(),
            transform: request.transform.identity(),
        }
    }
}

/// What a request makes of what was found: the checkpoint that the run goes on from, or why an unfinished restore is begun anew.
pub(super) struct Taken {
    pub(super) checkpoint: Option<Checkpoint>,
    /// What to say of a restore that is not taken up.
    pub(super) not_taken: Option<String>,
}

impl Taken {
    /// # Errors
    /// `--resume` was asked for, and what was interrupted is another restore.
    pub(super) fn of(request: &RestoreRequest, found: Found) -> Result<Self> {
        let goes_on = request.resume || request.existing == ExistingTable::Keep;
        match found {
            Found::Nothing => Ok(Self { checkpoint: None, not_taken: None }),
            Found::Fits(checkpoint) if goes_on => Ok(Self { checkpoint: Some(*checkpoint), not_taken: None }),
            Found::Fits(_) => Ok(Self { checkpoint: None, not_taken: Some("--resume would go on with it".to_owned()) }),
            Found::Unfit(reason) if request.resume => {
                Err(Error::failed(format!("the interrupted restore into this table cannot be resumed: {reason}"))
                    .with_hint("leave out --resume to write every item from the beginning"))
            }
            Found::Unfit(reason) => Ok(Self { checkpoint: None, not_taken: Some(reason) }),
        }
    }
}

impl Checkpoint {
    pub(super) fn interrupted(&self) -> Interrupted {
        Interrupted { items: self.counts.read, at: self.saved_at }
    }
}
