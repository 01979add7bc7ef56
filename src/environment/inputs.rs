//! The three places that values come from, in their order: flags, env file, process environment.

use std::path::PathBuf;

use super::file::EnvFile;
use super::{EnvironmentRequest, ProcessEnvironment, Sourced, ValueSource, keys};
use crate::error::Result;

/// What an environment is resolved from.
pub(crate) struct Inputs<'a> {
    pub(crate) request: &'a EnvironmentRequest,
    file: Option<EnvFile>,
    process: &'a ProcessEnvironment,
    /// What relative paths in the file are relative to: the folder that holds the folder of env files.
    pub(crate) project_dir: PathBuf,
}

impl<'a> Inputs<'a> {
    /// Puts the three places together.
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

    /// The value of `key` in the process environment. Without an env file only AWS's own keys, and the guards, count there:
    /// what else a shell happens to export must not send `--no-env` to another endpoint or table.
    pub(crate) fn in_process(&self, key: &'static str) -> Result<Option<Sourced<String>>> {
        if self.request.no_env && matches!(key, keys::LOCAL_ENDPOINT | keys::TABLE) {
            return Ok(None);
        }

        self.process.get(key)
    }

    /// Whether `key` is set in the process environment, and empty.
    pub(crate) fn is_empty_in_process(&self, key: &'static str) -> bool {
        self.process.is_empty(key)
    }

    /// Checks that the env file has a value for each of its keys.
    pub(crate) fn refuse_empty_in_file(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), EnvFile::refuse_empty)
    }

    /// The value that the flag or else the file names.
    pub(crate) fn flag_or_file(
        &self,
        flag: &'static str,
        value: Option<&String>,
        key: &'static str,
    ) -> Result<Option<Sourced<String>>> {
        Ok(from_flag(flag, value)?.or_else(|| self.in_file(key)))
    }

    /// The value of `key` in the file, or else in the process environment.
    pub(crate) fn file_or_process(&self, key: &'static str) -> Result<Option<Sourced<String>>> {
        self.in_file(key)
            .map_or_else(|| self.in_process(key), |found| Ok(Some(found)))
    }

    /// The values of `keys` in the file, which mean the same and must not differ.
    pub(crate) fn agreed_in_file(&self, keys: &[&'static str]) -> Result<Vec<Sourced<String>>> {
        let found: Vec<Sourced<String>> = keys.iter().filter_map(|key| self.in_file(key)).collect();
        for pair in found.windows(2) {
            if let ([first, second], true) = (pair, pair[0].value != pair[1].value) {
                let other = match &first.source {
                    ValueSource::File { line, key, .. } => format!("{key} on line {line}"),
                    other => other.to_string(),
                };
                return Err(second.source.error(format!(
                    "differs from {other}, and both name the same thing"
                )));
            }
        }

        Ok(found)
    }

    /// The first of `keys` that the process environment has.
    pub(crate) fn first_in_process(
        &self,
        keys: &[&'static str],
    ) -> Result<Option<Sourced<String>>> {
        keys.iter()
            .find_map(|key| self.in_process(key).transpose())
            .transpose()
    }
}

/// The value of a flag. An empty one is no way to say "not set": in a script it is a variable that was forgotten.
pub(crate) fn from_flag(
    flag: &'static str,
    value: Option<&String>,
) -> Result<Option<Sourced<String>>> {
    let Some(value) = value else { return Ok(None) };
    let source = ValueSource::Flag(flag);
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
