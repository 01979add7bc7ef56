//! Checks of folders on this machine: the state directory, interrupted commands, and the place of the dump.

use std::path::Path;

use super::DoctorRequest;
use super::interrupted::{InterruptedCommand, interrupted_commands};
use super::report::{CheckGroup, Checks, GroupChecks};
use crate::backup::{Compression, DumpTarget, TargetContents};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::{bytes, counted};
use crate::ops::run_blocking;
use crate::place::JournalFile;
use crate::place::local::inspect::{FolderState, folder_state};

/// Size of items as JSON, as a multiple of their size in DynamoDB. Types and punctuation take as much as short names and values.
const JSON_FACTOR: u64 = 2;

/// Permissions with which others may change the files in a folder.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Maximum number of interrupted commands with a row of their own.
const MAX_ROWS: usize = 10;

/// Looks at the folders. `table_bytes` is the size of the tables.
pub(super) async fn check(checks: &mut Checks, request: &DoctorRequest, table_bytes: Option<u64>) {
    let mut group = checks.group(CheckGroup::Files);
    let (state_dir, target) = (request.state_dir.clone(), request.target.clone());
    let looking = run_blocking("the look at the files", move || {
        Ok(look(state_dir.as_deref(), &target))
    });

    match looking.await {
        Ok(seen) => add_rows(&mut group, request, &seen, table_bytes),
        Err(error) => group.problem("Files", &error),
    }
}

/// What is on this machine.
struct Seen {
    state: Option<FolderState>,
    commands: Result<Vec<InterruptedCommand>>,
    /// The folder of the output and its contents.
    output: Option<(Option<FolderState>, Result<TargetContents>)>,
}

fn look(state_dir: Option<&Path>, target: &DumpTarget) -> Seen {
    // The journal of a dump is next to it, unless it cannot be created there.
    let of_target = target.journal(state_dir).ok().flatten();
    let in_state = state_dir.map_or_else(|| Ok(Vec::new()), JournalFile::all_in);

    Seen {
        state: state_dir.and_then(folder_state),
        commands: in_state.map(|files| interrupted_commands(of_target.into_iter().chain(files))),
        output: output_folder(target).map(|folder| (folder_state(&folder), target.contents())),
    }
}

/// The folder in which files are created.
fn output_folder(target: &DumpTarget) -> Option<std::path::PathBuf> {
    match target {
        DumpTarget::Stdout => None,
        DumpTarget::Folder(path) => Some(path.clone()),
        DumpTarget::File(path) => Some(path.parent().map_or_else(
            || path.clone(),
            |parent| {
                if parent.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    parent
                }
                .to_owned()
            },
        )),
    }
}

fn add_rows(
    group: &mut GroupChecks<'_>,
    request: &DoctorRequest,
    seen: &Seen,
    table_bytes: Option<u64>,
) {
    match (&request.state_dir, &seen.state) {
        (Some(path), Some(state)) => check_state_dir(group, path, state),
        _ => group.warning(
            "State directory",
            "there is none: interrupted restores cannot be resumed",
            "set HOME, or XDG_STATE_HOME to a folder that can be written",
        ),
    }

    match &seen.commands {
        Ok(commands) => add_commands(group, commands),
        Err(error) => group.problem("Interrupted", error),
    }

    if let Some((state, contents)) = &seen.output {
        check_output(group, request, state.as_ref(), contents);
        if let Some(state) = state {
            check_space(group, request, state, table_bytes);
        }
    }
}

fn check_state_dir(group: &mut GroupChecks<'_>, path: &Path, state: &FolderState) {
    const NAME: &str = "State directory";

    let shown = path.display();
    if let Some(reason) = &state.refusal {
        let nearest = state.nearest.display();
        group.warning(
            NAME,
            format!(
                "nothing can be created in {nearest}: {reason}. Restores could not be resumed."
            ),
            "set XDG_STATE_HOME to a folder that can be written",
        );
    } else if !state.exists {
        group.ok(
            NAME,
            format!("{shown} does not exist yet and can be created"),
        );
    } else if state.mode & WRITABLE_BY_OTHERS != 0 {
        group.warning(
            NAME,
            format!("{shown} can be changed by others (mode {:04o})", state.mode),
            format!("chmod 700 '{shown}'"),
        );
    } else {
        group.ok(
            NAME,
            format!("{shown} can be written (mode {:04o})", state.mode),
        );
    }
}

fn add_commands(group: &mut GroupChecks<'_>, commands: &[InterruptedCommand]) {
    if commands.is_empty() {
        return group.ok("Interrupted", "no command was interrupted");
    }

    for command in commands.iter().take(MAX_ROWS) {
        match &command.hint {
            Some(hint) => group.warning("Interrupted", &*command.what, hint),
            None => group.ok("Running", &*command.what),
        }
    }

    let more = commands.len().saturating_sub(MAX_ROWS);
    if more > 0 {
        group.ok(
            "Interrupted",
            format!("and {}", counted(more as u64, "other command")),
        );
    }
}

