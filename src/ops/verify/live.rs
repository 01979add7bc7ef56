//! Comparison of a live table with a dump, or of two live tables.

use std::sync::Arc;
use std::time::Instant;

use super::{CompareOptions, Comparison, KeySchemas, SampleCounts, TransformCounts};
use crate::backup::{self, ItemCounter, Source, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::field::Field;
use crate::layout::count;
use crate::ops::cap::AppliedCap;
use crate::ops::compare::{CompareContext, Side, SourceSide, TableSide, compare};
use crate::ops::guard::{self, ComparedDump, ComparedTables, ComparisonFacts, Fact};
use crate::ops::identity::TableIdentity;
use crate::ops::restore::partial_reasons;
use crate::ops::scan_segments::{MAX_CONCURRENT_SEGMENTS, segments_for};
use crate::ops::table_location::TableLocation;
use crate::ops::{describe_existing, recreated, run_blocking};
use crate::schema::{TableSchema, differences};
use crate::store::{Reader, WireBytes};
use crate::transform::Transform;

/// A live table that is to be compared.
pub struct LiveTable<'a> {
    /// Environment of the table.
    pub environment: &'a Environment,
    /// Connection to the environment's DynamoDB.
    pub store: &'a Reader,
    /// Name of the table; the name of the other side's table if `None`.
    pub table: Option<String>,
}

/// A table and its schema at the beginning of the command.
pub(crate) struct DescribedTable<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) name: String,
    pub(crate) schema: TableSchema,
}

/// A table that is ready to be scanned.
struct PreparedTable<'a> {
    described: DescribedTable<'a>,
    /// Name and environment, for messages.
    label: String,
    /// Number of items from `DescribeTable`, which DynamoDB updates about every six hours.
    items: Option<u64>,
    side: TableSide<Reader>,
}

/// Check that a table was not recreated during the comparison. Keeps what [`TableSide`] no longer has after the scan.
struct RecreationCheck {
    store: Reader,
    table: String,
    schema: TableSchema,
}

impl PreparedTable<'_> {
    fn recreation_check(&self) -> RecreationCheck {
        RecreationCheck {
            store: self.side.store.clone(),
            table: self.described.name.clone(),
            schema: self.described.schema.clone(),
        }
    }
}

impl RecreationCheck {
    async fn run(&self) -> Result<()> {
        recreated::check_not_recreated(&self.store, &self.table, &self.schema).await
    }
}

impl<'a> LiveTable<'a> {
    /// Describes the table. `default_name` is the name of the other side's table.
    pub(crate) async fn describe(&self, default_name: Option<&str>) -> Result<DescribedTable<'a>> {
        let name = self.table.as_deref().or(default_name).ok_or_else(|| {
            Error::usage("no table is named").with_hint(format!(
                "pass {table}, or set DYNAMODB_TABLE in the env file of {}",
                self.environment.name(),
                table = Field::Table
            ))
        })?;

        Ok(DescribedTable {
            environment: self.environment,
            name: name.to_owned(),
            schema: describe_existing(self.store, self.environment, name).await?,
        })
    }

    /// Describes the table, limits its read rate, and chooses the number of segments.
    async fn prepare(
        &self,
        default_name: Option<&str>,
        options: &CompareOptions,
        reporter: &dyn Reporter,
    ) -> Result<PreparedTable<'a>> {
        let described = self.describe(default_name).await?;
        let DescribedTable {
            environment,
            name,
            schema,
        } = &described;

        let location = TableLocation::new(environment, name, self.store.credentials())
            .with_proxy(self.store.proxy())
            .with_description(schema);

        let label = format!("table {name} of environment {}", environment.name());
        // Before the first Scan, so that the table is never read at full speed.
        if let Some(cap) = AppliedCap::for_reads(options.max_read_units, &location, schema)? {
            if let Some(units) = cap.units_per_second {
                self.store.cap_reads(name, units);
            }

            reporter.report(Event::Info(read_cap_in_words(&label, &cap)));
        }

        let description = schema.description();
        let segments = match description.table_size_bytes.unwrap_or(0) {
            // The table is empty, or DynamoDB has not updated its size yet. Scanning empty segments costs almost nothing.
            0 if !environment.is_local() => MAX_CONCURRENT_SEGMENTS,
            bytes => segments_for(bytes),
        };

        Ok(PreparedTable {
            label,
            items: description.item_count,
            side: TableSide {
                store: self.store.clone(),
                table: name.clone(),
                segments,
                // One page for each segment that is scanned at a time: fewer would leave segments waiting.
                pages: MAX_CONCURRENT_SEGMENTS as usize,
                consistent_read: options.consistent_read,
            },
            described,
        })
    }
}

