//! Locates the env file of an environment, or lists the existing ones in an error.

use std::fs;
use std::path::{Path, PathBuf};

use super::request::DEMO;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::similar::did_you_mean;

/// Maximum number of environments that an error lists.
const LISTED_NAMES: usize = 20;

const PREFIX: &str = ".env.";
const EXAMPLE: &str = ".example";

/// Location of an env file.
pub(crate) struct EnvFileLocation {
    /// Path of the file.
    pub(crate) path: PathBuf,
    /// Path for display: relative to the working directory where possible.
    pub(crate) display_path: PathBuf,
    /// Base of relative paths in the file: the parent of the folder of env files.
    pub(crate) project_dir: PathBuf,
    /// The text of the file, if this program contains it.
    pub(crate) built_in: Option<&'static str>,
}

/// Locates the env file of the environment `name` in `envs_dir`, by default the nearest folder
/// `envs` in or above `working_dir`.
pub(crate) fn locate(
    name: &str,
    envs_dir: Option<&Path>,
    working_dir: &Path,
) -> Result<EnvFileLocation> {
    if !is_name(name) {
        return Err(Error::usage(format!(
            "{environment} must be a name of letters, digits, `.`, `_` and `-`",
            environment = Field::Environment
        ))
        .with_hint(format!(
            "it names the file envs/.env.<name>, for example {environment}=prod",
            environment = Field::Environment
        )));
    }

    let folder = match envs_dir {
        Some(folder) => working_dir.join(folder),
        None => find_upwards(working_dir).ok_or_else(|| no_envs_folder_error(name, working_dir))?,
    };
    let path = folder.join(file_name(name));
    let display_path = relative_to_working_dir(&path, working_dir);
    // A broken link is not reported as missing: reading it fails with the reason.
    if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return Err(missing_file_error(name, &folder, &display_path));
    }

    let project_dir = parent_dir(&folder).map_err(|error| {
        Error::environment(format!("cannot read {}", folder.display())).with_source(error)
    })?;

    Ok(EnvFileLocation {
        path,
        display_path,
        project_dir,
        built_in: None,
    })
}

/// The name of an env file.
pub(super) fn file_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.chars().all(allowed) && !matches!(name, "." | "..")
}

fn find_upwards(working_dir: &Path) -> Option<PathBuf> {
    working_dir
        .ancestors()
        .map(|folder| folder.join("envs"))
        .find(|envs| envs.is_dir())
}

/// The parent of `folder` in the path as written. Symbolic links are not resolved, because a linked
/// `envs` belongs to the project that contains the link.
fn parent_dir(folder: &Path) -> std::io::Result<PathBuf> {
    // Only a path that ends with `..` must be resolved.
    let whole = if folder.file_name().is_some() {
        folder.to_owned()
    } else {
        folder.canonicalize()?
    };

    Ok(whole.parent().unwrap_or(&whole).to_owned())
}

fn relative_to_working_dir(path: &Path, working_dir: &Path) -> PathBuf {
    path.strip_prefix(working_dir).unwrap_or(path).to_owned()
}

fn no_envs_folder_error(name: &str, working_dir: &Path) -> Error {
    Error::environment(format!(
        "environment {name:?} has no file: no folder envs in {} or its parents",
        working_dir.display()
    ))
    .with_hint(format!(
        "try {environment}={DEMO}, which needs no file; create env files with `dumpdb {init}`; or use {no_env} with {profile}, {region} and {table}",
        environment = Field::Environment,
        init = Field::Init,
        no_env = Field::NoEnv,
        profile = Field::Profile,
        region = Field::Region,
        table = Field::Table
    ))
}

