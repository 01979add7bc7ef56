//! The file of items that the transform rejected, next to the dump.

use std::path::PathBuf;

use super::plan::DumpPlan;
use crate::backup::{DumpTarget, TransformCounts};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::{
    LazyLinesFile, partial_path, publish_lines_file, remove_side_file, short_file_name, side_path,
    side_path_in_state,
};

/// Opens the file of rejects. It continues after the lines that `changes` counts, and gets its final name with the dump.
pub(crate) fn open_rejects(plan: &DumpPlan, changes: &TransformCounts) -> Result<LazyLinesFile> {
    let paths = possible_paths(plan)
        .iter()
        .map(|path| partial_path(path))
        .collect();
    LazyLinesFile::open(paths, changes.rejects_bytes).map_err(|error| {
        Error::failed("the interrupted dump cannot be resumed")
            .with_source(error)
            .with_hint(format!(
                "omit {resume} to start a new dump",
                resume = Field::Resume
            ))
    })
}

/// Deletes the rejects of an interrupted dump that is discarded.
pub(crate) fn discard_rejects(plan: &DumpPlan) -> Result<()> {
    possible_paths(plan)
        .iter()
        .try_for_each(|path| remove_side_file(&partial_path(path)))
}

/// Renames the file of rejects to its final name. The rejects of an earlier dump with this name are replaced or deleted.
pub(crate) fn publish_rejects(plan: &DumpPlan) -> Result<Option<PathBuf>> {
    let published = possible_paths(plan)
        .iter()
        .map(|path| publish_lines_file(path))
        .collect::<Result<Vec<_>>>()?;
    Ok(published.into_iter().flatten().next())
}

/// Possible paths: next to the dump, and in the state directory if nothing can be written there.
fn possible_paths(plan: &DumpPlan) -> Vec<PathBuf> {
    const NAME: &str = "rejects.jsonl";

    let state_dir = plan.request.state_dir.as_deref();
    let (next_to_dump, in_state_dir) = match &plan.request.target {
        DumpTarget::Folder(path) | DumpTarget::File(path) => (
            side_path(path, NAME),
            state_dir.map(|dir| side_path_in_state(dir, path, NAME)),
        ),
        // Two runs may write the same table to standard output at the same time, so the name contains the process ID.
        DumpTarget::Stdout => {
            let (table, environment, run) = (
                short_file_name(&plan.source.table),
                &plan.source.environment,
                std::process::id(),
            );

            (
                None,
                state_dir.map(|dir| dir.join(format!("dump-{table}.{environment}.{run}.{NAME}"))),
            )
        }
    };

    next_to_dump.into_iter().chain(in_state_dir).collect()
}
