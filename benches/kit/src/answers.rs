//! What the stub answers to each call.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;

use crate::bucket::Bucket;
use crate::counted::Counters;
use crate::pages::{Answer, Pages, Place};
use crate::partitions::{PartitionScan, PartitionedTable};
use crate::tables::{self, ControlReply, SmallTables};

/// Bytes in pieces.
pub struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// The stub's state.
pub struct Stub {
    pub pages: Pages,
    /// Answers in place of the pages.
    pub partitioned: Option<PartitionedTable>,
    /// Answers in place of the pages.
    pub small_tables: Option<SmallTables>,
    pub counters: Arc<Counters>,
    pub gzip: bool,
    pub latency: Duration,
    pub reads: Option<Bucket>,
    pub writes: Option<Bucket>,
}

type Reply = Response<Pieces>;

impl Stub {
    /// Answers one call.
    ///
    /// # Errors
    /// The connection broke off.
    pub async fn answer(&self, request: Request<Incoming>) -> Result<Reply, hyper::Error> {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        match path {
            "/counters" => return Ok(text(self.counters.report())),
            "/seconds" => {
                let report = self.partitioned.as_ref().map(PartitionedTable::report);
                return Ok(text(report.unwrap_or_else(|| "{}".to_owned())));
            }
            "/control" => {
                let report = self.small_tables.as_ref().map(SmallTables::report);
                return Ok(text(report.unwrap_or_else(|| "{}".to_owned())));
            }
            "/forget" => {
                self.counters.forget();
                self.small_tables.iter().for_each(SmallTables::forget);
                self.partitioned.iter().for_each(PartitionedTable::forget);
                return Ok(text("{}".to_owned()));
            }
            _ => {}
        }

        self.counters.calls.fetch_add(1, Ordering::Relaxed);

        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }

        if let Some(page) = path.strip_prefix("/pages/") {
            let page = page.parse().unwrap_or(0);
            let place = Place { page, item: 0, end: page + 2, limit: usize::MAX };
            return Ok(page_reply(self.pages.answer(place, false), false));
        }

