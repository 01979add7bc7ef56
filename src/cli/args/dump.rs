//! Command-line arguments of `dumpdb`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Parser};

use super::common::{EnvironmentArgs, OutputArgs, RunArgs, default_folder, resolve, state_dir};
use super::heading;
use super::help::Help;
use super::scan::ScanArgs;
use super::scope::{ScopeArgs, SeveralTablesArgs};
use super::transform::{TransformArgs, check_preview};
use super::value::RouteName;
use super::{Arguments, CommonOptions};
use crate::backup::{Compression, DataFile, DataFormat, DumpTarget};
use crate::cli::terminal::output::OutputOptions;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::dump::DumpRequest;
use crate::ops::route::{BackupRoute, Route};
use crate::ops::set::SelectionOptions;
use crate::ops::set::dump::SetDumpRequest;
use crate::ops::{ContentScope, PreviewOptions};
use crate::transform::Transform;

const HELP: Help = Help {
    frequent: &[
        "env",
        "profile",
        "table",
        "output",
        "compress",
        "all-tables",
        "max-rcu",
        "dry-run",
        "yes",
        "resume",
    ],
    examples: "  dumpdb    --env=prod  --output ./prod-backup
  restoredb --env=local --source ./prod-backup
  dumpdb --env=demo                          dump the sample table; needs no server",
    more_examples: "
  dumpdb orders -e prod                      dump one table to backups/dynamodb/prod/
  dumpdb --init                              create envs/ with files to fill in
  dumpdb -e prod --dry-run                   show what would be read, and the cost
  dumpdb -e prod --doctor                    find out why a dump does not work
  dumpdb -e prod --all-tables                dump each table into a folder of its own
  dumpdb -e prod --table 'film-*,users'      dump the tables that match
  dumpdb -e prod --list-tables --table 'prod-*'      list tables, with sizes and last dumps
  dumpdb -e prod -o - | jq -c .              stream items as JSON Lines
  dumpdb -e dev -o films.jsonl.zst           write the items to one file
  dumpdb -e prod --sample 5% --mask rules.toml       small copy without personal data
  dumpdb films --profile ops --region eu-west-1      use no env file",
};

/// Dump DynamoDB tables to folders: items, schema, metadata and a summary.
#[derive(Debug, Parser)]
#[command(
    name = "dumpdb",
    group = ArgGroup::new("expressions")
        .args(["filter_expression", "projection_expression"])
        .multiple(true)
)]
pub(crate) struct DumpArgs {
    #[arg(
        value_name = "TABLE",
        conflicts_with_all = ["table", "all_tables"],
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = heading::SOURCE_AND_TARGET,
        help = "Tables to dump; same as --table"
    )]
    tables: Vec<String>,

    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    several: SeveralTablesArgs,

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
#[command(next_help_heading = heading::SOURCE_AND_TARGET)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct DumpOnlyArgs {
    /// Create env files to fill in, and .gitignore files for env files and dumps; keep existing files
    #[arg(long, exclusive = true, help_heading = heading::CONNECTION)]
    init: bool,

    /// Folder, FILE.jsonl[.gz|.zst], or - for standard output [default: backups/dynamodb/ENV/]
    #[arg(long, short, value_name = "DIR|FILE|-")]
    output: Option<PathBuf>,

    /// Read the items with a Scan, or keep them in an on-demand backup in DynamoDB
    #[arg(long, value_name = "ROUTE", value_enum, default_value_t)]
    route: RouteName,

    /// Name of the on-demand backup [default: the table's name and the time]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    backup_name: Option<String>,

    /// Use this existing on-demand backup
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "backup_name")]
    backup_arn: Option<String>,

    /// Format of the items [default: json]
    #[arg(long, value_name = "FORMAT", value_enum)]
    format: Option<DataFormat>,

    /// Compression of the items [default: none]
    #[arg(long, value_name = "METHOD", value_enum)]
    compress: Option<Compression>,

    #[command(flatten)]
    scan: ScanArgs,

    /// Dump only the schema
    #[arg(long, help_heading = heading::SELECTION, conflicts_with_all = ["data_only", "limit"])]
    schema_only: bool,

    /// Dump only the items
    #[arg(long, help_heading = heading::SELECTION)]
    data_only: bool,

    /// Stop at the first item that a transform rejects
    #[arg(long, help_heading = heading::SAFETY)]
    strict: bool,

    /// Resume an interrupted dump, or start a new one
    #[arg(long, help_heading = heading::SAFETY)]
    resume: bool,

    /// List the selected tables (default: all) with items, size, billing, deletion protection and last
    /// dump, and dump nothing
    #[arg(long, help_heading = heading::SELECTION, conflicts_with_all = ["format", "compress", "segments", "limit", "expressions", "consistent_read", "max_rcu", "route", "schema_only", "data_only", "strict", "resume", "sample", "condition", "transform", "transform_command", "mask"])]
    list_tables: bool,

    /// Check what this dump needs, change nothing, and say what to do: configuration, connection,
    /// credentials, tables, permissions, folders
    #[arg(long, help_heading = heading::CONNECTION, conflicts_with = "list_tables")]
    doctor: bool,
}

