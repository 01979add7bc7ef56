//! The Scan of a table of 10 TB, simulated in a thousandth of its size: `docs/PERFORMANCE.md` has the figures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::prices::{Price, Prices};
use super::scan_segments::{ScanPages, segments_for};
use super::source::ScanSource;
use super::testing::{aws_location, scans};
use crate::error::Result;
use crate::item::{Items, read_units};
use crate::schema::TableSchema;
use crate::store::{PageKey, PageMemoryPermit, ScanPage, ScanRequest, WireBytes};

const SCALE: u64 = 1000;
const TABLE_BYTES: u64 = 10_000_000_000_000;

/// Size of a page, by DynamoDB's count.
const PAGE_BYTES: u64 = 1024 * 1024;

/// Read units that a table serves per second, by AWS's default quota.
const UNITS_PER_SECOND: f64 = 40_000.0;

/// Time from a request to its response.
const LATENCY: Duration = Duration::from_millis(100);

/// More pages than can be in memory.
const ROOMS: usize = 10_000;

/// A table that serves pages at the quota, on the clock of the test.
#[derive(Clone)]
struct SimulatedTable {
    pages: u64,
    calls: Arc<AtomicUsize>,
    most_in_memory: Arc<AtomicUsize>,
    rooms: Arc<Semaphore>,
    /// When the capacity is available again.
    free_at: Arc<Mutex<Instant>>,
}

impl SimulatedTable {
    fn new(bytes: u64) -> Self {
        Self {
            pages: bytes.div_ceil(PAGE_BYTES),
            calls: Arc::default(),
            most_in_memory: Arc::default(),
            rooms: Arc::new(Semaphore::new(ROOMS)),
            free_at: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Takes the units of one page; returns when they are available.
    fn admit(&self, units: f64) -> Instant {
        let mut free_at = self.free_at.lock().unwrap();
        let start = (*free_at).max(Instant::now());
        *free_at = start + Duration::from_secs_f64(units / UNITS_PER_SECOND);

        start
    }

    /// The first page of a segment.
    fn first_page(&self, segment: u32, segments: u32) -> u64 {
        self.pages * u64::from(segment) / u64::from(segments)
    }
}

impl ScanPages for SimulatedTable {
    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let units = read_units(PAGE_BYTES, false);
        sleep_until(self.admit(units) + LATENCY).await;

        let room = Arc::clone(&self.rooms).acquire_owned().await.expect("open");
        let in_memory = ROOMS - self.rooms.available_permits();
        self.most_in_memory.fetch_max(in_memory, Ordering::Relaxed);

        let first = self.first_page(request.segment, request.total_segments);
        let end = self.first_page(request.segment + 1, request.total_segments);
        let page: u64 = request.start.as_ref().map_or(first, |start| {
            let digits = start.as_json().chars().filter(char::is_ascii_digit);
            digits.collect::<String>().parse().expect("a page")
        });
        let next = (page + 1 < end).then(|| {
            let key = format!(r#"{{"page":"{}"}}"#, page + 1);
            PageKey::from_json(&key).expect("a key")
        });
        let item = Bytes::from(format!(r#"{{"id":{{"N":"{page}"}}}}"#));

        Ok(ScanPage {
            items: Items::concat([&item]).expect("an item"),
            keys: Arc::default(),
            index_key_violations: Vec::new(),
            next,
            read_units: units,
            scanned: 1,
            wire: WireBytes::default(),
            memory_permit: PageMemoryPermit::new(room),
        })
    }
}

/// Scans a table of this size. Returns its pages, the number of calls, the seconds, and the most pages in memory.
async fn scan(bytes: u64) -> (u64, usize, f64, usize) {
    let table = SimulatedTable::new(bytes);
    let requests = scans(segments_for(bytes));
    let started = Instant::now();
    let mut chunks = ScanSource::new(table.clone(), requests).start(&CancellationToken::new());
    let mut pages = 0;
    while let Some(chunk) = chunks.next().await {
        chunk.expect("no call fails");
        pages += 1;
        // The disk takes more than a table can serve.
        sleep(Duration::from_millis(1)).await;
    }

    let calls = table.calls.load(Ordering::Relaxed);
    let in_memory = table.most_in_memory.load(Ordering::Relaxed);

    (pages, calls, started.elapsed().as_secs_f64(), in_memory)
}

#[tokio::test(start_paused = true)]
async fn a_scan_of_ten_terabytes_uses_the_whole_quota_in_the_memory_of_a_small_one() {
    let (pages, calls, seconds, in_memory) = scan(TABLE_BYTES / SCALE).await;
    assert_eq!(pages, 9_537);
    // One call for each page of 1 MiB: 9.5 million.
    assert_eq!(calls, 9_537);
    // 8 hours and 29 minutes, and less than a minute until the last response.
    let ideal = read_units(TABLE_BYTES / SCALE, false) / UNITS_PER_SECOND;
    assert!((30.5..30.6).contains(&ideal), "{ideal}");
    assert!((ideal..ideal * 1.02).contains(&seconds), "{seconds} s");

    let (.., in_memory_of_a_tenth) = scan(TABLE_BYTES / SCALE / 10).await;
    assert!(
        in_memory <= 64 && in_memory_of_a_tenth <= 64,
        "{in_memory}, {in_memory_of_a_tenth}"
    );
}

#[test]
fn the_prices_of_ten_terabytes_are_those_of_the_documentation() {
    let on_demand = json!({
        "TableName": "films",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    });
    let table = TableSchema::parse(on_demand.to_string().as_bytes()).expect("a table");
    let prices = Prices::of(&aws_location("us-east-1"), &table);
    let whole_usd = |price: Option<Price>| match price {
        Some(Price::Listed { usd, .. }) => format!("{usd:.0}"),
        other => panic!("{other:?}"),
    };

    let prices = [
        prices.reads(read_units(TABLE_BYTES, false)),
        prices.writes(TABLE_BYTES / 1000),
        prices.backup_storage(TABLE_BYTES),
        prices.restore(TABLE_BYTES),
    ]
    .map(whole_usd);
    assert_eq!(prices, ["153", "6250", "931", "1397"]);

    let documentation = include_str!("../../docs/PERFORMANCE.md");
    for figure in [
        "$153 on demand",
        "$6,250 on demand",
        "$931 per month",
        "$1,397",
        "9.54 million",
    ] {
        assert!(documentation.contains(figure), "{figure}");
    }
}