        let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let gzip = self.gzip
            && head
                .headers
                .get("accept-encoding")
                .is_some_and(|value| value.as_bytes().windows(4).any(|w| w == b"gzip"));

        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = body.collect().await?.to_bytes();
        Ok(match (operation.as_str(), &self.small_tables) {
            ("Scan", Some(_)) => text(tables::scan(&body)),
            ("BatchWriteItem", _) => self.batch_write(&body),
            (operation, Some(tables)) => match tables.answer(operation, &body) {
                ControlReply::Accepted(answer) => text(answer),
                ControlReply::Refused { kind, message } => {
                    self.counters.throttled.fetch_add(1, Ordering::Relaxed);
                    refusal(kind, message)
                }
            },
            ("Scan", None) => self.scan(&body, gzip),
            ("DescribeTable", None) => self.describe(&body),
            _ => refusal("UnknownOperationException", "the stub does not know it"),
        })
    }

    fn scan(&self, body: &[u8], gzip: bool) -> Reply {
        let Ok(request) = serde_json::from_slice::<Value>(body) else { return refusal("SerializationException", "") };
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let pages = pages_of(&request);
        let segments = number(&request["TotalSegments"]).unwrap_or(1).max(1);
        let segment = number(&request["Segment"]).unwrap_or(0);
        let key = &request["ExclusiveStartKey"];
        let limit = number(&request["Limit"]).and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let factor = if request["ConsistentRead"].as_bool() == Some(true) { 2.0 } else { 1.0 };

        if let Some(table) = &self.partitioned {
            let start = number(&key["customer"]["S"]);
            return match table.scan(&PartitionScan { segment, segments, start, limit, factor }) {
                Some(answer) => page_reply(answer, false),
                None => self.throttle_key_range("Read"),
            };
        }

        let place = Place {
            page: number(&key["customer"]["S"]).unwrap_or(segment * pages / segments),
            item: number(&key["order"]["S"]).and_then(|item| usize::try_from(item).ok()).unwrap_or(0),
            end: (segment + 1) * pages / segments,
            limit,
        };

        if place.page >= place.end {
            return text(r#"{"Count":0,"ScannedCount":0,"Items":[]}"#.to_owned());
        }

        let answer = self.pages.answer(place, gzip);
        if self.reads.as_ref().is_some_and(|bucket| !bucket.take(answer.units * factor)) {
            return self.throttle();
        }

        let is_compressed = gzip && answer.chunks.len() == 3;

        page_reply(answer, is_compressed)
    }

    fn batch_write(&self, body: &[u8]) -> Reply {
        if let Some(table) = &self.partitioned {
            let Ok(written) = table.batch_write(body) else { return refusal("SerializationException", "") };
            self.counters.items_written.fetch_add(written.items, Ordering::Relaxed);
            return written.body.map_or_else(|| self.throttle_key_range("Write"), text);
        }

        let items = memchr::memmem::find_iter(body, br#"{"PutRequest":"#).count() as u64;
        let average = body.len() as u64 / items.max(1);
        let units = f64::from(u32::try_from(items * average.div_ceil(1024)).unwrap_or(u32::MAX));
        if self.writes.as_ref().is_some_and(|bucket| !bucket.take(units)) {
            return self.throttle();
        }

        self.counters.items_written.fetch_add(items, Ordering::Relaxed);
        text(format!(
            r#"{{"UnprocessedItems":{{}},"ConsumedCapacity":[{{"TableName":"bench","CapacityUnits":{units:.1}}}]}}"#
        ))
    }

    fn describe(&self, body: &[u8]) -> Reply {
        let request = serde_json::from_slice(body).unwrap_or(Value::Null);
        let name = request["TableName"].as_str().unwrap_or("bench");
        let (items, bytes) = match &self.partitioned {
            Some(table) => table.size(),
            None => self.pages.size(pages_of(&request)),
        };
        text(format!(
            r#"{{"Table":{{"TableName":"{name}","TableArn":"arn:aws:dynamodb:us-east-1:000000000000:table/{name}","TableStatus":"ACTIVE","CreationDateTime":1.7e9,"AttributeDefinitions":[{{"AttributeName":"customer","AttributeType":"S"}},{{"AttributeName":"order","AttributeType":"S"}}],"KeySchema":[{{"AttributeName":"customer","KeyType":"HASH"}},{{"AttributeName":"order","KeyType":"RANGE"}}],"BillingModeSummary":{{"BillingMode":"PAY_PER_REQUEST"}},"ItemCount":{items},"TableSizeBytes":{bytes}}}}}"#
        ))
    }

    fn throttle(&self) -> Reply {
        self.counters.throttled.fetch_add(1, Ordering::Relaxed);
        refusal("ProvisionedThroughputExceededException", "the level of configured throughput was exceeded")
    }

    /// Throttles a call as DynamoDB does if a partition has no units left.
    fn throttle_key_range(&self, direction: &str) -> Reply {
        self.counters.throttled.fetch_add(1, Ordering::Relaxed);
        let mut reply = text(format!(
            r#"{{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"the capacity of a partition was exceeded","ThrottlingReasons":[{{"reason":"Table{direction}KeyRangeThroughputExceeded","resource":"arn:aws:dynamodb:us-east-1:000000000000:table/bench"}}]}}"#
        ));
        *reply.status_mut() = hyper::StatusCode::BAD_REQUEST;
        reply
    }
}

/// The number that the table's name ends in.
fn pages_of(request: &Value) -> u64 {
    let name = request["TableName"].as_str().unwrap_or_default();
    name.rsplit('-').next().and_then(|pages| pages.parse().ok()).unwrap_or(1)
}

fn page_reply(answer: Answer, gzip: bool) -> Reply {
    let mut reply = Response::builder()
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-crc32", answer.crc.to_string())
        .header("x-amzn-requestid", "STUB");
    if gzip {
        reply = reply.header("content-encoding", "gzip");
    }

    reply.body(Pieces(answer.chunks.into())).expect("the headers are valid")
}

fn text(body: String) -> Reply {
    let answer = Answer { crc: crc32fast::hash(body.as_bytes()), chunks: vec![Bytes::from(body)], units: 0.0 };
    page_reply(answer, false)
}

fn refusal(kind: &str, message: &str) -> Reply {
    let mut reply = text(format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"{message}"}}"#));
    *reply.status_mut() = hyper::StatusCode::BAD_REQUEST;
    reply
}
