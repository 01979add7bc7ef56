//! Read operations: `DescribeTable`, `ListTables` and `Scan`. Request bodies are built here and
//! responses parsed; the items in them are only located.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::client::Client;
use super::json::{ConsumedCapacity, json_string};
use super::pagination::CycleDetector;
use super::recovery::{CallTarget, RetryContext};
use super::{PageKey, PageMemoryPermit, ScanPage, ScanRequest, WireBytes};
use crate::aws::ResponseBody;
use crate::aws::error::{ErrorClass, RequestError};
use crate::error::{Error, Result};
use crate::item::{read_units, split_items, split_page};
use crate::schema::TableSchema;

/// Maximum number of table names that are listed to suggest one of them.
pub(super) const MAX_SUGGESTED_NAMES: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanMembers<'a> {
    #[serde(borrow)]
    last_evaluated_key: Option<&'a RawValue>,
    /// The array, from which the items were removed.
    items: Option<IgnoredAny>,
    count: Option<u64>,
    scanned_count: Option<u64>,
    consumed_capacity: Option<ConsumedCapacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListTablesResponse {
    #[serde(default)]
    table_names: Vec<String>,
    last_evaluated_table_name: Option<String>,
}

impl Client {
    /// Returns the `DescribeTable` response, verbatim; `None` if the table does not exist.
    pub(crate) async fn describe(&self, table: &str) -> Result<Option<TableSchema>> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, json_string(table)));
        let answer = self
            .with_retries(CallTarget::Table(table), || {
                self.send_describe_table(table, body.clone())
            })
            .await;

        match answer {
            // Remembered, so that a later error can tell whether the table was recreated.
            Ok(answer) => {
                let schema = TableSchema::parse(&answer.text).map_err(|error| {
                    let error =
                        RequestError::not_dynamodb("the response does not describe a table")
                            .with_source(error)
                            .in_context(&answer.context);
                    self.operation_error(error, table)
                })?;
                self.remember(table, &schema);
                self.record_dynamodb_answer();
                Ok(Some(schema))
            }
            Err(error) if error.class == ErrorClass::NotFound => {
                self.record_dynamodb_answer();
                Ok(None)
            }
            Err(error) => Err(self.operation_error(error, table)),
        }
    }

    /// Names of tables, in DynamoDB's order; not many more than `enough`.
    pub(crate) async fn table_names(&self, enough: usize) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut body = Bytes::from_static(b"{}");
        let mut cycle = CycleDetector::default();
        loop {
            let answer = self
                .with_retries(CallTarget::Account, || self.send_list_tables(body.clone()))
                .await;
            let failed = |error| self.operation_error(error, "of this account");
            let answer = answer.map_err(failed)?;
            let not_names = |error: RequestError| failed(error.in_context(&answer.context));
            let page: ListTablesResponse = serde_json::from_slice(&answer.text)
                .map_err(|error| not_names(RequestError::unreadable_response(error)))?;
            names.extend(page.table_names);

            match page.last_evaluated_table_name {
                Some(last) if names.len() < enough => {
                    cycle.advance(&last).map_err(not_names)?;
                    body = Bytes::from(format!(
                        r#"{{"ExclusiveStartTableName":{}}}"#,
                        json_string(&last)
                    ));
                }
                _ => return Ok(names),
            }
        }
    }

    /// Reads one page of a Scan.
    pub(crate) async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.scan_with_retries(request).await.map_err(|error| {
            // Only this case has a more helpful message than the error itself.
            let is_refused = error.class == ErrorClass::Invalid && !request.selection.is_empty();
            let message = error.message.clone();
            let error = self.operation_error(error, &scan_target(request));
            if is_refused {
                selection_error(&message, error)
            } else {
                error
            }
        })
    }

    async fn scan_with_retries(&self, request: &ScanRequest) -> Result<ScanPage, RequestError> {
        let mut retries = self.retry_context(CallTarget::Items(&request.table));
        loop {
            match self.scan_once(request, &retries).await {
                Ok(page) => {
                    retries.record_success();
                    return Ok(page);
                }
                Err(error) => retries.prepare_retry(error).await?,
            }
        }
    }

    /// Requests a page once, of the size that the table's rate and the cap allow.
    async fn scan_once(
        &self,
        request: &ScanRequest,
        retries: &RetryContext<'_>,
    ) -> Result<ScanPage, RequestError> {
        let throughput = self.read_limiters().for_table(&request.table);
        let (permit, planned) = throughput
            .scans
            .acquire(
                &throughput.limiter,
                &throughput.page_cost,
                (request.segment, request.total_segments),
                request.limit,
                self.memory_share(),
            )
            .await;
        retries.record_call();
        let gzip_policy = self.gzip_policies().for_table(&request.table);
        // Decided per page, while measurements of both encodings arrive.
        let with_gzip = gzip_policy.next_uses_gzip();
        let sent = retries.clock().now();
        let body = scan_body(request, planned.limit);
        let page = self
            .send_scan(
                &request.table,
                &throughput,
                body,
                with_gzip,
                retries.clock(),
            )
            .await;
        let page = page.and_then(|(body, memory_permit)| {
            let context = body.context.clone();
            let page = scan_page(body, request).map_err(|error| error.in_context(&context))?;
            Ok(ScanPage {
                memory_permit,
                ..page
            })
        });
        match &page {
            Ok(page) => {
                // If an engine reports no consumption, assume what DynamoDB would consume.
                let units = if page.read_units > 0.0 {
                    page.read_units
                } else {
                    read_units(page.items.text_bytes(), request.consistent_read)
                };

                let took = retries.clock().now().saturating_sub(sent);
                gzip_policy.record(with_gzip, page.wire.decompressed, took);
                throughput
                    .page_cost
                    .record(page.scanned, units, planned.limit);
                permit.succeeded(units);
            }
            Err(error) => permit.failed(error),
        }

        page
    }
}

