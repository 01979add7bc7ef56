//! What a dump is going to do, computed without reading an item or making a file.

use std::sync::Arc;

use serde::Serialize;

use super::DumpRequest;
use super::unfinished::{self, InterruptedDump};
use crate::backup::{DataFile, DumpCheckpoint, DumpTarget, TargetContents};
use crate::environment::{Approval, Environment, Question};
use crate::error::{Error, Result};
use crate::item::read_units;
use crate::ops::identity::AccountRegion;
use crate::ops::scan_segments::{read_cap, segments_for};
use crate::ops::table_location::TableLocation;
use crate::ops::{ContentScope, describe_existing};
use crate::schema::{TableSchema, account_of};
use crate::store::{ReadStore, Selection};

/// What a dump is going to do.
#[derive(Debug, Serialize)]
pub struct DumpPlan {
    /// The table to read.
    pub source: TableLocation,
    /// Folder or file the dump goes to; `-` for standard output.
    pub target: String,
    /// Whether a dump or file stands there that this one replaces.
    pub replaces: bool,
    /// Name of the data file in a folder.
    pub data_file: Option<&'static str>,
    /// The table in words: keys, indexes, billing.
    pub table: Vec<(String, String)>,
    /// Items by DynamoDB's own count, which it refreshes about every six hours.
    pub items: u64,
    /// Bytes by DynamoDB's own count.
    pub bytes: u64,
    /// Read units the Scan will take, estimated from the bytes.
    pub read_units: f64,
    /// Segments of the Scan.
    pub segments: u32,
    /// Stop after so many items.
    pub limit: Option<u64>,
    /// What the table is asked to leave out: a condition that items are held against.
    pub filter: Option<String>,
    /// The attributes it is asked for; all if `None`.
    pub projection: Option<String>,
    /// What happens to items on the way, a line for each step.
    pub transform: Vec<String>,
    /// Strongly consistent reads.
    pub consistent_read: bool,
    /// Cap of consumed read units per second, given or set for a protected table.
    pub max_read_units: Option<u32>,
    /// Whether it goes on with the run that `unfinished` tells of.
    pub resumes: bool,
    /// An interrupted run into the same target. It is given up unless `resumes`.
    pub unfinished: Option<InterruptedDump>,
    /// What deserves attention before the dump.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(crate) checkpoint: Option<Box<DumpCheckpoint>>,
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
    /// What must be agreed to before [`run`](fn@super::run).
    #[must_use]
    pub fn approval(&self) -> Approval {
        Approval::for_dump(self.questions.clone())
    }

    /// Goes on with the interrupted run, where there is one without obstacles.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        if let (Some(found), Some(checkpoint)) = (&self.unfinished, &self.checkpoint)
            && found.obstacles.is_empty()
        {
            self.resumes = true;
            self.segments = checkpoint.origin.segments;
            self.read_units = (self.read_units - found.consumed_read_units).max(0.0);
        }

        self
    }

    /// The interrupted run's items and bytes, where it goes on with it.
    pub(crate) fn kept(&self) -> (u64, u64) {
        let kept = self.checkpoint.as_ref().filter(|_| self.resumes);
        kept.map_or((0, 0), |checkpoint| {
            (checkpoint.items(), checkpoint.text_bytes())
        })
    }

    /// Items and bytes the Scan will return, by DynamoDB's own count.
    pub(crate) fn expected(&self) -> (u64, u64) {
        let (items, bytes) = self.kept();
        let wanted = self.limit.map_or(self.items, |limit| limit.min(self.items));
        (
            wanted.saturating_sub(items),
            self.bytes.saturating_sub(bytes),
        )
    }
}

