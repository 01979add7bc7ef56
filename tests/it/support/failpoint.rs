//! Kills commands at a system call of their choice, with a preloaded library.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A library that kills its process at the n-th system call that changes a lock or a journal.
pub(crate) struct Failpoint {
    library: PathBuf,
    _folder: tempfile::TempDir,
}

impl Failpoint {
    /// Compiles the library.
    pub(crate) fn compile() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let library = folder.path().join("failpoint.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/failpoint.c");
        let compiled = Command::new("cc")
            .args([
                "-shared",
                "-fPIC",
                "-O1",
                "-Wall",
                "-U_FORTIFY_SOURCE",
                "-o",
            ])
            .arg(&library)
            .arg(source)
            .arg("-ldl")
            .status();
        assert!(compiled.expect("the tests need a C compiler").success());

        Self {
            library,
            _folder: folder,
        }
    }

    /// Runs a command that is killed at its n-th call, counted from 1. `folder` is that of the lock and the journal. Returns whether
    /// it was killed; otherwise, it made fewer calls.
    pub(crate) fn kills(&self, mut command: Command, number: usize, folder: &Path) -> bool {
        let status = command
            .env("LD_PRELOAD", &self.library)
            .env("KILL_AT", number.to_string())
            .env("KILL_FOLDER", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();

        status.expect("the command starts").code().is_none()
    }
}
