//! Finds an interrupted dump of several tables that can be resumed.

use super::SetDumpRequest;
use super::plan::{inspect, location, options_digest};
use crate::environment::Environment;
use crate::ops::run_blocking;
use crate::ops::set::InterruptedSet;
use crate::store::Reader;

/// Finds an interrupted dump that `request` can resume. Errors count as "not found": the plan reports them.
pub async fn find_interrupted(
    store: &Reader,
    environment: &Environment,
    request: &SetDumpRequest,
) -> Option<InterruptedSet> {
    let options_sha256 = options_digest(&request.options, &location(store, environment)).ok()?;
    let set = inspect(request, true).await.ok()?;
    let tables = request.tables.clone();
    let searching = run_blocking("reading the interrupted dump", move || {
        let interrupted = set.interrupted();
        let same = interrupted.filter(|interrupted| interrupted.options_sha256 == options_sha256);

        Ok(same.map(|interrupted| {
            let is_finished =
                |table: &&String| set.member_since(table, interrupted.started_at).is_some();
            InterruptedSet {
                finished: tables.iter().filter(is_finished).count() as u64,
                tables: tables.len() as u64,
            }
        }))
    });

    searching.await.ok()?
}
