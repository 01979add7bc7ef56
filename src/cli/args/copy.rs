//! Command-line arguments of `copydb`.

use std::num::NonZeroUsize;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Parser};

use super::common::{OutputArgs, RunArgs, resolve_with, state_dir};
use super::copy_route::CopyRouteArgs;
use super::copy_spec::CopySpec;
use super::flags::flag_of_copy;
use super::heading;
use super::help::Help;
use super::mapping::MappingArgs;
use super::overrides::OverrideArgs;
use super::scan::ScanArgs;
use super::scope::ScopeArgs;
use super::settings::SettingArgs;
use super::sides::{SideArgs, Sides};
use super::target::{TargetArgs, first_given};
use super::transform::{TransformArgs, check_preview};
use super::{Arguments, CommonOptions};
use crate::cli::terminal::output::OutputOptions;
use crate::environment::{CopyFile, Environment, EnvironmentRequest};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::PreviewOptions;
use crate::ops::copy::TableScan;
use crate::ops::restore::{RestoreRequest, RestoreSource};
use crate::ops::route::Route;
use crate::ops::set::copy::CopySetRequest;
use crate::ops::set::runner::PARALLEL_TABLES;
use crate::ops::set::{RunOptions, Scope, SelectionOptions, TableMapping, TableSelection};

const HELP: Help = Help {
    frequent: &[
        "from", "to", "table", "map", "sample", "mask", "replace", "dry-run", "yes", "confirm",
    ],
    examples: "  copydb --from=prod --to=dev --table films
  copydb --from=prod --to=dev --dry-run              show what a copy would do, and the cost
  copydb --from=prod --to=dev --table films --sample 5% --mask rules.toml",
    more_examples: "
  copydb --from=dev --to=dev --table films --map films=films-copy
  copydb --from=prod --to=dev --table 'prod-*' --map 'prod-*=dev-*' --yes
  copydb --from=prod --to=staging --replace          delete and recreate the target table
  copydb --from-profile a --from-region eu-west-1 --to-profile b --to-region eu-west-1 --table films
  copydb --from=dev --to=prod --confirm films        copy to production from a script
  copydb --route backup --from=prod --table films --map films=films-copy
                                                     let DynamoDB copy it",
};

/// Copy a DynamoDB table to another environment, account or region, or under another name.
#[derive(Debug, Parser)]
#[command(
    name = "copydb",
    group = ArgGroup::new("expressions")
        .args(["filter_expression", "projection_expression"])
        .multiple(true)
)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    sides: SideArgs,

    #[command(flatten)]
    scope: ScopeArgs,

    #[command(flatten)]
    mapping: MappingArgs,

    /// Stop all tables when one fails
    #[arg(long, help_heading = heading::SAFETY)]
    fail_fast: bool,

    #[arg(
        long,
        value_name = "N",
        help_heading = heading::THROUGHPUT,
        default_value_t = PARALLEL_TABLES,
        help = "Number of tables in parallel"
    )]
    parallel_tables: NonZeroUsize,

    #[command(flatten)]
    route: CopyRouteArgs,

    #[command(flatten)]
    copy: CopyOnlyArgs,

    #[command(flatten)]
    settings: SettingArgs,

    #[command(flatten)]
    overrides: OverrideArgs,

    #[command(flatten)]
    transform: TransformArgs,

    #[command(flatten)]
    run: RunArgs,

    /// Confirm a copy to a protected environment with the target table's name, or with the
    /// environment's name for several tables
    #[arg(long, value_name = "NAME", help_heading = heading::SAFETY, value_parser = NonEmptyStringValueParser::new())]
    confirm: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

// Options that only `copydb` has. Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = heading::SAFETY)]
struct CopyOnlyArgs {
    #[command(flatten)]
    scan: ScanArgs,

    #[command(flatten)]
    target: TargetArgs,

