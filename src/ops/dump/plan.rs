//! The plan of a dump, computed without reading items or creating files.

use std::sync::Arc;

use serde::Serialize;

use super::DumpRequest;
use super::interrupted::{InterruptedDump, SavedDump, dump_origin, find_for_request};
use crate::backup::{DataFile, DumpTarget, TargetContents};
use crate::environment::{Approval, Environment, Question};
use crate::error::{Error, Result};
use crate::item::read_units;
use crate::ops::identity::AccountRegion;
use crate::ops::scan_segments::{read_cap, segments_for};
use crate::ops::table_location::TableLocation;
use crate::ops::{ContentScope, describe_existing};
use crate::schema::{TableSchema, account_of};
use crate::store::{Reader, Selection};

/// The plan of a dump.
#[derive(Debug, Serialize)]
pub struct DumpPlan {
    /// The table to read.
    pub source: TableLocation,
    /// Folder or file to write; `-` is standard output.
    pub target: String,
    /// Whether an existing dump is replaced.
    pub replaces: bool,
    /// Name of the data file, if the target is a folder.
    pub data_file: Option<&'static str>,
    /// Description of the table: keys, indexes, billing.
    pub table: Vec<(String, String)>,
    /// Number of items by DynamoDB's count, which is updated about every six hours.
    pub items: u64,
    /// Size in bytes by DynamoDB's count.
    pub bytes: u64,
    /// Estimated read units of the scan.
    pub read_units: f64,
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
    pub max_read_units: Option<u32>,
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
        Approval::for_dump(self.questions.clone())
    }

    /// Resumes the interrupted dump, if there is one and nothing prevents it.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        if let (Some(found), Some(saved)) = (&self.unfinished, &self.saved)
            && found.obstacles.is_empty()
        {
            self.resumes = true;
            self.segments = saved.origin.segments;
            self.read_units = (self.read_units - found.consumed_read_units).max(0.0);
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
    if request.limit.is_some() && request.segments.is_some_and(|segments| segments > 1) {
        return Err(
            Error::usage("a limit is exact only when one segment counts it")
                .with_hint("leave out --segments, or leave out --limit"),
        );
    }

    // The target comes first: it needs no request to DynamoDB.
    let contents = request.target.contents()?;
    let schema = describe_existing(store, environment, &request.table).await?;
    let selection = bind_to_table(&mut request, &schema)?;
    let location = TableLocation::new(environment, &request.table, store.credentials())
        .with_proxy(store.proxy())
        .with_description(&schema);
    let max_read_units = read_cap(request.max_read_units, &location, &schema)?;
    let questions = questions(&contents, &location, &request);

    let mut warnings = warnings(&request, &schema);
    warnings.extend(environment.endpoint_warning());
    let bytes = schema.description().table_size_bytes.unwrap_or(0);
    let segments = segments(&request, bytes);
    let saved = find_for_request(&request, &mut warnings)?;
    let unfinished = saved.as_ref().map(|saved| {
        let origin = dump_origin(&location, &schema, &request, segments);
        let has_segments = request.segments.is_some() || request.limit.is_some();
        InterruptedDump::new(saved, origin, has_segments)
    });

    if request.resume
        && let Some(unfinished) = &unfinished
    {
        unfinished.check_resumable()?;
    }

    let resume = request.resume;
    let plan = DumpPlan {
        target: target_name(&request.target),
        replaces: matches!(contents, TargetContents::Dump(_)),
        data_file: data_file(&request),
        table: schema.summary_lines(),
        items: schema.description().item_count.unwrap_or(0),
        bytes,
        read_units: read_units(bytes, request.consistent_read),
        segments,
        limit: request.limit,
        filter: request.selection.filter().map(ToOwned::to_owned),
        projection: request.selection.projection().map(ToOwned::to_owned),
        transform: request.transform.descriptions().collect(),
        selection,
        consistent_read: request.consistent_read,
        max_read_units,
        resumes: false,
        unfinished,
        warnings,
        saved,
        source: location,
        schema,
        request,
        questions,
    };

    Ok(if resume { plan.resumed() } else { plan })
}

