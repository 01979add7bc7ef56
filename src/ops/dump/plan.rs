//! The plan of a dump, computed without reading items or creating files.

use std::sync::Arc;

use serde::Serialize;

use super::DumpRequest;
use super::backup_plan::plan_backup;
use super::interrupted::{InterruptedDump, SavedDump, dump_origin, find_for_request};
use crate::backup::{DataFile, DumpTarget, TargetContents};
use crate::environment::{Approval, Environment, Question};
use crate::error::Result;
use crate::item::read_units;
use crate::ops::cap::AppliedCap;
use crate::ops::describe_existing;
use crate::ops::guard::{self, Connection, DumpFacts, DumpedTable, Fact, Findings};
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::prices::Prices;
use crate::ops::route::Route;
use crate::ops::route_advice::RouteAdvice;
use crate::ops::scan_cost::ScanCost;
use crate::ops::scan_segments::{check_limit, segments_for};
use crate::ops::table_location::TableLocation;
use crate::schema::{TableOutline, TableSchema};
use crate::store::{Reader, Selection};

/// The plan of a dump.
#[derive(Debug, Serialize)]
pub struct DumpPlan {
    /// The table to read.
    pub source: TableLocation,
    /// The on-demand backup that will contain the data, if that is the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<PlannedBackup>,
    /// Folder or file to write; `-` is standard output.
    pub target: String,
    /// Whether an existing dump is replaced.
    pub replaces: bool,
    /// Name of the data file, if the target is a folder.
    pub data_file: Option<&'static str>,
    /// Description of the table: keys, indexes, billing, settings.
    #[serde(rename = "table")]
    pub outline: TableOutline,
    /// Number of items by DynamoDB's count, which is updated about every six hours.
    pub items: u64,
    /// Size in bytes by DynamoDB's count.
    pub bytes: u64,
    /// Estimated read units of the scan.
    pub read_units: f64,
    /// Estimated time and price of the scan; `None` without one, or if DynamoDB has not counted the items.
    pub scan_cost: Option<ScanCost>,
    /// A route that would be faster or burden the table less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<RouteAdvice>,
    /// Number of scan segments.
    pub segments: u32,
    /// Maximum number of items.
    pub limit: Option<u64>,
    /// Filter expression.
    pub filter: Option<String>,
    /// Projection expression; `None` means all attributes.
    pub projection: Option<String>,
    /// Description of each step of the transform.
    pub transform: Vec<String>,
    /// Whether reads are strongly consistent.
    pub consistent_read: bool,
    /// Cap on read units per second: the requested one, or the default for a protected table.
    pub max_read_units: Option<AppliedCap>,
    /// Whether this dump resumes the one in `unfinished`.
    pub resumes: bool,
    /// An interrupted dump into the same target, which is discarded unless `resumes` is set.
    pub unfinished: Option<InterruptedDump>,
    /// Warnings to show before the dump.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) saved: Option<Box<SavedDump>>,
    #[serde(skip)]
    pub(crate) selection: Arc<Selection>,
    #[serde(skip)]
    pub(crate) schema: TableSchema,
    #[serde(skip)]
    pub(crate) request: DumpRequest,
    #[serde(skip)]
    questions: Vec<Question>,
}

impl DumpPlan {
    /// The questions to be answered before [`run`](fn@super::run).
    #[must_use]
    pub fn approval(&self) -> Approval {
        let action = format!("Replace the dump in {}", self.target);
        Approval::for_dump(action, self.questions.clone())
    }

    /// The warning that an interrupted dump is discarded.
    #[must_use]
    pub fn discard_warning(&self) -> Option<String> {
        let interrupted = self.unfinished.as_ref().filter(|_| !self.resumes)?;
        Some(guard::discarded_dump(interrupted))
    }

