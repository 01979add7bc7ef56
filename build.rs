//! Records the commit, date and target of a build for `--version`.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The file in a package from crates.io that names its commit.
const PACKAGE_COMMIT: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    record("DYNADUMP_TARGET", env::var("TARGET").ok());

    // With the commit, a development build would be compiled again after each commit.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }

    for file in [PACKAGE_COMMIT, ".git/HEAD", ".git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo:rerun-if-changed={file}");
        }
    }

    record("DYNADUMP_COMMIT", commit());
    // Not the time of the build: the same source gives the same program.
    let date = env::var("SOURCE_DATE_EPOCH").ok();
    record(
        "DYNADUMP_EPOCH",
        date.or_else(|| git(&["log", "-1", "--format=%ct"])),
    );
}

fn record(name: &str, value: Option<String>) {
    if let Some(value) = value {
        println!("cargo:rustc-env={name}={value}");
    }
}

/// The first twelve digits of the commit; `None` if neither the package nor git names it.
fn commit() -> Option<String> {
    if let Ok(package) = fs::read_to_string(PACKAGE_COMMIT) {
        let (_, rest) = package.split_once("\"sha1\"")?;
        return rest.split('"').nth(1)?.get(..12).map(ToOwned::to_owned);
    }

    git(&["rev-parse", "--short=12", "HEAD"])
}

/// What git prints about this repository. A repository around this one is another project's.
fn git(arguments: &[&str]) -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }

    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;

    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
