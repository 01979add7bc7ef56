//! Carries a dump out: segment scans in parallel, one writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DumpSummary;
use super::plan::DumpPlan;
use crate::backup::{Access, DumpOptions, DumpTarget, DumpWriter, MetadataDraft};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::Items;
use crate::ops::blocking;
use crate::schema::{Captured, Section, TableSchema};
use crate::store::{ReadStore, ScanRequest};

/// Pages waiting for the writer.
const PAGES_WAITING: usize = 4;

/// Dumps as planned. Stops cleanly when `cancel` fires; the dump that stood before stays.
///
/// # Errors
/// The table cannot be read to its end; the target cannot be written; interrupted. The target is then as it was before.
pub async fn run<S>(
    store: &S,
    plan: DumpPlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpSummary>
where
    S: ReadStore + Clone + 'static,
{
    let started = Instant::now();
    let started_at = Utc::now();
    if let Some(units) = plan.max_read_units {
        store.cap_reads(units, plan.read_units);
    }
    let mut writer = DumpWriter::begin(&plan.request.target, &options(&plan))?;
    let capturing = capture(store, &plan);
    let mut read = Read::default();
    if plan.request.content.data() {
        reporter.report(Event::Phase {
            phase: Phase::Dumping,
            items: Some(plan.expected_items()),
            bytes: Some(plan.bytes),
        });
        (writer, read) = copy(store, &plan, writer, &reporter, &cancel).await?;
    }
    let finished_at = Utc::now();
    let schema = captured(&plan, capturing).await?;
    let draft = metadata(&plan, &schema, &read, (started_at, finished_at));
    let schema = plan.request.content.schema().then_some(schema);
    let finished = blocking("writing the dump", move || writer.finish(schema.as_ref(), draft)).await?;
    finished.warnings.into_iter().for_each(|warning| reporter.report(Event::Warning(warning)));
    let file = finished.metadata.files.values().max_by_key(|file| file.bytes);
    Ok(DumpSummary {
        target: plan.target,
        files: finished.paths.iter().map(|path| path.display().to_string()).collect(),
        items: finished.metadata.items,
        data_bytes: finished.metadata.data_bytes,
        file_bytes: file.map_or(0, |file| file.bytes),
        consumed_read_units: read.units,
        segments: plan.segments,
        complete: finished.metadata.complete,
        not_captured: finished.metadata.not_captured,
        started_at,
        finished_at,
        seconds: started.elapsed().as_secs_f64(),
        source: plan.source,
    })
}

/// Reads the settings that `DescribeTable` does not tell while the items are read, so that a dump takes no longer for them.
fn capture<S>(store: &S, plan: &DumpPlan) -> JoinSet<Vec<(Section, Captured)>>
where
    S: ReadStore + Clone + 'static,
{
    let mut capturing = JoinSet::new();
    let has_schema_file = matches!(plan.request.target, DumpTarget::Folder(_)) && plan.request.content.schema();
    if has_schema_file {
        let (store, schema) = (store.clone(), plan.schema.clone());
        capturing.spawn(async move { store.capture(&schema, &Section::ALL).await });
    }
    capturing
}

/// The schema with what was captured.
async fn captured(plan: &DumpPlan, mut capturing: JoinSet<Vec<(Section, Captured)>>) -> Result<TableSchema> {
    let schema = plan.schema.clone();
    match capturing.join_next().await {
        None => Ok(schema),
        Some(Ok(sections)) => Ok(schema.with_sections(sections)),
        Some(Err(error)) => Err(Error::failed("reading the table's settings was cut off").with_source(error)),
    }
}

fn options(plan: &DumpPlan) -> DumpOptions {
    DumpOptions {
        format: plan.request.format,
        compression: plan.request.compression,
        schema_only: !plan.request.content.data(),
        access: if plan.source.local { Access::Shared } else { Access::Private },
        state_dir: plan.request.state_dir.clone(),
    }
}

/// What the scans did.
#[derive(Debug, Default, Clone, Copy)]
struct Read {
    units: f64,
    /// Whether the limit stopped the Scan before its end.
    limited: bool,
}

/// Moves the items from the table into the writer.
async fn copy<S>(
    store: &S,
    plan: &DumpPlan,
    mut writer: DumpWriter,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<(DumpWriter, Read)>
where
    S: ReadStore + Clone + 'static,
{
    let (pages, mut waiting) = mpsc::channel::<Items>(PAGES_WAITING);
    let listener = Arc::clone(reporter);
    let output = tokio::spawn(blocking("writing the dump", move || {
        while let Some(items) = waiting.blocking_recv() {
            writer.append(&items)?;
            listener.report(Event::Progress { items: items.len() as u64, bytes: items.text_bytes() });
        }
        Ok(writer)
    }));
    let mut scans = JoinSet::new();
    for segment in 0..plan.segments {
        let scan =
            Scan { request: request(plan, segment), left: plan.limit, pages: pages.clone(), cancel: cancel.clone() };
        scans.spawn(scan.run(store.clone()));
    }
    drop(pages);
    let read = gather(scans).await;
    let writer = output.await.map_err(|error| Error::failed("writing the dump was cut off").with_source(error))?;
    // A writer that failed is why the scans stopped; its error is the cause.
    let writer = writer?;
    let read = read?;
    if cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Interrupted, "interrupted: the dump was not finished")
            .with_hint("run the same command again; a dump that stood there before is untouched"));
    }
    Ok((writer, read))
}

