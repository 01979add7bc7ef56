//! Text of `dumpdb --list-tables`.

use super::format;
use crate::layout::columns;
use crate::ops::set::{ListedTable, NotDescribed, TableList};

/// A line for each table, below a heading.
pub(crate) fn lines(list: &TableList) -> Vec<String> {
    let heading = [
        "Table",
        "Items",
        "Size",
        "Billing",
        "Deletion protection",
        "Last dump",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(list.tables.iter().map(row));

    columns(&rows)
}

fn row(table: &ListedTable) -> [String; 6] {
    let or_na = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
    let on_or_off = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
    // Why a table is not described is shown where it is read first.
    let items = match &table.error {
        Some(NotDescribed::Absent) => "does not exist".to_owned(),
        Some(NotDescribed::Failed(_)) => "not described".to_owned(),
        None => or_na(table.items.map(format::count)),
    };
    let last_dump = table.last_dump.map(format::timestamp);

    [
        table.table.clone(),
        items,
        or_na(table.bytes.map(format::bytes)),
        or_na(table.billing.clone()),
        or_na(table.deletion_protection.map(on_or_off)),
        last_dump.unwrap_or_else(|| "none".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_has_a_line_in_columns() {
        let unknown = ListedTable {
            table: "gone".to_owned(),
            status: None,
            items: None,
            bytes: None,
            billing: None,
            deletion_protection: None,
            last_dump: None,
            error: Some(NotDescribed::Absent),
        };
        let films = ListedTable {
            table: "prod-films".to_owned(),
            status: Some("ACTIVE".to_owned()),
            items: Some(12_345),
            bytes: Some(1_500_000),
            billing: Some("on-demand".to_owned()),
            deletion_protection: Some(true),
            last_dump: "2026-11-20T09:00:00Z".parse().ok(),
            error: None,
        };
        let denied = ListedTable {
            error: Some(NotDescribed::Failed("denied".to_owned())),
            ..unknown.clone()
        };
        let list = TableList {
            environment: "prod".to_owned(),
            tables: vec![unknown, films, denied],
        };

        assert_eq!(
            lines(&list),
            [
                "Table       Items           Size     Billing    Deletion protection  Last dump",
                "gone        does not exist  n/a      n/a        n/a                  none",
                "prod-films  12,345          1.50 MB  on-demand  on                   2026-11-20T09:00:00Z",
                "gone        not described   n/a      n/a        n/a                  none",
            ]
        );
    }
}
