//! The three sources of values in order of precedence: flags, env file, process environment.

use std::path::PathBuf;

use super::file::EnvFile;
use super::{EnvironmentRequest, ProcessEnvironment, Sourced, ValueSource, keys};
use crate::error::Result;
use crate::field::Field;

/// Sources that an environment is resolved from.
pub(crate) struct Inputs<'a> {
    pub(crate) request: &'a EnvironmentRequest,
    file: Option<EnvFile>,
    process: &'a ProcessEnvironment,
    /// Base of relative paths in the env file: the parent of the folder `envs`.
    pub(crate) project_dir: PathBuf,
}

impl<'a> Inputs<'a> {
    /// Combines the three sources.
    pub(crate) fn new(
        request: &'a EnvironmentRequest,
        file: Option<EnvFile>,
        project_dir: PathBuf,
        process: &'a ProcessEnvironment,
    ) -> Self {
        Self {
            request,
            file,
            process,
            project_dir,
        }
    }

    /// The value of `key` in the env file.
    pub(crate) fn in_file(&self, key: &'static str) -> Option<Sourced<String>> {
        self.file.as_ref().and_then(|file| file.get(key))
    }

    /// The value of `key` in the process environment. With `--no-env`, only AWS's own keys,
    /// protection and account are read, so that an exported variable does not redirect the command
    /// to another endpoint or table.
    pub(crate) fn in_process(&self, key: &'static str) -> Result<Option<Sourced<String>>> {
        if self.request.no_env && matches!(key, keys::LOCAL_ENDPOINT | keys::TABLE) {
            return Ok(None);
        }

        self.process.get(key)
    }

    /// Whether `key` is set to an empty value in the process environment.
    pub(crate) fn is_empty_in_process(&self, key: &'static str) -> bool {
        self.process.is_empty(key)
    }

    /// Checks that no key of the env file has an empty value.
    pub(crate) fn refuse_empty_in_file(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), EnvFile::refuse_empty)
    }

    /// The value of a flag, or of `key` in the env file.
    pub(crate) fn flag_or_file(
        &self,
        field: Field,
        value: Option<&String>,
        key: &'static str,
    ) -> Result<Option<Sourced<String>>> {
        Ok(from_field(field, value)?.or_else(|| self.in_file(key)))
    }

    /// The value of `key` in the env file, or in the process environment.
    pub(crate) fn file_or_process(&self, key: &'static str) -> Result<Option<Sourced<String>>> {
        self.in_file(key)
            .map_or_else(|| self.in_process(key), |found| Ok(Some(found)))
    }

    /// The values of synonymous `keys` in the env file.
    ///
    /// # Errors
    /// Two of them differ.
    pub(crate) fn agreed_in_file(&self, keys: &[&'static str]) -> Result<Vec<Sourced<String>>> {
        let found: Vec<Sourced<String>> = keys.iter().filter_map(|key| self.in_file(key)).collect();
        // Equality is transitive, so comparing neighbors is sufficient.
        for pair in found.windows(2) {
            if let ([first, second], true) = (pair, pair[0].value != pair[1].value) {
                let other = match &first.source {
                    ValueSource::File { line, key, .. } => format!("{key} on line {line}"),
                    other => other.to_string(),
                };
                return Err(second
                    .source
                    .error(format!("differs from {other}, which has the same meaning")));
            }
        }

        Ok(found)
    }

    /// The value of the first of `keys` that is set in the process environment.
    pub(crate) fn first_in_process(
        &self,
        keys: &[&'static str],
    ) -> Result<Option<Sourced<String>>> {
        keys.iter()
            .find_map(|key| self.in_process(key).transpose())
            .transpose()
    }
}

/// The value of a flag. An empty value is an error, because in a script it usually means that a
/// variable was not set.
pub(crate) fn from_field(field: Field, value: Option<&String>) -> Result<Option<Sourced<String>>> {
    // Control characters are refused because values are printed in plans.
    let Some(value) = value else { return Ok(None) };
    let source = ValueSource::Field(field);
    if value.is_empty() || value.contains(char::is_control) {
        return Err(source.error(if value.is_empty() {
            "is empty"
        } else {
            "has a control character in its value"
        }));
    }

    Ok(Some(Sourced {
        value: value.clone(),
        source,
    }))
}
