//! A wrong clock for one process: a library that adds an offset to the time of day, compiled here and loaded before all others.

use std::path::PathBuf;
use std::process::Command;

use super::project::Project;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *ahead = getenv("CLOCK_AHEAD");
    if (result == 0 && clock == CLOCK_REALTIME && ahead) time->tv_sec += atol(ahead);
    return result;
}
"#;

/// Makes the clock of a command wrong by this number of seconds.
pub(crate) fn set_ahead(command: &mut Command, project: &Project, seconds: i64) {
    command
        .env("LD_PRELOAD", library(project))
        .env("CLOCK_AHEAD", seconds.to_string());
}

/// Compiles the library. A C compiler is there: the embedded engine needs one.
fn library(project: &Project) -> PathBuf {
    let source = project.write("clock.c", SOURCE);
    let library = project.path("clock.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(compiled.expect("a C compiler").success());

    library
}
