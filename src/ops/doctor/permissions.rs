//! Checks of IAM permissions. Read actions are called; write actions are only named, because a call would change something.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::report::{CheckGroup, Checks, GroupChecks, finding};
use crate::backup::SourceSpec;
use crate::environment::Environment;
use crate::error::{ErrorKind, Result};
use crate::field::Field;
use crate::ops::ContentScope;
use crate::ops::permissions::{Permissions, action};
use crate::ops::restore::RestoreRequest;
use crate::schema::{Captured, Reading, Resource, Section, Setting, TableSchema};
use crate::store::{Reader, ScanRequest};

/// Read actions that only some options of a restore need. One of them reads an item by its key.
const OPTIONAL_READS: [&str; 2] = ["dynamodb:GetItem", "dynamodb:ListBackups"];

/// Checks the permissions for a table that was described. `needs_list`: whether the selection of tables needs their names.
pub(super) async fn check(
    checks: &mut Checks,
    environment: &Environment,
    store: &Reader,
    table: Option<&TableSchema>,
    needs_list: bool,
) {
    let mut group = checks.group(CheckGroup::Permissions);
    match table {
        Some(table) => {
            check_scan(&mut group, store, table).await;
            check_settings(&mut group, environment, store, table).await;
        }
        None => group.skipped("Dump", "there is no table that is described"),
    }

    check_lists(&mut group, environment, store, table, needs_list).await;
    add_writes(&mut group);
}

/// Reads one item.
async fn check_scan(group: &mut GroupChecks<'_>, store: &Reader, table: &TableSchema) {
    const NAME: &str = "Dump";

    match scan(store, table).await {
        Ok(()) => group.ok(
            NAME,
            "dynamodb:DescribeTable and dynamodb:Scan are allowed, for a copy from this table, too",
        ),
        Err(error) => group.problem(NAME, &error),
    }
}

async fn scan(store: &Reader, table: &TableSchema) -> Result<()> {
    let request = ScanRequest {
        table: table.description().table_name.clone().unwrap_or_default(),
        segment: 0,
        total_segments: 1,
        consistent_read: false,
        limit: Some(1),
        start: None,
        selection: Arc::default(),
        key: Arc::new(table.key_schema()?),
        index_keys: Arc::default(),
        previous_keys: Arc::default(),
    };

    store.scan(&request).await.map(drop)
}

/// Reads each setting that `DescribeTable` does not return.
async fn check_settings(
    group: &mut GroupChecks<'_>,
    environment: &Environment,
    store: &Reader,
    table: &TableSchema,
) {
    for (section, captured) in store.capture(table, &Section::all()).await {
        let name = format!("Dump {}", section.label());
        let actions = actions_of(section);
        match captured {
            Captured::Nothing if !is_always_read(section) => {}
            Captured::Nothing | Captured::Document(_) => {
                group.ok(&name, format!("{} allowed", is_or_are(&actions)));
            }
            Captured::NotCaptured {
                is_unsupported: true,
                ..
            } => group.skipped(&name, "the endpoint does not have the operation"),
            Captured::NotCaptured {
                reason,
                is_denied: true,
                ..
            } => {
                // The reason names one of several actions.
                let named = actions.iter().filter(|action| reason.contains(*action));
                let named: Vec<String> = named.cloned().collect();
                let missing = if named.is_empty() { &actions } else { &named };
                group.warning(
                    &name,
                    format!(
                        "{} missing: the dump would lack the setting",
                        is_or_are(missing)
                    ),
                    dump_policy_hint(environment),
                );
            }
            Captured::NotCaptured { reason, .. } => group.skipped(&name, reason),
        }
    }
}

/// Whether a section is read of every table, even if it has no KMS key of its own and no stream.
fn is_always_read(section: Section) -> bool {
    !matches!(
        section.reading(),
        Reading::Key(..) | Reading::Document(_, Resource::Stream)
    )
}

/// The actions that read a section.
fn actions_of(section: Section) -> Vec<String> {
    section
        .reading()
        .operations()
        .into_iter()
        .map(action)
        .collect()
}