    /// Applies the cap on reads.
    pub(crate) fn cap_reads(&self, store: &Reader) {
        let cap = self.max_read_units.as_ref();
        if let Some(units) = cap.and_then(|cap| cap.units_per_second) {
            store.cap_reads(&self.source.table, units);
        }
    }

    /// Resumes the interrupted dump, if there is one and nothing prevents it.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        if let (Some(found), Some(saved)) = (&self.unfinished, &self.saved)
            && found.obstacles.is_empty()
        {
            self.resumes = true;
            self.segments = saved.origin.segments;
            let whole = self.read_units;
            self.read_units = (whole - found.consumed_read_units).max(0.0);
            self.scan_cost = self
                .scan_cost
                .map(|cost| cost.of_part(self.read_units / whole));
            self.advice = None;
        }

        self
    }

    /// Items and bytes that the interrupted dump has already written, if it is resumed.
    pub(crate) fn resumed_size(&self) -> DataSize {
        let saved = self.resumed_dump();
        saved.map_or(DataSize::default(), |saved| DataSize {
            items: saved.progress.items(),
            bytes: saved.progress.text_bytes(),
        })
    }

    /// The interrupted dump, if it is resumed.
    pub(crate) fn resumed_dump(&self) -> Option<&SavedDump> {
        self.saved.as_deref().filter(|_| self.resumes)
    }

    /// Items and bytes that remain to be read, by DynamoDB's count.
    pub(crate) fn remaining_size(&self) -> DataSize {
        let resumed = self.resumed_size();
        let items = self.limit.map_or(self.items, |limit| limit.min(self.items));
        DataSize {
            items: items.saturating_sub(resumed.items),
            bytes: self.bytes.saturating_sub(resumed.bytes),
        }
    }
}

/// An amount of data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct DataSize {
    pub(crate) items: u64,
    /// Size of the item text.
    pub(crate) bytes: u64,
}

/// Computes the plan of a dump: describes the table and inspects the target.
///
/// # Errors
/// The table does not exist or cannot be read; the target folder is neither empty nor a dump; the dump to resume is damaged, or of
/// another table or with other options ([`Usage`](crate::error::ErrorKind::Usage)).
pub async fn plan(
    store: &Reader,
    environment: &Environment,
    mut request: DumpRequest,
) -> Result<DumpPlan> {
    check_limit(request.scan.limit, request.scan.segments)?;

    let table = request.table_name(environment)?;
    // The target comes first: it needs no request to DynamoDB.
    let contents = request.target.contents()?;
    let schema = describe_existing(store, environment, &table).await?;
    let selection = bind_to_table(&mut request, &schema)?;
    let location = TableLocation::new(environment, &table, store.credentials())
        .with_proxy(store.proxy())
        .with_description(&schema);
    let max_read_units = AppliedCap::for_reads(request.scan.max_read_units, &location, &schema)?;
    let bytes = schema.description().table_size_bytes.unwrap_or(0);
    let segments = segments(&request, bytes);
    let backup = plan_backup(store, &request, &table).await?;
    let backup = backup.map(|backup| priced(backup, &location, &schema));
    let mut warnings = Vec::new();
    let saved = find_for_request(&request, &mut warnings)?;
    let unfinished = saved.as_ref().map(|saved| {
        let origin = dump_origin(&location, &schema, &request, segments);
        InterruptedDump::new(saved, origin, has_fixed_segments(&request))
    });
    let dumped = DumpedTable {
        location: &location,
        schema: &schema,
    };
    let interrupted = unfinished.as_ref();
    let findings = findings(&request, environment, &contents, dumped, interrupted)?;
    warnings.extend(findings.warnings);
    let scan_cost = scan_cost(&request, &location, &schema, max_read_units.as_ref());

    let resume = request.resume;
    let plan = DumpPlan {
        target: target_name(&request.target),
        replaces: matches!(contents, TargetContents::Dump(_) | TargetContents::Set(_)),
        data_file: data_file(&request),
        outline: schema.outline(),
        items: schema.description().item_count.unwrap_or(0),
        bytes,
        read_units: scan_read_units(&request, bytes),
        advice: RouteAdvice::new(&location, &schema, scan_cost.as_ref(), request.is_whole()),
        scan_cost,
        segments,
        limit: request.scan.limit,
        filter: request.scan.selection.filter().map(ToOwned::to_owned),
        projection: request.scan.selection.projection().map(ToOwned::to_owned),
        transform: request.transform.descriptions().collect(),
        selection,
        backup,
        consistent_read: request.scan.consistent_read,
        max_read_units,
        resumes: false,
        unfinished,
        warnings,
        saved,
        source: location,
        schema,
        request,
        questions: findings.questions,
    };

    Ok(if resume { plan.resumed() } else { plan })
}

