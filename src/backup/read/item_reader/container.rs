//! The containers that items come in, and how the first bytes of a file tell them apart.
//!
//! The one ambiguity is a file that begins with an object: it may be a Scan document (`{"Items":[…`), an export line
//! (`{"Item":{…}}`) or an item, and an item may have attributes called `Items`, `Count` or `Item`. An attribute's value is an
//! object with a type tag and never an array, number, string or `null`, which decides it.

use crate::item::{ItemError, ObjectKind, object_kind};

/// The container that the items were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemContainer {
    /// Nothing but whitespace.
    Empty,
    /// Objects with an array `Items`: this project's own `table-data.json`, the output of `aws dynamodb scan`.
    Document,
    /// A JSON array of items.
    Array,
    /// One item after the other, usually one per line.
    Lines,
    /// `{"Item":{…}}`, one after the other: an export to S3.
    ExportLines,
    /// `{"reason":"…","item":{…}}`, one after the other: what a restore rejected.
    RejectLines,
}

/// What the members of the first object say so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerClue {
    /// The object is a document.
    Document,
    /// The member belongs to a document; `Items` may still come.
    DocumentMember,
    /// The object is an item or an export line, to be told apart by [`line_container`].
    Line,
    /// The object is a rejected item with its reason.
    Reject,
    /// The member's value has to be seen: see [`value_clue`].
    NeedsValue,
    /// Neither: plain JSON.
    Plain,
}

/// What a member says whose value begins with `first`. `seen`: a member before it belonged to a document.
pub(crate) fn member_clue(name: &[u8], first: u8, seen: bool) -> ContainerClue {
    let known = matches!(
        name,
        b"Count"
            | b"ScannedCount"
            | b"ConsumedCapacity"
            | b"LastEvaluatedKey"
            | b"NextToken"
            | b"ResponseMetadata"
            | b"$metadata"
    );

    match (name, first) {
        (b"Items", b'[') => ContainerClue::Document,
        (b"Items", b'n') => ContainerClue::DocumentMember,
        (b"reason", b'"') if !seen => ContainerClue::Reject,
        (_, b'{') if known => ContainerClue::NeedsValue,
        (_, b'{') if !seen => ContainerClue::Line,
        _ if known || seen => ContainerClue::DocumentMember,
        _ => ContainerClue::Plain,
    }
}

/// What a member says that is called like one of a document's and whose value is the object `value`.
pub(crate) fn value_clue(value: &[u8]) -> Result<ContainerClue, ItemError> {
    Ok(if object_kind(value)? == ObjectKind::AttributeValue {
        ContainerClue::Line
    } else {
        ContainerClue::DocumentMember
    })
}

/// Whether `line` is an export line or an item. `item` is the value of its only member, if that is called `Item`.
pub(crate) fn line_container(item: Option<&[u8]>) -> Result<ItemContainer, ItemError> {
    match item.map(object_kind).transpose()? {
        Some(ObjectKind::AttributeMap) => Ok(ItemContainer::ExportLines),
        _ => Ok(ItemContainer::Lines),
    }
}
