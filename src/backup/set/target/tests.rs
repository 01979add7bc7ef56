use std::os::unix::fs::symlink;

use super::*;
use crate::backup::metadata::tests::metadata;
use crate::backup::{DumpSet, DumpTarget, METADATA_FILE};
use crate::error::ErrorKind;
use crate::place::local::files::remove_file;

/// A folder for a set, below a temporary one.
struct Scene {
    _dir: tempfile::TempDir,
    set: PathBuf,
}

/// Start of the first run, by the clock of the dumps in these tests.
fn start() -> DateTime<Utc> {
    metadata().started_at
}

fn draft(tables: &[&str]) -> SetDraft {
    SetDraft {
        environment: "prod".to_owned(),
        region: None,
        endpoint: None,
        started_at: start(),
        options_sha256: "options".to_owned(),
        tables: tables.iter().map(|&table| table.to_owned()).collect(),
    }
}

/// Outcomes by table; `bad…` has failed, `late…` was not reached.
fn outcomes(tables: &[&str]) -> BTreeMap<String, MemberOutcome> {
    let outcome = |table: &str| {
        if table.starts_with("bad") {
            MemberOutcome::Failed("denied".to_owned())
        } else if table.starts_with("late") {
            MemberOutcome::Pending
        } else {
            MemberOutcome::Dumped
        }
    };
    let pairs = tables
        .iter()
        .map(|table| ((*table).to_owned(), outcome(table)));
    pairs.collect()
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let set = fs::canonicalize(dir.path()).unwrap().join("set");
        Self { _dir: dir, set }
    }

    fn inspect(&self, tables: &[&str], resume: bool) -> Result<SetTarget> {
        SetTarget::inspect(&self.set, &draft(tables).tables, resume)
    }

    fn begin(&self, tables: &[&str], resume: bool) -> SetWriter {
        let target = self.inspect(tables, resume).unwrap();
        target.begin(draft(tables), Access::Shared, None).unwrap()
    }

    /// Runs to the end, with the dumps of these items.
    fn run(&self, tables: &[&str], items: u64) -> FinishedSet {
        let writer = self.begin(tables, false);
        for table in tables {
            if outcomes(&[table])[*table] == MemberOutcome::Dumped {
                write_dump(&writer.base.join(table), table, items);
            }
        }

        writer.finish(&outcomes(tables), false).unwrap()
    }

    fn open(&self) -> DumpSet {
        DumpSet::find(&self.set).unwrap().unwrap()
    }

    /// `table: status, items` of each table.
    fn listed(&self) -> Vec<String> {
        let manifest = self.open().manifest().clone();
        let line = |(table, member): (&String, &SetMember)| {
            let items = member.dump.as_ref().map(|dump| dump.items);
            format!("{table}: {:?}, {items:?}", member.status)
        };

        manifest.tables.iter().map(line).collect()
    }
}

fn write_dump(folder: &Path, table: &str, items: u64) {
    let metadata = crate::backup::Metadata {
        table: table.to_owned(),
        items,
        files: BTreeMap::new(),
        ..metadata()
    };
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(METADATA_FILE);
    remove_file(&path).unwrap();
    write_file(&path, &metadata.to_document().unwrap(), Access::Shared).unwrap();
}

#[test]
fn files_left_by_a_run_that_was_killed_after_publishing_a_dump_are_removed() {
    let scene = Scene::new();
    let writer = scene.begin(&["films"], false);
    write_dump(&writer.base.join("films"), "films", 3);
    write_dump(&writer.base.join("films.partial"), "films", 2);
    let journal = JournalFile::of_dump(&writer.base.join("films"), None);
    let locked = journal.lock().unwrap();
    locked.write(b"positions").unwrap();
    locked.keep_lock_file();
    drop(locked);

    let finished = writer.finish(&outcomes(&["films"]), false).unwrap();
    assert!(finished.warnings.is_empty());
    assert_eq!(scene.listed(), ["films: Dumped, Some(3)"]);
    let names = fs::read_dir(&scene.set).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dump-set.json", "films"]);
}

#[test]
fn a_set_lists_its_tables_and_opens_their_dumps() {
    let scene = Scene::new();
    let finished = scene.run(&["films", "bad"], 3);
    assert!(finished.is_published && finished.warnings.is_empty());
    assert_eq!(
        scene.listed(),
        ["bad: Failed, None", "films: Dumped, Some(3)"]
    );

    let set = scene.open();
    assert_eq!(set.member("films").unwrap(), scene.set.join("films"));
    let error = set.member("bad").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.to_string(), "table \"bad\" was not dumped: denied");
    assert_eq!(set.member("other").unwrap_err().kind(), ErrorKind::NotFound);
    assert!(set.manifest().is_unfinished());
}

