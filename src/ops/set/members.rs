//! The tables of a set on disk that a command uses.

use std::path::Path;

use super::pattern::TablePattern;
use crate::backup::DumpSet;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout;
use crate::similar::did_you_mean;

/// Opens a set.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound): the folder does not contain one; it is damaged.
pub(crate) fn open_set(path: &Path) -> Result<DumpSet> {
    DumpSet::find(path)?.ok_or_else(|| {
        Error::not_found(format!(
            "`{}` does not contain dumps of several tables",
            path.display()
        ))
        .with_hint(format!(
            "for the dump of one table, name the table with {} only",
            Field::Table
        ))
    })
}

/// The names of the dumped tables that match one of the patterns; all without patterns.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound): a pattern matches none, or there are none.
pub(crate) fn select(set: &DumpSet, patterns: &[TablePattern]) -> Result<Vec<String>> {
    let names: Vec<&String> = set.manifest().tables.keys().collect();
    let is_unmatched = |pattern: &&TablePattern| !names.iter().any(|name| pattern.matches(name));
    if let Some(pattern) = patterns.iter().find(is_unmatched) {
        let error = Error::not_found(format!(
            "no table of the set in `{}` matches \"{pattern}\"",
            set.path().display()
        ));
        let wanted = pattern.as_str().replace(['*', '?'], "");
        let similar = did_you_mean(&wanted, names.iter().map(|name| name.as_str()));
        let all: Vec<String> = names.into_iter().cloned().collect();

        return Err(error.with_hint(
            similar.unwrap_or_else(|| format!("its tables are {}", layout::names(&all, false))),
        ));
    }

    let is_selected = |name: &&String| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
    };
    let selected: Vec<String> = names.into_iter().filter(is_selected).cloned().collect();
    if selected.is_empty() {
        return Err(Error::not_found(format!(
            "the set in `{}` has no tables",
            set.path().display()
        )));
    }

    Ok(selected)
}