fn check_output(
    group: &mut GroupChecks<'_>,
    request: &DoctorRequest,
    state: Option<&FolderState>,
    contents: &Result<TargetContents>,
) {
    const NAME: &str = "Output";

    let shown = match &request.target {
        DumpTarget::Folder(path) | DumpTarget::File(path) => path.display(),
        DumpTarget::Stdout => return,
    };
    let refusal = state.and_then(|state| Some((state, state.refusal.as_ref()?)));
    if let Some((state, reason)) = refusal {
        let nearest = state.nearest.display();
        let error = Error::not_found(format!("nothing can be created in {nearest}: {reason}"));
        let hint = format!("choose another {}", Field::Target);
        return group.problem(NAME, &error.with_hint(hint));
    }

    match contents {
        Err(error) => group.problem(NAME, error),
        Ok(TargetContents::Absent | TargetContents::Empty) => {
            group.ok(NAME, format!("{shown} can be created"));
        }
        Ok(TargetContents::Dump(_)) => {
            group.ok(
                NAME,
                format!("{shown} contains a dump, which the next one replaces"),
            );
        }
        Ok(TargetContents::Set(_)) => {
            group.ok(NAME, format!("{shown} contains dumps of several tables"));
        }
    }
}

/// Compares the free space with the size that the tables will have as JSON. A dump that is replaced is kept until the new one is
/// complete.
fn check_space(
    group: &mut GroupChecks<'_>,
    request: &DoctorRequest,
    state: &FolderState,
    table_bytes: Option<u64>,
) {
    const NAME: &str = "Free space";

    let Some(free) = state.free_bytes else {
        return group.skipped(NAME, "the file system does not tell it");
    };
    let Some(table) = table_bytes else {
        return group.ok(NAME, bytes(free));
    };

    let needed = table.saturating_mul(JSON_FACTOR);
    let finding = format!(
        "{}; the dump needs about {} as JSON ({} in DynamoDB)",
        bytes(free),
        bytes(needed),
        bytes(table)
    );
    let hint = "compress the dump, or choose another disk";
    if free >= needed {
        group.ok(NAME, finding);
    } else if free < table && request.compression == Compression::None {
        group.problem(NAME, &Error::failed(finding).with_hint(hint));
    } else {
        group.warning(NAME, finding, hint);
    }
}

impl DoctorRequest {
    /// The folder of dumps.
    pub(super) fn target_folder(&self) -> std::path::PathBuf {
        match &self.target {
            DumpTarget::Folder(path) => path.clone(),
            DumpTarget::File(_) | DumpTarget::Stdout => std::path::PathBuf::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::report::{CheckState, Diagnosis};
    use super::*;
    use crate::environment::EnvironmentRequest;
    use crate::event::SilentReporter;
    use crate::ops::set::SelectionOptions;

    fn request(compression: Compression) -> DoctorRequest {
        DoctorRequest {
            environment: EnvironmentRequest::default(),
            selection: SelectionOptions::default(),
            target: DumpTarget::folder("out"),
            compression,
            state_dir: None,
            reporter: Arc::new(SilentReporter),
        }
    }

    fn space(free: u64, table: u64, compression: Compression) -> CheckState {
        let state = FolderState {
            nearest: "out".into(),
            exists: true,
            mode: 0o700,
            refusal: None,
            free_bytes: Some(free),
        };
        let mut checks = Checks::default();
        let mut group = checks.group(CheckGroup::Files);
        check_space(&mut group, &request(compression), &state, Some(table));

        Diagnosis::new("dev", checks).checks[0].state
    }

    #[test]
    fn too_little_space_is_a_problem_unless_the_dump_is_compressed() {
        let none = Compression::None;
        for (free, table, compression, state) in [
            (200, 100, none, CheckState::Ok),
            (199, 100, none, CheckState::Warning),
            (99, 100, none, CheckState::Problem),
            (99, 100, Compression::Zstd, CheckState::Warning),
        ] {
            assert_eq!(space(free, table, compression), state, "{free} {table}");
        }
    }

    #[test]
    fn a_state_directory_that_others_can_change_is_a_warning() {
        for (mode, state) in [
            (0o700, CheckState::Ok),
            (0o755, CheckState::Ok),
            (0o777, CheckState::Warning),
        ] {
            let folder = FolderState {
                nearest: "state".into(),
                exists: true,
                mode,
                refusal: None,
                free_bytes: None,
            };
            let mut checks = Checks::default();
            check_state_dir(
                &mut checks.group(CheckGroup::Files),
                Path::new("state"),
                &folder,
            );
            assert_eq!(Diagnosis::new("dev", checks).checks[0].state, state);
        }
    }
}
