//! Reading: descriptions, names, Scan pages. Bodies are built and parsed here; the items in them are only cut out.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::client::Client;
use super::error::{Class, Fault};
use super::pagination::CycleDetector;
use super::seam::Body;
use super::{PageKey, Room, ScanPage, ScanRequest};
use crate::error::{Error, Result};
use crate::item::{cut_items, cut_page, read_units};
use crate::schema::TableSchema;

/// Names listed at most: they serve a hint, not an inventory.
const NAMES_LISTED: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ScanRest<'a> {
    #[serde(borrow)]
    last_evaluated_key: Option<&'a RawValue>,
    /// The array that was emptied.
    items: Option<IgnoredAny>,
    count: Option<u64>,
    scanned_count: Option<u64>,
    consumed_capacity: Option<ConsumedCapacity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumedCapacity {
    pub(crate) capacity_units: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamesPage {
    #[serde(default)]
    table_names: Vec<String>,
    last_evaluated_table_name: Option<String>,
}

/// The text of a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Client {
    /// `DescribeTable`, verbatim; `None` when there is no such table.
    pub(crate) async fn describe(&self, table: &str) -> Result<Option<TableSchema>> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, quoted(table)));
        let answer = self
            .run("DescribeTable", || {
                self.send_describe_table(table, body.clone())
            })
            .await;

        match answer {
            Ok(text) => {
                let schema =
                    TableSchema::parse(&text).map_err(|error| self.no_description(table, error))?;
                self.remember(table, &schema);
                Ok(Some(schema))
            }
            Err(fault) if fault.class == Class::NotFound => Ok(None),
            Err(fault) => Err(self.tell(fault, "DescribeTable", table)),
        }
    }

    /// An answer to `DescribeTable` that describes nothing: it says more about who answers than about the table.
    fn no_description(&self, table: &str, error: Error) -> Error {
        Error::failed(format!(
            "the answer to DescribeTable {table} describes no table"
        ))
        .with_hint(format!("is {} a DynamoDB endpoint?", self.endpoint()))
        .with_source(error)
    }

    /// Names of tables, in DynamoDB's order, at most [`NAMES_LISTED`].
    pub(crate) async fn table_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut body = Bytes::from_static(b"{}");
        let mut cycle = CycleDetector::default();
        loop {
            let answer = self
                .run("ListTables", || self.send_list_tables(body.clone()))
                .await;
            let text = answer.map_err(|fault| self.tell(fault, "ListTables", "of this account"))?;
            let page: NamesPage = parse(&text, "ListTables")?;
            names.extend(page.table_names);

            match page.last_evaluated_table_name {
                Some(last) if names.len() < NAMES_LISTED => {
                    cycle
                        .advance(&last)
                        .map_err(|fault| self.tell(fault, "ListTables", "of this account"))?;
                    body = Bytes::from(format!(
                        r#"{{"ExclusiveStartTableName":{}}}"#,
                        quoted(&last)
                    ));
                }
                _ => return Ok(names),
            }
        }
    }

    /// One page of a Scan.
    pub(crate) async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let answer = self
            .run_on("Scan", Some(&request.table), || self.scan_once(request))
            .await;
        answer.map_err(|fault| {
            let is_refused = fault.class == Class::Invalid && !request.selection.is_empty();
            let words = fault.message.clone();
            let error = self.tell(fault, "Scan", &place(request));
            if is_refused {
                refused_selection(&words, error)
            } else {
                error
            }
        })
    }

    /// Asks once, for no larger a page than the table or a cap allows.
    async fn scan_once(&self, request: &ScanRequest) -> Result<ScanPage, Fault> {
        let lane = self.read_gates().of(&request.table);
        let choose = |budget| {
            let quote = lane.page_price.quote(budget, request.limit);
            (quote, quote.units)
        };
        let (pass, quote) = lane.gate.pass_with(choose).await;
        self.retry().called();
        let with_gzip = self.wire().asks();
        let sent = self.retry().now();
        let page = self
            .send_scan(&request.table, scan_body(request, quote.limit), with_gzip)
            .await;
        let page = page.and_then(|(body, room)| {
            let page = scan_page(body, request).map_err(|fault| fault.sent_by(self.endpoint()))?;
            Ok(ScanPage { room, ..page })
        });
        match &page {
            Ok(page) => {
                // An engine that tells no consumption is taken to consume what DynamoDB would.
                let units = if page.read_units > 0.0 {
                    page.read_units
                } else {
                    read_units(page.items.text_bytes(), request.consistent_read)
                };

                self.wire()
                    .answered(with_gzip, page.wire.inflated, self.retry().since(sent));
                lane.page_price.learn(page.looked_at, units, quote.limit);
                pass.taken(units);
            }
            Err(fault) if fault.class == Class::Throttled => pass.throttled(0.0, quote.units),
            Err(_) => drop(pass),
        }

        page
    }
}

