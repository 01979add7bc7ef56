//! Checks of the selected tables.

use super::DoctorRequest;
use super::permissions;
use super::report::{CheckGroup, Checks, GroupChecks};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::{bytes, counted, names};
use crate::ops::describe_existing;
use crate::ops::set::{NotDescribed, Scope, TableSelection, list};
use crate::schema::TableSchema;
use crate::store::diagnosis::CALL_TIMEOUT;
use crate::store::{MissingDatabase, Reader, StoreOptions};

/// Maximum number of tables with a row of their own.
const MAX_ROWS: usize = 10;

/// Checks the tables and the permissions for them. Returns their size in bytes, as far as it is known.
pub(super) async fn check(
    checks: &mut Checks,
    request: &DoctorRequest,
    environment: &Environment,
) -> Option<u64> {
    let opened = match Scope::resolve(environment, &request.selection) {
        Ok(scope) => open(request, environment).await.map(|store| (scope, store)),
        Err(error) => Err(error),
    };
    let (scope, store) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            checks.group(CheckGroup::Table).problem("Table", &error);
            skip_permissions(checks, environment, "the table cannot be read");
            return None;
        }
    };

    let mut group = checks.group(CheckGroup::Table);
    if store.is_temporary() {
        group.ok(
            "Database",
            "does not exist yet; a dump creates it from the sample",
        );
    }

    let (found, bytes) = match &scope {
        Scope::One(Some(table)) => one(&mut group, &store, environment, table).await,
        Scope::One(None) => {
            let hint = format!(
                "set DYNAMODB_TABLE in the env file, or pass {}",
                Field::Table
            );
            group.skipped_with_hint("Table", "no table is named", hint);
            (None, None)
        }
        Scope::Many(selection) => {
            several(
                &mut group,
                &store,
                environment,
                selection,
                &request.target_folder(),
            )
            .await
        }
    };

    let needs_list = matches!(&scope, Scope::Many(selection) if selection.needs_listing());
    if !matches!(environment.endpoint(), Endpoint::Embedded { .. }) {
        permissions::check(checks, environment, &store, found.as_ref(), needs_list).await;
    }

    bytes
}

fn skip_permissions(checks: &mut Checks, environment: &Environment, reason: &str) {
    if !matches!(environment.endpoint(), Endpoint::Embedded { .. }) {
        checks.group(CheckGroup::Permissions).skipped("All", reason);
    }
}

/// Opens the store for reading. A sample is not written to disk.
async fn open(request: &DoctorRequest, environment: &Environment) -> Result<Reader> {
    let missing_database = if environment.sample().is_some() {
        MissingDatabase::InMemory
    } else {
        MissingDatabase::Refuse
    };

    let options = StoreOptions {
        give_up_after: CALL_TIMEOUT,
        missing_database,
        refers_to_diagnosis: false,
        reporter: request.reporter.clone(),
        ..StoreOptions::default()
    };
    crate::ops::open(environment, options).await
}

/// Checks one table. Returns its description and size.
async fn one(
    group: &mut GroupChecks<'_>,
    store: &Reader,
    environment: &Environment,
    table: &str,
) -> (Option<TableSchema>, Option<u64>) {
    match describe_existing(store, environment, table).await {
        Ok(found) => {
            let description = found.description();
            let words = in_words(&found);
            let status = description.table_status.as_deref().unwrap_or("ACTIVE");
            if status == "ACTIVE" {
                group.ok(table, words);
            } else {
                group.warning(table, words, "a dump may have to wait until it is ACTIVE");
            }

            let bytes = description.table_size_bytes;
            (Some(found), bytes)
        }
        Err(error) => {
            group.problem(table, &error);
            (None, None)
        }
    }
}

/// Checks several tables. Returns the description of the first, and the size of all.
async fn several(
    group: &mut GroupChecks<'_>,
    store: &Reader,
    environment: &Environment,
    selection: &TableSelection,
    dumps: &std::path::Path,
) -> (Option<TableSchema>, Option<u64>) {
    let list = match list(store, environment, selection, dumps).await {
        Ok(list) => list,
        Err(error) => {
            group.problem("Tables", &error);
            return (None, None);
        }
    };

    let found: Vec<String> = list.tables.iter().map(|it| it.table.clone()).collect();
    let (mut items, mut size) = (0, 0);
    for table in &list.tables {
        items += table.items.unwrap_or(0);
        size += table.bytes.unwrap_or(0);
    }

    group.ok(
        "Tables",
        format!(
            "{}, {}, {}: {}",
            counted(found.len() as u64, "table"),
            counted(items, "item"),
            bytes(size),
            names(&found, false)
        ),
    );

    let failed = list
        .tables
        .iter()
        .filter_map(|it| Some((it, it.error.as_ref()?)));
    for (table, error) in failed.take(MAX_ROWS) {
        let error = match error {
            NotDescribed::Absent => Error::not_found("does not exist"),
            NotDescribed::Failed(reason) => Error::environment(reason.clone()),
        };
        group.problem(&table.table, &error);
    }

    let first = list.tables.iter().find(|it| it.error.is_none());
    let schema = match first {
        Some(first) => store.describe(&first.table).await.ok().flatten(),
        None => None,
    };

    (schema, Some(size))
}

/// Status, size, billing, key and deletion protection of a table.
fn in_words(found: &TableSchema) -> String {
    let description = found.description();
    let outline = found.outline();
    let mut words = vec![
        description.table_status.clone().unwrap_or_default(),
        counted(description.item_count.unwrap_or(0), "item"),
        bytes(description.table_size_bytes.unwrap_or(0)),
        outline.billing,
    ];
    words.extend(
        outline
            .keys
            .iter()
            .map(|(label, key)| format!("{label} {key}")),
    );
    words.push(if description.is_deletion_protected() {
        "deletion protection on".to_owned()
    } else {
        "deletion protection off".to_owned()
    });
    words.retain(|word| !word.is_empty());

    words.join(", ")
}
