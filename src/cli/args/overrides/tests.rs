//! Tests: options that override the schema, and what they resolve to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;
use crate::schema::{Capacity, TableClass};

/// A command that has only these options.
#[derive(Debug, Parser)]
struct TestCommand {
    #[command(flatten)]
    overrides: OverrideArgs,
}

fn parse(line: &str) -> Result<OverrideArgs, clap::Error> {
    let words = std::iter::once("restoredb").chain(line.split_whitespace());
    TestCommand::try_parse_from(words).map(|command| command.overrides)
}

fn resolve(line: &str) -> Overrides {
    parse(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn invalid_assignments_are_usage_errors() {
    for assignment in [
        "index-capacity=by-genre",
        "tag=owner",
        "colour=red",
        "kms-key",
    ] {
        let error = parse(&format!("--set {assignment}"))
            .unwrap()
            .resolve()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{assignment}");
        assert!(error.to_string().contains(assignment), "{error}");
    }
}

#[test]
fn all_overrides_are_resolved() {
    let overrides = resolve(
        "--billing-mode provisioned --read-capacity 3 --write-capacity 4 --set index-capacity=by-genre=5:6 \
         --set index-capacity=by-year=7:8 --set on-demand-max-read=100 --set on-demand-max-write=200 \
         --set table-class=standard-infrequent-access --set kms-key=alias/films --set tag=owner=a=b --set tag=empty= --no-tags \
         --drop-index a,b --drop-index c --set only-index=d --key-schema owner:S,made:N",
    );

    let pairs =
        |pairs: [(&str, &str); 2]| pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let capacities = [
        ("by-genre".to_owned(), Capacity { read: 5, write: 6 }),
        ("by-year".to_owned(), Capacity { read: 7, write: 8 }),
    ];
    let expected = Overrides {
        billing_mode: Some(BillingMode::Provisioned),
        read_capacity: Some(3),
        write_capacity: Some(4),
        index_capacity: BTreeMap::from(capacities),
        on_demand_max_read: Some(100),
        on_demand_max_write: Some(200),
        table_class: Some(TableClass::StandardInfrequentAccess),
        kms_key: Some("alias/films".to_owned()),
        add_tags: BTreeMap::from(pairs([("owner", "a=b"), ("empty", "")])),
        no_tags: true,
        drop_indexes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        only_indexes: vec!["d".to_owned()],
        key_schema: Some("owner:S,made:N".to_owned()),
    };

    assert_eq!(overrides, expected);
    assert_eq!(
        resolve("--billing-mode PAY_PER_REQUEST").billing_mode,
        Some(BillingMode::OnDemand)
    );
    assert_eq!(
        resolve("--set table-class=standard").table_class,
        Some(TableClass::Standard)
    );
}

#[test]
fn invalid_values_are_rejected() {
    for line in [
        "--read-capacity 0",
        "--write-capacity -1",
        "--billing-mode free",
        "--key-schema=",
        "--drop-index=a,,b",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(
            error.exit_code(),
            i32::from(crate::cli::exit::USAGE),
            "{line}"
        );
    }
}

/// Writes a file and returns its path.
fn file(dir: &TempDir, name: &str, text: &[u8]) -> String {
    let path = dir.path().join(name);
    File::create(&path).unwrap().write_all(text).unwrap();
    path.display().to_string()
}

#[test]
fn options_take_precedence_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = self::file(
        &dir,
        "laptop.toml",
        b"read-capacity = 9\nwrite-capacity = 9\n",
    );

    let overrides = resolve(&format!("--schema-overrides {file} --read-capacity 3"));
    assert_eq!(
        (overrides.read_capacity, overrides.write_capacity),
        (Some(3), Some(9))
    );
    let file = self::file(&dir, "laptop.json", br#"{"read-capacity": 9}"#);
    assert_eq!(
        resolve(&format!("--schema-overrides {file}")).read_capacity,
        Some(9)
    );
}

#[test]
fn errors_of_the_file_name_it() {
    let dir = tempfile::tempdir().unwrap();
    for (path, kind) in [
        (file(&dir, "a.yaml", b"read-capacity: 3"), ErrorKind::Usage),
        (file(&dir, "b.toml", b"read-capacty = 3"), ErrorKind::Usage),
        (file(&dir, "c.json", b"\xff\xfe{}"), ErrorKind::Usage),
        (file(&dir, "d.json", b"{"), ErrorKind::Usage),
        (
            dir.path().join("none.json").display().to_string(),
            ErrorKind::NotFound,
        ),
    ] {
        let error = parse(&format!("--schema-overrides {path}"))
            .unwrap()
            .resolve()
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&path), "{error}");
    }
}
