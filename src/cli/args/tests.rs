//! Tests: command lines and the requests that they resolve to.

use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::copy::CopyArgs;
use super::dump::DumpArgs;
use super::restore::RestoreArgs;
use super::verify::VerifyArgs;
use super::*;
use crate::backup::{Compression, DataFormat, DumpTarget, SourceSpec};
use crate::environment::{Environment, ProcessEnvironment};
use crate::error::{Error, ErrorKind};
use crate::ops::ContentScope;
use crate::ops::dump::DumpRequest;
use crate::ops::restore::{ExistingTable, RestoreRequest, RestoreSource, VerifyMode};
use crate::schema::{Overrides, Setting};

const TABLE_FLAGS: &str = "--no-env --endpoint-url http://localhost:8000 --table films";

fn words(command: &str, line: &str) -> Vec<String> {
    std::iter::once(command)
        .chain(line.split_whitespace())
        .map(ToOwned::to_owned)
        .collect()
}

fn dump_command(line: &str) -> Result<DumpCommand> {
    DumpArgs::try_parse_from(words("dumpdb", line))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve()
}

fn restore_command(line: &str) -> Result<RestoreCommand> {
    RestoreArgs::try_parse_from(words("restoredb", line))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve()
}

fn environment(common: &CommonOptions) -> Environment {
    Environment::resolve(&common.environment, &ProcessEnvironment::default()).unwrap()
}

fn dump(line: &str) -> DumpRequest {
    let command = dump_command(&format!("{TABLE_FLAGS} {line}")).unwrap();
    command.request(&environment(&command.common)).unwrap()
}

fn dump_error(line: &str) -> Error {
    let error = dump_command(&format!("{TABLE_FLAGS} {line}"))
        .err()
        .unwrap_or_else(|| panic!("{line} was taken"));
    assert_eq!(error.kind(), ErrorKind::Usage, "{line}");
    assert!(error.hint().is_some(), "{line}");

    error
}

fn restore(line: &str) -> RestoreRequest {
    let command = restore_command(&format!("{TABLE_FLAGS} {line}")).unwrap();
    command.request(&environment(&command.common)).unwrap()
}

#[test]
fn clap_definitions_are_valid() {
    DumpArgs::command().debug_assert();
    RestoreArgs::command().debug_assert();
    VerifyArgs::command().debug_assert();
    CopyArgs::command().debug_assert();
}

#[test]
fn dump_defaults() {
    let request = dump("");
    assert_eq!(request.table.as_deref(), Some("films"));
    assert_eq!(
        request.target,
        DumpTarget::folder("backups/dynamodb/no-env")
    );
    assert_eq!(
        (request.format, request.compression),
        (DataFormat::Json, Compression::None)
    );
    assert_eq!(
        (
            request.scan.segments,
            request.scan.limit,
            request.scan.max_read_units
        ),
        (None, None, None)
    );
    assert_eq!(
        (request.content, request.scan.consistent_read),
        (ContentScope::All, false)
    );
    let common = dump_command("").unwrap().common;
    let store = common.store_options();
    assert_eq!(
        (store.wait, store.give_up_after),
        (None, Duration::from_mins(5))
    );
    assert_eq!(
        (common.environment.name, common.answers.yes, common.dry_run),
        (None, false, false)
    );
}

#[test]
fn output_path_decides_format_compression_and_content() {
    let folder = |path| {
        let target = DumpTarget::folder(path);
        (
            path,
            target,
            DataFormat::Json,
            Compression::None,
            ContentScope::All,
        )
    };
    let items = |path, target, compression| {
        (
            path,
            target,
            DataFormat::Jsonl,
            compression,
            ContentScope::DataOnly,
        )
    };
    let file = |path, compression| items(path, DumpTarget::file(path), compression);

    for (output, target, format, compression, content) in [
        folder("a/b"),
        folder("x.json"),
        items("-", DumpTarget::stdout(), Compression::None),
        file("x.jsonl", Compression::None),
        file("x.jsonl.gz", Compression::Gzip),
        file("x.jsonl.zst", Compression::Zstd),
    ] {
        let request = dump(&format!("--output {output}"));
        assert_eq!(request.target, target);
        assert_eq!(
            (request.format, request.compression, request.content),
            (format, compression, content),
            "{output}"
        );
    }

    assert_eq!(
        dump("--output - --compress zstd").compression,
        Compression::Zstd
    );
    assert_eq!(
        dump("--output x.jsonl.gz --compress gzip").compression,
        Compression::Gzip
    );
    assert_eq!(
        dump("--compress gzip --format jsonl").format,
        DataFormat::Jsonl
    );
}

