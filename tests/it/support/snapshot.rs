//! Snapshots of the output of commands. The files are in `tests/it/cli/snapshots`.

use super::project::{Run, test_segments};

/// Compares the output and exit code of a run with a snapshot. Values that differ from run to run are replaced by placeholders.
pub(crate) fn assert_output(name: &str, run: &Run) {
    // The text names the segments, and snapshots are of the number that the command chooses.
    if test_segments().is_some() {
        return;
    }

    let code = run
        .status
        .code()
        .map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
    let text = format!(
        "$ {}\n{}{}\n[exit {code}]",
        run.command,
        String::from_utf8_lossy(&run.stdout),
        run.stderr
    );

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../cli/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"/[^\s`]*dynadump-it-\w+", "[project]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[port]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]");
    settings.add_filter(r"\b\d+\.\d+ s\b", "[duration]");
    settings.add_filter(r" \([\d.,]+ items/s, [\d.,]+ [kMG]?B/s\)", "");
    settings.add_filter(
        r"(dumpdb|restoredb|verifydb|copydb) \d+\.\d+\.\d+",
        "[version]",
    );
    settings.add_filter(r"Resume with: \S*/(dumpdb|restoredb)", "Resume with: $1");
    settings.add_filter(r"process \d+ on \S+", "process [pid]");
    settings.add_filter(r"Free space( +)[\d.]+ [kMGTP]?B", "Free space$1[free]");
    settings.bind(|| insta::assert_snapshot!(name, text));
}
