//! How the data of a table is transferred.

/// How the data of a table is transferred.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// The items are read with Scan.
    #[default]
    Scan,
    /// DynamoDB makes an on-demand backup, which it keeps. No read units are consumed.
    Backup(BackupRoute),
}

/// The on-demand backup of a dump or a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupRoute {
    /// Name of the backup that is created; `None` for one with the table's name and the time.
    pub name: Option<String>,
    /// ARN of an existing backup to use; `None` creates one.
    pub arn: Option<String>,
    /// Whether it is deleted once a copy is complete. A dump needs it.
    pub delete_afterwards: bool,
}

impl Route {
    /// The on-demand backup, if that is the route.
    #[must_use]
    pub fn backup(&self) -> Option<&BackupRoute> {
        match self {
            Self::Scan => None,
            Self::Backup(backup) => Some(backup),
        }
    }
}
