//! Sources of values, for plans and errors.

use std::fmt;
use std::path::PathBuf;

use super::keys;
use crate::error::Error;
use crate::field::Field;

/// A value and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The source of the value.
    pub source: ValueSource,
}

/// Source of a value. `Display` is for plans: `--region`, `envs/.env.prod line 3`, `AWS_REGION in
/// the process environment`, `endpoint_url of profile ops, ~/.aws/config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// A field of the request.
    Field(Field),
    /// A line of an env file.
    File {
        /// The file for display: relative to the working directory where possible.
        path: PathBuf,
        /// The line number, counted from 1.
        line: usize,
        /// The key on that line.
        key: &'static str,
    },
    /// A variable of the process environment.
    Process(&'static str),
    /// A setting of a profile in the shared AWS configuration.
    Profile {
        /// The setting and its profile: `endpoint_url of profile ops`.
        setting: String,
        /// The file for display: `~/.aws/config`.
        file: PathBuf,
    },
    /// The default of this program.
    Default,
}

impl ValueSource {
    /// Whether the value was set under this key, in the env file or the process environment.
    pub(crate) fn is_key(&self, wanted: &str) -> bool {
        match self {
            Self::File { key, .. } | Self::Process(key) => keys::without_side(key) == wanted,
            Self::Field(_) | Self::Profile { .. } | Self::Default => false,
        }
    }

    /// Creates an error about the value: a usage error for a field, otherwise an environment error.
    /// It names the field, or the file, line and key. `what` must not quote the value.
    pub(crate) fn error(&self, what: impl fmt::Display) -> Error {
        match self {
            Self::Field(field) => Error::usage(format!("{field} {what}")),
            Self::File { path, line, key } => {
                Error::environment(format!("{} line {line}: {key} {what}", path.display()))
            }
            Self::Process(_) | Self::Profile { .. } | Self::Default => {
                Error::environment(format!("{self}: it {what}"))
            }
        }
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) => field.fmt(f),
            Self::File { path, line, .. } => write!(f, "{} line {line}", path.display()),
            Self::Process(key) => write!(f, "{key} in the process environment"),
            Self::Profile { setting, file } => write!(f, "{setting}, {}", file.display()),
            Self::Default => f.write_str("default"),
        }
    }
}
