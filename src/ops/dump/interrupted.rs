//! An interrupted dump into the same target, and whether the requested dump can resume it.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::DumpRequest;
use crate::backup::{DumpProgress, DumpTarget, restart_hint};
use crate::error::{Error, Result};
use crate::ops::journal::{DumpOrigin, Job};
use crate::ops::table_location::TableLocation;
use crate::place::JournalStamp;
use crate::schema::TableSchema;

/// An interrupted dump as its journal describes it.
#[derive(Debug, Clone)]
pub(crate) struct SavedDump {
    pub(crate) origin: DumpOrigin,
    pub(crate) progress: DumpProgress,
    /// Identifies the journal.
    pub(crate) stamp: JournalStamp,
}

/// An interrupted dump.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedDump {
    /// Start time.
    pub started_at: DateTime<Utc>,
    /// Time at which its progress was last saved.
    pub reached_at: DateTime<Utc>,
    /// Number of items read.
    pub items: u64,
    /// Size of their text in bytes.
    pub data_bytes: u64,
    /// Read units consumed.
    pub consumed_read_units: f64,
    /// Options that prevent the requested dump from resuming it, with both values: `segments: 4 then, 2 now`.
    pub obstacles: Vec<String>,
}

impl InterruptedDump {
    /// A saved dump, compared with the requested one. Unless the request sets the number of segments, that of the saved one is used: a
    /// table that has grown would get more of them.
    pub(crate) fn new(saved: &SavedDump, mut requested: DumpOrigin, has_segments: bool) -> Self {
        if !has_segments {
            requested.segments = saved.origin.segments;
        }

        let SavedDump {
            origin, progress, ..
        } = saved;
        Self {
            started_at: progress.scan.started_at,
            reached_at: progress.made_at,
            items: progress.items(),
            data_bytes: progress.text_bytes(),
            consumed_read_units: progress.scan.consumed_read_units,
            obstacles: obstacles(origin, &requested),
        }
    }
}

/// The identity of a dump: its table, and the options that decide its contents.
pub(crate) fn dump_origin(
    location: &TableLocation,
    schema: &TableSchema,
    request: &DumpRequest,
    segments: u32,
) -> DumpOrigin {
    let description = schema.description();
    DumpOrigin {
        environment: location.environment.clone(),
        table: location.table.clone(),
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        table_created: description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string),
        region: location.region.clone(),
        endpoint: location.endpoint.clone(),
        schema: request.content.includes_schema(),
        items: request.content.includes_items(),
        format: request.format,
        compression: request.compression,
        segments,
        consistent_read: request.scan.consistent_read,
        limit: request.scan.limit,
        transform: request.transform.identity(),
        filter: request.scan.selection.filter_identity(),
        projection: request.scan.selection.projection_identity(),
    }
}

/// Finds an interrupted dump into the same target. A journal that cannot be read is an error for a dump that is to resume it, and a
/// warning for one that starts over.
pub(crate) fn find_for_request(
    request: &DumpRequest,
    warnings: &mut Vec<String>,
) -> Result<Option<Box<SavedDump>>> {
    match find_interrupted(&request.target, request.state_dir.as_deref()) {
        Err(error) if !request.resume => {
            warnings.push(format!("the interrupted dump is discarded: {error}"));
            Ok(None)
        }
        found => Ok(found?.map(Box::new)),
    }
}

/// The number of items that an interrupted dump into this target has kept, if it can be resumed.
#[must_use]
pub fn items_kept(target: &DumpTarget, state_dir: Option<&Path>) -> Option<u64> {
    // A journal that cannot be read must not hide the error that stopped the dump.
    let found = find_interrupted(target, state_dir).ok()?;
    found.map(|saved| saved.progress.items())
}

/// Finds an interrupted dump into this target. Changes nothing. `None` if a run is writing the target.
///
/// # Errors
/// [`Damaged`](crate::error::ErrorKind::Damaged): the journal is damaged or of another version; I/O errors.
fn find_interrupted(target: &DumpTarget, state_dir: Option<&Path>) -> Result<Option<SavedDump>> {
    let Some(journal) = target.journal(state_dir)? else {
        return Ok(None);
    };

    if journal.holder().is_some() {
        return Ok(None);
    }

    // Before it is read: a journal that is replaced in the meantime is detected under the lock.
    let stamp = journal.stamp();
    let restart = |error: Error| error.with_hint(restart_hint());
    let Some(content) = journal.read().map_err(restart)? else {
        return Ok(None);
    };

    let job = match Job::parse(&content).map_err(restart)? {
        Job::Dump(job) => job,
        // Its data is in DynamoDB.
        Job::Backup(_) => return Ok(None),
        Job::Restore(_) => return Err(restart(Error::damaged("the journal is not of a dump"))),
    };

    let Some(progress) = job.sound_progress().cloned() else {
        return Err(restart(Error::damaged("the journal is not valid")));
    };

    let saved = SavedDump {
        origin: job.origin,
        progress,
        stamp,
    };

    Ok(target
        .has_partial_data(saved.origin.data_file())
        .then_some(saved))
}

/// The fields in which two origins differ. They are compared in serialized form, so that no field is forgotten.
fn obstacles(then: &DumpOrigin, now: &DumpOrigin) -> Vec<String> {
    let fields = |origin: &DumpOrigin| match serde_json::to_value(origin) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (then, now) = (fields(then), fields(now));
    let differs = then
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(value));
    differs
        .map(|(name, value)| {
            let now = now.get(name).unwrap_or(&Value::Null);
            format!(
                "{}: {} then, {} now",
                name.replace('_', " "),
                display_value(value),
                display_value(now)
            )
        })
        .collect()
}

fn display_value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