/// Describes the table and looks at the target.
///
/// # Errors
/// The table does not exist, is not readable, or the target folder is neither empty nor a dump; what is to be gone on with is of
/// another table or with other options ([`Usage`](crate::error::ErrorKind::Usage)) or damaged.
pub async fn plan(
    store: &impl ReadStore,
    environment: &Environment,
    mut request: DumpRequest,
) -> Result<DumpPlan> {
    if request.limit.is_some() && request.segments.is_some_and(|segments| segments > 1) {
        return Err(
            Error::usage("a limit is exact only when one segment counts it")
                .with_hint("leave out --segments, or leave out --limit"),
        );
    }

    let standing = request.target.contents()?;
    let schema = describe_existing(store, environment, &request.table).await?;
    let selection = bind(&mut request, &schema)?;
    let place = TableLocation::new(environment, &request.table, store.credentials())
        .with_description(&schema);
    let description = schema.description();
    let (items, bytes) = (
        description.item_count.unwrap_or(0),
        description.table_size_bytes.unwrap_or(0),
    );
    let max_read_units = read_cap(request.max_read_units, &place, &schema)?;
    let mut warnings = Vec::new();
    if !schema.is_active() {
        warnings.push(schema.activity());
    }

    if masks_key(&request, &schema) {
        warnings.push(
            "a mask changes keys, all of which are compared at the end: the dump cannot be resumed"
                .into(),
        );
    }

    let questions = questions(&standing, &place, &request);
    let segments = segments(&request, bytes);
    let checkpoint = unfinished::find(&request, &mut warnings)?;
    let found = checkpoint.as_ref().map(|checkpoint| {
        let asked = unfinished::origin(&place, &schema, &request, segments);
        InterruptedDump::of(
            checkpoint,
            asked,
            request.segments.is_some() || request.limit.is_some(),
        )
    });

    if let Some(found) = found.as_ref().filter(|_| request.resume) {
        found.must_fit()?;
    }

    let resume = request.resume;
    let plan = DumpPlan {
        target: target_name(&request.target),
        replaces: matches!(standing, TargetContents::Dump(_)),
        data_file: data_file(&request),
        table: schema.summary_lines(),
        items,
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
        unfinished: found,
        warnings,
        checkpoint,
        source: place,
        schema,
        request,
        questions,
    };

    Ok(if resume { plan.resumed() } else { plan })
}

/// Tells the transform the table's key, and what the table leaves out, which is never the key.
fn bind(request: &mut DumpRequest, schema: &TableSchema) -> Result<Arc<Selection>> {
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

/// Whether a mask makes another key of the table's, so that two keys could become one.
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

/// Whether the dump will be of other items than the table's own.
fn is_changed(request: &DumpRequest) -> bool {
    request.limit.is_some() || !request.transform.is_empty() || !request.selection.is_empty()
}

/// What somebody should agree to before a dump takes the place of the one that stands there.
fn questions(
    standing: &TargetContents,
    place: &TableLocation,
    request: &DumpRequest,
) -> Vec<Question> {
    let TargetContents::Dump(old) = standing else {
        return Vec::new();
    };

    let mut risks = Vec::new();
    let part = match (request.content, is_changed(request)) {
        (ContentScope::SchemaOnly, _) => Some("would hold no items"),
        (ContentScope::DataOnly, _) => Some("would hold no schema"),
        (ContentScope::All, true) if request.limit.is_some() || !request.selection.is_empty() => {
            Some("would be of a part of the table")
        }
        (ContentScope::All, true) => Some("would be of other items than the table's own"),
        (ContentScope::All, false) => None,
    };

    if let Some(part) = part.filter(|_| old.as_ref().is_none_or(|old| old.complete)) {
        risks.push(format!(
            "what stands there may be a whole dump, this one {part}"
        ));
    }

    let pairs = old.iter().flat_map(|old| {
        [
            ("table", &old.table, &place.table),
            ("environment", &old.environment, &place.environment),
        ]
    });

    for (what, old, new) in pairs.filter(|(_, old, new)| old != new) {
        risks.push(format!("the dump there is of {what} {old}, not {new}"));
    }

    if let Some(old) = old
        .as_ref()
        .filter(|old| old.environment == place.environment)
    {
        let from = AccountRegion {
            account: old.table_arn.as_deref().and_then(account_of),
            region: old.region.as_deref(),
        };
        let to = AccountRegion {
            account: place.account.as_deref(),
            region: place.region.as_deref(),
        };
        if from.differs_from(to) {
            risks.push(format!(
                "the dump to be replaced is of a table in {from}, not in {to}"
            ));
        }
    }

    risks.into_iter().map(Question::OtherRisk).collect()
}

/// The target as plans and summaries name it.
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
