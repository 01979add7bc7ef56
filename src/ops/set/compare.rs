//! Compares several tables with the dumps of a set, or with the tables of another environment.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::mapping::{MappedTable, TableMapping};
use super::members;
use super::pattern::TablePattern;
use super::reporter::{SetReporter, TableReporter};
use super::runner::{self, RunOptions, TableJob, TableOutcome, TableResult};
use super::selection::{TableSelection, select};
use crate::backup::{DumpSet, SourceSpec};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::ops::until_cancelled;
use crate::ops::verify::{self, CompareOptions, Comparison, LiveTable};
use crate::store::Reader;

/// Comparisons in parallel. Each reads both sides concurrently, and a large one may take 256 MB of memory.
const PARALLEL_COMPARISONS: NonZeroUsize = NonZeroUsize::new(2).expect("the number is not zero");

/// The tables of one environment.
#[derive(Clone)]
pub struct LiveTables {
    /// The environment.
    pub environment: Environment,
    /// Connection to the environment's DynamoDB.
    pub store: Reader,
}

/// What tables are compared with.
pub enum CompareSource {
    /// The dumps of a set.
    Set(Box<DumpSet>),
    /// Live tables.
    Tables(Box<LiveTables>),
}

/// A table with the result of its comparison.
#[derive(Debug)]
pub struct ComparedMember {
    /// Name of the table in the source, and of the table that was compared with it.
    pub table: MappedTable,
    /// The result.
    pub outcome: TableOutcome<Box<Comparison>>,
}

/// Finds the tables of a set that are compared.
///
/// # Errors
/// There is no set in the folder; a pattern matches no table of it; the mapping is not valid.
pub fn tables_of_set(
    path: &Path,
    from_tables: &[TablePattern],
    mapping: &TableMapping,
) -> Result<(CompareSource, Vec<MappedTable>)> {
    let set = members::open_set(path)?;
    let tables = mapping.targets(&members::select(&set, from_tables)?)?;

    Ok((CompareSource::Set(Box::new(set)), tables))
}

/// Finds the tables of an environment that are compared.
///
/// # Errors
/// The tables cannot be listed; a pattern matches none; the mapping is not valid.
pub async fn tables_of_environment(
    source: LiveTables,
    selection: &TableSelection,
    mapping: &TableMapping,
) -> Result<(CompareSource, Vec<MappedTable>)> {
    let names = select(&source.store, &source.environment, selection).await?;
    let tables = mapping.targets(&names)?;

    Ok((CompareSource::Tables(Box::new(source)), tables))
}

/// Compares tables of `target` with those of `source`, a few at a time. A table that cannot be compared does not stop the others.
/// `done` gets each result as soon as it is known.
pub async fn compare(
    (source, tables): (CompareSource, Vec<MappedTable>),
    target: LiveTables,
    options: CompareOptions,
    reporter: Arc<dyn SetReporter>,
    cancel: &CancellationToken,
    done: impl FnMut(&TableResult<Box<Comparison>>),
) -> Vec<ComparedMember> {
    let jobs: Vec<_> = tables
        .iter()
        .map(|table| TableJob {
            table: table.target.clone(),
            bytes: source.bytes(table),
            work: table.clone(),
        })
        .collect();
    let run_options = RunOptions {
        parallel_tables: PARALLEL_COMPARISONS,
        fail_fast: false,
    };
    let shared = Arc::new(Shared {
        source,
        target,
        options,
        reporter,
    });
    let start = |_: &str, table: MappedTable, cancel: CancellationToken| {
        let shared = Arc::clone(&shared);
        async move {
            let comparing = Box::pin(shared.compare(&table));
            until_cancelled(&cancel, interrupted, comparing).await
        }
    };
    let results = runner::run(jobs, run_options, cancel, start, done).await;

    let compared = tables.into_iter().zip(results);
    compared
        .map(|(table, result)| ComparedMember {
            table,
            outcome: result.outcome,
        })
        .collect()
}

impl CompareSource {
    /// Size of the items of a table, if it is known.
    fn bytes(&self, table: &MappedTable) -> u64 {
        let Self::Set(set) = self else {
            return 0;
        };

        let member = set.manifest().tables.get(&table.source);
        let dump = member.and_then(|member| member.dump.as_ref());
        dump.map_or(0, |dump| dump.data_bytes)
    }
}

/// What all comparisons share.
struct Shared {
    source: CompareSource,
    target: LiveTables,
    options: CompareOptions,
    reporter: Arc<dyn SetReporter>,
}

impl Shared {
    async fn compare(&self, table: &MappedTable) -> Result<Box<Comparison>> {
        let reporter = TableReporter::new(&table.target, Arc::clone(&self.reporter));
        let reporter = Arc::new(reporter) as Arc<dyn Reporter>;
        let target = self.target.table(&table.target);
        let found = match &self.source {
            CompareSource::Set(set) => {
                let dump = SourceSpec::Path(set.member(&table.source)?);
                verify::table_with_dump(dump, target, &self.options, reporter).await?
            }
            CompareSource::Tables(source) => {
                let source = source.table(&table.source);
                verify::tables(source, target, &self.options, reporter).await?
            }
        };

        Ok(Box::new(found))
    }
}

impl LiveTables {
    fn table(&self, name: &str) -> LiveTable<'_> {
        LiveTable {
            environment: &self.environment,
            store: &self.store,
            table: Some(name.to_owned()),
        }
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted before the table was compared",
    )
    .with_hint("run the same command again")
}
