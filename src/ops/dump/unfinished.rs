//! A run into the same target that was interrupted: what it was of, and whether the run that is asked for can go on with it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::DumpRequest;
use crate::backup::{DumpCheckpoint, DumpOrigin};
use crate::error::{Error, Result};
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// An interrupted run.
#[derive(Debug, Clone, Serialize)]
pub struct InterruptedDump {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last left word of itself.
    pub reached_at: DateTime<Utc>,
    /// Items that it has read.
    pub items: u64,
    /// Bytes of their text.
    pub data_bytes: u64,
    /// Read units it has consumed.
    pub consumed_read_units: f64,
    /// Why the run that is asked for cannot go on with it, each with what was and what is: `segments: 4 then, 2 now`.
    pub obstacles: Vec<String>,
}

impl InterruptedDump {
    /// The run that left `checkpoint`, for a run of `asked`. `segments_are_named` says that the request names their number: else
    /// those of the checkpoint hold, for a table that has grown would be given more.
    pub(crate) fn of(
        checkpoint: &DumpCheckpoint,
        mut asked: DumpOrigin,
        segments_are_named: bool,
    ) -> Self {
        if !segments_are_named {
            asked.segments = checkpoint.origin.segments;
        }

        Self {
            started_at: checkpoint.progress.started_at,
            reached_at: checkpoint.made_at,
            items: checkpoint.items(),
            data_bytes: checkpoint.text_bytes(),
            consumed_read_units: checkpoint.progress.consumed_read_units,
            obstacles: obstacles(&checkpoint.origin, &asked),
        }
    }

    /// Refuses to go on where something else is asked for.
    pub(crate) fn must_fit(&self) -> Result<()> {
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

/// What a run is of.
pub(crate) fn origin(
    place: &TableLocation,
    schema: &TableSchema,
    request: &DumpRequest,
    segments: u32,
) -> DumpOrigin {
    let description = schema.description();
    DumpOrigin {
        environment: place.environment.clone(),
        table: place.table.clone(),
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        table_created: description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string),
        region: place.region.clone(),
        endpoint: place.endpoint.clone(),
        schema: request.content.includes_schema(),
        items: request.content.includes_items(),
        format: request.format,
        compression: request.compression,
        segments,
        consistent_read: request.consistent_read,
        limit: request.limit,
        transform: request.transform.identity(),
        filter: request.selection.filter_identity(),
        projection: request.selection.projection().map(ToOwned::to_owned),
    }
}

/// The interrupted run into the request's target. If its checkpoint cannot be read, that is an error for a run that is to resume it,
/// and a warning for one that starts over.
pub(crate) fn find(
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
                shown(value),
                shown(now)
            )
        })
        .collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