/// A resolved `dumpdb` command line.
pub(crate) struct DumpCommand {
    pub(crate) common: CommonOptions,
    pub(crate) request: DumpRequest,
    /// Selects several tables.
    pub(crate) selection: SelectionOptions,
    /// How several tables are dumped.
    pub(crate) several: SeveralTablesArgs,
    /// Create env files instead of dumping.
    pub(crate) init: bool,
    /// List the tables instead of dumping them, with the last dumps in this folder.
    pub(crate) list_with_dumps: Option<PathBuf>,
    /// Items that a dry run shows before and after the transform.
    pub(crate) preview: PreviewOptions,
    /// Check what the dump needs instead of dumping.
    pub(crate) doctor: bool,
}

impl Arguments<DumpCommand> for DumpArgs {
    const COMMAND: &'static str = "dumpdb";
    const HELP: Help = HELP;

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(mut self) -> Result<DumpCommand> {
        self.environment.add_tables(self.tables);
        self.environment.skip_needless_env();
        let dump = self.dump;
        let common = resolve(self.environment, self.run, None)?;
        let target = match &dump.output {
            Some(path) => target(path.clone()),
            None => DumpTarget::Folder(default_folder(&common.environment)),
        };
        check_output(&target, self.output.json, dump.resume)?;
        let list_with_dumps = dump.listed(&target)?;

        // Files and streams contain no schema.
        let items_only = matches!(target, DumpTarget::File(_) | DumpTarget::Stdout);
        if items_only {
            dump.check_items_only()?;
        }

        let scan = dump.scan.options()?;
        let route = dump.route()?;
        let transform = self
            .transform
            .resolve_unless_schema_only(dump.schema_only)?;
        dump.scan.check_conditions(&transform)?;
        if route != Route::Scan {
            dump.check_backup(&target, &transform)?;
        }

        Ok(DumpCommand {
            common,
            request: DumpRequest {
                table: None,
                target,
                route,
                format: dump.format(items_only),
                compression: dump.compression(),
                content: dump.content(items_only),
                scan,
                transform,
                strict: dump.strict,
                resume: dump.resume,
                state_dir: state_dir(),
            },
            selection: self.scope.into_options(),
            several: self.several,
            init: dump.init,
            list_with_dumps,
            preview: self.transform.preview_options(),
            doctor: dump.doctor,
        })
    }
}

/// Rejects options that a target does not support.
fn check_output(target: &DumpTarget, json: bool, resume: bool) -> Result<()> {
    if *target != DumpTarget::Stdout {
        return Ok(());
    }

    if json {
        return Err(
            Error::usage("--json and --output - both write to standard output")
                .with_hint("write the items to a file or folder, or omit --json"),
        );
    }

    if resume {
        return Err(Error::usage("a dump to standard output cannot be resumed")
            .with_hint("write to a file or a folder, or omit --resume"));
    }

    Ok(())
}

impl DumpOnlyArgs {
    fn format(&self, items_only: bool) -> DataFormat {
        match self.format {
            Some(format) => format,
            // JSON Lines can be processed while they are written.
            None if items_only => DataFormat::Jsonl,
            None => DataFormat::default(),
        }
    }

    fn content(&self, items_only: bool) -> ContentScope {
        if self.schema_only {
            ContentScope::SchemaOnly
        } else if self.data_only || items_only {
            ContentScope::DataOnly
        } else {
            ContentScope::All
        }
    }

    /// The route, with the options of a backup.
    fn route(&self) -> Result<Route> {
        if self.route == RouteName::Backup {
            return Ok(Route::Backup(BackupRoute {
                name: self.backup_name.clone(),
                arn: self.backup_arn.clone(),
                delete_afterwards: false,
            }));
        }

        let option = match (&self.backup_name, &self.backup_arn) {
            (None, None) => return Ok(Route::Scan),
            (Some(_), _) => Field::BackupName,
            (None, Some(_)) => Field::BackupArn,
        };

        Err(
            Error::usage(format!("{option} needs {} backup", Field::Route))
                .with_hint(format!("add {} backup", Field::Route)),
        )
    }

