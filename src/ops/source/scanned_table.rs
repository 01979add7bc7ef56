//! A live table as the source of items that are written to another table.

use std::fmt;
use std::sync::Arc;

use serde_json::json;

use super::scan::ScanSource;
use super::scan_options::ScanOptions;
use crate::backup::SegmentProgress;
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::cap::AppliedCap;
use crate::ops::identity::table_id;
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::scan_segments::{
    MAX_CONCURRENT_SEGMENTS, check_limit, remaining_scans, segments_for,
};
use crate::ops::table_location::TableLocation;
use crate::ops::{describe_existing, recreated};
use crate::place::digest::hex_sha256;
use crate::schema::{Section, TableSchema};
use crate::store::{Reader, Selection};

/// Size of the pages. Small pages of many segments spread the writes over the partitions of the target.
const PAGE_BYTES: u64 = 128 * 1024;

/// Size of an item before any is known.
const ITEM_BYTES: u64 = 1024;

/// The Scan of a table.
#[derive(Debug, Clone, Default)]
pub struct TableScan {
    /// Name of the table.
    pub table: String,
    /// Which of its items are read, and how.
    pub options: ScanOptions,
}

/// A live table whose items are read. Its `Display` names it.
#[derive(Clone)]
pub(crate) struct ScannedTable {
    pub(crate) store: Reader,
    pub(crate) location: TableLocation,
    /// The table with its settings.
    pub(crate) schema: TableSchema,
    pub(crate) scan: TableScan,
    selection: Arc<Selection>,
    /// Number of segments of a Scan from the beginning.
    pub(crate) segments: u32,
    pub(crate) max_read_units: Option<AppliedCap>,
    /// The backup from which DynamoDB restores the items, if they are not read.
    pub(crate) backup: Option<PlannedBackup>,
    pub(crate) warnings: Vec<String>,
}

impl ScannedTable {
    /// Describes a table and reads its settings.
    ///
    /// # Errors
    /// The table does not exist or cannot be described; the options contradict each other or do not fit the table.
    pub(crate) async fn open(
        store: &Reader,
        environment: &Environment,
        scan: TableScan,
    ) -> Result<Self> {
        let TableScan { table, options } = &scan;
        check_limit(options.limit, options.segments)?;

        let described = describe_existing(store, environment, table).await?;
        let location = TableLocation::new(environment, table, store.credentials())
            .with_proxy(store.proxy())
            .with_description(&described);
        let max_read_units = AppliedCap::for_reads(options.max_read_units, &location, &described)?;
        let selection = options.selection_of(&described)?;

        let sections = store.capture(&described, &Section::all()).await;
        let schema = described.with_sections(sections);
        let warnings = unfinished_warning(&schema, table);
        let segments = segments(options, &schema, location.local);

        Ok(Self {
            store: store.clone(),
            schema: schema.without_restoring_tag(),
            selection,
            segments,
            max_read_units,
            backup: None,
            warnings: warnings.into_iter().collect(),
            location,
            scan,
        })
    }

    /// The same table with strongly consistent reads.
    pub(crate) fn with_consistent_reads(&self) -> Self {
        let mut table = self.clone();
        table.scan.options.consistent_read = true;

        table
    }

    /// The position of each segment at the beginning.
    pub(crate) fn first_positions(&self) -> Vec<SegmentProgress> {
        vec![SegmentProgress::NotBegun; self.segments as usize]
    }

    /// The Scan of all segments from their positions, in small pages, within the cap on reads.
    ///
    /// # Errors
    /// A position of a journal contains an invalid key; the schema has no usable key.
    pub(crate) fn source(&self, positions: &[SegmentProgress]) -> Result<ScanSource<Reader>> {
        if let Some(units) = self
            .max_read_units
            .as_ref()
            .and_then(|cap| cap.units_per_second)
        {
            self.store.cap_reads(&self.scan.table, units);
        }

        let table = (self.scan.table.as_str(), &self.schema);
        let selection = Arc::clone(&self.selection);
        let whole = self
            .scan
            .options
            .first_request(table, self.segments, selection)?;
        let requests = remaining_scans(&whole, positions)?;

        Ok(
            ScanSource::new(self.store.clone(), requests)
                .in_pages_of(PAGE_BYTES, self.item_bytes()),
        )
    }

    /// Average size of an item by DynamoDB's count.
    fn item_bytes(&self) -> u64 {
        let description = self.schema.description();
        let (bytes, items) = (description.table_size_bytes, description.item_count);
        let average = bytes
            .zip(items)
            .and_then(|(bytes, items)| bytes.checked_div(items));

        average.filter(|bytes| *bytes > 0).unwrap_or(ITEM_BYTES)
    }

    /// Why not all items of the table are read.
    pub(crate) fn partial_reasons(&self) -> Vec<String> {
        let limit = self
            .scan
            .options
            .limit
            .map(|limit| format!("limit {limit}"));
        let filter = self
            .scan
            .options
            .selection
            .filter()
            .map(|_| "filter".to_owned());
        let projection = self.scan.options.selection.projection();
        let projection = projection.map(|_| "projection".to_owned());

        [limit, filter, projection].into_iter().flatten().collect()
    }

    /// Identifies the table and the items that are read of it, whatever the number of segments.
    pub(crate) fn content_sha256(&self) -> String {
        let content = json!([
            self.location.endpoint,
            self.location.account,
            self.location.region,
            self.location.table,
            table_id(&self.schema),
            self.scan.options.selection.filter_identity(),
            self.scan.options.selection.projection_identity(),
            self.scan.options.limit,
        ]);

        hex_sha256(content.to_string().as_bytes())
    }

    /// Checks that the table was not recreated since it was described.
    ///
    /// # Errors
    /// It was deleted or recreated.
    pub(crate) async fn check_not_recreated(&self) -> Result<()> {
        recreated::check_not_recreated(&self.store, &self.scan.table, &self.schema).await
    }
}

impl fmt::Display for ScannedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (table, environment) = (&self.location.table, &self.location.environment);
        write!(f, "table {table} of environment {environment}")
    }
}

/// The number of segments: enough for the pages in memory to be of many partitions.
fn segments(options: &ScanOptions, schema: &TableSchema, local: bool) -> u32 {
    if options.limit.is_some() {
        return 1;
    }

    let bytes = schema.description().table_size_bytes.unwrap_or(0);
    let by_size = match bytes {
        // The table is empty, or DynamoDB has not updated its size yet. Scanning empty segments costs almost nothing.
        0 if !local => MAX_CONCURRENT_SEGMENTS,
        bytes => {
            let pages = u32::try_from(bytes.div_ceil(PAGE_BYTES)).unwrap_or(u32::MAX);
            segments_for(bytes).max(pages.clamp(1, MAX_CONCURRENT_SEGMENTS))
        }
    };

    options.segments.unwrap_or(by_size)
}

/// The warning that the table is the target of an unfinished restore.
fn unfinished_warning(schema: &TableSchema, table: &str) -> Option<String> {
    let value = schema.restoring_tag()?;

    Some(format!(
        "A restore of table {table} has not finished ({tag}: {value}): it may lack items. The tag is not copied.",
        tag = crate::schema::RESTORING_TAG
    ))
}
