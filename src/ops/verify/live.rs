//! Does a table hold what a dump holds, or another table?

use std::sync::Arc;
use std::time::Instant;

use super::{CompareOptions, Comparison, KeySchemas, SampleCounts};
use crate::backup::{self, Source, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::compare::{CompareContext, Compared, DumpSide, Side, TableSide, compare};
use crate::ops::identity::TableIdentity;
use crate::ops::scan_segments::{MAX_CONCURRENT_SEGMENTS, read_cap, segments_for};
use crate::ops::table_location::TableLocation;
use crate::ops::{describe_existing, recreated, run_blocking};
use crate::schema::{TableSchema, differences};
use crate::store::{ReadStore, WireBytes};

/// A table to compare.
pub struct LiveTable<'a, S> {
    /// Where it is.
    pub environment: &'a Environment,
    /// The environment's DynamoDB.
    pub store: &'a S,
    /// Its name; the other side's if `None`.
    pub table: Option<String>,
}

/// A table, described.
struct Described<S> {
    shown: String,
    items: Option<u64>,
    schema: TableSchema,
    side: TableSide<S>,
}

/// A table that is compared, as it was described at the beginning.
struct ComparedTable<S> {
    store: S,
    name: String,
    schema: TableSchema,
}

impl<S: ReadStore + Clone> Described<S> {
    fn compared(&self) -> ComparedTable<S> {
        ComparedTable {
            store: self.side.store.clone(),
            name: self.side.table.clone(),
            schema: self.schema.clone(),
        }
    }
}

impl<S: ReadStore> ComparedTable<S> {
    async fn check_not_recreated(&self) -> Result<()> {
        recreated::check_not_recreated(&self.store, &self.name, &self.schema).await
    }
}

impl<S: ReadStore + Clone + 'static> LiveTable<'_, S> {
    /// The table's name and what it is like; `other` is the name of the other side's table.
    pub(crate) async fn look(&self, other: Option<&str>) -> Result<(String, TableSchema)> {
        let Self {
            environment,
            store,
            table,
        } = self;

        let table = table.as_deref().or(other).ok_or_else(|| {
            Error::usage("no table is named").with_hint(format!(
                "pass --table, or set DYNAMODB_TABLE in the env file of {}",
                environment.name()
            ))
        })?;

        Ok((
            table.to_owned(),
            describe_existing(*store, environment, table).await?,
        ))
    }

    async fn describe(
        self,
        other: Option<&str>,
        options: &CompareOptions,
        reporter: &dyn Reporter,
    ) -> Result<Described<S>> {
        let (table, schema) = self.look(other).await?;
        let Self {
            environment, store, ..
        } = self;
        let place =
            TableLocation::new(environment, &table, store.credentials()).with_description(&schema);
        let bytes = schema.description().table_size_bytes.unwrap_or(0);
        if let Some(units) = read_cap(options.max_read_units, &place, &schema)? {
            store.cap_reads(units);
            reporter.report(Event::Info(format!(
                "table {table} is read at {units} units per second at most"
            )));
        }

        let description = schema.description();
        let segments = match bytes {
            // DynamoDB has not counted yet, or the table is empty: so many cost next to nothing.
            0 if !environment.is_local() => MAX_CONCURRENT_SEGMENTS,
            bytes => segments_for(bytes),
        };

        Ok(Described {
            shown: format!("table {table} of environment {}", environment.name()),
            items: description.item_count,
            side: TableSide {
                store: store.clone(),
                table,
                segments,
                pages: MAX_CONCURRENT_SEGMENTS as usize,
                consistent_read: options.consistent_read,
            },
            schema,
        })
    }
}

/// Compares a table with a dump, which is checked first: nothing is read of the table for a dump that is damaged.
///
/// # Errors
/// The dump is absent or damaged, or a stream; the table is not named, does not exist or cannot be read.
pub async fn table_with_dump<S: ReadStore + Clone + 'static>(
    source: SourceSpec,
    table: LiveTable<'_, S>,
    options: &CompareOptions,
    reporter: Arc<dyn Reporter>,
) -> Result<Comparison> {
    let started = Instant::now();
    let source = opened(source).await?;
    let table = table
        .describe(source.table_name(), options, reporter.as_ref())
        .await?;
    let mut comparison = Comparison::between(source.to_string(), &table.shown, options.exact);
    comparison.warnings = source.warnings().to_vec();

    if let Some(metadata) = source.metadata().filter(|metadata| !metadata.complete) {
        let parts = metadata
            .partial
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");

        comparison.warnings.push(format!(
            "the dump is of a part of the table ({parts}): the table may hold more"
        ));
    }

    if source
        .schema()
        .is_none_or(|schema| comparison.has_same_key(schema, &table.schema))
    {
        let source = checked(source, &reporter).await?;
        let compared = table.compared();
        comparison
            .warnings
            .extend(source.accept_incomplete(options.accept_incomplete)?);
        comparison
            .run(DumpSide::of(source), table, options, reporter)
            .await?;
        compared.check_not_recreated().await?;
    }

    comparison.seconds = started.elapsed().as_secs_f64();

    Ok(comparison)
}

