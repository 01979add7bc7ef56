//! Kinesis destinations.

use serde::Deserialize;

use super::actions::call;
use super::operation::Operation;
use super::spec::{DefaultRule, SettingActions, SettingCall, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::plain;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::{SectionView, is_on};
use crate::schema::json_body::JsonBody;

const LABEL: &str = "Kinesis destinations";

const CHANGE: Operation = Operation::dynamodb("EnableKinesisStreamingDestination");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: "none",
    default: DefaultRule::SameTable("only restored to the dumped table itself"),
    sections: &[SECTION],
    changing_operations: &[CHANGE],
    ..SettingSpec::new("kinesis", LABEL, words, actions)
};

const SECTION: Section = Section::new(
    "KinesisDestinations",
    LABEL,
    Reading::Field(
        Operation::dynamodb("DescribeKinesisStreamingDestination"),
        "KinesisDataStreamDestinations",
    ),
    &plain(&[
        "ApproximateCreationDateTimePrecision",
        "DestinationStatus",
        "DestinationStatusDescription",
        "StreamArn",
    ]),
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KinesisDestination {
    stream_arn: String,
    destination_status: Option<String>,
    approximate_creation_date_time_precision: Option<String>,
}

fn destinations(schema: &TableSchema) -> SectionView<Vec<KinesisDestination>> {
    schema
        .view::<Vec<KinesisDestination>>(SECTION)
        .and_then(|mut destinations| {
            destinations.retain(|destination| is_on(destination.destination_status.as_deref()));
            (!destinations.is_empty()).then_some(destinations)
        })
}

fn streams_in_words(destinations: &[KinesisDestination]) -> String {
    let mut streams: Vec<_> = destinations
        .iter()
        .map(|destination| destination.stream_arn.as_str())
        .collect();
    streams.sort_unstable();
    streams.join(", ")
}

fn words(schema: &TableSchema) -> SectionView<String> {
    destinations(schema).map(|destinations| streams_in_words(&destinations))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(destinations(schema), LABEL, |destinations| {
        let label = if destinations.len() == 1 {
            "Kinesis destination"
        } else {
            LABEL
        };

        SettingActions {
            description: Some(format!("{label} {}", streams_in_words(&destinations))),
            calls: destinations
                .iter()
                .map(|destination| enable(destination, target.table))
                .collect(),
            not_applied: Vec::new(),
        }
    })
}

fn enable(destination: &KinesisDestination, table: &str) -> SettingCall {
    let stream = &destination.stream_arn;
    let precision = destination
        .approximate_creation_date_time_precision
        .as_ref();
    let configuration = precision
        .map(|precision| JsonBody::new().with("ApproximateCreationDateTimePrecision", precision));
    let body = JsonBody::for_table(table)
        .with("StreamArn", stream)
        .with_some(
            "EnableKinesisStreamingConfiguration",
            configuration.as_ref(),
        );

    call(&SPEC, CHANGE, format!("Kinesis stream {stream}"), &body).adding(stream)
}
