//! The settings that `DescribeTable` does not tell, read beside a dump.
//!
//! None of these calls may hold a dump up or make it fail: they run at the same time, each is tried again a few times at most,
//! and all of them end by one deadline. What could not be had is told with its reason.

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
use super::control::Look;
use super::error::{Class, Fault};
use super::pagination::CycleDetector;
use super::retry::Retry;
use crate::schema::{Captured, Section, TableSchema};

/// After this long the dump goes on without what is still missing.
const DEADLINE: Duration = Duration::from_secs(10);

/// Calls in flight. A table with three GSIs takes fourteen, one with twenty some fifty.
const CALLS: usize = 16;

/// A server's fault often passes at once or not at all. Throttles are waited out until the deadline.
const TRIES_AFTER_FAULTS: usize = 2;

/// Pages read of one list: 50 tags and a few targets and policies are usual. A server that never ends ends here.
const PAGES: usize = 100;

/// Characters kept of a reason.
const REASON: usize = 200;

/// The answer's part that is kept, if there is any.
type Kept = Result<Option<Box<RawValue>>, Fault>;

/// Reads `sections` of the table that `schema` describes.
pub(crate) async fn capture(
    client: &Arc<Client>,
    schema: &TableSchema,
    sections: &[Section],
) -> Vec<(Section, Captured)> {
    let subject = Arc::new(Subject::of(Arc::clone(client), schema));
    let mut calls = JoinSet::new();
    for section in sections.iter().copied() {
        let subject = Arc::clone(&subject);
        calls.spawn(async move { (section, captured(subject.section(section).await)) });
    }

    let mut found = calls.join_all().await;
    found.sort_by_key(|(section, _)| *section);

    found
}

fn captured(kept: Kept) -> Captured {
    match kept {
        Ok(Some(document)) => Captured::Document(document),
        Ok(None) => Captured::Nothing,
        Err(fault) => Captured::NotCaptured(fault.words().chars().take(REASON).collect()),
    }
}

/// The table whose settings are read.
struct Subject {
    client: Arc<Client>,
    table: String,
    arn: Option<String>,
    stream_arn: Option<String>,
    indexes: Vec<String>,
    calls: Semaphore,
    /// In running time.
    deadline: Duration,
}

