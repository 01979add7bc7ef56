//! Options of transforms, shared by the commands.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use super::heading;
use super::value::{nonzero_duration, sample};
use crate::backup::read_text;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::item::Sample;
use crate::ops::PreviewOptions;
use crate::transform::{CommandSpec, MaskKey, MaskRules, Masks, PythonSpec, Transform};

/// Environment variable with the key of masks.
const MASK_KEY_VARIABLE: &str = "DYNADUMP_MASK_KEY";

/// Options of transforms.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::TRANSFORM)]
pub(crate) struct TransformArgs {
    /// Keep all items of this percentage of the partition keys, for example 5%; the same keys in
    /// every table
    #[arg(long, help_heading = heading::SELECTION, value_name = "PERCENT", value_parser = sample)]
    sample: Option<Sample>,

    #[command(flatten)]
    steps: StepArgs,

    /// With --dry-run: show the first N items that change, before and after
    #[arg(long, value_name = "N", requires = "dry_run")]
    show: Option<usize>,

    /// With --show: show the original values of masked attributes; not in protected environments
    #[arg(long, requires = "show")]
    show_originals: bool,
}

// Steps that change or select items, also for `verifydb`. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, Args)]
#[command(
    next_help_heading = heading::TRANSFORM,
    group = ArgGroup::new("transform_program").args(["transform_command", "transform_python"]).multiple(true)
)]
pub(crate) struct StepArgs {
    /// Keep items that satisfy this jq condition, for example '.year | num > 1990'
    #[arg(long = "where", help_heading = heading::SELECTION, value_name = "EXPR", value_parser = NonEmptyStringValueParser::new())]
    condition: Option<String>,

    /// Apply this jq filter to each item in DynamoDB JSON; can be repeated (see docs/TRANSFORM.md)
    #[arg(long, value_name = "EXPR|FILE.jq", value_parser = NonEmptyStringValueParser::new())]
    transform: Vec<String>,

    /// Pipe the items through this program: JSON Lines in, one line out for each
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    transform_command: Option<String>,

    /// Call this Python function (module:function or path/to/file.py:function) on each item; it
    /// gets the types of boto3, and returns an item, a list of items, or None to skip the item
    #[arg(long, value_name = "FUNCTION", value_parser = NonEmptyStringValueParser::new())]
    transform_python: Option<String>,

    /// Interpreter for --transform-python, for example .venv/bin/python
    #[arg(
        long,
        value_name = "PATH",
        requires = "transform_python",
        default_value = "python3"
    )]
    python: PathBuf,

    /// Number of parallel instances of the program or interpreter [default: one per core]
    #[arg(long, value_name = "N", requires = "transform_program")]
    transform_jobs: Option<NonZeroUsize>,

    /// Abort if the program or function does not respond for this long
    #[arg(long, value_name = "DURATION", value_parser = nonzero_duration, default_value = "60s")]
    transform_timeout: Duration,

    /// Mask values according to the rules in this file (see docs/masking.md)
    #[arg(long, value_name = "RULES.toml")]
    mask: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        requires = "mask",
        help = "File with the secret key for masks [default: the variable DYNADUMP_MASK_KEY]"
    )]
    mask_key_file: Option<PathBuf>,
}

impl TransformArgs {
    /// The transform; rejects options that have no effect.
    ///
    /// # Errors
    /// Errors of [`resolve`](Self::resolve); a transform with `--schema-only`, or `--show` without a transform.
    pub(crate) fn resolve_unless_schema_only(&self, schema_only: bool) -> Result<Transform> {
        let transform = self.resolve()?;
        if schema_only && !transform.is_empty() {
            return Err(
                Error::usage("--schema-only cannot be combined with a transform")
                    .with_hint("omit one of them"),
            );
        }

        if self.show.is_some() && transform.is_empty() {
            return Err(
                Error::usage("--show needs an option that changes or filters items")
                    .with_hint("add --transform, --mask or --where, or omit --show"),
            );
        }

        Ok(transform)
    }

    /// The items that a dry run shows before and after the transform.
    pub(crate) fn preview_options(&self) -> PreviewOptions {
        PreviewOptions {
            items: self.show.unwrap_or(0),
            originals: self.show_originals,
        }
    }

    /// Reads and compiles the transform, so that a mistake is reported before any item is read.
    ///
    /// # Errors
    /// Errors of [`StepArgs::resolve`].
    pub(crate) fn resolve(&self) -> Result<Transform> {
        self.steps.resolve(self.sample)
    }
}

impl StepArgs {
    /// The first of the options that adds a step.
    pub(crate) fn first_flag(&self) -> Option<&'static str> {
        let flags = [
            ("--where", self.condition.is_some()),
            ("--transform", !self.transform.is_empty()),
            ("--transform-command", self.transform_command.is_some()),
            ("--transform-python", self.transform_python.is_some()),
            ("--mask", self.mask.is_some()),
        ];