#[test]
fn a_later_run_keeps_what_it_does_not_replace() {
    let scene = Scene::new();
    scene.run(&["films", "actors", "bad"], 3);
    write_dump(&scene.set.join("bad"), "bad", 1);
    scene.run(&["films", "bad"], 5);
    assert_eq!(
        scene.listed(),
        [
            "actors: NotSelected, Some(3)",
            "bad: Failed, Some(1)",
            "films: Dumped, Some(5)"
        ]
    );
    assert!(scene.open().member("actors").is_ok() && scene.open().member("bad").is_ok());

    // A table without a dump that is no longer selected is not listed.
    fs::remove_dir_all(scene.set.join("bad")).unwrap();
    scene.run(&["bad"], 0);
    scene.run(&["films"], 6);
    assert_eq!(
        scene.listed(),
        ["actors: NotSelected, Some(3)", "films: Dumped, Some(6)"]
    );
}

#[test]
fn a_killed_run_is_recognised_and_its_dumps_are_found() {
    let scene = Scene::new();
    scene.run(&["films", "late"], 3);
    let writer = scene.begin(&["films", "late"], false);
    write_dump(&scene.set.join("films"), "films", 4);
    drop(writer);

    assert!(scene.open().manifest().is_unfinished());
    assert_eq!(scene.open().manifest().finished_at, None);
    assert!(scene.open().member("films").is_ok());

    let target = scene.inspect(&["films", "late"], true).unwrap();
    assert_eq!(target.interrupted().unwrap().started_at, start());
    assert_eq!(target.member_since("films", start()).unwrap().items, 4);
    assert_eq!(target.member_since("late", start()), None);
    let later = start() + chrono::TimeDelta::nanoseconds(1);
    assert_eq!(target.member_since("films", later), None);

    // A run with other tables does not lose the dump that the manifest does not list yet.
    scene.run(&["actors"], 1);
    assert_eq!(
        scene.listed(),
        ["actors: Dumped, Some(1)", "films: NotSelected, Some(4)"]
    );
}

#[test]
fn a_dump_of_one_table_is_replaced_by_the_whole_set_only() {
    let scene = Scene::new();
    write_dump(&scene.set, "films", 9);
    let finished = scene.run(&["films", "bad"], 3);
    assert!(!finished.is_published);
    assert!(scene.set.join(METADATA_FILE).exists());
    assert!(DumpSet::find(&scene.set).unwrap().is_none());

    let resumed = scene.inspect(&["films", "bad"], true).unwrap();
    assert!(resumed.interrupted().is_some());
    assert!(resumed.member_since("films", start()).is_some());
    let partial = scene.set.with_file_name("set.partial");
    assert_eq!(resumed.member("films").unwrap(), partial.join("films"));

    let writer = resumed
        .begin(draft(&["films", "bad"]), Access::Shared, None)
        .unwrap();
    let finished = writer.finish(&outcomes(&["films"]), false).unwrap();
    assert!(finished.is_published && finished.warnings.is_empty());
    assert!(scene.open().member("films").is_ok());
    assert!(!partial.exists() && !scene.set.join(METADATA_FILE).exists());
}

#[test]
fn a_dump_of_one_table_replaces_a_set() {
    let scene = Scene::new();
    scene.run(&["films", "actors"], 3);
    let target = DumpTarget::folder(&scene.set);
    assert!(matches!(target.contents().unwrap(), TargetContents::Set(_)));
    write_file(&scene.set.join("notes.txt"), b"", Access::Shared).unwrap();
    assert_eq!(target.contents().unwrap_err().kind(), ErrorKind::Usage);
    fs::remove_file(scene.set.join("notes.txt")).unwrap();

    let partial = scene.set.with_file_name("set.partial");
    write_dump(&partial, "films", 4);
    let warnings = crate::backup::publish::publish(&scene.set, &partial, &[]).unwrap();
    assert!(warnings.is_empty() && !partial.exists());
    assert!(!scene.set.join(SET_FILE).exists() && scene.set.join(METADATA_FILE).exists());
}

/// A set that replaces a dump of one table, whose run ends between the two renames.
fn ended_between_renames() -> (Scene, PathBuf) {
    let scene = Scene::new();
    write_dump(&scene.set, "films", 9);
    let writer = scene.begin(&["films", "actors"], false);
    let partial = writer.base.clone();
    for table in ["films", "actors"] {
        write_dump(&partial.join(table), table, 3);
    }
    let old = scene.set.with_file_name("set.old");
    writer
        .finish(&outcomes(&["films", "actors"]), false)
        .unwrap();
    fs::rename(&scene.set, &partial).unwrap();
    write_dump(&old, "films", 9);

    (scene, partial)
}

