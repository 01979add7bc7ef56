//! Tests: options about settings and what they resolve to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::error::ErrorKind;

/// A command that has only these options.
#[derive(Debug, Parser)]
struct TestCommand {
    #[command(flatten)]
    settings: SettingArgs,
}

fn parse(line: &str) -> Result<SettingArgs, clap::Error> {
    let words = std::iter::once("restoredb").chain(line.split_whitespace());
    TestCommand::try_parse_from(words).map(|command| command.settings)
}

fn resolve(line: &str) -> ResolvedSettings {
    parse(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve(true)
        .unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn resolve_error(line: &str, creates: bool) -> Error {
    let error = parse(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve(creates)
        .err();
    let error = error.unwrap_or_else(|| panic!("{line} was taken"));
    assert_eq!(error.kind(), ErrorKind::Usage, "{line}");

    error
}

#[test]
fn without_options_nothing_is_overridden() {
    let resolved = resolve("");
    assert_eq!(resolved.overrides, Overrides::default());
    assert!(
        resolved.choice.with.is_empty()
            && resolved.choice.without.is_empty()
            && resolved.choice.first.is_empty()
    );

    assert!(!resolved.apply);
}

#[test]
fn settings_can_be_lists_and_repeated_options() {
    let resolved = resolve(
        "--with kms,policy --with kinesis --without ttl --settings-first stream,pitr --apply-settings",
    );
    assert_eq!(
        resolved.choice.with,
        [Setting::Kms, Setting::Policy, Setting::Kinesis]
    );
    assert_eq!(
        (resolved.choice.without, resolved.choice.first),
        (vec![Setting::Ttl], vec![Setting::Stream, Setting::Pitr])
    );
    assert!(resolved.apply);
}

#[test]
fn unknown_setting_names_list_all_names() {
    for setting in Setting::ALL {
        assert_eq!(resolve(&format!("--with {setting}")).choice.with, [setting]);
    }

    let help = TestCommand::try_parse_from(["restoredb", "--help"])
        .expect_err("help is no command line")
        .to_string();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for flag in ["--with", "--without", "--settings-first"] {
        for wrong in ["streams", "", "ttl,,pitr", "TTL"] {
            let error = TestCommand::try_parse_from(["restoredb", flag, wrong]).expect_err(wrong);
            assert_eq!(
                error.exit_code(),
                i32::from(crate::cli::exit::USAGE),
                "{flag} {wrong}"
            );

            assert!(
                Setting::ALL
                    .iter()
                    .all(|setting| error.to_string().contains(setting.name())),
                "{error}"
            );
        }
    }

    for setting in Setting::ALL {
        assert!(
            help.contains(&format!(" {setting}")),
            "{setting} is not in the help"
        );
    }
}

#[test]
fn all_overrides_are_resolved() {
    let resolved = resolve(
        "--billing-mode provisioned --read-capacity 3 --write-capacity 4 --index-capacity by-genre=5:6 \
         --index-capacity by-year=7:8 --max-read-units 100 --max-write-units 200 \
         --table-class standard-infrequent-access --kms-key alias/films --add-tag owner=a=b --add-tag empty= --no-tags \
         --drop-index a,b --drop-index c --only-index d --key-schema owner:S,made:N",
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
        max_read_units: Some(100),
        max_write_units: Some(200),
        table_class: Some(TableClass::StandardInfrequentAccess),
        kms_key: Some("alias/films".to_owned()),
        add_tags: BTreeMap::from(pairs([("owner", "a=b"), ("empty", "")])),
        no_tags: true,
        drop_indexes: ["a", "b", "c"].map(str::to_owned).to_vec(),
        only_indexes: vec!["d".to_owned()],
        key_schema: Some("owner:S,made:N".to_owned()),
    };

    assert_eq!(resolved.overrides, expected);
    assert_eq!(
        resolve("--billing-mode on-demand").overrides.billing_mode,
        Some(BillingMode::OnDemand)
    );
    assert_eq!(
        resolve("--table-class standard").overrides.table_class,
        Some(TableClass::Standard)
    );
}

#[test]
fn invalid_values_are_rejected() {
    for line in [
        "--read-capacity 0",
        "--write-capacity -1",
        "--max-read-units 0",
        "--max-write-units many",
        "--billing-mode free",
        "--table-class cheap",
        "--index-capacity by-genre",
        "--index-capacity by-genre=0:1",
        "--add-tag owner",
        "--kms-key=",
        "--key-schema=",
        "--drop-index=a,,b",
        "--only-index=",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(
            error.exit_code(),
            i32::from(crate::cli::exit::USAGE),
            "{line}"
        );
    }
}

#[test]
fn including_and_excluding_a_setting_is_rejected() {
    for (line, what) in [
        (
            "--with ttl,kms --without pitr,kms",
            "--with kms and --without kms contradict each other",
        ),
        (
            "--settings-first stream --without stream",
            "--settings-first stream and --without stream contradict each other",
        ),
        (
            "--kms-key k --without kms",
            "--kms-key and --without kms contradict each other",
        ),
        (
            "--table-class standard --without class",
            "--table-class and --without class contradict each other",
        ),
        (
            "--add-tag a=b --without tags",
            "--add-tag and --without tags contradict each other",
        ),
    ] {
        assert_eq!(resolve_error(line, true).to_string(), what);
    }
}

#[test]
fn no_create_requires_apply_settings() {
    for line in [
        "--with kms",
        "--without ttl",
        "--settings-first stream",
        "--add-tag a=b",
        "--read-capacity 3",
    ] {
        assert!(
            resolve_error(line, false)
                .hint()
                .is_some_and(|hint| hint.contains("--apply-settings")),
            "{line}"
        );
    }

    for line in ["--key-schema a:S", "--drop-index all", "--only-index a"] {
        let error = resolve_error(&format!("{line} --apply-settings"), false);
        assert_eq!(
            error.to_string(),
            "--no-create leaves key and indexes of a table as they are",
            "{line}"
        );
    }

    for line in [
        "",
        "--apply-settings",
        "--apply-settings --with kms --add-tag a=b --read-capacity 3",
    ] {
        assert!(parse(line).unwrap().resolve(false).is_ok(), "{line}");
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

    let overrides = resolve(&format!("--schema-overrides {file} --read-capacity 3")).overrides;
    assert_eq!(
        (overrides.read_capacity, overrides.write_capacity),
        (Some(3), Some(9))
    );
    let file = self::file(&dir, "laptop.json", br#"{"read-capacity": 9}"#);
    assert_eq!(
        resolve(&format!("--schema-overrides {file}"))
            .overrides
            .read_capacity,
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
            .resolve(true)
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&path), "{error}");
    }
}