    /// Rejects options that a backup, which DynamoDB makes of the whole table, does not support.
    fn check_backup(&self, target: &DumpTarget, transform: &Transform) -> Result<()> {
        let others = [
            ("--format", self.format.is_some()),
            ("--compress", self.compress.is_some()),
            ("--schema-only", self.schema_only),
            ("--data-only", self.data_only),
            ("a transform", !transform.is_empty()),
            (
                "a file or standard output as --output",
                !matches!(target, DumpTarget::Folder(_)),
            ),
        ];
        let other = others.into_iter().find(|(_, is_given)| *is_given);
        let given = self.scan.given().or(other.map(|(option, _)| option));
        let Some(option) = given else {
            return Ok(());
        };

        Err(Error::usage(format!(
            "{option} cannot be combined with --route backup: DynamoDB backs up the whole table as it is"
        ))
        .with_hint("omit it, or read the items with --route scan"))
    }

    /// The folder of the last dumps if tables are listed.
    fn listed(&self, target: &DumpTarget) -> Result<Option<PathBuf>> {
        match target {
            _ if !self.list_tables => Ok(None),
            DumpTarget::Folder(folder) => Ok(Some(folder.clone())),
            DumpTarget::File(_) | DumpTarget::Stdout => Err(Error::usage(
                "--list-tables looks for the last dumps in a folder, not in a file",
            )
            .with_hint("omit --output, or name the folder of the dumps")),
        }
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
                "--schema-only needs a folder: --output {path} contains only items"
            ))
            .with_hint("use a folder as --output"));
        }

        if self.format == Some(DataFormat::Json) {
            return Err(Error::usage(format!(
                "--format json needs a folder: --output {path} is written as JSON Lines"
            ))
            .with_hint("omit --format, or use a folder as --output"));
        }

        let by_extension = self.file_kind().map(|kind| kind.compression);
        if self.compress.is_some()
            && by_extension.is_some_and(|compression| compression != self.compress_option())
        {
            return Err(
                Error::usage(format!("--compress contradicts the extension of {path}")).with_hint(
                    "omit --compress: the extension decides (.jsonl, .jsonl.gz, .jsonl.zst)",
                ),
            );
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
        self.compress.unwrap_or_default()
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
        self.request.target == DumpTarget::Stdout
    }

    /// The request for a dump of one table.
    ///
    /// # Errors
    /// The environment and the options name no table; it does not allow the preview; options are for several tables.
    pub(crate) fn request(&self, environment: &Environment) -> Result<DumpRequest> {
        check_preview(self.preview, environment)?;
        if let Some(flag) = self.several.first_flag() {
            return Err(
                Error::usage(format!("{flag} applies to a dump of several tables"))
                    .with_hint("omit it, or select several tables with --all-tables or a list or pattern as --table"),
            );
        }

        let table = self.request.table_name(environment)?;

        Ok(DumpRequest {
            table: Some(table),
            ..self.request.clone()
        })
    }

    /// The request for a dump of these tables.
    pub(crate) fn set_request(&self, tables: Vec<String>) -> SetDumpRequest {
        SetDumpRequest {
            tables,
            options: self.request.clone(),
            parallel_tables: self.several.parallel_tables,
            fail_fast: self.several.fail_fast,
        }
    }

    /// Rejects options that a dump of several tables does not support, before any call.
    ///
    /// # Errors
    /// The target is not a folder; the options show items of a dry run.
    pub(crate) fn check_set(&self, environment: &Environment) -> Result<()> {
        check_preview(self.preview, environment)?;
        if self.request.route != Route::Scan {
            return Err(
                Error::usage(format!("{} backup dumps one table", Field::Route))
                    .with_hint("dump each table by itself, or read several with --route scan"),
            );
        }

        let output = match &self.request.target {
            DumpTarget::Folder(_) => return Ok(()),
            DumpTarget::File(path) => path.display().to_string(),
            DumpTarget::Stdout => "-".to_owned(),
        };

        Err(Error::usage(format!(
            "a dump of several tables needs a folder: --output {output} contains the items of one table"
        ))
        .with_hint("name a folder as --output, or one table as --table"))
    }
}
