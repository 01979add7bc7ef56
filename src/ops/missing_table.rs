//! Errors for tables that do not exist, with the names of those that do.

use crate::environment::Environment;
use crate::error::{Error, ErrorKind};
use crate::field::Field;
use crate::similar::did_you_mean;
use crate::store::Reader;

/// The error for a table that does not exist. Its hint suggests similar names.
pub(super) async fn not_found(store: &Reader, environment: &Environment, table: &str) -> Error {
    let error = Error::not_found(format!(
        "table \"{table}\" does not exist in environment {}",
        environment.name()
    ));
    if let Some(hint) = environment_hint(environment, table) {
        return error.with_hint(hint);
    }

    // Listing tables may be forbidden, which must not hide the actual error.
    let listed = store.suggested_names().await;
    let is_empty = listed.as_ref().is_ok_and(Vec::is_empty);
    let names = listed.unwrap_or_default();
    let similar = did_you_mean(table, names.iter().map(String::as_str));
    error.with_hint(similar.unwrap_or_else(|| {
        if is_empty {
            return no_tables_hint(environment);
        }

        let lists_them = environment.dump_command(Field::ListTables);
        format!(
            "check DYNAMODB_TABLE in the env file, or pass {}; {} lists the tables",
            Field::Table,
            lists_them.unwrap_or_else(|| format!("`dumpdb {}`", Field::ListTables))
        )
    }))
}

/// The error of a table that was not found, or whose endpoint does not respond, with another hint if its name is that of an environment.
pub(super) fn or_environment(error: Error, environment: &Environment, table: &str) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }

    match environment_hint(environment, table) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The hint for a table whose name is that of another environment.
fn environment_hint(environment: &Environment, table: &str) -> Option<String> {
    let option = Field::Environment;

    environment
        .has_neighbour(table)
        .then(|| format!("{table} is an environment: did you mean {option}={table}?"))
}

/// The hint for an environment without tables.
pub(super) fn no_tables_hint(environment: &Environment) -> String {
    let region = environment.region();
    let region = region.map_or_else(String::new, |region| format!(" in {}", region.value));
    let shows_them = environment.dump_command(Field::Doctor);
    let shows_them =
        shows_them.map_or_else(String::new, |command| format!("; {command} shows them"));

    format!(
        "this environment has no tables{region}; check its endpoint, region and credentials{shows_them}"
    )
}