fn read_cap_in_words(table: &str, cap: &AppliedCap) -> String {
    match cap.units_per_second {
        Some(units) => format!(
            "{table} is read at {} units per second at most ({})",
            count(units.into()),
            cap.reason
        ),
        None => format!("{table} is read without a limit ({})", cap.reason),
    }
}

/// Compares a table with a dump. The dump is checked first, so that no read units are consumed for a damaged dump.
///
/// # Errors
/// The dump is missing, damaged, or a stream; the table is not named, does not exist or cannot be read.
pub async fn table_with_dump(
    source: SourceSpec,
    table: LiveTable<'_>,
    options: &CompareOptions,
    reporter: Arc<dyn Reporter>,
) -> Result<Comparison> {
    let started = Instant::now();
    let source = run_blocking("reading the dump", move || Source::open(&source)).await?;
    let warnings = guard::compare(&ComparisonFacts {
        dump: Fact::Known(compared_dump(&source)),
        ..ComparisonFacts::default()
    })?;
    let table = table
        .prepare(source.table_name(), options, reporter.as_ref())
        .await?;

    let mut comparison = Comparison::new(source.to_string(), &table.label, options.exact);
    comparison.is_dump = true;
    comparison.warnings = [source.warnings(), &warnings].concat();

    let transform = prepare_transform(options, &source, &table)?;
    if !transform.is_empty() {
        comparison.source.push_str(" as transformed");
        comparison.transformed = Some(TransformCounts::default());
    }

    // Without a schema in the dump, and if its items get another key, the key of the table is used for both sides.
    let is_comparable = transform.changes_items()
        || source
            .schema()
            .is_none_or(|schema| comparison.compare_key_schemas(schema, &table.described.schema));

    if is_comparable {
        let source = check_source(source, &reporter).await?;
        let recreation_check = table.recreation_check();

        // After the check, because incompleteness is known only once all items were read.
        comparison
            .warnings
            .extend(source.accept_incomplete(options.accept_incomplete)?);
        comparison
            .compare_items(
                SourceSide::new(source, transform.clone()),
                table,
                options,
                reporter,
            )
            .await?;
        comparison.warnings.extend(transform.warnings());

        // After the scan: a table that was recreated before or during it makes the result worthless.
        recreation_check.run().await?;
    }

    comparison.seconds = started.elapsed().as_secs_f64();

    Ok(comparison)
}

/// The transform of a comparison, with the keys of the dump and the table.
fn prepare_transform(
    options: &CompareOptions,
    source: &Source,
    table: &PreparedTable<'_>,
) -> Result<Transform> {
    let transform = options.transform.clone();
    if transform.is_empty() {
        return Ok(transform);
    }

    let schema = &table.described.schema;
    let target_key = schema.key_schema()?;
    let source_key = source.schema().and_then(|schema| schema.key_schema().ok());

    transform.between_tables(
        source_key.as_ref().unwrap_or(&target_key),
        &target_key,
        &schema.index_keys(),
    )
}

/// Compares two tables. An item that only one table has is missing from the second table, or extra in it.
///
/// # Errors
/// A table is not named, does not exist or cannot be read; both are the same table.
pub async fn tables(
    source: LiveTable<'_>,
    target: LiveTable<'_>,
    options: &CompareOptions,
    reporter: Arc<dyn Reporter>,
) -> Result<Comparison> {
    let started = Instant::now();
    let source = source.prepare(None, options, reporter.as_ref()).await?;
    let target = target
        .prepare(Some(&source.described.name), options, reporter.as_ref())
        .await?;

    refuse_same_table(&source.described, &target.described).await?;

    let mut comparison = Comparison::new(source.label.clone(), &target.label, true);
    if comparison.compare_key_schemas(&source.described.schema, &target.described.schema) {
        let recreation_checks = [source.recreation_check(), target.recreation_check()];
        comparison
            .compare_items(source.side, target, options, reporter)
            .await?;

        for check in recreation_checks {
            check.run().await?;
        }
    }

    comparison.seconds = started.elapsed().as_secs_f64();

    Ok(comparison)
}