#[test]
fn a_set_whose_run_ended_between_two_renames_is_read_and_then_published() {
    let (scene, partial) = ended_between_renames();
    let set = scene.open();
    assert!(set.warning().is_some());
    assert_eq!(set.member("actors").unwrap(), partial.join("actors"));

    let target = scene.inspect(&["films"], false).unwrap();
    assert!(matches!(target.replaced(), TargetContents::Set(_)));
    assert!(!scene.set.exists(), "inspecting changes nothing");
    scene.run(&["films"], 4);
    assert_eq!(
        scene.listed(),
        ["actors: NotSelected, Some(3)", "films: Dumped, Some(4)"]
    );
    assert!(scene.open().warning().is_none() && !partial.exists());

    // A run that resumes it has nothing to dump.
    let (scene, partial) = ended_between_renames();
    let target = scene.inspect(&["films", "actors"], true).unwrap();
    assert!(target.interrupted().is_some());
    assert!(target.member_since("actors", start()).is_some());
    let writer = target.begin(draft(&["films", "actors"]), Access::Shared, None);
    let finished = writer
        .unwrap()
        .finish(&outcomes(&["films", "actors"]), false);
    assert!(finished.unwrap().is_published);
    assert!(scene.open().warning().is_none() && !partial.exists());

    // A dump of one table replaces it.
    let (scene, _) = ended_between_renames();
    let target = DumpTarget::folder(&scene.set);
    assert!(matches!(target.contents().unwrap(), TargetContents::Set(_)));
    crate::backup::publish::recover(&scene.set).unwrap();
    assert!(scene.set.join(SET_FILE).exists());
}

#[test]
fn a_dump_whose_run_ended_between_two_renames_is_published_before_a_set_replaces_it() {
    let scene = Scene::new();
    let partial = scene.set.with_file_name("set.partial");
    write_dump(&partial, "films", 4);
    let target = scene.inspect(&["films"], false).unwrap();
    assert!(matches!(target.replaced(), TargetContents::Dump(Some(_))));

    // The set is not complete: the dump stays.
    let finished = scene.run(&["films", "bad"], 5);
    assert!(!finished.is_published);
    let (dump, _) = MemberDump::read(&scene.set, "films").unwrap();
    assert_eq!(dump.items, 4);
    assert!(scene.run(&["films"], 5).is_published);
    assert_eq!(scene.listed(), ["films: Dumped, Some(5)"]);
}

#[test]
fn two_runs_cannot_write_one_set_at_the_same_time() {
    let scene = Scene::new();
    let planned = scene.inspect(&["films"], false).unwrap();
    let other = scene.inspect(&["actors"], false).unwrap();
    let first = scene.begin(&["films"], false);
    let begin = |target: SetTarget, table| target.begin(draft(&[table]), Access::Shared, None);
    let error = begin(other.clone(), "actors").unwrap_err().to_string();
    assert!(error.contains("is being written by process"), "{error}");

    // Nor one after the other if the second was planned before the first began.
    drop(first);
    for late in [(planned, "films"), (other, "actors")] {
        let error = begin(late.0, late.1).unwrap_err().to_string();
        assert!(error.contains("in the meantime"), "{error}");
    }
}

#[test]
fn a_table_cannot_be_written_through_a_link() {
    let scene = Scene::new();
    scene.run(&["films"], 3);
    fs::rename(
        scene.set.join("films"),
        scene.set.with_file_name("elsewhere"),
    )
    .unwrap();
    symlink("../elsewhere", scene.set.join("films")).unwrap();

    let target = scene.inspect(&["films"], false).unwrap();
    assert_eq!(target.member("films").unwrap_err().kind(), ErrorKind::Usage);
    let error = scene.open().member("films").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

#[test]
fn a_member_with_another_dump_than_listed_is_damaged() {
    let scene = Scene::new();
    scene.run(&["films", "actors"], 3);
    write_dump(&scene.set.join("films"), "films", 4);
    write_dump(&scene.set.join("actors"), "films", 3);
    let set = scene.open();
    for (table, expected) in [("films", "another dump"), ("actors", "no intact")] {
        let error = set.member(table).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains(expected), "{error}");
    }

    fs::remove_dir_all(scene.set.join("films")).unwrap();
    let error = set.member("films").unwrap_err().to_string();
    assert!(error.ends_with("is missing"), "{error}");
}

#[test]
fn a_folder_with_other_files_is_not_a_target() {
    let scene = Scene::new();
    fs::create_dir(&scene.set).unwrap();
    write_file(&scene.set.join("notes.txt"), b"", Access::Shared).unwrap();
    let error = scene.inspect(&["films"], false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}