/// The warnings and questions of the guard.
fn findings(
    request: &DumpRequest,
    environment: &Environment,
    replaced: &TargetContents,
    table: DumpedTable<'_>,
    interrupted: Option<&InterruptedDump>,
) -> Result<Findings> {
    guard::dump(&DumpFacts {
        request,
        connection: &Connection::new(environment),
        replaced: Fact::Known(replaced),
        table: Fact::Known(table),
        interrupted: Fact::Known(interrupted),
    })
}

/// Whether the segments, which a resumed dump must have again, were chosen by the user.
fn has_fixed_segments(request: &DumpRequest) -> bool {
    request.scan.segments.is_some() || request.scan.limit.is_some()
}

/// The backup with the price of its storage.
fn priced(backup: PlannedBackup, location: &TableLocation, schema: &TableSchema) -> PlannedBackup {
    let bytes = schema.description().table_size_bytes.unwrap_or(0);
    PlannedBackup {
        storage_per_month: Prices::of(location, schema).backup_storage(bytes),
        ..backup
    }
}

/// Estimated time and price of the Scan. A limit ends it early, at a point that is not known.
fn scan_cost(
    request: &DumpRequest,
    location: &TableLocation,
    schema: &TableSchema,
    cap: Option<&AppliedCap>,
) -> Option<ScanCost> {
    let bytes = schema.description().table_size_bytes.unwrap_or(0);
    let is_scan = request.route == Route::Scan && request.content.includes_items();
    let is_estimated = is_scan && bytes > 0 && request.scan.limit.is_none();

    is_estimated.then(|| ScanCost::new(location, schema, cap, scan_read_units(request, bytes)))
}

/// Gives the table's key to the transform and to the projection, which always includes it.
fn bind_to_table(request: &mut DumpRequest, schema: &TableSchema) -> Result<Arc<Selection>> {
    if !request.transform.is_empty() {
        let transform = std::mem::take(&mut request.transform);
        request.transform = transform.for_table(&schema.key_schema()?, &schema.index_keys())?;
    }

    request.scan.selection_of(schema)
}

/// Estimated read units of the dump.
fn scan_read_units(request: &DumpRequest, bytes: u64) -> f64 {
    match request.route {
        Route::Scan => read_units(bytes, request.scan.consistent_read),
        Route::Backup(_) => 0.0,
    }
}

fn segments(request: &DumpRequest, bytes: u64) -> u32 {
    if request.scan.limit.is_some() {
        return 1;
    }

    request.scan.segments.unwrap_or_else(|| segments_for(bytes))
}

/// The target as shown in plans and summaries.
fn target_name(target: &DumpTarget) -> String {
    match target {
        DumpTarget::Folder(path) | DumpTarget::File(path) => path.display().to_string(),
        DumpTarget::Stdout => "-".to_owned(),
    }
}

fn data_file(request: &DumpRequest) -> Option<&'static str> {
    let folder = matches!(request.target, DumpTarget::Folder(_)) && request.route == Route::Scan;
    (folder && request.content.includes_items()).then(|| {
        DataFile {
            format: request.format,
            compression: request.compression,
        }
        .name()
    })
}
