//! A table that answers Scan calls as a test has scripted them, with bounded memory for pages like the real one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::item::{Items, KeyAttribute, KeySchema, KeyType};
use crate::ops::scan_segments::ScanPages;
use crate::ops::table_location::TableLocation;
use crate::store::{PageKey, PageMemoryPermit, ScanPage, ScanRequest, WireBytes};

/// The location of table `films` on AWS.
pub(crate) fn aws_location(region: &str) -> TableLocation {
    TableLocation {
        environment: "dev".to_owned(),
        table: "films".to_owned(),
        account: Some("123456789012".to_owned()),
        region: Some(region.to_owned()),
        endpoint: None,
        protected: false,
        local: false,
        credentials: "profile default, ~/.aws/credentials".to_owned(),
        sources: Vec::new(),
    }
}

/// Pages that fit in memory.
pub(crate) const ROOMS: u32 = 8;

/// No test may wait longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_mins(5);

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Page,
    /// A page with an item that lacks the table's key.
    Keyless,
    Fails,
    Panics,
    Never,
}

/// A table with this many pages in each segment.
#[derive(Clone)]
pub(crate) struct Scripted {
    pages: u32,
    script: fn(&ScanRequest) -> Answer,
    rooms: Arc<Semaphore>,
}

impl Scripted {
    pub(crate) fn new(pages: u32, script: fn(&ScanRequest) -> Answer) -> Self {
        Self {
            pages,
            script,
            rooms: Arc::new(Semaphore::new(ROOMS as usize)),
        }
    }

    /// Blocks until no page is in memory.
    pub(crate) fn all_rooms_return(&self) {
        until("all memory is free again", || {
            self.rooms.available_permits() == ROOMS as usize
        });
    }
}

/// Blocks until a condition holds.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        std::thread::yield_now();
    }
}

/// The key of the table.
pub(crate) fn key() -> KeySchema {
    KeySchema {
        partition: KeyAttribute {
            name: "id".to_owned(),
            kind: KeyType::N,
        },
        sort: None,
    }
}

/// The scans of all segments, from their beginning.
pub(crate) fn scans(segments: u32) -> Vec<ScanRequest> {
    let scan = |segment| ScanRequest {
        table: "films".to_owned(),
        segment,
        total_segments: segments,
        consistent_read: false,
        limit: None,
        start: None,
        selection: Arc::default(),
        key: Arc::new(key()),
        index_keys: Arc::default(),
        previous_keys: Arc::default(),
    };

    (0..segments).map(scan).collect()
}

impl ScanPages for Scripted {
    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let answer = (self.script)(request);
        match answer {
            Answer::Page | Answer::Keyless => {}
            Answer::Fails => return Err(Error::failed("the scan fails")),
            Answer::Panics => panic!("provoked"),
            Answer::Never => std::future::pending().await,
        }

        let room = Arc::clone(&self.rooms)
            .acquire_owned()
            .await
            .expect("it is never closed");

        let page: u32 = request.start.as_ref().map_or(0, |start| {
            start.as_json()[8..]
                .trim_matches(['"', '}'])
                .parse()
                .expect("a page")
        });

        let next = (page + 1 < self.pages)
            .then(|| PageKey::from_json(&format!(r#"{{"page":"{}"}}"#, page + 1)));
        let name = if answer == Answer::Keyless {
            "other"
        } else {
            "id"
        };

        let item = Bytes::from(format!(
            r#"{{"{name}":{{"N":"{}"}}}}"#,
            request.segment * self.pages + page
        ));
        let items = Items::concat([&item]).expect("an item");
        Ok(ScanPage {
            items,
            keys: Arc::default(),
            index_key_violations: Vec::new(),
            next: next.flatten(),
            read_units: 1.0,
            scanned: 1,
            wire: WireBytes::default(),
            memory_permit: PageMemoryPermit::new(room),
        })
    }
}
