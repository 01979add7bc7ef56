//! Execution of `--print-iam-policy`: the least-privilege IAM policy of a command, found without a call.

use serde_json::{Value, json};

use crate::backup::{DumpSet, Source, SourceSpec};
use crate::cli::args::{CopyCommand, DumpCommand, RestoreCommand, VerifyCommand, VerifyTask};
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::output::write_data;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::permissions::Permissions;
use crate::ops::restore::RestoreSource;
use crate::ops::set::{Scope, TableSelection};

/// A pattern of all table names.
const ANY_TABLE: &str = "*";

/// Prints the policy of `dumpdb`.
///
/// # Errors
/// The environment or the selection is not valid; no table is named.
pub(super) async fn dump(command: &DumpCommand, session: &Session) -> Result<CommandOutcome> {
    let environment = session.environment(&command.common).await?;
    if command.list_with_dumps.is_some() {
        let selection = TableSelection::for_listing(&environment, &command.selection)?;
        let mut needed = Permissions::of_list();
        needed.add_selection(&selection);

        return print(&needed.policy(&environment, &[ANY_TABLE.to_owned()]));
    }

    let mut needed = Permissions::of_dump(&command.request);
    let tables = match Scope::resolve(&environment, &command.selection)? {
        Scope::One(_) => vec![command.request.table_name(&environment)?],
        Scope::Many(selection) => {
            needed.add_selection(&selection);
            patterns(&selection)
        }
    };

    print(&needed.policy(&environment, &tables))
}

/// Prints the policy of `restoredb`.
///
/// # Errors
/// The environment or the dump cannot be read; no table is named.
pub(super) async fn restore(command: &RestoreCommand, session: &Session) -> Result<CommandOutcome> {
    let environment = session.environment(&command.common).await?;
    let request = &command.request;
    if command.list_backups.is_some() {
        let needed = Permissions::of_backup_list();
        return print(&needed.policy(&environment, &[ANY_TABLE.to_owned()]));
    }

    if let RestoreSource::Backup(choice) = &request.source {
        let needed = Permissions::of_restore_from_backup(request, Some(choice));
        let target = table_or(&environment, choice.table_name())?;
        let mut tables = vec![target];
        tables.extend(choice.table_name().map(ToOwned::to_owned));
        tables.dedup();

        return print(&needed.policy(&environment, &tables));
    }

    let mut needed = Permissions::of_restore(request, environment.is_local());
    let mut backups = Vec::new();
    let tables = if command.set_request()?.is_some() {
        vec![ANY_TABLE.to_owned()]
    } else {
        let source = match &request.source {
            RestoreSource::Dump(spec @ SourceSpec::Path(_)) => Some(Source::open(spec)?),
            _ => None,
        };
        let metadata = source.as_ref().and_then(Source::metadata);
        if metadata.is_some_and(|metadata| metadata.backup.is_some()) {
            needed = Permissions::of_restore_from_backup(request, None);
            backups.extend(
                source
                    .as_ref()
                    .and_then(Source::table_name)
                    .map(ToOwned::to_owned),
            );
        }

        vec![table_or(
            &environment,
            source.as_ref().and_then(Source::table_name),
        )?]
    };

    print(&needed.policy_with_backups(&environment, &tables, &backups))
}

/// Prints the policies of `copydb`, one for each side.
///
/// # Errors
/// An environment or the selection is not valid; no table is named.
pub(super) async fn copy(command: &CopyCommand, session: &Session) -> Result<CommandOutcome> {
    let source = session.requested_environment(&command.source).await?;
    let target = session.environment(&command.common).await?;

    let request = &command.request;
    let (mut reading, writing) = match request.route.backup() {
        None => (
            Permissions::of_source(request.content),
            Permissions::of_restore(request, target.is_local()),
        ),
        Some(backup) => (
            Permissions::of_backup(backup),
            Permissions::of_restore_from_backup(request, None),
        ),
    };
    let (read, written) = match command.scope(&source, &target)? {
        Scope::One(table) => {
            let request = command.request(table.as_deref(), &source, &target)?;
            (
                table.into_iter().collect(),
                request.table.into_iter().collect(),
            )
        }
        Scope::Many(selection) => {
            reading.add_selection(&selection);
            (patterns(&selection), command.target_patterns(&selection))
        }
    };
    // DynamoDB restores the target from a backup of the source.
    let backups = if request.route.backup().is_some() {
        read.clone()
    } else {
        Vec::new()
    };

    print(&json!({
        "source": reading.policy(&source, &read),
        "target": writing.policy_with_backups(&target, &written, &backups),
    }))
}

/// Prints the policy of `verifydb`, or one for each of two environments.
///
/// # Errors
/// An environment or the dump cannot be read; no table is named.
pub(super) async fn verify(command: &VerifyCommand, session: &Session) -> Result<CommandOutcome> {
    let schema_only = match &command.task {
        VerifyTask::Dump { .. } => {
            session
                .console
                .info("No permission is needed: the dump is checked on this machine.");
            return CommandOutcome::acted(&json!({}), true);
        }
        VerifyTask::Schema(_) => true,
        VerifyTask::Table => false,
        VerifyTask::Tables(second) => second.schema_only,
    };

    let environment = session.environment(&command.common).await?;
    let needed = Permissions::of_comparison(schema_only);
    let VerifyTask::Tables(second) = &command.task else {
        let tables = match command.source() {
            SourceSpec::Path(path) if DumpSet::find(&path)?.is_some() => {
                vec![ANY_TABLE.to_owned()]
            }
            spec => vec![table_or(&environment, Source::open(&spec)?.table_name())?],
        };
        return print(&needed.policy(&environment, &tables));
    };

    let other = command.second_environment(second);
    let other = session.requested_environment(&other).await?;
    let mut reading = needed.clone();
    let (tables, others) = if let Some(selection) = command.selected_tables(&environment, second)? {
        reading.add_selection(&selection);
        (patterns(&selection), vec![ANY_TABLE.to_owned()])
    } else {
        let table = table_or(&environment, None)?;
        let other = other.single_table()?.map(ToOwned::to_owned);
        (vec![table.clone()], vec![other.unwrap_or(table)])
    };

    print(&json!({
        "first": reading.policy(&environment, &tables),
        "second": needed.policy(&other, &others),
    }))
}

/// The table that the environment names, or this one.
fn table_or(environment: &Environment, default_name: Option<&str>) -> Result<String> {
    let table = environment.single_table()?.or(default_name);

    table.map(ToOwned::to_owned).ok_or_else(|| {
        Error::usage("no table is named").with_hint(format!("pass {} NAME", Field::Table))
    })
}

/// The names and patterns of a selection.
fn patterns(selection: &TableSelection) -> Vec<String> {
    if selection.all {
        return vec![ANY_TABLE.to_owned()];
    }

    let include = selection.include.iter();
    include.map(|table| table.as_str().to_owned()).collect()
}

fn print(policy: &Value) -> Result<CommandOutcome> {
    write_data(&format!("{policy:#}\n"))?;

    CommandOutcome::acted(policy, true)
}