#[test]
fn existing_folder_with_a_file_extension_is_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x.jsonl");
    std::fs::create_dir(&folder).unwrap();
    assert_eq!(
        dump(&format!("--output {}", folder.display())).target,
        DumpTarget::folder(folder)
    );
}

#[test]
fn contradicting_dump_options_are_rejected() {
    for (line, part) in [
        ("--output - --json", "both write to standard output"),
        ("--output - --format json", "JSON Lines"),
        ("--output x.jsonl --format json", "JSON Lines"),
        (
            "--output x.jsonl --schema-only",
            "--schema-only needs a folder",
        ),
        ("--output - --schema-only", "--schema-only needs a folder"),
        (
            "--output x.jsonl.gz --compress zstd",
            "contradicts the extension",
        ),
        (
            "--output x.jsonl --compress zstd",
            "contradicts the extension",
        ),
    ] {
        let error = dump_error(line).to_string();
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[test]
fn invalid_arguments_are_rejected_by_clap() {
    for line in [
        "--env a --no-env",
        "--schema-only --data-only",
        "--schema-only --limit 3",
        "--limit 0",
        "--limit -1",
        "--segments 0",
        "--segments 1000001",
        "--max-rcu 0",
        "--give-up-after 0s",
        "--wait soon",
        "--format xml",
        "--expression-attribute-names {}",
        "--projection-expression a --expression-attribute-values {}",
        "--quiet --verbose",
        "--table=",
        "--env=",
        "--output=",
    ] {
        let error = DumpArgs::try_parse_from(words("dumpdb", line)).expect_err(line);
        assert_eq!(
            error.exit_code(),
            i32::from(crate::cli::exit::USAGE),
            "{line}"
        );
    }

    for line in [
        "--if-missing --replace",
        "--no-create --replace",
        "--if-missing --no-create",
        "--if-empty --if-missing",
        "--if-empty --replace",
        "--if-empty --no-create",
        "--if-empty --schema-only",
        "--schema-only --data-only",
        "--schema-only --no-create",
        "--data-only --replace",
        "--data-only --if-missing",
        "--data-only --schema s.json",
        "--data-only --with kms",
        "--data-only --apply-settings",
        "--data-only --read-capacity 3",
        "--data-only --schema-overrides o.json",
        "--if-missing --apply-settings",
        "--no-create --schema s.json",
        "--batch-size 0",
        "--batch-size 26",
        "--verify sometimes",
        "--verify count",
        "--confirm=",
    ] {
        let error = RestoreArgs::try_parse_from(words("restoredb", line)).expect_err(line);
        assert_eq!(
            error.exit_code(),
            i32::from(crate::cli::exit::USAGE),
            "{line}"
        );
    }
}

#[test]
fn frequent_options_have_short_forms() {
    assert_eq!(dump("-o a").target, dump("--output a").target);
    assert_eq!(
        restore("-s a").dump().unwrap(),
        restore("--source a").dump().unwrap()
    );
    let common = restore_command("-n -y").unwrap().common;
    assert!(common.dry_run && common.answers.yes);
    let command = VerifyArgs::try_parse_from(["verifydb", "-s", "a", "-e", "dev"])
        .unwrap()
        .resolve()
        .unwrap();
    assert_eq!(command.source(), SourceSpec::path("a"));
    assert_eq!(command.common.environment.name.as_deref(), Some("dev"));
}

#[test]
fn the_table_to_dump_and_the_dump_to_restore_need_no_flag() {
    let table = |line: &str| dump_command(line).unwrap().common.environment.table;
    assert_eq!(table("films -e dev").as_deref(), Some("films"));
    assert_eq!(table("films users").as_deref(), Some("films,users"));
    assert_eq!(table("-e dev"), None);

    assert_eq!(
        restore("./prod-backup").dump().unwrap(),
        restore("--source ./prod-backup").dump().unwrap()
    );
    assert!(restore("-").reads_stdin());

    for line in ["films --table films", "films --all-tables"] {
        let error = DumpArgs::try_parse_from(words("dumpdb", line)).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(crate::cli::exit::USAGE));
    }

    for line in ["a --source b", "a b"] {
        let error = RestoreArgs::try_parse_from(words("restoredb", line)).expect_err(line);
        assert_eq!(error.exit_code(), i32::from(crate::cli::exit::USAGE));
    }
}

#[test]
fn dump_requires_a_table() {
    let command = dump_command("--no-env --endpoint-url http://localhost:8000").unwrap();
    let error = command.request(&environment(&command.common)).unwrap_err();
    assert_eq!(
        (error.kind(), error.hint()),
        (ErrorKind::Usage, Some("pass `table` NAME"))
    );
}

#[test]
fn restore_defaults() {
    let request = restore("");
    assert!(
        matches!(&request.source, RestoreSource::Dump(SourceSpec::Path(path)) if path == Path::new("backups/dynamodb/no-env"))
    );
    assert_eq!(request.table.as_deref(), Some("films"));
    assert_eq!(
        (request.existing, request.create, request.content),
        (ExistingTable::Add, true, ContentScope::All)
    );
    assert_eq!(
        (request.write.batch_size, request.verify, request.schema),
        (25, VerifyMode::Auto, None)
    );
}

#[test]
fn restore_options_reach_the_request() {
    let request = restore(
        "--source - --if-missing --batch-size 7 --verify none --schema s.json --schema-only",
    );
    assert!(request.reads_stdin());
    assert_eq!(
        (request.existing, request.content),
        (ExistingTable::Keep, ContentScope::SchemaOnly)
    );
    assert_eq!(
        (request.write.batch_size, request.verify),
        (7, VerifyMode::None)
    );
    assert_eq!(request.schema.as_deref(), Some(Path::new("s.json")));
    let request = restore("--with kms --read-capacity 3 --apply-settings");
    assert_eq!(
        (request.settings.with, request.overrides.read_capacity),
        (vec![Setting::KMS], Some(3))
    );
    assert!(request.apply_settings);
    let request = restore("--source a --no-create --data-only");
    assert_eq!(
        (request.create, request.content),
        (false, ContentScope::DataOnly)
    );
    assert_eq!(restore("--replace").existing, ExistingTable::Replace);
    assert_eq!(restore("--if-empty").existing, ExistingTable::Fill);
    let common = restore_command("--yes --confirm films --wait 60s --give-up-after 90s --dry-run")
        .unwrap()
        .common;
    assert_eq!(
        (
            common.answers.yes,
            common.answers.confirm.as_deref(),
            common.dry_run
        ),
        (true, Some("films"), true)
    );

    let store = common.store_options();
    assert_eq!(
        (store.wait, store.give_up_after),
        (Some(Duration::from_mins(1)), Duration::from_secs(90))
    );
}

#[test]
fn restore_without_a_table_uses_the_name_in_the_dump() {
    let command = restore_command("--no-env --endpoint-url http://localhost:8000").unwrap();
    assert_eq!(
        command
            .request(&environment(&command.common))
            .unwrap()
            .table,
        None
    );
}

#[test]
fn output_options() {
    let parse = |line: &str| {
        DumpArgs::try_parse_from(words("dumpdb", line))
            .unwrap()
            .output_options()
    };

    assert!(parse("-q").quiet && !parse("-q").verbose);
    assert!(parse("-vv --json").verbose && parse("-v --json").json);
    assert!(!parse("").quiet && !parse("").verbose && !parse("").json);
}

fn second_table(environment: Option<&str>, table: Option<&str>) -> SecondTable {
    SecondTable {
        environment: environment.map(ToOwned::to_owned),
        table: table.map(ToOwned::to_owned),
        schema_only: false,
    }
}

fn schema_task() -> VerifyTask {
    VerifyTask::Schema(Box::new(ExpectedSchema {
        file: None,
        overrides: Overrides::default(),
    }))
}

fn verify_command(line: &str) -> Result<VerifyCommand> {
    VerifyArgs::try_parse_from(words("verifydb", line))
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .resolve()
}

#[test]
fn named_dumps_and_tables_decide_the_verify_task() {
    let tables = |environment: Option<&str>, table: Option<&str>| {
        VerifyTask::Tables(second_table(environment, table))
    };

    for (line, task, source) in [
        (
            "",
            VerifyTask::Dump { quick: false },
            "backups/dynamodb/local",
        ),
        ("a", VerifyTask::Dump { quick: false }, "a"),
        ("--source a --quick", VerifyTask::Dump { quick: true }, "a"),
        ("--source a --env dev", VerifyTask::Table, "a"),
        ("a --table films", VerifyTask::Table, "a"),
        (
            "--env dev --exact",
            VerifyTask::Table,
            "backups/dynamodb/dev",
        ),
        (
            "--no-env --table films",
            VerifyTask::Table,
            "backups/dynamodb/no-env",
        ),
        ("a --env dev --schema-only", schema_task(), "a"),
        (
            "--env prod --against-env dev",
            tables(Some("dev"), None),
            "backups/dynamodb/prod",
        ),
        (
            "--env prod --against-env dev --schema-only",
            VerifyTask::Tables(SecondTable {
                schema_only: true,
                ..second_table(Some("dev"), None)
            }),
            "backups/dynamodb/prod",
        ),
        (
            "--table a --against-table b",
            tables(None, Some("b")),
            "backups/dynamodb/local",
        ),
    ] {
        let command = verify_command(line).unwrap();
        assert_eq!(
            (&command.task, command.source()),
            (&task, SourceSpec::path(source)),
            "{line}"
        );
    }
}

#[test]
fn second_environment_inherits_only_the_envs_folder() {
    let command =
        verify_command("--env prod --envs-dir e --table a --region r --against-env dev").unwrap();
    let other = command.second_environment(&second_table(Some("dev"), None));
    assert_eq!(
        (other.name.as_deref(), other.table, other.region),
        (Some("dev"), None, None)
    );
    assert_eq!(other.envs_dir.as_deref(), Some(Path::new("e")));
    let same = command.second_environment(&second_table(None, Some("b")));
    assert_eq!(
        (
            same.name.as_deref(),
            same.table.as_deref(),
            same.region.as_deref()
        ),
        (Some("prod"), Some("b"), Some("r"))
    );
}

#[test]
fn contradicting_verify_options_are_rejected() {
    for (line, part) in [
        ("a --exact", "--exact needs a table"),
        ("a --max-rcu 5", "--max-rcu needs a table"),
        ("a --sample 1%", "--sample needs a table"),
        ("a --schema-only", "--schema-only needs a table"),
        ("a --quick --env dev", "--quick only checks a dump"),
        ("-", "on standard input"),
    ] {
        let error = verify_command(line)
            .err()
            .unwrap_or_else(|| panic!("{line} was taken"));
        assert_eq!(error.kind(), ErrorKind::Usage, "{line}");
        assert!(
            error.to_string().contains(part) && error.hint().is_some(),
            "{line}: {error}"
        );
    }

    for line in [
        "a b",
        "a --source b",
        "a --against-env dev",
        "--quick --exact",
        "--schema-only --sample 1%",
        "--quick --sample 1%",
        "--max-rcu 0",
        "--against-table=",
    ] {
        let error = VerifyArgs::try_parse_from(words("verifydb", line)).expect_err(line);
        assert_eq!(
            error.exit_code(),
            i32::from(crate::cli::exit::USAGE),
            "{line}"
        );
    }
}