impl Subject {
    fn of(client: Arc<Client>, schema: &TableSchema) -> Self {
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
            indexes: indexes.collect(),
            calls: Semaphore::new(CALLS),
            deadline: client.retry().now() + DEADLINE,
            client,
        }
    }

    async fn section(self: &Arc<Self>, section: Section) -> Kept {
        match section {
            Section::TimeToLive => self.field(Look::TimeToLive, "TimeToLiveDescription").await,
            Section::Tags => array(
                &self
                    .pages(Look::Tags, json!({"ResourceArn": self.arn()?}), "Tags")
                    .await?,
            ),
            Section::ContinuousBackups => {
                self.field(Look::ContinuousBackups, "ContinuousBackupsDescription")
                    .await
            }
            Section::ResourcePolicy => self.policy(self.arn()?).await,
            Section::StreamResourcePolicy => match &self.stream_arn {
                Some(arn) => self.policy(arn).await,
                None => Ok(None),
            },
            Section::AutoScaling => self.auto_scaling().await,
            Section::ContributorInsights => self.insights().await,
            Section::KinesisDestinations => {
                self.field(Look::KinesisDestinations, "KinesisDataStreamDestinations")
                    .await
            }
        }
    }

    fn arn(&self) -> Result<&str, Fault> {
        self.arn
            .as_deref()
            .ok_or_else(|| Fault::impossible("the endpoint tells no ARN of the table"))
    }

    /// One field of the answer to a call that takes the table's name.
    async fn field(&self, look: Look, field: &str) -> Kept {
        let answer = self.look(look, &json!({"TableName": self.table})).await?;
        let kept = fields(&answer)?.remove(field);
        Ok(kept.filter(|value| !matches!(value.get(), "null" | "[]" | "{}")))
    }

    async fn policy(&self, arn: &str) -> Kept {
        match self
            .look(Look::ResourcePolicy, &json!({"ResourceArn": arn}))
            .await
        {
            Ok(answer) => read(&answer).map(Some),
            Err(fault) if is_no_policy(&fault) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn insights(self: &Arc<Self>) -> Kept {
        let mut bodies = vec![json!({"TableName": self.table})];
        bodies.extend(
            self.indexes
                .iter()
                .map(|index| json!({"TableName": self.table, "IndexName": index})),
        );

        let mut calls = JoinSet::new();
        for (order, body) in bodies.into_iter().enumerate() {
            let subject = Arc::clone(self);
            calls.spawn(
                async move { (order, subject.look(Look::ContributorInsights, &body).await) },
            );
        }

        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(order, _)| *order);
        let answers = answers.into_iter().map(|(_, answer)| read(&answer?));

        array(&answers.collect::<Result<Vec<_>, _>>()?)
    }

    /// Targets and policies of the table and its indexes. Policies are asked for by table or index, and at once: to wait for the
    /// targets first would take another round trip.
    async fn auto_scaling(self: &Arc<Self>) -> Kept {
        let indexes = self
            .indexes
            .iter()
            .map(|index| format!("table/{}/index/{index}", self.table));
        let resources: Vec<String> = std::iter::once(format!("table/{}", self.table))
            .chain(indexes)
            .collect();
        let mut calls = JoinSet::new();
        for (order, resource) in resources.iter().cloned().enumerate() {
            let subject = Arc::clone(self);
            let body = json!({"ServiceNamespace": "dynamodb", "ResourceId": resource});
            calls.spawn(async move {
                (
                    order,
                    subject
                        .pages(Look::ScalingPolicies, body, "ScalingPolicies")
                        .await,
                )
            });
        }

        let body = json!({"ServiceNamespace": "dynamodb", "ResourceIds": resources});
        let targets = self
            .pages(Look::ScalableTargets, body, "ScalableTargets")
            .await?;
        let mut answers = calls.join_all().await;
        answers.sort_by_key(|(order, _)| *order);
        let mut policies = Vec::new();
        for (_, answer) in answers {
            policies.extend(answer?);
        }

        if targets.is_empty() && policies.is_empty() {
            return Ok(None);
        }

        let (targets, policies) = (joined(&targets), joined(&policies));
        raw(format!(
            r#"{{"ScalableTargets":{targets},"ScalingPolicies":{policies}}}"#
        ))
        .map(Some)
    }

    /// Every element of a list that comes in pages.
    async fn pages(
        &self,
        look: Look,
        mut body: Value,
        list: &str,
    ) -> Result<Vec<Box<RawValue>>, Fault> {
        let mut elements = Vec::new();
        let mut cycle = CycleDetector::default();
        for _ in 0..PAGES {
            let answer = self.look(look, &body).await?;
            let mut page = fields(&answer)?;
            if let Some(found) = page.remove(list).filter(|found| found.get() != "null") {
                elements.extend(read::<Vec<Box<RawValue>>>(found.get().as_bytes())?);
            }

            match page
                .remove("NextToken")
                .map(|token| read::<Value>(token.get().as_bytes()))
                .transpose()?
            {
                Some(Value::String(token)) if !token.is_empty() => {
                    cycle.advance(&token)?;
                    body["NextToken"] = Value::String(token);
                }
                _ => return Ok(elements),
            }
        }

        Err(Fault::impossible(format!(
            "{list} has more than {PAGES} pages"
        )))
    }

    /// One call, tried again for as long as that is of use.
    async fn look(&self, look: Look, body: &Value) -> Result<Bytes, Fault> {
        let body = Bytes::from(body.to_string());
        let call = async {
            let _permit = self.calls.acquire().await;
            let mut faults = 0;
            for wait in Retry::waits() {
                match self.client.look(look, body.clone()).await {
                    Err(fault) if fault.class == Class::Throttled => {}
                    Err(fault)
                        if fault.class == Class::Transient && faults < TRIES_AFTER_FAULTS =>
                    {
                        faults += 1;
                    }
                    answer => return answer,
                }

                sleep(wait).await;
            }

            Err(Fault::timeout())
        };

        let answer = self.client.retry().clock().until(self.deadline, call).await;

        answer.unwrap_or_else(|| Err(Fault::timeout()))
    }
}

/// DynamoDB's ways to say that there is no policy.
fn is_no_policy(fault: &Fault) -> bool {
    fault.class == Class::NotFound || fault.code.as_deref() == Some("PolicyNotFoundException")
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(text)
        .map_err(|error| Fault::broken_body("the answer cannot be read").with_source(error))
}

fn fields(answer: &[u8]) -> Result<HashMap<String, Box<RawValue>>, Fault> {
    read(answer)
}

fn raw(text: String) -> Result<Box<RawValue>, Fault> {
    RawValue::from_string(text)
        .map_err(|error| Fault::broken_body("the answer is not JSON").with_source(error))
}

/// The elements as one array; none for none.
fn array(elements: &[Box<RawValue>]) -> Kept {
    if elements.is_empty() {
        Ok(None)
    } else {
        raw(joined(elements)).map(Some)
    }
}

fn joined(elements: &[Box<RawValue>]) -> String {
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
