//! An interrupted dump into the same target, and whether the requested dump can resume it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::DumpRequest;
use crate::backup::{DumpCheckpoint, DumpOrigin};
use crate::error::{Error, Result};
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// An interrupted dump.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedDump {
    /// Start time.
    pub started_at: DateTime<Utc>,
    /// Time of the last checkpoint.
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
    /// The dump that wrote `checkpoint`, compared with the requested one. Unless the request sets the number of segments, that of the
    /// checkpoint is used: a table that has grown would get more of them.
    pub(crate) fn from_checkpoint(
        checkpoint: &DumpCheckpoint,
        mut requested: DumpOrigin,
        has_segments: bool,
    ) -> Self {
        if !has_segments {
            requested.segments = checkpoint.origin.segments;
        }

        Self {
            started_at: checkpoint.progress.started_at,
            reached_at: checkpoint.made_at,
            items: checkpoint.items(),
            data_bytes: checkpoint.text_bytes(),
            consumed_read_units: checkpoint.progress.consumed_read_units,
            obstacles: obstacles(&checkpoint.origin, &requested),
        }
    }

    /// Fails if the requested dump cannot resume it.
    pub(crate) fn check_resumable(&self) -> Result<()> {
        if self.obstacles.is_empty() {
            return Ok(());
        }

        Err(Error::usage(
            "the interrupted dump that lies there was of something else, or made in another way",
        )
        .with_details(self.obstacles.iter().cloned())
        .with_hint("give the same options again, or leave out --resume to start afresh"))
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
        consistent_read: request.consistent_read,
        limit: request.limit,
        transform: request.transform.identity(),
        filter: request.selection.filter_identity(),
        projection: request.selection.projection_identity(),
    }
}

/// Finds the checkpoint of an interrupted dump into the same target. One that cannot be read is an error for a dump that is to resume it,
/// and a warning for one that starts over.
pub(crate) fn find_checkpoint(
    request: &DumpRequest,
    warnings: &mut Vec<String>,
) -> Result<Option<Box<DumpCheckpoint>>> {
    match request.target.unfinished(request.state_dir.as_deref()) {
        Err(error) if !request.resume => {
            warnings.push(format!("the interrupted dump is discarded: {error}"));
            Ok(None)
        }
        found => Ok(found?.map(Box::new)),
    }
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
