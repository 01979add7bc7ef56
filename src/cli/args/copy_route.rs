//! Options about the route of a copy.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::copy_spec::CopySpec;
use super::heading;
use super::target::first_given;
use super::value::RouteName;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::route::{BackupRoute, Route};

// Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SOURCE_AND_TARGET)]
pub(super) struct CopyRouteArgs {
    /// Read the items with a Scan, or let DynamoDB restore an on-demand backup in the same account and
    /// region [default: scan]
    #[arg(long, value_name = "ROUTE", value_enum)]
    route: Option<RouteName>,

    /// Name of the on-demand backup [default: the table's name and the time]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    backup_name: Option<String>,

    /// Use this existing on-demand backup
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "backup_name")]
    backup_arn: Option<String>,

    /// Keep the on-demand backup after the copy (the default)
    #[arg(long, conflicts_with = "delete_backup")]
    keep_backup: bool,

    /// Delete the on-demand backup once the target is complete
    #[arg(long)]
    delete_backup: bool,

    /// Read originTableName, targetTableName, backupName, desiredReadCapacityUnits and
    /// desiredWriteCapacityUnits from a JSON file; implies --route backup, and options take
    /// precedence
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

impl CopyRouteArgs {
    /// The route, and the file of `--spec`.
    ///
    /// # Errors
    /// Options of a backup with another route; the file cannot be read or is not valid.
    pub(super) fn resolve(self) -> Result<(Route, Option<CopySpec>)> {
        let by_backup = match self.route {
            Some(route) => route == RouteName::Backup,
            None => self.spec.is_some(),
        };
        if !by_backup {
            self.check_scan()?;
            return Ok((Route::Scan, None));
        }

        let spec = self.spec.as_deref().map(CopySpec::read).transpose()?;
        let name_in_spec = || spec.as_ref()?.backup_name.clone();
        let name = match &self.backup_arn {
            Some(_) => None,
            None => self.backup_name.or_else(name_in_spec),
        };
        let route = Route::Backup(BackupRoute {
            name,
            arn: self.backup_arn,
            delete_afterwards: self.delete_backup,
        });

        Ok((route, spec))
    }

    /// Rejects options of a backup.
    fn check_scan(&self) -> Result<()> {
        let options = [
            ("--backup-name", self.backup_name.is_some()),
            ("--backup-arn", self.backup_arn.is_some()),
            ("--keep-backup", self.keep_backup),
            ("--delete-backup", self.delete_backup),
            ("--spec", self.spec.is_some()),
        ];
        let Some(option) = first_given(options) else {
            return Ok(());
        };

        Err(
            Error::usage(format!("{option} needs {} backup", Field::Route))
                .with_hint(format!("add {} backup", Field::Route)),
        )
    }
}
