//! Command-line arguments of `dumpdb`.

use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum};

use super::common::{EnvironmentArgs, OutputArgs, RunArgs, default_folder, resolve};
use super::transform::{TransformArgs, check_preview};
use super::value::cap;
use super::{Arguments, CommonOptions};
use crate::backup::{Compression, DataFile, DataFormat, DumpTarget};
use crate::cli::exit;
use crate::cli::terminal::output::OutputOptions;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::limits::SCAN_SEGMENTS;
use crate::ops::dump::DumpRequest;
use crate::ops::{Cap, ContentScope, PreviewOptions};
use crate::store::Selection;
use crate::transform::Transform;

const EXAMPLES: &str = "\
EXAMPLES
  dumpdb    --env=prod  --output ./prod-backup
  restoredb --env=local --source ./prod-backup

  dumpdb --env=demo                          dump the sample table; no server is needed
  dumpdb --env=prod --dry-run                show what would be read, and what it costs
  dumpdb --env=prod --output - | jq -c .     stream items as JSON Lines
  dumpdb --env=dev --output films.jsonl.zst  write the items to one file
  dumpdb --env=prod --sample 5% --mask rules.toml    a small copy without personal data
  dumpdb --no-env --profile ops --region eu-west-1 --table films";

/// Dump a DynamoDB table into a folder: items, schema, metadata and a summary.
#[derive(Debug, Parser)]
#[command(
    name = "dumpdb",
    version,
    max_term_width = 100,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::help())
)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    dump: DumpOnlyArgs,

    #[command(flatten)]
    transform: TransformArgs,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `dumpdb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Dump")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct DumpOnlyArgs {
    /// write to a folder, to FILE.jsonl[.gz|.zst], or to - (standard output)
    /// [default: backups/dynamodb/ENV/]
    #[arg(long, value_name = "DIR|FILE|-")]
    output: Option<PathBuf>,

    /// write items as one JSON document or as JSON Lines [default: json]
    #[arg(long, value_name = "FORMAT")]
    format: Option<FormatArg>,

    /// compress the items [default: none]
    #[arg(long, value_name = "METHOD")]
    compress: Option<CompressionArg>,

    /// scan in so many segments, 32 at a time [default: by the table's size]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(SCAN_SEGMENTS)))]
    segments: Option<u32>,

    /// stop after exactly so many items; with a transform, items that come out of it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// have the table leave out items for which this condition does not hold, for example
    /// 'year > 1990 and genre = "Drama"'; all items are paid for
    #[arg(long, value_name = "EXPR", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "schema_only")]
    filter: Option<String>,

    /// the names behind #placeholders of --filter, as JSON
    #[arg(long, value_name = "JSON", requires = "filter")]
    names: Option<String>,

    /// the values behind :placeholders of --filter, as DynamoDB JSON
    #[arg(long, value_name = "JSON", requires = "filter")]
    values: Option<String>,

    /// have the table send these attributes alone, and the key: title,info.rating
    #[arg(long, value_name = "PATHS", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "schema_only")]
    projection: Option<String>,

    /// read the latest version of each item, at twice the read units
    #[arg(long)]
    consistent_read: bool,

    /// consume at most so many read units per second, or a share of the table's, such as 25%
    /// [default: half the capacity of a protected provisioned table]
    #[arg(long, value_name = "N|N%", value_parser = cap)]
    max_rcu: Option<Cap>,

    /// dump the schema and no item
    #[arg(long, conflicts_with_all = ["data_only", "limit"])]
    schema_only: bool,

    /// dump the items and no schema
    #[arg(long)]
    data_only: bool,

    /// stop at the first item that a transform rejects
    #[arg(long)]
    strict: bool,

    /// go on with an interrupted run into the same place; without one, begin
    #[arg(long)]
    resume: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Json,
    Jsonl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompressionArg {
    None,
    Gzip,
    Zstd,
}

/// A resolved `dumpdb` command line.
pub(crate) struct DumpCommand {
    pub(crate) common: CommonOptions,
    max_read_units: Option<Cap>,
    /// `None` means the default folder of the environment, which is not known yet.
    target: Option<DumpTarget>,
    format: DataFormat,
    compression: Compression,
    segments: Option<u32>,
    limit: Option<u64>,
    consistent_read: bool,
    pub(crate) content: ContentScope,
    pub(crate) resume: bool,
    strict: bool,
    selection: Selection,
    transform: Transform,
    /// Items that a dry run shows before and after the transform.
    pub(crate) preview: PreviewOptions,
}

impl Arguments<DumpCommand> for DumpArgs {
    const COMMAND: &'static str = "dumpdb";

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<DumpCommand> {
        let dump = self.dump;
        let target = dump.output.as_ref().map(|path| target(path.clone()));
        // Files and streams contain no schema.
        let items_only = matches!(target, Some(DumpTarget::File(_) | DumpTarget::Stdout));
        if items_only {
            dump.check_items_only()?;
        }

        if self.output.json && target == Some(DumpTarget::Stdout) {
            return Err(
                Error::usage("--json and --output - both write to standard output")
                    .with_hint("write the items to a file or folder, or leave out --json"),
            );
        }

        if dump.resume && target == Some(DumpTarget::Stdout) {
            return Err(Error::usage(
                "--output - cannot be resumed: what went to standard output is gone",
            )
            .with_hint("write to a file or a folder, or leave out --resume"));
        }

        let format = match dump.format {
            Some(FormatArg::Json) => DataFormat::Json,
            Some(FormatArg::Jsonl) => DataFormat::Jsonl,
            // JSON Lines can be processed while they are written.
            None if items_only => DataFormat::Jsonl,
            None => DataFormat::default(),
        };

        let selection = dump.selection()?;
        let transform = self
            .transform
            .resolve_unless_schema_only(dump.schema_only)?;
        dump.check_conditions(&transform)?;
        Ok(DumpCommand {
            common: resolve(self.environment, &self.run, None)?,
            max_read_units: dump.max_rcu,
            compression: dump.compression(),
            content: dump.content(items_only),
            target,
            format,
            segments: dump.segments,
            limit: dump.limit,
            consistent_read: dump.consistent_read,
            resume: dump.resume,
            strict: dump.strict,
            selection,
            preview: self.transform.preview_options(),
            transform,
        })
    }
}

impl DumpOnlyArgs {
    fn content(&self, items_only: bool) -> ContentScope {
        if self.schema_only {
            ContentScope::SchemaOnly
        } else if self.data_only || items_only {
            ContentScope::DataOnly
        } else {
            ContentScope::All
        }
    }

    /// The filter and projection that DynamoDB applies.
    fn selection(&self) -> Result<Selection> {
        let mut selection = Selection::default();
        if let Some(filter) = &self.filter {
            selection =
                selection.with_filter(filter, self.names.as_deref(), self.values.as_deref())?;
        }

        if let Some(projection) = &self.projection {
            selection = selection.with_projection(projection)?;
        }

        Ok(selection)
    }

    /// Rejects `--projection` if a mask rule has a condition: the condition is false if its attribute is not read, and the value
    /// that the rule should mask would be dumped in plain text.
    fn check_conditions(&self, transform: &Transform) -> Result<()> {
        let have_conditions = transform
            .masks()
            .is_some_and(|masks| masks.rules().have_conditions());
        if self.projection.is_none() || !have_conditions {
            return Ok(());
        }

        Err(Error::usage(
            "--projection may leave out what a condition (`when`) of a --mask rule asks for",
        )
        .with_hint(
            "leave out --projection, and drop attributes by rules of their own (action = \"drop\")",
        ))
    }

    /// Rejects options that a file or stream of items does not support.
    fn check_items_only(&self) -> Result<()> {
        let path = self
            .output
            .iter()
            .map(|path| path.display().to_string())
            .collect::<String>();

        if self.schema_only {
            return Err(Error::usage(format!(
                "--output {path} holds items alone, so --schema-only leaves nothing to write"
            ))
            .with_hint("name a folder"));
        }

        if self.format == Some(FormatArg::Json) {
            return Err(Error::usage(format!(
                "--output {path} is written as JSON Lines, not as --format json"
            ))
            .with_hint("leave out --format, or name a folder"));
        }

        let by_extension = self.file_kind().map(|kind| kind.compression);
        if self.compress.is_some()
            && by_extension.is_some_and(|compression| compression != self.compress_option())
        {
            return Err(Error::usage(format!(
                "--compress and the ending of {path} contradict each other"
            ))
            .with_hint(
                "leave out --compress: the ending decides (.jsonl, .jsonl.gz, .jsonl.zst)",
            ));
        }

        Ok(())
    }

    /// The kind of file that the extension of `--output` selects.
    fn file_kind(&self) -> Option<DataFile> {
        self.output.as_deref().and_then(DataFile::for_item_file)
    }

    /// The compression; the extension of a file takes precedence.
    fn compression(&self) -> Compression {
        self.file_kind()
            .map_or_else(|| self.compress_option(), |kind| kind.compression)
    }

    /// The value of `--compress`.
    fn compress_option(&self) -> Compression {
        match self.compress {
            None | Some(CompressionArg::None) => Compression::None,
            Some(CompressionArg::Gzip) => Compression::Gzip,
            Some(CompressionArg::Zstd) => Compression::Zstd,
        }
    }
}

/// The target for a value of `--output`: `-` is standard output, `*.jsonl[.gz|.zst]` a file, anything else a folder.
fn target(path: PathBuf) -> DumpTarget {
    if path.as_os_str() == "-" {
        DumpTarget::Stdout
    } else if DataFile::for_item_file(&path).is_some() && !path.is_dir() {
        DumpTarget::File(path)
    } else {
        DumpTarget::Folder(path)
    }
}

impl DumpCommand {
    /// Whether items are written to standard output.
    pub(crate) fn writes_to_stdout(&self) -> bool {
        self.target == Some(DumpTarget::Stdout)
    }

    /// The request for a dump of the environment's table.
    ///
    /// # Errors
    /// The environment and the options name no table, or more than one.
    pub(crate) fn request(&self, environment: &Environment) -> Result<DumpRequest> {
        check_preview(self.preview, environment)?;
        let table = environment
            .single_table()?
            .ok_or_else(|| missing_table_error(environment, &self.common.environment.working_dir))?
            .to_owned();
        let folder = || DumpTarget::Folder(default_folder(environment.name()));
        Ok(DumpRequest {
            table,
            target: self.target.clone().unwrap_or_else(folder),
            format: self.format,
            compression: self.compression,
            segments: self.segments,
            limit: self.limit,
            consistent_read: self.consistent_read,
            content: self.content,
            max_read_units: self.max_read_units,
            selection: self.selection.clone(),
            transform: self.transform.clone(),
            strict: self.strict,
            resume: self.resume,
            state_dir: self.common.state_dir.clone(),
        })
    }
}

/// The error for a missing table name. The path of the env file is shown relative to `working_dir`.
fn missing_table_error(environment: &Environment, working_dir: &Path) -> Error {
    match environment.file() {
        Some(file) => Error::environment(format!(
            "{} names no table",
            file.strip_prefix(working_dir).unwrap_or(file).display()
        ))
        .with_hint("add DYNAMODB_TABLE=<name> to it, or pass --table"),
        None => Error::usage("no table is named").with_hint("pass --table NAME"),
    }
}