/// Refuses to compare a table with itself.
///
/// # Errors
/// Both descriptions are of the same table.
pub(crate) async fn refuse_same_table(
    source: &DescribedTable<'_>,
    target: &DescribedTable<'_>,
) -> Result<()> {
    // Different names of an environment or an endpoint can lead to the same table, so names are not enough.
    let source_identity = TableIdentity::new(source.environment, &source.schema);
    let target_identity = TableIdentity::new(target.environment, &target.schema);
    let tables = ComparedTables {
        table: source.schema.table_name().unwrap_or(&source.name),
        environment: source.environment.name(),
        are_same: source_identity.is_same(&target_identity).await,
    };

    guard::compare(&ComparisonFacts {
        tables: Fact::Known(tables),
        ..ComparisonFacts::default()
    })
    .map(|_| ())
}

/// The facts for the guard.
fn compared_dump(source: &Source) -> ComparedDump {
    let metadata = source.metadata();
    ComparedDump {
        is_stream: source.is_stream(),
        partial: metadata
            .filter(|metadata| !metadata.complete)
            .map(partial_reasons),
    }
}

/// Checks a dump for damage, and returns it.
async fn check_source(source: Source, reporter: &Arc<dyn Reporter>) -> Result<Arc<Source>> {
    let metadata = source.metadata();
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: metadata.map(|metadata| metadata.items),
        bytes: metadata.map(|metadata| metadata.data_bytes),
    });

    let reporter = Arc::clone(reporter);
    run_blocking("reading the dump", move || {
        backup::check(&source, ItemCounter::default(), &mut |items, bytes| {
            reporter.report(Event::Progress { items, bytes });
        })?;
        Ok(Arc::new(source))
    })
    .await
}

impl Comparison {
    /// A comparison in which no item has been compared yet.
    fn new(source: String, target: &str, exact: bool) -> Self {
        Self {
            source,
            target: target.to_owned(),
            is_dump: false,
            key_schemas: None,
            transformed: None,
            source_items: 0,
            target_items: 0,
            sample: None,
            equal: 0,
            missing: 0,
            different: 0,
            extra: 0,
            exact,
            without_key: 0,
            superseded: 0,
            examples: Vec::new(),
            consumed_read_units: 0.0,
            wire: WireBytes::default(),
            warnings: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Returns true if both tables have the same key schema. If not, no items can be compared, and both key schemas are recorded.
    fn compare_key_schemas(&mut self, source: &TableSchema, target: &TableSchema) -> bool {
        let mismatch = differences(source, target).key;
        self.key_schemas = mismatch.map(|key| KeySchemas {
            source: key.dump_lines(),
            target: key.table_lines(),
        });
        self.key_schemas.is_none()
    }

    /// Compares all items, and records the result.
    async fn compare_items(
        &mut self,
        source: impl Side,
        target: PreparedTable<'_>,
        options: &CompareOptions,
        reporter: Arc<dyn Reporter>,
    ) -> Result<()> {
        if let Some(sample) = options.sample {
            let percent = sample.percent();
            reporter.report(Event::Info(format!(
                "a sample is compared: {percent}% of the keys, the same on both sides"
            )));
        }

        reporter.report(Event::Phase {
            phase: Phase::Verifying,
            items: target.items,
            bytes: None,
        });

        let context = CompareContext {
            key: target.described.schema.key_schema()?,
            keys_only: options.keys_only,
            sample: options.sample,
            reporter,
        };

        let result = compare(source, target.side, &context).await?;

        self.sample = options.sample.map(|sample| SampleCounts {
            percent: sample.percent(),
            source_items: result.source_compared,
            target_items: result.target_compared,
        });

        if let Some(counts) = &mut self.transformed {
            counts.items_left_out = result.left_out;
            counts.items_rejected = result.rejected;
        }

        self.equal = result.equal;
        // The target cannot have an item without a usable key, so such an item is missing, too.
        self.missing = result.missing + result.without_key;
        self.different = result.different;
        self.extra = result.extra;
        self.superseded = result.superseded;
        self.without_key = result.without_key;
        self.source_items = result.source_items;
        self.target_items = result.target_items;
        self.examples = result.examples;
        self.consumed_read_units = result.read_units;
        self.wire = result.wire;

        Ok(())
    }
}