    /// After the copy, delete the items of the target that the source does not have; both tables are
    /// read again for this
    #[arg(long, conflicts_with_all = ["limit", "filter_expression", "sample", "condition", "schema_only", "if_missing", "if_empty"])]
    delete_extra: bool,

    /// Resume an interrupted copy, or start a new one
    #[arg(long)]
    resume: bool,
}

/// A resolved `copydb` command line.
pub(crate) struct CopyCommand {
    /// Options with the environment of the target.
    pub(crate) common: CommonOptions,
    /// The environment of the source.
    pub(crate) source: EnvironmentRequest,
    /// Whether both environments are the same.
    pub(crate) is_one_environment: bool,
    /// Without the names of the tables.
    pub(crate) request: RestoreRequest,
    scan: TableScan,
    selection: SelectionOptions,
    mapping: TableMapping,
    options: RunOptions,
    /// Items that a dry run shows before and after the transform.
    pub(crate) preview: PreviewOptions,
}

impl Arguments<CopyCommand> for CopyArgs {
    const COMMAND: &'static str = "copydb";
    const HELP: Help = HELP;

    fn flag(field: Field) -> &'static str {
        flag_of_copy(field)
    }

    fn output_options(&self) -> OutputOptions {
        self.output.output_options()
    }

    fn resolve(self) -> Result<CopyCommand> {
        let (route, spec) = self.route.resolve()?;
        let (scan, target) = (self.copy.scan, self.copy.target);
        let in_spec = spec.as_ref().map(CopySpec::overrides).unwrap_or_default();
        let overrides = self.overrides.resolve()?.merge(in_spec);
        let settings = self.settings.resolve(&overrides, !target.no_create)?;
        if target.boost_write_capacity.is_some() {
            self.settings.check_with_boost()?;
        }

        let sides = self.sides.resolve(&route)?;
        let transform = self
            .transform
            .resolve_unless_schema_only(target.schema_only)?;
        scan.check_conditions(&transform)?;
        let given = scan.given().or(target.given()).or(first_given([
            ("--delete-extra", self.copy.delete_extra),
            ("--indexes-after", self.settings.indexes_after),
            ("a transform", !transform.is_empty()),
        ]));
        check_backup(&route, given)?;

        let is_one_environment = sides.are_one_environment();
        // The table is named later.
        let scan = TableScan {
            options: scan.options()?,
            ..TableScan::default()
        };
        let Sides {
            mut source,
            target: environment,
            file,
        } = sides;
        let mut mapping = self.mapping.resolve()?;
        name_by_spec(spec.as_ref(), &mut source.table, &mut mapping)?;
        name_by_file(file, &mut source.table, &mut mapping);
        let mut common = resolve_with(environment, self.run, self.confirm);
        common.max_total_write_units = target.max_total_wcu;

        Ok(CopyCommand {
            request: RestoreRequest {
                overrides,
                settings,
                apply_settings: self.settings.apply_settings,
                delete_extra: self.copy.delete_extra,
                resume: self.copy.resume,
                route,
                max_read_units: scan.options.max_read_units,
                transform,
                state_dir: state_dir(),
                ..target.request(RestoreSource::Table(scan.clone()))
            },
            scan,
            selection: self.scope.into_options(),
            mapping,
            options: RunOptions {
                parallel_tables: self.parallel_tables,
                fail_fast: self.fail_fast,
            },
            source,
            is_one_environment,
            common,
            preview: self.transform.preview_options(),
        })
    }
}

/// Names source and target by the file of `--spec`.
fn name_by_spec(
    spec: Option<&CopySpec>,
    table: &mut Option<String>,
    mapping: &mut TableMapping,
) -> Result<()> {
    match spec {
        Some(spec) => spec.name_tables(table, mapping),
        None => Ok(()),
    }
}