/// Waits for every scan; the first failure stops the others.
async fn gather(mut scans: JoinSet<Result<Read>>) -> Result<Read> {
    let mut total = Read::default();
    while let Some(joined) = scans.join_next().await {
        let read = joined.map_err(|error| Error::failed("a scan was cut off").with_source(error))??;
        total.units += read.units;
        total.limited |= read.limited;
    }
    Ok(total)
}

fn request(plan: &DumpPlan, segment: u32) -> ScanRequest {
    ScanRequest {
        table: plan.source.table.clone(),
        segment,
        total_segments: plan.segments,
        consistent_read: plan.consistent_read,
        limit: None,
        start: None,
    }
}

/// One segment.
struct Scan {
    request: ScanRequest,
    /// Items still wanted, where there is a limit.
    left: Option<u64>,
    pages: mpsc::Sender<Items>,
    cancel: CancellationToken,
}

impl Scan {
    async fn run<S: ReadStore>(mut self, store: S) -> Result<Read> {
        let mut read = Read::default();
        while !self.cancel.is_cancelled() && self.left != Some(0) {
            self.request.limit = self.left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
            let mut page = store.scan(&self.request).await?;
            read.units += page.read_units;
            if let Some(left) = &mut self.left {
                page.items.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= page.items.len() as u64;
            }
            // The writer has failed when it does not listen any more; it says why.
            if !page.items.is_empty() && self.pages.send(page.items).await.is_err() {
                return Ok(read);
            }
            match page.next {
                Some(next) => self.request.start = Some(next),
                None => return Ok(read),
            }
        }
        read.limited = self.left == Some(0);
        Ok(read)
    }
}

fn metadata(
    plan: &DumpPlan,
    schema: &TableSchema,
    read: &Read,
    (started_at, finished_at): (DateTime<Utc>, DateTime<Utc>),
) -> MetadataDraft {
    let mut partial = BTreeMap::new();
    if let Some(limit) = plan.limit.filter(|_| read.limited) {
        partial.insert("limit".to_owned(), limit.into());
    }
    if !plan.request.content.data() {
        partial.insert("schema_only".to_owned(), true.into());
    }
    let description = schema.description();
    MetadataDraft {
        environment: plan.source.environment.clone(),
        table: plan.source.table.clone(),
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        region: plan.source.region.clone(),
        endpoint: plan.source.endpoint.clone(),
        route: "scan".to_owned(),
        started_at,
        finished_at,
        partial,
        transformed: false,
        consistent_read: plan.consistent_read,
        segments: plan.segments,
        consumed_read_units: read.units,
        set_digest: None,
        not_captured: schema.not_captured().iter().map(|(section, reason)| format!("{section}: {reason}")).collect(),
    }
}