fn missing_file_error(name: &str, folder: &Path, display_path: &Path) -> Error {
    let mut names = environment_names(folder);
    let similar = did_you_mean(name, names.iter().map(String::as_str));
    let example = display_path.with_file_name(format!("{PREFIX}{name}{EXAMPLE}"));
    let has_example = folder.join(format!("{PREFIX}{name}{EXAMPLE}")).is_file();
    // One entry replaces all names beyond the limit.
    let more = names.len().saturating_sub(LISTED_NAMES);
    names.truncate(LISTED_NAMES);

    if more > 0 {
        names.push(format!("and {more} more"));
    }

    let listed = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };

    let hint = if has_example {
        format!(
            "cp {} {}, then fill it in",
            example.display(),
            display_path.display()
        )
    } else if let Some(similar) = similar {
        similar
    } else {
        format!(
            "create {}, choose another environment with {environment}, or use {no_env}",
            display_path.display(),
            environment = Field::Environment,
            no_env = Field::NoEnv
        )
    };

    let example = if has_example {
        format!("; {} exists", example.display())
    } else {
        String::new()
    };

    Error::environment(format!(
        "environment {name:?} has no file: {} does not exist (existing environments: {listed}{example})",
        display_path.display()
    ))
    .with_hint(hint)
}

/// The names of the environments that have an env file in `folder`, sorted.
fn environment_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix(PREFIX)
                .map(str::to_owned)
        })
        .filter(|name| is_name(name) && !name.ends_with(EXAMPLE))
        .collect();

    names.sort();

    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(path).unwrap();
        }

        dir
    }

    #[test]
    fn names_are_checked_before_they_become_paths() {
        for name in ["", ".", "..", "a/b", "../x", "a b", "prod\n", "ä", "a\\b"] {
            assert_eq!(
                locate(name, None, Path::new("/")).err().unwrap().kind(),
                crate::error::ErrorKind::Usage,
                "{name}"
            );
        }

        assert!(["prod", "a.b-c_d", "...", "-x"].into_iter().all(is_name));
    }

    #[test]
    fn the_nearest_envs_folder_upwards_counts() {
        let dir = project(&[
            "envs/.env.a",
            "deep/er/still/x",
            "deep/envs/.env.b",
            "deep/er/envs",
        ]);

        let from = dir.path().join("deep/er/still");
        let found = locate("b", None, &from).unwrap();
        assert_eq!(found.path, dir.path().join("deep/envs/.env.b"));
        assert_eq!(found.display_path, found.path);
        assert_eq!(found.project_dir, dir.path().join("deep"));
        assert!(locate("a", None, &from).is_err());
        assert_eq!(
            locate("a", None, dir.path()).unwrap().display_path,
            Path::new("envs/.env.a")
        );
    }

    #[test]
    fn envs_dir_overrides_and_is_relative_to_the_working_directory() {
        let dir = project(&["conf/all/.env.a", "conf/all/sub/x"]);
        for (envs_dir, from) in [("conf/all", "."), ("all/.", "conf"), ("..", "conf/all/sub")] {
            let found = locate("a", Some(Path::new(envs_dir)), &dir.path().join(from)).unwrap();
            assert!(
                found.project_dir.ends_with("conf"),
                "{}",
                found.project_dir.display()
            );
        }
    }

    #[test]
    fn a_missing_file_lists_what_there_is() {
        let dir = project(&[
            "envs/.env.local",
            "envs/.env.dev",
            "envs/.env.prod.example",
            "envs/.env.a b",
            "envs/readme",
        ]);

        let error = locate("prod", None, dir.path()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "environment \"prod\" has no file: envs/.env.prod does not exist (existing environments: dev, local; \
             envs/.env.prod.example exists)"
        );

        assert_eq!(
            error.hint(),
            Some("cp envs/.env.prod.example envs/.env.prod, then fill it in")
        );
        for (wrong, hint) in [
            ("lcoal", "did you mean local?"),
            (
                "staging",
                "create envs/.env.staging, choose another environment with `name`, or use `no_env`",
            ),
        ] {
            let error = locate(wrong, None, dir.path()).err().unwrap();
            assert_eq!(error.hint(), Some(hint));
        }

        let error = locate("prod", Some(Path::new("none")), dir.path())
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "environment \"prod\" has no file: none/.env.prod does not exist (existing environments: none)"
        );
    }
}