/// Names source and targets by the file for both sides, unless options do.
fn name_by_file(file: CopyFile, table: &mut Option<String>, mapping: &mut TableMapping) {
    if table.is_none() {
        *table = file.tables;
    }

    if mapping.is_identity() {
        mapping.strip_prefix = file.source_prefix;
        mapping.add_prefix = file.target_prefix;
    }
}

/// Rejects an option that a backup, which DynamoDB makes of the whole table, does not support.
fn check_backup(route: &Route, given: Option<&str>) -> Result<()> {
    let Some(option) = given.filter(|_| route.backup().is_some()) else {
        return Ok(());
    };

    Err(Error::usage(format!(
        "{option} cannot be combined with --route backup: DynamoDB copies the whole table as it is"
    ))
    .with_hint("omit it, or read the items with --route scan"))
}

impl CopyCommand {
    /// The tables to copy.
    ///
    /// # Errors
    /// The selection is not valid; an environment does not allow the preview.
    pub(crate) fn scope(&self, source: &Environment, target: &Environment) -> Result<Scope> {
        // A preview shows items of the source.
        check_preview(self.preview, source)?;
        check_preview(self.preview, target)?;

        let scope = Scope::resolve(source, &self.selection)?;
        if self.is_by_backup() && matches!(scope, Scope::Many(_)) {
            return Err(
                Error::usage(format!("{} backup copies one table", Field::Route))
                    .with_hint("copy each table by itself, or read several with --route scan"),
            );
        }

        Ok(scope)
    }

    /// Patterns of the targets of a selection: of all tables, if the mapping is not that simple.
    pub(crate) fn target_patterns(&self, selection: &TableSelection) -> Vec<String> {
        let include = selection.include.iter();
        let targets = include.map(|pattern| self.mapping.target_pattern(pattern));
        let targets: Option<Vec<String>> = targets.collect();

        targets
            .filter(|targets| !selection.all && !targets.is_empty())
            .unwrap_or_else(|| vec!["*".to_owned()])
    }

    /// Whether DynamoDB restores the target from a backup.
    pub(crate) fn is_by_backup(&self) -> bool {
        self.request.route.backup().is_some()
    }

    /// The request for copies of these tables.
    ///
    /// # Errors
    /// The mapping is not valid for them.
    pub(crate) fn set_request(
        &self,
        tables: &[String],
        selection: &TableSelection,
    ) -> Result<CopySetRequest> {
        Ok(CopySetRequest {
            tables: self.mapping.targets(tables)?,
            selection: selection.clone(),
            scan: self.scan.clone(),
            each: self.request.clone(),
            options: self.options,
        })
    }

    /// The request for a copy of `table`.
    ///
    /// # Errors
    /// No table is named; the mapping is not valid.
    pub(crate) fn request(
        &self,
        table: Option<&str>,
        source: &Environment,
        target: &Environment,
    ) -> Result<RestoreRequest> {
        let table = table.map(ToOwned::to_owned).ok_or_else(|| {
            Error::usage("no table to copy is named").with_hint(format!(
                "pass {table}, or set DYNAMODB_TABLE in the env file of {}",
                source.name(),
                table = Field::Table
            ))
        })?;

        let target_table = self.target_table(&table, target)?;
        Ok(RestoreRequest {
            table: Some(target_table),
            source: RestoreSource::Table(TableScan {
                table,
                ..self.scan.clone()
            }),
            ..self.request.clone()
        })
    }

    /// The name of the target: that of the mapping. Without one, if the tables are named by the environments, that of the target's
    /// environment. Otherwise, that of the source.
    fn target_table(&self, table: &str, target: &Environment) -> Result<String> {
        if !self.mapping.is_identity() {
            let mapped = self
                .mapping
                .targets(&[table.to_owned()])?
                .into_iter()
                .next();
            return Ok(mapped.map_or_else(|| table.to_owned(), |mapped| mapped.target));
        }

        let named = match self.source.table {
            Some(_) => None,
            None => target.single_table()?,
        };

        Ok(named.unwrap_or(table).to_owned())
    }
}
