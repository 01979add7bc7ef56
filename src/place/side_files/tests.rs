use super::super::local::files::test_syncs::synced;
use super::super::local::files::write_file;
use super::*;

#[test]
fn the_removal_of_a_side_file_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejects.jsonl");
    write_file(&path, b"{}", Access::Shared).unwrap();
    remove_side_file(&path).unwrap();
    assert_eq!(synced(), [dir.path()]);
    assert!(!path.exists());

    remove_side_file(&dir.path().join("absent/rejects.jsonl")).unwrap();
}

#[test]
fn a_file_that_another_process_creates_at_the_same_moment_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.db");
    let created = create_unless_exists(&path, |partial| {
        write_file(&path, b"theirs", Access::Shared)?;
        write_file(partial, b"ours", Access::Shared)
    });
    assert!(!created.unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    std::fs::remove_file(&path).unwrap();
    let create = |content: &[u8]| {
        create_unless_exists(&path, |partial| {
            let mut file = create_file(partial, Access::Shared)?;
            file.write_all(content).unwrap();
            Ok(())
        })
    };
    synced();
    assert!(create(b"ours").unwrap());
    let partial = partial_of_process(&path).unwrap();
    assert_eq!(synced(), [partial.as_path(), dir.path()]);
    assert!(!create(b"later").unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), b"ours");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn lines_go_to_the_first_place_that_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file").join("rejects.jsonl");
    write_file(&dir.path().join("file"), b"", Access::Shared).unwrap();
    let good = dir.path().join("new").join("rejects.jsonl");
    let mut lines = LinesFile::create_at_first(&[blocked, good.clone()]).unwrap();
    lines.append(&[b"a", b"b"]).unwrap();
    lines.append(&[b"c"]).unwrap();
    assert_eq!(lines.finish().unwrap(), good);
    assert_eq!(std::fs::read(&good).unwrap(), b"ab\nc\n");
}

#[test]
fn folders_of_private_lines_are_private() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    LinesFile::create_at_first(&[dir.path().join("lines/dynadump/one")])
        .unwrap()
        .finish()
        .unwrap();
    create_parent_folders(&dir.path().join("shared/one")).unwrap();

    for (name, is_private) in [("lines", true), ("lines/dynadump", true), ("shared", false)] {
        let found = std::fs::metadata(dir.path().join(name)).unwrap();
        let mode = found.permissions().mode() & 0o777;
        assert_eq!(mode == 0o700, is_private, "{name}: {mode:o}");
    }
}

#[test]
fn lines_continue_where_they_were_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines");
    let mut lines = LinesFile::create_at_first(std::slice::from_ref(&path)).unwrap();
    lines.append(&[b"kept"]).unwrap();
    let kept = lines.bytes();
    lines.append(&[b"behind"]).unwrap();
    lines.flush_to_sync().unwrap()().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"kept\nbehind\n");
    let mut again = LinesFile::resume(&path, kept).unwrap();
    again.append(&[b"new"]).unwrap();
    assert_eq!((again.bytes(), again.finish().unwrap()), (9, path.clone()));
    assert_eq!(std::fs::read(&path).unwrap(), b"kept\nnew\n");
    assert!(LinesFile::resume(&path, 10).is_err());
    assert!(LinesFile::resume(&dir.path().join("none"), 0).is_err());
}

#[test]
fn lines_continue_in_the_folder_that_contains_them() {
    let dir = tempfile::tempdir().unwrap();
    let places: Vec<_> = ["one", "other"].map(|name| dir.path().join(name)).into();
    write_file(&places[0], b"short", Access::Shared).unwrap();
    write_file(&places[1], b"{kept}\n{cut}", Access::Shared).unwrap();
    let mut lines = LazyLinesFile::open(places.clone(), 7).unwrap();
    lines.append_with_reason("r", "item", b"{}", None).unwrap();
    assert_eq!(lines.finish().unwrap(), Some(places[1].clone()));
    assert_eq!(std::fs::read(&places[0]).unwrap(), b"short");
    assert_eq!(
        std::fs::read(&places[1]).unwrap(),
        b"{kept}\n{\"reason\":\"r\",\"item\":{}}\n"
    );
    let error = check_lines_file(&places, 1_000).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "its file `{}` is missing or was truncated",
            places[0].display()
        )
    );

    assert!(LazyLinesFile::open(places, 1_000).is_err());
}

#[test]
fn the_three_most_frequent_reasons_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = LazyLinesFile::open(vec![dir.path().join("rejects.jsonl")], 0).unwrap();
    for (reason, count) in [("rare", 1), ("\"wrong\" type", 3), ("a", 2), ("b", 2)] {
        for _ in 0..count {
            file.append_with_reason(reason, "item", b"{}", None)
                .unwrap();
        }
    }

    let path = file.finish().unwrap().expect("lines");
    let reasons = frequent_reasons(&path).unwrap();
    let counted = |reason: &str, count| (reason.to_owned(), count);
    assert_eq!(
        reasons,
        [
            counted("\"wrong\" type", 3),
            counted("a", 2),
            counted("b", 2)
        ]
    );
}

#[test]
fn reasons_that_differ_for_each_item_take_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = LazyLinesFile::open(vec![dir.path().join("rejects.jsonl")], 0).unwrap();
    for number in 0..2 * MAX_COUNTED_REASONS {
        let reason = format!("{number} is too large");
        file.append_with_reason(&reason, "unreadable", b"\"\"", None)
            .unwrap();
        file.append_with_reason("0 is too large", "item", b"{}", None)
            .unwrap();
    }

    let path = file.finish().unwrap().expect("lines");
    let reasons = frequent_reasons(&path).unwrap();
    assert_eq!(reasons.len(), MAX_REASONS);
    let frequent = (
        "0 is too large".to_owned(),
        2 * MAX_COUNTED_REASONS as u64 + 1,
    );
    assert_eq!(reasons[0], frequent);
}

#[test]
fn long_names_are_truncated_and_stay_distinct() {
    let name = |end: &str| format!("{}{end}", "t".repeat(254));
    assert_eq!(short_file_name("films"), "films");
    assert_ne!(short_file_name(&name("a")), short_file_name(&name("b")));
    assert_eq!(short_file_name(&name("a")).len(), 97);
}

#[test]
fn what_belongs_to_a_restore_is_named_after_the_dump() {
    assert_eq!(
        side_path(Path::new("/a/dump/"), "rejects").unwrap(),
        Path::new("/a/dump.rejects")
    );
    assert_eq!(side_path(Path::new("/"), "rejects"), None);
}
