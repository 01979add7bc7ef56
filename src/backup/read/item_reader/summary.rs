//! Facts about a file of items other than the items.

use super::container::ItemContainer;

/// Summary of a file of items; complete after the last item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerSummary {
    /// The container.
    pub container: ItemContainer,
    /// Sum of the documents' `Count`; `None` if none has one. Some tools write a `Count` that is
    /// not the number of items.
    pub count: Option<u64>,
    /// The member by which the last document says that the table has more items: `NextToken` or
    /// `LastEvaluatedKey`.
    pub continues: Option<&'static str>,
    /// The first document whose `Count` differs from the number of its items: the `Count` and the
    /// number.
    pub miscounted: Option<(u64, u64)>,
    /// Whether a document lacks the member `Items`, like the output of `aws dynamodb scan --select
    /// COUNT`.
    pub lacks_items: bool,
    /// Items read so far.
    pub items: u64,
}

impl ContainerSummary {
    /// Why the items are incomplete, if they are. `shown` is the name of the source.
    pub(crate) fn incompleteness(&self, shown: &str) -> Option<String> {
        if self.lacks_items {
            return Some(format!(
                "{shown} has a document without `Items`, as `aws dynamodb scan --select COUNT` prints it"
            ));
        }

        if let Some(member) = self.continues {
            return Some(format!(
                "{shown} contains only part of a Scan: its `{member}` says that the table has more items"
            ));
        }

        let (count, items) = self.miscounted?;
        Some(format!(
            "{shown} contains {items} items, but its `Count` is {count}"
        ))
    }
}
