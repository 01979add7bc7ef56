use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::super::local::files::test_syncs::synced;
use super::super::local::files::{open_lock_file, write_file};
use super::*;

fn of_dump(dump: &Path) -> JournalFile {
    JournalFile::of_dump(dump, None)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_held_lock_names_its_holder_and_a_released_one_is_available() {
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("dump");
    let first = of_dump(&dump).lock().unwrap();
    assert_eq!(mode(&dir.path().join("dump.lock")), 0o600);
    let Err(LockRefusal::Held { lock, holder }) = of_dump(&dump).lock() else {
        panic!("the lock is held");
    };
    assert_eq!(lock, dir.path().join("dump.lock"));
    assert!(holder.starts_with(&format!("process {} on ", std::process::id())));
    assert!(of_dump(&dump).holder().is_some());

    drop(first);
    assert!(names(dir.path()).is_empty());
    assert!(of_dump(&dump).holder().is_none());
    of_dump(&dump).lock().unwrap();
}

#[test]
fn a_lock_file_left_by_a_killed_run_does_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("dump.lock");
    open_lock_file(&lock)
        .unwrap()
        .write_all(&[b'x'; 5000])
        .unwrap();
    let _locked = of_dump(&dir.path().join("dump")).lock().unwrap();
    let text = fs::read_to_string(&lock).unwrap();
    assert!(text.starts_with("process ") && text.len() < 200, "{text}");
}

#[test]
fn a_lock_of_another_process_holds_until_that_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let dump = dir.path().join("dump");
    let script = "exec 9>\"$1\"; flock 9; echo held; exec sleep 600";
    let spawned = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(dir.path().join("dump.lock"))
        .stdout(Stdio::piped())
        .spawn();

    let Ok(mut child) = spawned else { return };
    let mut output = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut output)
        .unwrap();

    let while_held = of_dump(&dump).lock().map(drop);
    child.kill().unwrap();
    child.wait().unwrap();

    if output == "held\n" {
        assert!(while_held.is_err());
    }

    of_dump(&dump).lock().unwrap();
}

#[test]
fn where_nothing_can_be_created_next_to_the_dump_the_state_directory_is_used() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path().join("deep/dynadump");
    let journal = || JournalFile::of_dump(Path::new("/"), Some(&state));
    let locked = journal().lock().unwrap();
    assert!(matches!(journal().lock(), Err(LockRefusal::Held { .. })));
    locked.write(b"content").unwrap();
    assert_eq!(journal().read().unwrap().unwrap(), b"content");
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(state.parent().unwrap()), 0o700);

    assert!(matches!(
        of_dump(Path::new("/")).lock(),
        Err(LockRefusal::NoPlace(_))
    ));
}

#[test]
fn a_lock_is_never_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    write_file(&precious, b"text", Access::Shared).unwrap();
    symlink(&precious, dir.path().join("dump.lock")).unwrap();
    let refusal = of_dump(&dir.path().join("dump")).lock();
    assert!(matches!(refusal, Err(LockRefusal::Failed(_))));
    assert_eq!(fs::read(precious).unwrap(), b"text");
}

#[test]
fn a_journal_replaces_the_former_one_and_its_removal_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let file = JournalFile::in_state_dir(dir.path(), "one");
    let locked = file.clone().lock().unwrap();
    assert_eq!(file.read().unwrap(), None);
    let before = file.stamp();
    locked.write(b"old").unwrap();
    let old = file.stamp();
    locked.write(b"new").unwrap();
    assert_eq!(file.read().unwrap().unwrap(), b"new");
    assert!(before != old && old != file.stamp());
    assert_eq!(mode(&dir.path().join("one.journal")), 0o600);

    // A killed run has left a temporary file.
    write_file(&dir.path().join("one.journal.partial"), b"", Access::Shared).unwrap();
    drop(locked);
    synced();

    // The second process finds none: the first one may have been killed before it synced.
    for _ in 0..2 {
        let locked = file.clone().lock().unwrap();
        locked.remove().unwrap();
        assert_eq!(synced(), [dir.path()]);
        assert_eq!(names(dir.path()), ["one.lock"]);

        // One that has removed it itself need not do it again, until it writes another.
        locked.remove().unwrap();
        assert!(synced().is_empty());
    }

    let locked = file.clone().lock().unwrap();
    for _ in 0..2 {
        locked.write(b"another").unwrap();
        synced();
        locked.remove().unwrap();
        assert_eq!(synced(), [dir.path()]);
    }

    assert_eq!(file.stamp(), before);
}

#[test]
fn a_journal_that_was_changed_or_is_of_another_version_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = JournalFile::in_state_dir(dir.path(), "one");
    let path = dir.path().join("one.journal");
    file.clone().lock().unwrap().write(b"content").unwrap();
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = [b"dynadump journal 2 ", &good[HEAD.len()..]].concat();
    let longer = [&good[..], b"x"].concat();

    for bad in [&flipped[..], &good[..30], &newer, &longer, b"", b"\xff"] {
        fs::remove_file(&path).unwrap();
        write_file(&path, bad, Access::Private).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("one.journal"), "{error}");
    }
}

#[test]
fn next_to_a_dump_the_files_of_others_are_neither_read_nor_changed() {
    for (name, content, is_ours) in [
        ("dump.journal", &b"my diary"[..], false),
        ("dump.journal.partial", b"my diary", false),
        ("dump.journal.partial", b"", true),
        ("dump.journal.partial", b"dynadump jou", true),
        ("dump.journal.partial", b"dynadump journal 1 ", true),
    ] {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let other = dir.path().join(name);
        write_file(&other, content, Access::Shared).unwrap();
        let file = JournalFile::of_dump(&dir.path().join("dump"), Some(state.path()));
        let locked = file.clone().lock().unwrap();
        assert_eq!(file.read().unwrap(), None);
        locked.write(b"content").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"content");
        assert_eq!(names(state.path()).is_empty(), is_ours, "{name}");

        locked.remove().unwrap();
        assert_eq!(file.read().unwrap(), None);
        assert_eq!(other.exists(), !is_ours, "{name}");
        assert!(is_ours || fs::read(&other).unwrap() == content, "{name}");
    }
}
