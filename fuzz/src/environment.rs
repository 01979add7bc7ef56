//! The parser of env files, without the rest of the environment module.

#[path = "../../src/environment/file.rs"]
mod file;
#[path = "../../src/environment/keys.rs"]
mod keys;
#[path = "../../src/environment/lines.rs"]
mod lines;
#[path = "../../src/environment/placeholder.rs"]
mod placeholder;
#[path = "../../src/environment/source.rs"]
mod source;

use std::path::Path;

pub use source::{Sourced, ValueSource};

use crate::error::Result;

/// Keys that the program reads.
pub const KEYS: [&str; 5] = [
    keys::TABLE,
    keys::REGION,
    keys::ACCESS_KEY_ID,
    keys::SECRET_ACCESS_KEY,
    keys::LOCAL_ENDPOINT,
];

/// Parses `text` as an env file; returns the value of each of [`KEYS`].
pub fn parse(text: &str) -> Result<Vec<(&'static str, Option<String>)>> {
    let path = Path::new("envs/.env.x");
    let file = file::EnvFile::parse(text, path, keys::KeySet::Environment)?;
    Ok(KEYS
        .into_iter()
        .map(|key| (key, file.get(key).map(|found| found.value)))
        .collect())
}
