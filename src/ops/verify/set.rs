//! Check of a set: the manifest, and the dump of every table.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::dump::{DumpCheckOptions, DumpVerdict, dump};
use crate::backup::{DumpSet, MemberStatus, SetMember, SourceSpec};
use crate::limits::cores;
use crate::ops::set::{RunOptions, SetReporter, TableJob, TableReporter, TableResult, runner};

/// Maximum number of dumps that are checked at the same time; each uses one core.
const PARALLEL_CHECKS: NonZeroUsize = NonZeroUsize::new(4).expect("the number is not zero");

/// Result of checking a set.
#[derive(Debug)]
pub struct SetVerdict {
    /// The folder of the set.
    pub source: String,
    /// The verdict on each dump, or the reason why it could not be checked.
    pub tables: Vec<TableResult<DumpVerdict>>,
    /// Whether the run that wrote the set has not finished.
    pub is_unfinished: bool,
    /// Warnings, which do not count as damage.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Checks every dump of a set, several at the same time. Damage is part of the result.
pub async fn set(
    set: DumpSet,
    options: DumpCheckOptions,
    reporter: Arc<dyn SetReporter>,
    mut done: impl FnMut(&TableResult<DumpVerdict>),
    cancel: &CancellationToken,
) -> SetVerdict {
    let started = Instant::now();
    let set = Arc::new(set);
    let members = &set.manifest().tables;
    let job = |(table, member): (&String, &SetMember)| TableJob {
        table: table.clone(),
        bytes: member.dump.as_ref().map_or(0, |dump| dump.data_bytes),
        work: (),
    };
    let start = |table: &str, (), _| {
        let (set, table) = (Arc::clone(&set), table.to_owned());
        let reporter = Arc::new(TableReporter::new(&*table, Arc::clone(&reporter)));
        async move {
            let folder = set.member(&table)?;
            dump(SourceSpec::path(folder), options, reporter).await
        }
    };

    let run_options = RunOptions {
        parallel_tables: cores().min(PARALLEL_CHECKS),
        fail_fast: false,
    };
    let jobs = members.iter().map(job).collect();
    let tables = runner::run(jobs, run_options, cancel, start, &mut done).await;

    SetVerdict {
        source: set.path().display().to_string(),
        tables,
        is_unfinished: set.manifest().finished_at.is_none(),
        warnings: set
            .warning()
            .map(ToOwned::to_owned)
            .into_iter()
            .chain(members.iter().filter_map(not_of_last_run))
            .collect(),
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// The warning that a dump is older than the last run, which was to replace it.
fn not_of_last_run((table, member): (&String, &SetMember)) -> Option<String> {
    let dump = member.dump.as_ref()?;
    let reason = member.error.as_deref().unwrap_or("it was stopped");
    let is_older = matches!(member.status, MemberStatus::Failed | MemberStatus::Pending);

    is_older.then(|| {
        format!(
            "table {table} has the dump of {}: the last run did not replace it ({reason})",
            dump.finished_at.format("%Y-%m-%dT%H:%M:%SZ")
        )
    })
}
