use std::fs;

use super::super::testing::{dump, dump_folder, names, whole_table};
use super::super::{Compression, DataFormat, DumpOptions, DumpTarget, OLD_SUFFIX};
use super::*;
use crate::place::Access;
use crate::place::local::files::write_file;

/// A folder with an old dump, and a finished dump to replace it.
struct Scene {
    _dir: tempfile::TempDir,
    target: PathBuf,
    partial: PathBuf,
}

/// Files of the new dump, whose format differs from the old one's.
const NEW: [&str; 3] = [
    "table-data.jsonl.gz",
    "table-schema.json",
    "dump-summary.txt",
];

impl Scene {
    fn new(old: bool, inside: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let target = root.join("dump");
        if old {
            dump_folder(&target, "old");
        } else if inside {
            fs::create_dir(&target).unwrap();
        }

        let options = DumpOptions {
            format: DataFormat::Jsonl,
            compression: Compression::Gzip,
            ..DumpOptions::default()
        };

        dump(&DumpTarget::folder(root.join("built")), &options, "new");
        let partial = if inside {
            target.join(PARTIAL_SUFFIX)
        } else {
            root.join("dump.partial")
        };

        fs::rename(root.join("built"), &partial).unwrap();
        Self {
            _dir: dir,
            target,
            partial,
        }
    }

    /// Checks that the dump is readable after any step, and that the next run succeeds.
    fn holds_after(&self, done: usize, steps: usize) {
        let found = whole_table(&self.target);
        assert!(found == "old" || found == "new", "{found}");
        assert!(done < steps || found == "new");
        dump_folder(&self.target, "newest");
        assert_eq!(whole_table(&self.target), "newest");
        assert_eq!(names(&self.target).len(), 4);
    }

    fn others(&self) -> Vec<String> {
        names(self.target.parent().unwrap())
    }
}

/// Stops after each step in turn.
fn crash_everywhere(
    old: bool,
    inside: bool,
    strategy: impl Fn(&Scene) -> PublishStrategy,
) -> Vec<Vec<String>> {
    let mut left = Vec::new();
    for done in 0.. {
        let scene = Scene::new(old, inside);
        let PublishStrategy { steps, cleanup } = strategy(&scene);
        let all: Vec<PublishStep> = steps.into_iter().chain(cleanup).collect();
        all[..done].iter().for_each(|step| step.run().unwrap());
        scene.holds_after(done, all.len());
        left.push(scene.others());

        if done == all.len() {
            break;
        }
    }

    left
}

#[test]
fn exchange_survives_a_crash_at_every_step() {
    let left = crash_everywhere(true, false, |scene| {
        exchange_with(&scene.target, &scene.partial)
    });
    assert!(left.iter().all(|names| names == &["dump"]), "{left:?}");
}

#[test]
fn rename_survives_a_crash_at_every_step() {
    let left = crash_everywhere(false, false, |scene| {
        rename_in(&scene.target, &scene.partial)
    });
    assert!(left.iter().all(|names| names == &["dump"]), "{left:?}");
}

#[test]
fn two_renames_survive_a_crash_at_every_step() {
    let old = |scene: &Scene| sibling(&scene.target, OLD_SUFFIX).unwrap();
    let left = crash_everywhere(true, false, |scene| {
        two_renames(&scene.target, &scene.partial, &old(scene))
    });
    assert_eq!(left.last().unwrap(), &["dump"]);
    assert_eq!(
        left[1],
        ["dump", "dump.old"],
        "a folder that could be the user's own is never removed"
    );
}

#[test]
fn moving_in_survives_a_crash_at_every_step() {
    for (old, inside) in [(true, true), (true, false), (false, true)] {
        let left = crash_everywhere(old, inside, |scene| {
            move_in(&scene.target, &scene.partial, &NEW)
        });
        assert!(left.iter().all(|names| names == &["dump"]), "{left:?}");
    }
}

#[test]
fn a_dump_without_metadata_is_replaced_as_well() {
    for inside in [false, true] {
        let scene = Scene::new(true, inside);
        fs::remove_file(scene.target.join(METADATA_FILE)).unwrap();
        assert_eq!(whole_table(&scene.target), "new");
        assert!(
            publish(&scene.target, &scene.partial, &NEW)
                .unwrap()
                .is_empty()
        );

        assert_eq!(whole_table(&scene.target), "new");
        assert_eq!(names(&scene.target).len(), 4);
        assert_eq!(scene.others(), ["dump"]);
    }
}

#[test]
fn a_folder_of_the_users_own_called_old_is_neither_used_nor_touched() {
    let scene = Scene::new(true, false);
    let old = sibling(&scene.target, OLD_SUFFIX).unwrap();
    dump_folder(&old, "users");

    // As on a file system that cannot exchange folders.
    let strategies = strategies(&scene.target, &scene.partial, &NEW);
    assert!(strategies[1].steps[0].run().is_err());
    strategies[2]
        .steps
        .iter()
        .chain(&strategies[2].cleanup)
        .for_each(|step| step.run().unwrap());

    assert_eq!(
        (whole_table(&scene.target), whole_table(&old)),
        ("new".into(), "users".into())
    );
}

#[test]
fn what_cannot_be_cleaned_is_a_warning() {
    let scene = Scene::new(true, false);
    write_file(&scene.target.join("notes.txt"), b"precious", Access::Shared).unwrap();
    let warnings = publish(&scene.target, &scene.partial, &NEW).unwrap();
    assert!(warnings[0].contains("notes.txt"), "{warnings:?}");
    assert_eq!(whole_table(&scene.target), "new");
    assert_eq!(
        fs::read(scene.partial.join("notes.txt")).unwrap(),
        b"precious"
    );
}
