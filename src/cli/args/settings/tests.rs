//! Tests: options about settings and what they resolve to.

use clap::Parser;

use super::*;
use crate::cli::args::overrides::OverrideArgs;
use crate::error::ErrorKind;

/// A command that has only these options.
#[derive(Debug, Parser)]
struct TestCommand {
    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    overrides: OverrideArgs,
}

impl TestCommand {
    fn resolve(self, creates: bool) -> Result<SettingChoice> {
        let overrides = self.overrides.resolve()?;
        self.settings.resolve(&overrides, creates)
    }
}

fn parse(line: &str) -> Result<TestCommand, clap::Error> {
    let words = std::iter::once("restoredb").chain(line.split_whitespace());
    TestCommand::try_parse_from(words)
}

fn resolve(line: &str) -> SettingChoice {
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
    let choice = resolve("");
    assert!(choice.with.is_empty() && choice.without.is_empty() && choice.first.is_empty());

    let command = parse("").unwrap();
    assert!(!command.settings.apply_settings);
    assert_eq!(command.overrides.resolve().unwrap(), Overrides::default());
}

#[test]
fn settings_can_be_lists_and_repeated_options() {
    let line = "--with kms,policy --with kinesis --without ttl --settings-first stream,pitr --apply-settings";
    let choice = resolve(line);
    let settings = |names: &[&str]| -> Vec<Setting> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    };
    assert_eq!(choice.with, settings(&["kms", "policy", "kinesis"]));
    assert_eq!(
        (choice.without, choice.first),
        (settings(&["ttl"]), settings(&["stream", "pitr"]))
    );
    assert!(parse(line).unwrap().settings.apply_settings);
}

#[test]
fn unknown_setting_names_list_all_names() {
    for setting in Setting::choices() {
        assert_eq!(resolve(&format!("--with {setting}")).with, [setting]);
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
                Setting::choices().all(|setting| error.to_string().contains(setting.name())),
                "{error}"
            );
        }
    }

    for setting in Setting::choices() {
        assert!(
            help.contains(&format!(" {setting}")),
            "{setting} is not in the help"
        );
    }
}

#[test]
fn including_and_excluding_a_setting_is_rejected() {
    for (line, what) in [
        (
            "--with ttl,kms --without pitr,kms",
            "--with kms and --without kms cannot be used together",
        ),
        (
            "--settings-first stream --without stream",
            "--settings-first stream and --without stream cannot be used together",
        ),
        (
            "--set kms-key=k --without kms",
            "--set kms-key and --without kms cannot be used together",
        ),
        (
            "--set table-class=standard --without class",
            "--set table-class and --without class cannot be used together",
        ),
        (
            "--set tag=a=b --without tags",
            "--set tag and --without tags cannot be used together",
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
        "--set tag=a=b",
        "--read-capacity 3",
    ] {
        assert!(
            resolve_error(line, false)
                .hint()
                .is_some_and(|hint| hint.contains("--apply-settings")),
            "{line}"
        );
    }

    for line in ["--key-schema a:S", "--drop-index all", "--set only-index=a"] {
        let error = resolve_error(&format!("{line} --apply-settings"), false);
        assert_eq!(
            error.to_string(),
            "--no-create does not change the key and indexes of a table",
            "{line}"
        );
    }

    for line in [
        "",
        "--apply-settings",
        "--apply-settings --with kms --set tag=a=b --read-capacity 3",
    ] {
        assert!(parse(line).unwrap().resolve(false).is_ok(), "{line}");
    }
}
