//! The containers that items come in, and how the first bytes of a file tell them apart.
//!
//! The one ambiguity is a file that begins with an object: it may be a Scan document
//! (`{"Items":[…`), an export line (`{"Item":{…}}`) or an item, and an item may have attributes
//! called `Items`, `Count` or `Item`. An attribute's value is an object with a type tag and never
//! an array, number, string or `null`, which decides it.

use crate::item::{ItemError, ObjectKind, object_kind};

/// Container of the items in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemContainer {
    /// Nothing but whitespace.
    Empty,
    /// Objects with an array `Items`: this project's own `table-data.json`, the output of `aws
    /// dynamodb scan`.
    Document,
    /// A JSON array of items.
    Array,
    /// Items one after another, usually one per line.
    Lines,
    /// `{"Item":{…}}`, one after another: an export to S3.
    ExportLines,
    /// `{"reason":"…","item":{…}}`, one after another: items rejected by a restore.
    RejectLines,
}

/// Evidence from the members of the first object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerClue {
    /// The object is a document.
    Document,
    /// The member belongs to a document; `Items` may follow.
    DocumentMember,
    /// The object is an item or an export line; [`line_container`] decides.
    Line,
    /// The object is a rejected item with its reason.
    Reject,
    /// The member's value decides: see [`value_clue`].
    NeedsValue,
    /// Neither: plain JSON.
    Plain,
}

/// Judges a member by its name and the first byte of its value. `seen`: an earlier member belonged
/// to a document.
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

/// Judges a member with the name of a document's member by its value, which is an object.
pub(crate) fn value_clue(value: &[u8]) -> Result<ContainerClue, ItemError> {
    Ok(if object_kind(value)? == ObjectKind::AttributeValue {
        ContainerClue::Line
    } else {
        ContainerClue::DocumentMember
    })
}

/// Decides between an export line and an item. `item` is the value of the only member, if its name
/// is `Item`.
pub(crate) fn line_container(item: Option<&[u8]>) -> Result<ItemContainer, ItemError> {
    match item.map(object_kind).transpose()? {
        Some(ObjectKind::AttributeMap) => Ok(ItemContainer::ExportLines),
        _ => Ok(ItemContainer::Lines),
    }
}