/// Compares two tables. Of an item that only one of them has, the second is said to lack it or to have it in addition.
///
/// # Errors
/// A table is not named, does not exist or cannot be read; both are the same.
pub async fn tables<S: ReadStore + Clone + 'static>(
    source: LiveTable<'_, S>,
    target: LiveTable<'_, S>,
    options: &CompareOptions,
    reporter: Arc<dyn Reporter>,
) -> Result<Comparison> {
    let started = Instant::now();
    let environments = (source.environment, target.environment);
    let source = source.describe(None, options, reporter.as_ref()).await?;
    let target = target
        .describe(Some(&source.side.table), options, reporter.as_ref())
        .await?;
    refuse_itself(
        (environments.0, &source.schema),
        (environments.1, &target.schema),
    )
    .await?;

    let mut comparison = Comparison::between(source.shown.clone(), &target.shown, true);
    if comparison.has_same_key(&source.schema, &target.schema) {
        let compared = [source.compared(), target.compared()];
        comparison
            .run(source.side, target, options, reporter)
            .await?;
        for table in compared {
            table.check_not_recreated().await?;
        }
    }

    comparison.seconds = started.elapsed().as_secs_f64();

    Ok(comparison)
}

/// Refuses to compare a table with itself.
///
/// # Errors
/// Both descriptions are of one table.
pub(crate) async fn refuse_itself(
    (environment, source): (&Environment, &TableSchema),
    (other, target): (&Environment, &TableSchema),
) -> Result<()> {
    if !TableIdentity::new(environment, source)
        .is_same(&TableIdentity::new(other, target))
        .await
    {
        return Ok(());
    }

    let table = source
        .description()
        .table_name
        .as_deref()
        .unwrap_or_default();

    Err(Error::usage(format!(
        "table {table} of environment {} is to be compared with itself",
        environment.name()
    ))
    .with_hint(
        "name another table with --against-table, or another environment with --against-env",
    ))
}

async fn opened(spec: SourceSpec) -> Result<Source> {
    let source = run_blocking("reading the dump", move || Source::open(&spec)).await?;
    if source.is_stream() {
        return Err(Error::usage(
            "items from a stream cannot be compared: each could be read only once",
        )
        .with_hint("save them in a file first"));
    }

    Ok(source)
}

async fn checked(source: Source, reporter: &Arc<dyn Reporter>) -> Result<Arc<Source>> {
    let metadata = source.metadata();
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: metadata.map(|metadata| metadata.items),
        bytes: metadata.map(|metadata| metadata.data_bytes),
    });

    let reporter = Arc::clone(reporter);
    run_blocking("reading the dump", move || {
        backup::check(&source, &mut |items, bytes| {
            reporter.report(Event::Progress { items, bytes });
        })?;
        Ok(Arc::new(source))
    })
    .await
}

impl Comparison {
    fn between(source: String, target: &str, exact: bool) -> Self {
        Self {
            source,
            target: target.to_owned(),
            key_schemas: None,
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

    /// Whether items can be compared at all; notes both keys where they cannot.
    fn has_same_key(&mut self, source: &TableSchema, target: &TableSchema) -> bool {
        let mismatch = differences(source, target).key;
        self.key_schemas = mismatch.map(|key| KeySchemas {
            source: key.dump,
            target: key.table,
        });
        self.key_schemas.is_none()
    }

    async fn run<S: ReadStore + Clone + 'static>(
        &mut self,
        source: impl Side,
        target: Described<S>,
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

        let key = target.schema.key_schema()?;
        let comparing = CompareContext {
            key,
            keys_only: options.keys_only,
            sample: options.sample,
            reporter,
        };

        let Compared {
            equal,
            missing,
            different,
            extra,
            superseded,
            without_key,
            examples,
            items,
            held,
            read_units,
            wire,
        } = compare(source, target.side, &comparing).await?;

        self.sample = options.sample.map(|sample| SampleCounts {
            percent: sample.percent(),
            source_items: held.0,
            target_items: held.1,
        });

        (self.equal, self.different, self.extra, self.superseded) =
            (equal, different, extra, superseded);
        (self.missing, self.without_key) = (missing + without_key, without_key);
        (self.source_items, self.target_items) = items;
        (self.examples, self.consumed_read_units, self.wire) = (examples, read_units, wire);

        Ok(())
    }
}