fn warnings(request: &DumpRequest, schema: &TableSchema) -> Vec<String> {
    let mut warnings = Vec::new();
    if !schema.is_active() {
        warnings.push(schema.activity());
    }

    // Collisions are found only among the items of one run, and masked keys must not be in a journal.
    if masks_key(request, schema) {
        warnings.push(
            "a mask changes keys, all of which are compared at the end: the dump cannot be resumed"
                .into(),
        );
    }

    warnings
}

/// Gives the table's key to the transform and to the projection, which always includes it.
fn bind_to_table(request: &mut DumpRequest, schema: &TableSchema) -> Result<Arc<Selection>> {
    if !request.transform.is_empty() {
        let transform = std::mem::take(&mut request.transform);
        request.transform = transform.for_table(&schema.key_schema()?, &schema.index_keys())?;
    }

    let selection = request.selection.clone();
    Ok(Arc::new(if selection.is_empty() {
        selection
    } else {
        selection.with_key(&schema.key_schema()?)
    }))
}

/// Whether a mask changes keys, so that two items could get the same one.
pub(crate) fn masks_key(request: &DumpRequest, schema: &TableSchema) -> bool {
    let masks = request.transform.masks();
    masks.is_some_and(|masks| {
        schema
            .key_schema()
            .is_ok_and(|key| masks.rules().change_key(&key))
    })
}

fn segments(request: &DumpRequest, bytes: u64) -> u32 {
    if request.limit.is_some() {
        return 1;
    }

    request.segments.unwrap_or_else(|| segments_for(bytes))
}

/// Whether the items of the dump will differ from those of the table.
fn has_other_items(request: &DumpRequest) -> bool {
    request.limit.is_some() || !request.transform.is_empty() || !request.selection.is_empty()
}

/// Questions about the replacement of an existing dump that may be worth more than the new one.
fn questions(
    contents: &TargetContents,
    location: &TableLocation,
    request: &DumpRequest,
) -> Vec<Question> {
    let TargetContents::Dump(old) = contents else {
        return Vec::new();
    };

    let mut risks = Vec::new();
    let part = match (request.content, has_other_items(request)) {
        (ContentScope::SchemaOnly, _) => Some("would hold no items"),
        (ContentScope::DataOnly, _) => Some("would hold no schema"),
        (ContentScope::All, true) if request.limit.is_some() || !request.selection.is_empty() => {
            Some("would be of a part of the table")
        }
        (ContentScope::All, true) => Some("would be of other items than the table's own"),
        (ContentScope::All, false) => None,
    };

    if let Some(part) = part
        && old.as_ref().is_none_or(|old| old.complete)
    {
        risks.push(format!(
            "what stands there may be a whole dump, this one {part}"
        ));
    }

    let pairs = old.iter().flat_map(|old| {
        [
            ("table", &old.table, &location.table),
            ("environment", &old.environment, &location.environment),
        ]
    });

    for (what, old, new) in pairs.filter(|(_, old, new)| old != new) {
        risks.push(format!("the dump there is of {what} {old}, not {new}"));
    }

    if let Some(old) = old
        .as_ref()
        .filter(|old| old.environment == location.environment)
    {
        let from = AccountRegion {
            account: old.table_arn.as_deref().and_then(account_of),
            region: old.region.as_deref(),
        };
        let to = AccountRegion {
            account: location.account.as_deref(),
            region: location.region.as_deref(),
        };
        if from.differs_from(to) {
            risks.push(format!(
                "the dump to be replaced is of a table in {from}, not in {to}"
            ));
        }
    }

    risks.into_iter().map(Question::OtherRisk).collect()
}

/// The target as shown in plans and summaries.
fn target_name(target: &DumpTarget) -> String {
    match target {
        DumpTarget::Folder(path) | DumpTarget::File(path) => path.display().to_string(),
        DumpTarget::Stdout => "-".to_owned(),
    }
}

fn data_file(request: &DumpRequest) -> Option<&'static str> {
    let folder = matches!(request.target, DumpTarget::Folder(_));
    (folder && request.content.includes_items()).then(|| {
        DataFile {
            format: request.format,
            compression: request.compression,
        }
        .name()
    })
}