/// An expression that DynamoDB does not take.
fn refused_selection(words: &str, error: Error) -> Error {
    Error::usage(format!("DynamoDB refuses --filter or --projection: {words}"))
        .with_hint("names and literals are replaced by placeholders (#dd0, :dd0), in the order in which they stand")
        .with_source(error)
}

fn scan_body(request: &ScanRequest, limit: Option<u32>) -> Bytes {
    use std::fmt::Write;

    let mut body = format!(
        r#"{{"TableName":{},"ReturnConsumedCapacity":"TOTAL""#,
        quoted(&request.table)
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

    body.push_str(&request.selection.members());

    if let Some(key) = &request.start {
        let _ = write!(body, r#","ExclusiveStartKey":{}"#, key.as_json());
    }

    body.push('}');

    Bytes::from(body)
}

/// The table, and the segment if it is read in several.
fn place(request: &ScanRequest) -> String {
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

/// Cuts the items out of the response to `request`, checks them, and reads the rest. A damaged page is requested again: one with an
/// item that an inspection of the dump would report, or whose `Count` is not the number of its items.
fn scan_page(body: Body, request: &ScanRequest) -> Result<ScanPage, Fault> {
    let Body { text, wire } = body;
    let (cut, keys) = match cut_page(text.clone(), &request.key, &request.before) {
        Ok(cut) => cut,
        Err(error) => {
            // A server that sends the same pages again says so in the position, too, and would do it each time.
            if let Ok(cut) = cut_items(text, &["Items"]) {
                next_key(&scan_rest(&cut.rest)?, request)?;
            }

            return Err(Fault::broken_body(format!("damaged page: {error}")));
        }
    };

    let rest = scan_rest(&cut.rest)?;
    let items = cut.items.len() as u64;
    if rest.items.is_none() && rest.count.is_none() {
        return Err(Fault::broken_body(
            "page with neither items nor their count",
        ));
    }

    if let Some(count) = rest.count.filter(|count| *count != items) {
        return Err(Fault::broken_body(format!(
            "page that says Count {count} but holds {items} items"
        )));
    }

    Ok(ScanPage {
        next: next_key(&rest, request)?,
        looked_at: rest.scanned_count.unwrap_or(items).max(items),
        items: cut.items,
        keys: Arc::new(keys),
        room: Room::default(),
        read_units: rest
            .consumed_capacity
            .and_then(|capacity| capacity.capacity_units)
            .unwrap_or(0.0),
        wire,
    })
}

/// What a Scan response says besides its items.
fn scan_rest(rest: &[u8]) -> Result<ScanRest<'_>, Fault> {
    serde_json::from_slice(rest)
        .map_err(|error| Fault::broken_body("damaged page").with_source(error))
}

/// Where the page after this one starts.
fn next_key(rest: &ScanRest<'_>, request: &ScanRequest) -> Result<Option<PageKey>, Fault> {
    let last = rest.last_evaluated_key.filter(|key| key.get() != "null");
    last.map(|key| PageKey::after(request.start.as_ref(), key.get()))
        .transpose()
}

fn parse<'a, T: Deserialize<'a>>(text: &'a [u8], operation: &str) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        Error::failed(format!("the answer to {operation} cannot be read")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{KeyAttribute, KeySchema, KeyType};
    use crate::store::WireBytes;

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
            before: Arc::default(),
        }
    }

    fn page_of(text: &'static [u8]) -> Result<ScanPage, Fault> {
        scan_page(
            Body {
                text: Bytes::from_static(text),
                wire: WireBytes::default(),
            },
            &request(None),
        )
    }

    #[test]
    fn a_page_whose_count_is_wrong_is_asked_for_again() {
        let fault = page_of(br#"{"Items":[{"a":{"S":"x"}}],"Count":2}"#).unwrap_err();
        assert!(fault.is_passing());
        assert!(
            fault.message.contains("Count 2 but holds 1"),
            "{}",
            fault.message
        );
    }

    #[test]
    fn a_null_last_key_ends_the_segment() {
        let page = page_of(br#"{"Items":[],"Count":0,"LastEvaluatedKey":null}"#).unwrap();
        assert_eq!(page.next, None);
    }

    #[test]
    fn the_last_key_goes_back_byte_for_byte() {
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
