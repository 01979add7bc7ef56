//! Reads the settings that `DescribeTable` does not return, concurrently with a dump.
//!
//! These calls must neither delay a dump nor make it fail: they run concurrently, each is retried
//! only a few times, and all of them share one deadline. A section that could not be read is
//! reported with its reason.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::Client;
use super::pagination::CycleDetector;
use super::retry::Retry;
use crate::aws::error::{ErrorClass, RequestError};
use crate::schema::{Captured, Encryption, Operation, Reading, Resource, Section, TableSchema};

/// Time after which missing sections are given up.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of in-flight calls. A table with three GSIs needs 14 calls, one with twenty about
/// 50.
const MAX_IN_FLIGHT: usize = 16;

/// Maximum number of server errors per call: they usually pass quickly or not at all. Throttled
/// calls are retried until the deadline.
const MAX_SERVER_ERRORS: usize = 2;

/// Maximum number of pages of one list. 50 tags and a few targets and policies are typical; a
/// server whose list never ends is stopped here.
const MAX_LIST_PAGES: usize = 100;

/// Maximum length of a reason.
const MAX_REASON_CHARS: usize = 200;

/// A section's document, or `None` if the table does not have the setting.
type SectionResult = Result<Option<Box<RawValue>>, RequestError>;

/// Reads `sections` of the table that `schema` describes.
pub(crate) async fn capture(
    client: &Arc<Client>,
    schema: &TableSchema,
    sections: &[Section],
) -> Vec<(Section, Captured)> {
    let reader = Arc::new(TableReader::new(Arc::clone(client), schema));
    let mut calls = JoinSet::new();
    for section in sections.iter().copied() {
        let reader = Arc::clone(&reader);
        calls.spawn(async move { (section, into_captured(reader.section(section).await)) });
    }

    let mut found = calls.join_all().await;
    // Calls finish in any order; the result must not depend on it.
    found.sort_by_key(|(section, _)| sections.iter().position(|one| one == section));

    found
}

fn into_captured(value: SectionResult) -> Captured {
    match value {
        Ok(Some(document)) => Captured::Document(document),
        Ok(None) => Captured::Nothing,
        Err(error) => Captured::NotCaptured {
            is_unsupported: error.is_unsupported_operation(),
            is_denied: error.is_access_denied(),
            reason: error
                .code_and_message()
                .chars()
                .take(MAX_REASON_CHARS)
                .collect(),
        },
    }
}

/// Reads the settings of one table.
struct TableReader {
    client: Arc<Client>,
    table: String,
    arn: Option<String>,
    stream_arn: Option<String>,
    kms_key: Option<String>,
    indexes: Vec<String>,
    calls: Semaphore,
    /// In running time (see `clock`).
    deadline: Duration,
}

impl TableReader {
    fn new(client: Arc<Client>, schema: &TableSchema) -> Self {
        let description = schema.description();
        let indexes = description
            .global_secondary_indexes
            .iter()
            .map(|index| index.index_name.clone());
        Self {
            table: description.table_name.clone().unwrap_or_default(),
            arn: description.table_arn.clone(),
            stream_arn: description
                .stream()
                .and(description.latest_stream_arn.clone()),
            kms_key: match description.encryption() {
                Encryption::Kms(key) => key.map(ToOwned::to_owned),
                Encryption::AwsOwned | Encryption::AwsManaged => None,
            },
            indexes: indexes.collect(),
            calls: Semaphore::new(MAX_IN_FLIGHT),
            deadline: client.retry().now() + CAPTURE_TIMEOUT,
            client,
        }
    }

    async fn section(self: &Arc<Self>, section: Section) -> SectionResult {
        match section.reading() {
            Reading::Field(operation, field) => {
                let body = json!({"TableName": self.table});
                self.read_field(operation, &body, field).await
            }
            Reading::Key(operation, field) => match &self.kms_key {
                Some(key) => {
                    let body = json!({"KeyId": key});
                    self.read_field(operation, &body, field).await
                }
                None => Ok(None),
            },
            Reading::List(operation, list) => {
                let body = json!({"ResourceArn": self.arn()?});
                json_array(&self.read_list(operation, body, list).await?)
            }
            Reading::Document(operation, Resource::Table) => {
                self.document(operation, self.arn()?).await
            }
            Reading::Document(operation, Resource::Stream) => match &self.stream_arn {
                Some(arn) => self.document(operation, arn).await,
                None => Ok(None),
            },
            Reading::PerIndex(operation) => self.per_index(operation).await,
            Reading::AutoScaling { targets, policies } => {
                self.auto_scaling(targets, policies).await
            }
        }
    }

    fn arn(&self) -> Result<&str, RequestError> {
        self.arn.as_deref().ok_or_else(|| {
            RequestError::invalid_request("the endpoint returns no ARN for the table")
        })
    }

    /// Returns one field of the response to a call.
    async fn read_field(&self, operation: Operation, body: &Value, field: &str) -> SectionResult {
        let answer = self.call(operation, body).await?;
        let value = parse_fields(&answer)?.remove(field);
        // An absent setting may be reported as an empty value.
        Ok(value.filter(|value| !matches!(value.get(), "null" | "[]" | "{}")))
    }

