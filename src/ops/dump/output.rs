//! Opens the target of a new dump, and reports what was written.

use std::path::PathBuf;

use super::plan::DumpPlan;
use crate::backup::{DumpOptions, DumpWriter};
use crate::error::Result;
use crate::event::{Event, Reporter};
use crate::ops::run_blocking;
use crate::ops::table_location::TableLocation;
use crate::place::Access;
use crate::store::Reader;

pub(crate) fn dump_options(store: &Reader, plan: &DumpPlan) -> DumpOptions {
    DumpOptions {
        format: plan.request.format,
        compression: plan.request.compression,
        schema_only: plan.backup.is_some() || !plan.request.content.includes_items(),
        access: file_access(&plan.source),
        state_dir: plan.request.state_dir.clone(),
        memory: store.memory_share(),
    }
}

/// Opens the target for a new dump.
pub(crate) async fn begin_writer(store: &Reader, plan: &DumpPlan) -> Result<DumpWriter> {
    let (target, options) = (plan.request.target.clone(), dump_options(store, plan));
    run_blocking("preparing the target", move || {
        DumpWriter::begin(&target, &options)
    })
    .await
}

/// Permissions of a dump. Only the owner may read one of a table that is not on this machine, or is protected.
pub(crate) fn file_access(source: &TableLocation) -> Access {
    if source.local && !source.protected {
        Access::Shared
    } else {
        Access::Private
    }
}

pub(crate) fn report_warnings(warnings: impl IntoIterator<Item = String>, reporter: &dyn Reporter) {
    for warning in warnings {
        reporter.report(Event::Warning(warning));
    }
}

pub(crate) fn display_paths(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}
