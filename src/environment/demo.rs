//! The environment `demo`, which needs no env file: a sample table in the embedded engine.

use std::path::{Path, PathBuf};

use super::locate::EnvFileLocation;

/// Its env file. The database is in the state directory, so that no file appears in the working directory.
const ON_DISK: &str = "LOCAL_AWS_ENDPOINT=embedded:demo.db\nDYNAMODB_TABLE=FilmCatalogue\n";
/// Its env file if there is no state directory.
const IN_MEMORY: &str = "LOCAL_AWS_ENDPOINT=embedded:\nDYNAMODB_TABLE=FilmCatalogue\n";

/// The env file of the built-in environment.
pub(crate) fn built_in(state_dir: Option<&Path>) -> EnvFileLocation {
    EnvFileLocation {
        path: PathBuf::new(),
        display_path: PathBuf::from("built-in env file"),
        project_dir: state_dir.map(ToOwned::to_owned).unwrap_or_default(),
        built_in: Some(if state_dir.is_some() {
            ON_DISK
        } else {
            IN_MEMORY
        }),
    }
}
