//! Rows about backups that DynamoDB keeps.

use super::{cost, format};
use crate::layout::RowGroup;
use crate::ops::PlannedBackup;
use crate::ops::restore::SettingsOrigin;
use crate::schema::TableOrigin;

/// The on-demand backup that will contain the items.
pub(super) fn backup_rows(group: &mut RowGroup, backup: &PlannedBackup) {
    let afterwards = if backup.deleted_afterwards {
        "deleted once the target is complete"
    } else {
        "kept"
    };
    let action = match &backup.existing {
        Some(existing) => format!("{} exists ({}), {afterwards}", backup.name, existing.arn),
        None => format!("{} is created by DynamoDB, {afterwards}", backup.name),
    };
    group.row("backup", action);
    group.row("reads", "no items: a backup consumes no read units");
    if let Some(price) = &backup.storage_per_month {
        let price = cost::price_in_words(price, "");
        group.row("price", format!("{price} per month of storage"));
    }

    let left = backup.interrupted.iter();
    group.list(
        "interrupted",
        left.map(|name| format!("backup {name} of an earlier run is not used")),
    );
}

/// The backup from which DynamoDB restores the table.
pub(super) fn managed_backup_rows(
    group: &mut RowGroup,
    origin: &TableOrigin,
    settings: Option<SettingsOrigin>,
) {
    let (label, value) = match origin {
        TableOrigin::Backup { arn } => ("backup", arn.clone()),
        TableOrigin::PointInTime { at: Some(at), .. } => ("point in time", format::timestamp(*at)),
        TableOrigin::PointInTime { at: None, .. } => (
            "point in time",
            "the latest restorable time, usually five minutes ago".to_owned(),
        ),
    };
    group.row(label, value);
    group.row("items", "restored by DynamoDB, which may take hours");
    let is_backup = matches!(origin, TableOrigin::Backup { .. });
    let settings = settings.map(|settings| match settings {
        SettingsOrigin::LiveTable if is_backup => {
            "of the table as it is now; indexes, billing and encryption of the backup"
        }
        SettingsOrigin::LiveTable => "of the table as it is now",
        SettingsOrigin::Backup => "as far as the backup describes them",
        SettingsOrigin::Journal => "recorded by the interrupted restore",
    });
    group.list("settings", settings.map(str::to_owned));
}