        flags
            .into_iter()
            .find_map(|(flag, is_given)| is_given.then_some(flag))
    }

    /// Reads and compiles the steps, after a sample.
    ///
    /// # Errors
    /// A file cannot be read; a filter, a rule, the program or the function is invalid.
    pub(crate) fn resolve(&self, sample: Option<Sample>) -> Result<Transform> {
        // The order of the steps: selection first, so that later steps process fewer items; masks last, so that they also see
        // attributes that filters and programs have added.
        let mut transform = Transform::new();
        if let Some(sample) = sample {
            transform = transform.sample(sample);
        }

        if let Some(condition) = &self.condition {
            transform = transform.condition("--where", condition)?;
        }

        for filter in &self.transform {
            transform = match filter_file(filter) {
                Some(path) => transform.filter(filter, &read_filter(&path)?)?,
                None => transform.filter("--transform", filter)?,
            };
        }

        if let Some(line) = &self.transform_command {
            let spec = CommandSpec::new(line.as_str());
            transform = transform.command(CommandSpec {
                jobs: self.transform_jobs,
                timeout: self.transform_timeout,
                ..spec
            })?;
        }

        if let Some(function) = &self.transform_python {
            let spec = PythonSpec::new(function.as_str());
            transform = transform.python(PythonSpec {
                interpreter: self.python.clone(),
                jobs: self.transform_jobs,
                timeout: self.transform_timeout,
                ..spec
            })?;
        }

        if let Some(path) = &self.mask {
            let rules = MaskRules::parse(&path.display().to_string(), &read_text(path)?)?;
            // Rules that only drop or replace values need no key.
            let key = if rules.need_key() {
                self.mask_key()?
            } else {
                None
            };

            transform = transform.mask(Masks::new(rules, key)?);
        }

        Ok(transform)
    }

    /// The key of the masks: from the file, else from the environment variable.
    fn mask_key(&self) -> Result<Option<MaskKey>> {
        if let Some(path) = &self.mask_key_file {
            return MaskKey::new(read_text(path)?.as_bytes()).map(Some);
        }

        let variable = std::env::var_os(MASK_KEY_VARIABLE).filter(|key| !key.is_empty());
        variable
            .map(|key| MaskKey::new(key.as_encoded_bytes()))
            .transpose()
    }
}

/// Rejects `--show-originals` in protected environments.
///
/// # Errors
/// The original values of masked attributes are requested, and the environment is protected.
pub(crate) fn check_preview(show: PreviewOptions, environment: &Environment) -> Result<()> {
    if !show.originals || !environment.is_protected() {
        return Ok(());
    }

    let what = format!(
        "--show-originals is not allowed: environment {} is protected",
        environment.name()
    );
    Err(Error::usage(what)
        .with_hint("omit it: --show then shows [masked] in place of masked values"))
}

/// The path, if a value of `--transform` is a file: one word that ends in `.jq`.
fn filter_file(filter: &str) -> Option<PathBuf> {
    // Characters of jq syntax that a file name is unlikely to contain.
    let is_word = !filter.contains(|c: char| c.is_whitespace() || "|()[]{}\"$,;".contains(c));
    let path = Path::new(filter);
    (is_word && path.extension().is_some_and(|extension| extension == "jq"))
        .then(|| path.to_owned())
}

/// Reads a file of jq code.
fn read_filter(path: &Path) -> Result<String> {
    read_text(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::usage(format!("--transform: {error}")).with_hint(
            "a value that ends in .jq is a file; put an expression in parentheses: '(.jq)'",
        ),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        transform: TransformArgs,

        #[arg(long)]
        dry_run: bool,
    }

    fn resolve(words: &[&str]) -> Result<Transform> {
        Line::try_parse_from(["x"].iter().chain(words))
            .expect("it parses")
            .transform
            .resolve()
    }

    #[test]
    fn without_options_there_is_no_transform() {
        assert!(resolve(&[]).unwrap().is_empty());
    }

    #[test]
    fn all_options_can_be_combined() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::File::create(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .unwrap();
            path.display().to_string()
        };

        let (filter, key) = (
            write("t.jq", "# a filter\ndel(.x)\n"),
            write("key", "0123456789abcdef\n"),
        );
        let rules = write("rules.toml", "[[rule]]\npath = 'a'\naction = 'hash'\n");
        let all = [
            "--sample",
            "5%",
            "--where",
            ".a",
            "--transform",
            ".",
            "--transform",
            &filter,
            "--transform-command",
            "cat",
            "--transform-jobs",
            "2",
            "--transform-timeout",
            "5s",
            "--mask",
            &rules,
            "--mask-key-file",
            &key,
        ];

        let transform = resolve(&all).unwrap();
        assert_eq!(transform.masks().unwrap().rules().sha256().len(), 64);
        let short = write("short", "x\n");
        let error = resolve(&["--mask", &rules, "--mask-key-file", &short]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Environment);
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for (words, part) in [
            (
                &["--transform", ".a |"][..],
                "--transform, line 1, column 5",
            ),
            (
                &["--where", "nope"],
                "--where, line 1, column 1: undefined filter `nope`",
            ),
            (
                &["--transform", "no/such/file.jq"],
                "`no/such/file.jq` does not exist",
            ),
            (
                &["--transform-command", "no-such-program"],
                "program not found: `no-such-program`",
            ),
        ] {
            let error = resolve(words).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{words:?}");
            assert!(error.to_string().contains(part), "{error}");
        }

        for words in [
            &["--sample", "5"][..],
            &["--transform-jobs", "2"],
            &["--mask-key-file", "x"],
            &["--transform-timeout", "0s"],
        ] {
            assert!(
                Line::try_parse_from(["x"].iter().chain(words)).is_err(),
                "{words:?}"
            );
        }
    }

    #[test]
    fn only_a_word_that_ends_in_jq_is_a_file() {
        for (text, is_file) in [
            ("t.jq", true),
            ("./a b/t.jq", false),
            ("dir/t.jq", true),
            (".jq", false),
            (".a|.jq", false),
            (".a", false),
        ] {
            assert_eq!(filter_file(text).is_some(), is_file, "{text}");
        }
    }
}