/// The error for a filter or projection that DynamoDB rejects.
fn selection_error(message: &str, error: Error) -> Error {
    Error::usage(format!("DynamoDB rejected the filter or projection expression: {message}"))
        .with_hint("names and literals are replaced by placeholders (#dd0, :dd0) in the order in which they appear")
        .with_source(error)
}

fn scan_body(request: &ScanRequest, limit: Option<u32>) -> Bytes {
    use std::fmt::Write;

    let mut body = format!(
        r#"{{"TableName":{},"ReturnConsumedCapacity":"TOTAL""#,
        json_string(&request.table)
    );
    if request.total_segments > 1 {
        let _ = write!(
            body,
            r#","Segment":{},"TotalSegments":{}"#,
            request.segment, request.total_segments
        );
    }

    if request.consistent_read {
        body.push_str(r#","ConsistentRead":true"#);
    }

    if let Some(limit) = limit {
        let _ = write!(body, r#","Limit":{limit}"#);
    }

    body.push_str(&request.selection.request_members());

    if let Some(key) = &request.start {
        let _ = write!(body, r#","ExclusiveStartKey":{}"#, key.as_json());
    }

    body.push('}');

    Bytes::from(body)
}

/// Names the table, and the segment if there are several.
fn scan_target(request: &ScanRequest) -> String {
    if request.total_segments > 1 {
        format!(
            "{} segment {} of {}",
            request.table,
            request.segment + 1,
            request.total_segments
        )
    } else {
        request.table.clone()
    }
}

/// Locates and checks the items in the response to `request`, and parses the rest. A damaged page
/// is requested again: one with an item that the check of the dump would report, or whose `Count`
/// does not match.
fn scan_page(body: ResponseBody, request: &ScanRequest) -> Result<ScanPage, RequestError> {
    let wire = WireBytes {
        received: body.received,
        decompressed: body.text.len() as u64,
    };
    let text = body.text;
    let cut = split_page(
        text.clone(),
        &request.key,
        &request.index_keys,
        &request.previous_keys,
    );
    let (cut, keys, index_key_violations) = match cut {
        Ok(cut) => cut,
        Err(error) => {
            // A server that repeats a page usually repeats its position too. That error is final,
            // so it takes precedence over a retry.
            if let Ok(cut) = split_items(text, &["Items"]) {
                next_key(&scan_members(&cut.rest)?, request)?;
            }

            return Err(RequestError::damaged_response(format!(
                "the page is damaged: {error}"
            )));
        }
    };

    let rest = scan_members(&cut.rest)?;
    let items = cut.items.len() as u64;
    if rest.items.is_none() && rest.count.is_none() {
        return Err(RequestError::damaged_response(
            "the page contains neither items nor their count",
        ));
    }

    if let Some(count) = rest.count.filter(|count| *count != items) {
        return Err(RequestError::damaged_response(format!(
            "the page says Count {count} but holds {items} items"
        )));
    }

    Ok(ScanPage {
        next: next_key(&rest, request)?,
        // `ScannedCount` may be missing or too small in the response of an engine.
        scanned: rest.scanned_count.unwrap_or(items).max(items),
        items: cut.items,
        keys: Arc::new(keys),
        index_key_violations,
        memory_permit: PageMemoryPermit::default(),
        read_units: rest
            .consumed_capacity
            .and_then(|capacity| capacity.capacity_units)
            .unwrap_or(0.0),
        wire,
    })
}

/// Parses the members of a Scan response other than the items.
fn scan_members(rest: &[u8]) -> Result<ScanMembers<'_>, RequestError> {
    serde_json::from_slice(rest)
        .map_err(|error| RequestError::damaged_response("the page is damaged").with_source(error))
}

/// The key after which the next page starts.
fn next_key(
    rest: &ScanMembers<'_>,
    request: &ScanRequest,
) -> Result<Option<PageKey>, RequestError> {
    let last = rest.last_evaluated_key.filter(|key| key.get() != "null");
    last.map(|key| PageKey::after(request.start.as_ref(), key.get()))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{ApiOperation, RequestContext};
    use crate::item::{KeyAttribute, KeySchema, KeyType};

    fn key() -> KeySchema {
        KeySchema {
            partition: KeyAttribute {
                name: "a".to_owned(),
                kind: KeyType::S,
            },
            sort: None,
        }
    }

    fn request(start: Option<PageKey>) -> ScanRequest {
        ScanRequest {
            table: "t\"t".into(),
            segment: 1,
            total_segments: 3,
            consistent_read: true,
            limit: Some(7),
            start,
            selection: Arc::default(),
            key: Arc::new(key()),
            index_keys: Arc::default(),
            previous_keys: Arc::default(),
        }
    }

    fn page_of(text: &'static [u8]) -> Result<ScanPage, RequestError> {
        scan_page(
            ResponseBody {
                text: Bytes::from_static(text),
                context: Box::new(RequestContext::new(ApiOperation::SCAN)),
                received: 0,
            },
            &request(None),
        )
    }

    #[test]
    fn a_page_with_a_wrong_count_is_requested_again() {
        let error = page_of(br#"{"Items":[{"a":{"S":"x"}}],"Count":2}"#).unwrap_err();
        assert!(error.is_retryable());
        assert!(
            error.message.contains("Count 2 but holds 1"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_null_last_key_ends_the_segment() {
        let page = page_of(br#"{"Items":[],"Count":0,"LastEvaluatedKey":null}"#).unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn the_last_key_is_sent_back_byte_for_byte() {
        let page =
            br#"{"Count":0,"Items":[],"LastEvaluatedKey":{"n":{"N":"1.50"}, "s":{"S":"\u00e9"}}}"#;
        let next = page_of(page).unwrap().next;
        let request = request(next);
        assert_eq!(
            scan_body(&request, request.limit),
            Bytes::from_static(
                concat!(
                    r#"{"TableName":"t\"t","ReturnConsumedCapacity":"TOTAL","Segment":1,"TotalSegments":3,"#,
                    r#""ConsistentRead":true,"Limit":7,"ExclusiveStartKey":{"n":{"N":"1.50"}, "s":{"S":"\u00e9"}}}"#
                )
                .as_bytes()
            )
        );
    }
}
