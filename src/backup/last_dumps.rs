//! When the tables of an environment were last dumped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::format::METADATA_FILE;
use super::metadata::{MetadataFile, parse};
use crate::place::local::folders::entries;
use crate::place::local::names::PARTIAL_SUFFIX;
use crate::place::local::untrusted::read_document;

/// When the last dump of each table of an environment was finished, by the metadata of the dumps in a folder: the folder is a dump,
/// or contains one for each table. Unreadable dumps are ignored.
pub(crate) fn last_dumps(folder: &Path, environment: &str) -> BTreeMap<String, DateTime<Utc>> {
    let mut times = BTreeMap::new();
    for dump in dump_folders(folder) {
        let document = read_document(&dump.join(METADATA_FILE)).ok().flatten();
        let metadata = document.and_then(|document| parse(&document, METADATA_FILE).ok());
        let Some(MetadataFile::Own(metadata)) = metadata else {
            continue;
        };

        if metadata.environment == environment {
            let time = times.entry(metadata.table).or_insert(metadata.finished_at);
            *time = metadata.finished_at.max(*time);
        }
    }

    times
}

/// The folder and the folders in it, without those of unfinished dumps.
fn dump_folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    if let Ok(entries) = entries(folder) {
        let dumps = entries.flatten().filter(|entry| {
            let is_partial = entry.name.to_string_lossy().ends_with(PARTIAL_SUFFIX);
            entry.is_folder && !is_partial
        });
        folders.extend(dumps.map(|entry| entry.path));
    }

    folders
}
