//! Resource IDs and dimensions of Application Auto Scaling.

/// A resource ID of Application Auto Scaling: `table/<name>` or `table/<name>/index/<index>`.
pub(crate) struct ScalingResource<'a> {
    pub(crate) index: Option<&'a str>,
}

impl<'a> ScalingResource<'a> {
    /// Parses a resource ID; `None` if it has neither form.
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let table = id.strip_prefix("table/")?;
        match table.split_once('/') {
            None => Some(Self { index: None }),
            Some((_, rest)) => Some(Self {
                index: Some(rest.strip_prefix("index/")?),
            }),
        }
    }

    /// The ID of the same resource of another table.
    pub(crate) fn in_table(&self, table: &str) -> String {
        match self.index {
            None => format!("table/{table}"),
            Some(index) => format!("table/{table}/index/{index}"),
        }
    }
}

/// `dynamodb:table:ReadCapacityUnits` as a short label: `RCU`.
pub(crate) fn dimension(name: &str) -> &str {
    match name.rsplit(':').next() {
        Some("ReadCapacityUnits") => "RCU",
        Some("WriteCapacityUnits") => "WCU",
        _ => name,
    }
}
