//! DynamoDB Streams.

use super::actions::update_table;
use super::operation::Operation;
use super::spec::{SettingActions, SettingCall, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::description::Description;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

const FIELD: &str = "StreamSpecification";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    // AWS serves Streams on a separate endpoint, local engines on the same one.
    local_probe: Some(Operation::streams("ListStreams")),
    table_fields: KnownFields {
        plain: &["LatestStreamArn", "LatestStreamLabel"],
        nested: &[(FIELD, &plain(&["StreamEnabled", "StreamViewType"]))],
    },
    is_shown,
    ..SettingSpec::new("stream", "stream", words, actions)
};

impl Description {
    /// The view type of the stream (`NEW_IMAGE`, …) when the stream is on.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        let stream = self
            .stream_specification
            .as_ref()
            .filter(|stream| stream.stream_enabled == Some(true))?;
        Some(stream.stream_view_type.as_deref().unwrap_or("on"))
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    SectionView::from_option(schema.description.stream().map(ToOwned::to_owned))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let Some(view) = schema.description.stream() else {
        return SettingActions::default();
    };

    let what = format!("stream {view}");
    let existing = target.existing.map(|existing| &existing.description);
    // DynamoDB requires that the old stream is disabled first, which a restore does not do.
    if let Some(present) = existing
        .and_then(Description::stream)
        .filter(|present| *present != view)
    {
        let reason = format!("the table has a stream with {present}, which must be disabled first");
        return SettingActions::impossible(what, reason);
    }

    let specification = schema.description.stream_specification.as_ref();
    let view_type = specification.and_then(|stream| stream.stream_view_type.as_ref());
    let specification = JsonBody::new()
        .with("StreamEnabled", &true)
        .with_some("StreamViewType", view_type);
    let body = JsonBody::for_table(target.table).with(FIELD, &specification);

    SettingActions::one(update_table(&SPEC, what, &body))
}

fn is_shown(table: &TableSchema, _: &SettingCall) -> bool {
    table.description.stream().is_some()
}
