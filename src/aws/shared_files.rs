//! The shared AWS files: which of them has a profile, and how messages name them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Maximum number of lines of a shared file that are searched for a profile.
const SHARED_FILE_LINES: usize = 100_000;

/// The file of settings, for example `~/.aws/config`.
pub(super) fn config_file() -> PathBuf {
    file("AWS_CONFIG_FILE", "config")
}

/// The file of keys, for example `~/.aws/credentials`.
pub(super) fn credentials_file() -> PathBuf {
    file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

fn file(key: &str, default: &str) -> PathBuf {
    match env::var_os(key).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => Path::new("~/.aws").join(default),
    }
}

/// The shared file that contains the profile. If both do, the credentials file takes precedence.
pub(super) fn file_of_profile(name: &str) -> String {
    let credentials = credentials_file();
    let found = if has_section(&credentials, name) {
        credentials
    } else {
        config_file()
    };

    found.display().to_string()
}

/// The shared file that contains the settings of the profile. If both do, the configuration file takes precedence.
pub(super) fn config_file_with(name: &str) -> PathBuf {
    let (config, credentials) = (config_file(), credentials_file());
    let is_in_config = has_section(&config, &format!("profile {name}"))
        || (name == "default" && has_section(&config, name));
    if !is_in_config && has_section(&credentials, name) {
        credentials
    } else {
        config
    }
}

/// Creates a value of a type that `aws-config` takes but does not export.
pub(super) fn default<T: Default>() -> T {
    T::default()
}

/// Whether the file has a section `[name]`.
pub(super) fn has_section(file: &Path, name: &str) -> bool {
    let path = match (file.strip_prefix("~"), env::home_dir()) {
        (Ok(below), Some(home)) => home.join(below),
        _ => file.to_owned(),
    };
    let is_header = |line: &str| {
        let header = line
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
            .map(str::trim);

        header == Some(name)
    };

    fs::read_to_string(path).is_ok_and(|text| text.lines().take(SHARED_FILE_LINES).any(is_header))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_belongs_to_the_file_with_its_section() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::io::Write::write_all(
            &mut fs::File::create(&path).unwrap(),
            b"# [c]\n[a]\n [ b ] ; x\nx = [d]\n",
        )
        .unwrap();

        for (name, expected) in [("a", true), ("b", true), ("c", false), ("d", false)] {
            assert_eq!(has_section(&path, name), expected, "{name}");
        }

        assert!(!has_section(&folder.path().join("absent"), "a"));
    }
}
