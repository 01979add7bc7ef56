//! Text of `restoredb --list-backups`.

use super::format;
use crate::layout::columns;
use crate::ops::managed_backups::BackupList;
use crate::schema::TableBackup;

/// A line for each backup, below a heading.
pub(crate) fn lines(list: &BackupList) -> Vec<String> {
    let heading = ["Table", "Backup", "Created", "Size", "Status", "ARN"];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(list.backups.iter().map(row));

    columns(&rows)
}

/// The message if there is no backup of `tables`, or of any.
pub(crate) fn nothing(list: &BackupList, tables: &[String]) -> String {
    let of_tables = match tables {
        [] => String::new(),
        [table] => format!(" of table {table}"),
        tables => format!(" of tables {}", tables.join(", ")),
    };

    format!(
        "environment {} has no on-demand backups{of_tables}",
        list.environment
    )
}

fn row(backup: &TableBackup) -> [String; 6] {
    let or_na = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());

    [
        or_na(backup.table.clone()),
        backup.name.clone(),
        or_na(backup.created_at.map(format::timestamp)),
        or_na(backup.bytes.map(format::bytes)),
        or_na(backup.status.clone()),
        backup.arn.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backup_has_a_line_in_columns() {
        let nightly = TableBackup {
            arn: "arn:1".to_owned(),
            name: "nightly".to_owned(),
            table: Some("films".to_owned()),
            status: Some("AVAILABLE".to_owned()),
            created_at: "2026-11-20T09:00:00Z".parse().ok(),
            bytes: Some(1_500_000),
        };
        let unknown = TableBackup {
            arn: "arn:22".to_owned(),
            table: None,
            status: None,
            created_at: None,
            bytes: None,
            ..nightly.clone()
        };
        let list = BackupList {
            environment: "prod".to_owned(),
            backups: vec![nightly, unknown],
        };

        assert_eq!(
            lines(&list),
            [
                "Table  Backup   Created               Size     Status     ARN",
                "films  nightly  2026-11-20T09:00:00Z  1.50 MB  AVAILABLE  arn:1",
                "n/a    nightly  n/a                   n/a      n/a        arn:22",
            ]
        );
    }

    #[test]
    fn an_empty_list_names_the_tables() {
        let list = BackupList {
            environment: "prod".to_owned(),
            backups: Vec::new(),
        };
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        for (tables, message) in [
            (&[][..], "environment prod has no on-demand backups"),
            (
                &["a"],
                "environment prod has no on-demand backups of table a",
            ),
            (
                &["a", "b"],
                "environment prod has no on-demand backups of tables a, b",
            ),
        ] {
            assert_eq!(nothing(&list, &names(tables)), message);
        }
    }
}
