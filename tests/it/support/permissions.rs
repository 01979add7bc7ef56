//! The table of permissions in docs/permissions.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::project::Run;

/// IAM actions such as `dynamodb:Scan`.
pub(crate) type Actions = BTreeSet<String>;

/// Actions of a row that starts like this continue the command of the row before.
const SETTINGS_ROW: &str = "… for the settings";

/// How the rows of backups that DynamoDB keeps start.
const BACKUP_ROWS: [&str; 2] = ["… for a backup", "… for `--route backup`"];

/// The actions that a command needs.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    /// For its own work.
    pub(crate) command: Actions,
    /// For the settings of a table.
    pub(crate) settings: Actions,
    /// For a backup that DynamoDB keeps.
    pub(crate) backups: Actions,
}

impl Permissions {
    /// For the command and the settings.
    pub(crate) fn all(&self) -> Actions {
        &self.command | &self.settings
    }
}

/// The table, by command. What AWS asks for beyond the calls themselves is left out.
pub(crate) fn documented() -> BTreeMap<String, Permissions> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
    let page = fs::read_to_string(page).expect("docs/permissions.md");
    let section = page.split("\n## ").next();
    let rows = section.expect("a first section").lines();
    let rows = rows.filter(|line| line.starts_with("| ")).skip(2);

    let mut documented: BTreeMap<String, Permissions> = BTreeMap::new();
    let mut command = String::new();
    for row in rows {
        let (what, needs) = row[2..].split_once(" | ").expect("two columns");
        if let Some(name) = what.strip_prefix('`') {
            name.trim_end_matches('`').clone_into(&mut command);
        } else if BACKUP_ROWS.iter().any(|row| what.starts_with(row)) {
            let permissions = documented.entry(command.clone()).or_default();
            permissions.backups.extend(actions(needs));
            continue;
        } else if !what.starts_with(SETTINGS_ROW) {
            continue;
        }

        let permissions = documented.entry(command.clone()).or_default();
        if what.starts_with(SETTINGS_ROW) {
            permissions.settings.extend(actions(needs));
        } else {
            permissions.command.extend(actions(needs));
        }
    }

    documented
}

/// The actions in a cell.
fn actions(cell: &str) -> impl Iterator<Item = String> {
    let quoted = cell.split('`').skip(1).step_by(2);
    let is_action = |text: &&str| {
        ["dynamodb:", "application-autoscaling:", "kms:"]
            .iter()
            .any(|service| text.starts_with(service))
    };

    quoted.filter(is_action).map(ToOwned::to_owned)
}

/// The statements of the policies that `--print-iam-policy` printed: of one, or of both sides.
pub(crate) fn statements(printed: &Run) -> Vec<Value> {
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let one = printed["Statement"].as_array();
    let both = ["source", "target", "first", "second"];
    let sides = both
        .iter()
        .filter_map(|side| printed[side]["Statement"].as_array());

    one.into_iter().chain(sides).flatten().cloned().collect()
}

/// The actions that statements allow.
pub(crate) fn allowed(statements: &[Value]) -> Actions {
    let actions = statements
        .iter()
        .filter_map(|statement| statement["Action"].as_array());

    actions
        .flatten()
        .filter_map(|action| action.as_str().map(ToOwned::to_owned))
        .collect()
}
