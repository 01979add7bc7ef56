//! Snapshot of the process environment variables that this program reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;

use super::{Sourced, ValueSource, keys};
use crate::error::Result;

/// Values of the recognized variables at the time of the snapshot. `Debug` prints their names only.
#[derive(Clone, Default)]
pub struct ProcessEnvironment {
    /// Non-empty variables; `None` if the value is not UTF-8.
    variables: BTreeMap<&'static str, Option<String>>,
    /// Variables that are set to an empty value.
    empty: BTreeSet<&'static str>,
}

impl ProcessEnvironment {
    /// Takes a snapshot of the variables of this process.
    #[must_use]
    pub fn capture() -> Self {
        Self::collect(std::env::vars_os())
    }

    /// Creates a snapshot from other variables, for tests and for callers other than commands.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut snapshot = Self::default();
        for (key, value) in pairs {
            snapshot.keep(OsStr::new(key.as_ref()), OsStr::new(value.as_ref()));
        }

        snapshot
    }

    fn collect<T: AsRef<OsStr>>(variables: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut snapshot = Self::default();
        for (key, value) in variables {
            snapshot.keep(key.as_ref(), value.as_ref());
        }

        snapshot
    }

    fn keep(&mut self, key: &OsStr, value: &OsStr) {
        // Other variables are not stored: they may be secrets.
        let Some(key) = key.to_str().and_then(keys::recognized) else {
            return;
        };

        if value.is_empty() {
            self.empty.insert(key);
        } else {
            self.variables
                .insert(key, value.to_str().map(str::to_owned));
        }
    }

    /// Whether `key` is set to an empty value.
    pub(crate) fn is_empty(&self, key: &'static str) -> bool {
        self.empty.contains(key)
    }

    /// The value of `key`. An empty value counts as not set.
    pub(crate) fn get(&self, key: &'static str) -> Result<Option<Sourced<String>>> {
        let source = ValueSource::Process(key);
        match self.variables.get(key) {
            None => Ok(None),
            Some(Some(value)) if !value.contains(char::is_control) => Ok(Some(Sourced {
                value: value.clone(),
                source,
            })),
            Some(_) => Err(source.error("is not plain text")),
        }
    }
}

impl fmt::Debug for ProcessEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_never_values() {
        let process =
            ProcessEnvironment::from_pairs([("AWS_SECRET_ACCESS_KEY", "hush"), ("OTHER", "hush")]);
        assert_eq!(format!("{process:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_utf8_is_an_error_when_it_is_used() {
        use std::os::unix::ffi::OsStrExt;

        let process =
            ProcessEnvironment::collect([(OsStr::new("AWS_REGION"), OsStr::from_bytes(b"\xff"))]);
        assert_eq!(process.get(keys::PROFILE).unwrap(), None);
        assert_eq!(
            process.get(keys::REGION).unwrap_err().to_string(),
            "AWS_REGION in the process environment: it is not plain text"
        );
    }
}