/// `a is`, `a and b are`.
fn is_or_are(actions: &[String]) -> String {
    let verb = if actions.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", actions.join(" and "))
}

/// Lists tables and backups, which only some options need.
async fn check_lists(
    group: &mut GroupChecks<'_>,
    environment: &Environment,
    store: &Reader,
    table: Option<&TableSchema>,
    needs_list: bool,
) {
    const ACTION: &str = "dynamodb:ListTables";

    let purpose = format!("patterns and {} need it", Field::AllTables);
    match store.suggested_names().await {
        Ok(_) => group.ok("List tables", format!("{ACTION} is allowed; {purpose}")),
        Err(error) if needs_list || error.kind() != ErrorKind::Environment => {
            group.problem("List tables", &error);
        }
        Err(_) => group.warning(
            "List tables",
            format!("{ACTION} is missing; {purpose}"),
            dump_policy_hint(environment),
        ),
    }

    let table = table.and_then(|table| table.description().table_name.as_deref());
    let Some(table) = table else { return };
    if !store.has_backups(table).await {
        return;
    }

    let purpose = format!(
        "{} backup, {} and {} need it",
        Field::Route,
        Field::ListBackups,
        Field::ReplaceExisting
    );
    match store.list_backups(Some(table)).await {
        Ok(_) => group.ok(
            "List backups",
            format!("dynamodb:ListBackups is allowed; {purpose}"),
        ),
        Err(error) => {
            let hint = error.hint().unwrap_or_default().to_owned();
            group.warning(
                "List backups",
                format!("{}; {purpose}", finding(&error)),
                hint,
            );
        }
    }
}

/// Names the write actions.
fn add_writes(group: &mut GroupChecks<'_>) {
    const REASON: &str = "a call would change something";

    let mut request = RestoreRequest::new(SourceSpec::Stdin);
    request.apply_settings = true;
    let all = writes_of(&request);
    let settings: BTreeSet<String> = Setting::choices()
        .flat_map(Setting::changing_operations)
        .copied()
        .map(action)
        .collect();
    let items: Vec<&String> = all.iter().filter(|it| !settings.contains(*it)).collect();

    for (name, actions) in [
        ("Restore", items),
        ("Restore settings", settings.iter().collect()),
    ] {
        let actions: Vec<&str> = actions.into_iter().map(String::as_str).collect();
        group.skipped_with_hint(
            name,
            &format!("{REASON}; needed: {}", actions.join(", ")),
            policy_hint("restoredb"),
        );
    }

    group.skipped_with_hint(
        "Copy into a table",
        &format!("{REASON}; needed: the same as for a restore"),
        policy_hint("copydb"),
    );
}

/// The write actions of a restore.
fn writes_of(request: &RestoreRequest) -> BTreeSet<String> {
    let reads = Permissions::of_source(ContentScope::All);
    let reads: BTreeSet<&str> = reads.actions().chain(OPTIONAL_READS).collect();
    let needed = Permissions::of_restore(request, false);

    needed
        .actions()
        .filter(|action| !reads.contains(action))
        .map(ToOwned::to_owned)
        .collect()
}

/// The hint for a permission that a dump needs.
fn dump_policy_hint(environment: &Environment) -> String {
    let command = environment.dump_command(Field::PrintIamPolicy);
    let command = command.unwrap_or_else(|| format!("`dumpdb {}`", Field::PrintIamPolicy));

    format!("{command} prints the policy")
}

/// The hint for a permission that a command needs whose other options are not known.
fn policy_hint(command: &str) -> String {
    format!(
        "{command} prints the policy if its options are followed by {}",
        Field::PrintIamPolicy
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_read_action_is_among_the_writes() {
        let mut request = RestoreRequest::new(SourceSpec::Stdin);
        request.apply_settings = true;
        let writes = writes_of(&request);
        assert!(writes.contains("dynamodb:BatchWriteItem"), "{writes:?}");
        assert!(writes.contains("dynamodb:UpdateTimeToLive"), "{writes:?}");
        for word in ["Describe", "List", "Get", "Scan"] {
            assert!(!writes.iter().any(|it| it.contains(word)), "{writes:?}");
        }
    }
}
