//! Names of files that belong to another file or folder: next to it, or in the user's state
//! directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::place::digest::hex_sha256;

/// Suffix of a file or folder while it is being built.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";

/// Suffix of a lock file.
pub(crate) const LOCK_SUFFIX: &str = ".lock";

/// Suffix of a journal.
pub(crate) const JOURNAL_SUFFIX: &str = ".journal";

/// Bytes of a path's last name that are kept in the name of a state file. Most file systems limit a
/// whole name to 255 bytes.
const NAME_BYTES: usize = 60;

/// The path next to `path` whose name is that of `path` and a suffix. `None` for a path without a
/// name, such as `/`.
pub(crate) fn sibling(path: &Path, suffix: &str) -> Option<PathBuf> {
    let mut name = OsString::from(path.file_name()?);
    name.push(suffix);
    Some(path.with_file_name(name))
}

/// The name in the state directory of a file that cannot be created next to `path`: readable, and
/// unique by the digest of the path.
pub(crate) fn state_name(path: &Path, suffix: &str) -> String {
    let digest = hex_sha256(path.as_os_str().as_encoded_bytes());
    let name = path
        .file_name()
        .map_or_else(|| "root".into(), |name| name.to_string_lossy());
    format!(
        "{}-{}{suffix}",
        &name[..name.floor_char_boundary(NAME_BYTES)],
        &digest[..16]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sibling_keeps_the_full_name() {
        assert_eq!(
            sibling(Path::new("/a/b.c"), PARTIAL_SUFFIX),
            Some(PathBuf::from("/a/b.c.partial"))
        );
        assert_eq!(sibling(Path::new("/"), PARTIAL_SUFFIX), None);
    }
}