    async fn document(&self, operation: Operation, arn: &str) -> SectionResult {
        match self.call(operation, &json!({"ResourceArn": arn})).await {
            Ok(answer) => parse(&answer).map(Some),
            Err(error) if is_missing_document(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the responses for the table, then for its indexes in order.
    async fn per_index(self: &Arc<Self>, operation: Operation) -> SectionResult {
        let mut bodies = vec![json!({"TableName": self.table})];
        bodies.extend(
            self.indexes
                .iter()
                .map(|index| json!({"TableName": self.table, "IndexName": index})),
        );

        let mut calls = JoinSet::new();
        for (order, body) in bodies.into_iter().enumerate() {
            let reader = Arc::clone(self);
            calls.spawn(async move { (order, reader.call(operation, &body).await) });
        }

        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(order, _)| *order);
        let answers = answers.into_iter().map(|(_, answer)| parse(&answer?));

        json_array(&answers.collect::<Result<Vec<_>, _>>()?)
    }

    /// Returns the scaling targets and policies of the table and its indexes. Policies are
    /// requested per table or index without waiting for the targets, which saves a round trip.
    async fn auto_scaling(
        self: &Arc<Self>,
        targets: Operation,
        policies: Operation,
    ) -> SectionResult {
        let indexes = self
            .indexes
            .iter()
            .map(|index| format!("table/{}/index/{index}", self.table));
        let resources: Vec<String> = std::iter::once(format!("table/{}", self.table))
            .chain(indexes)
            .collect();
        let mut calls = JoinSet::new();
        for (order, resource) in resources.iter().cloned().enumerate() {
            let reader = Arc::clone(self);
            let body = json!({"ServiceNamespace": "dynamodb", "ResourceId": resource});
            calls.spawn(async move {
                (
                    order,
                    reader.read_list(policies, body, "ScalingPolicies").await,
                )
            });
        }

        let body = json!({"ServiceNamespace": "dynamodb", "ResourceIds": resources});
        let targets = self.read_list(targets, body, "ScalableTargets").await?;
        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(order, _)| *order);
        let mut policies = Vec::new();
        for (_, answer) in answers {
            policies.extend(answer?);
        }

        // Without targets and policies, the table has no scaling settings to record.
        if targets.is_empty() && policies.is_empty() {
            return Ok(None);
        }

        let (targets, policies) = (join_array(&targets), join_array(&policies));
        raw_json(format!(
            r#"{{"ScalableTargets":{targets},"ScalingPolicies":{policies}}}"#
        ))
        .map(Some)
    }

    /// Returns all elements of a paginated list.
    async fn read_list(
        &self,
        operation: Operation,
        mut body: Value,
        list: &str,
    ) -> Result<Vec<Box<RawValue>>, RequestError> {
        let mut elements = Vec::new();
        let mut cycle = CycleDetector::default();
        for _ in 0..MAX_LIST_PAGES {
            let answer = self.call(operation, &body).await?;
            let mut page = parse_fields(&answer)?;
            if let Some(found) = page.remove(list).filter(|found| found.get() != "null") {
                elements.extend(parse::<Vec<Box<RawValue>>>(found.get().as_bytes())?);
            }

            match page
                .remove("NextToken")
                .map(|token| parse::<Value>(token.get().as_bytes()))
                .transpose()?
            {
                Some(Value::String(token)) if !token.is_empty() => {
                    cycle.advance(&token)?;
                    body["NextToken"] = Value::String(token);
                }
                _ => return Ok(elements),
            }
        }

        Err(RequestError::invalid_request(format!(
            "{list} has more than {MAX_LIST_PAGES} pages"
        )))
    }

    /// Makes one call, with retries until the deadline.
    async fn call(&self, operation: Operation, body: &Value) -> Result<Bytes, RequestError> {
        let body = Bytes::from(body.to_string());
        // Bounds the calls of all sections together. Each ends by its deadline.
        let _permit = self.calls.acquire().await;
        let turn = self.client.setting_turn(operation).await;
        let now = self.client.retry().now();
        // While many tables are dumped, most of the time may have passed before the call may be sent.
        let deadline = if turn.was_delayed {
            self.deadline.max(now + CAPTURE_TIMEOUT)
        } else {
            self.deadline
        };

        let mut turn = Some(turn);
        let call = async {
            let mut server_errors = 0;
            for wait in Retry::backoff() {
                let turn = match turn.take() {
                    Some(turn) => turn,
                    None => self.client.setting_turn(operation).await,
                };
                let answer = self
                    .client
                    .call_setting_in_turn(&turn, operation, body.clone());
                match answer.await {
                    Err(error) if error.class == ErrorClass::Throttled => {}
                    Err(error)
                        if error.class == ErrorClass::Transient
                            && server_errors < MAX_SERVER_ERRORS =>
                    {
                        server_errors += 1;
                    }
                    answer => return answer,
                }

                sleep(wait).await;
            }

            Err(RequestError::timeout())
        };

        let answer = self.client.retry().clock().until(deadline, call).await;

        answer.unwrap_or_else(|| Err(RequestError::timeout()))
    }
}

/// Whether an error says that the resource has no such document.
fn is_missing_document(error: &RequestError) -> bool {
    error.class == ErrorClass::NotFound || error.code.as_deref() == Some("PolicyNotFoundException")
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, RequestError> {
    serde_json::from_slice(text).map_err(RequestError::unreadable_response)
}

fn parse_fields(answer: &[u8]) -> Result<HashMap<String, Box<RawValue>>, RequestError> {
    parse(answer)
}

fn raw_json(text: String) -> Result<Box<RawValue>, RequestError> {
    RawValue::from_string(text).map_err(|error| {
        RequestError::damaged_response("the response is not JSON").with_source(error)
    })
}

/// Returns the elements as one JSON array; `None` if there are none.
fn json_array(elements: &[Box<RawValue>]) -> SectionResult {
    if elements.is_empty() {
        Ok(None)
    } else {
        raw_json(join_array(elements)).map(Some)
    }
}

fn join_array(elements: &[Box<RawValue>]) -> String {
    let mut text = String::from("[");
    for (position, element) in elements.iter().enumerate() {
        let _ = write!(
            text,
            "{}{}",
            if position > 0 { "," } else { "" },
            element.get()
        );
    }

    text.push(']');

    text
}
