//! Validates items quickly by comparing them with the shapes of earlier items.
//!
//! Most items of a table have the same attributes in the same order; only the texts of their values differ. The first item of a
//! shape is parsed by `fast_validator`, and the bytes between its values (names, type tags, brackets) are stored in a trie. An item
//! with the same bytes between its values can differ from a valid item in its values only, so only those are checked. This avoids
//! parsing names again. The start of the next value is known before the bytes in front of it have been compared, which helps
//! out-of-order execution.

use super::fast_validator::{
    ScalarKind, ScalarSpan, escape_end, is_binary, is_number, is_plain_text, valid_item_scalars,
};
use super::index_keys::{IndexKeys, SORT_BYTES};
use super::json::blocks::{begins_with, string_end};
use super::key::{KeyMember, KeyMembers, KeySchema};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of trie nodes. Shapes that do not fit are parsed each time.
const MAX_NODES: usize = 2048;

/// Maximum size of the text in the trie, in bytes.
const MAX_PIECE_BYTES: usize = 128 * 1024;

/// Cache misses after which the trie is used only while it has more hits than misses.
const MIN_MISSES_TO_JUDGE: u32 = 128;

/// Index that means "no node"; the root is never a child or sibling.
const NO_NODE: u32 = 0;

/// The continuation after a piece of text between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continuation {
    Value {
        kind: ScalarKind,
        role: KeyRole,
    },
    /// The end of the item.
    End,
}

/// Role of an attribute in the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyRole {
    NotKey,
    Partition,
    Sort,
}

/// A piece of text between two values. Its ancestors in the trie are the pieces before it, so a node determines all names and
/// brackets of an item up to its end.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    length: u32,
    next: Continuation,
    /// What the piece says about keys of indexes.
    marks: IndexValue,
    /// The first node that can follow.
    child: u32,
    /// The next alternative to this node.
    sibling: u32,
}

/// Cache of item shapes; validates an item of a known shape several times faster than the parser does.
#[derive(Debug)]
pub struct ShapeCache {
    key: Option<KeySchema>,
    index_keys: Arc<IndexKeys>,
    nodes: Vec<Node>,
    /// The text of all nodes.
    pieces: Vec<u8>,
    /// Buffer for the values of the item being parsed; kept to avoid allocations.
    scalars: Vec<ScalarSpan>,
    hits: u32,
    misses: u32,
}

impl Default for ShapeCache {
    fn default() -> Self {
        Self::new(None, Arc::default())
    }
}

impl ShapeCache {
    /// Creates an empty cache. With a key schema, the key attributes are located, too; violations of `index_keys` are noted.
    pub(crate) fn new(key: Option<KeySchema>, index_keys: Arc<IndexKeys>) -> Self {
        let root = Node {
            start: 0,
            length: 0,
            next: Continuation::End,
            marks: IndexValue::default(),
            child: NO_NODE,
            sibling: NO_NODE,
        };

        Self {
            key,
            index_keys,
            nodes: vec![root],
            pieces: Vec::new(),
            scalars: Vec::new(),
            hits: 0,
            misses: 0,
        }
    }

    /// Returns the length of the item at the beginning of `text` if it is certainly well-formed and on one line, and no map in it
    /// repeats a name. `None` means "unknown", not "invalid".
    #[inline]
    pub fn item_length(&mut self, text: &[u8]) -> Option<usize> {
        self.item_length_and_key(text, &mut KeyMembers::default())
    }

    /// Like [`Self::item_length`], and sets `members` to the key attributes whose type a key can have.
    #[inline]
    pub(crate) fn item_length_and_key<'a>(
        &mut self,
        text: &'a [u8],
        members: &mut KeyMembers<'a>,
    ) -> Option<usize> {
        // A table whose items all differ in shape must not pay for lookups that fail.
        if self.misses < MIN_MISSES_TO_JUDGE || self.hits > self.misses {
            if let Some(length) = self.look_up(text, members) {
                self.hits += 1;
                // The lookup compares bytes; UTF-8 and control characters are checked once for the whole item.
                return is_plain_text(&text[..length]).then_some(length);
            }

            self.misses += 1;
        }

        self.learn(text, members)
    }

    /// Returns the length of the item if its shape is in the trie.
    #[inline]
    fn look_up<'a>(&self, text: &'a [u8], members: &mut KeyMembers<'a>) -> Option<usize> {
        let (mut at, mut index) = (0, self.nodes[0].child);
        loop {
            // Find the alternative that the text continues with.
            let node = loop {
                if index == NO_NODE {
                    return None;
                }

                let node = &self.nodes[index as usize];
                let piece = &self.pieces[node.start as usize..][..node.length as usize];
                if begins_with(&text[at..], piece) {
                    break node;
                }

                index = node.sibling;
            };

            at += node.length as usize;
            index = node.child;
            members.violations |= node.marks.violations;

            let Continuation::Value { kind, role } = node.next else {
                return Some(at);
            };

            let start = at;
            at = value_end(text, start, kind)?;

            if node.marks.measured != 0 && (at == start || at - start > SORT_BYTES) {
                let value = unnamed_member(text, start, at)?.value;
                let violations = self
                    .index_keys
                    .violations_by_length(node.marks.measured, value);
                members.violations |= violations;
            }

            match role {
                KeyRole::Partition => members.partition = Some(unnamed_member(text, start, at)?),
                KeyRole::Sort => members.sort = Some(unnamed_member(text, start, at)?),
                KeyRole::NotKey => {}
            }
        }
    }

    /// Parses an item of an unknown shape and adds the shape to the trie.
    #[cold]
    fn learn<'a>(&mut self, text: &'a [u8], members: &mut KeyMembers<'a>) -> Option<usize> {
        // Moved out, because `remember` borrows all of `self`.
        let mut scalars = std::mem::take(&mut self.scalars);
        scalars.clear();
        // A failed lookup may have set members.
        *members = KeyMembers::default();
        let mut key_starts = KeyStarts::default();
        let mut index_values = Vec::new();
        let length = valid_item_scalars(text, &mut scalars, |name, range: Range<usize>| {
            let (start, value) = (Some(range.start + VALUE_PREFIX), &text[range.clone()]);
            if let Some(marks) = IndexValue::new(&self.index_keys, name, value) {
                members.violations |=
                    marks.violations | self.index_keys.violations_by_length(marks.measured, value);
                index_values.push((range.start, marks));
            }

            let Some(key) = &self.key else { return };
            if name == key.partition.name.as_bytes() {
                members.partition = Some(KeyMember { name, value });
                key_starts.partition = start;
            } else if key
                .sort
                .as_ref()
                .is_some_and(|sort| name == sort.name.as_bytes())
            {
                members.sort = Some(KeyMember { name, value });
                key_starts.sort = start;
            }
        });

        if let Some(length) = length {
            self.remember(&text[..length], &scalars, key_starts, &index_values);
        }

        self.scalars = scalars;

        length
    }

    /// Adds the shape of `item`, whose values are `scalars`, to the trie.
    fn remember(
        &mut self,
        item: &[u8],
        scalars: &[ScalarSpan],
        key_starts: KeyStarts,
        index_values: &[(usize, IndexValue)],
    ) {
        let (mut parent, mut end) = (0, 0);
        for scalar in scalars {
            // The elements of a set start at other offsets, so a set is never taken for a key.
            let role = match Some(scalar.start) {
                start if start == key_starts.partition => KeyRole::Partition,
                start if start == key_starts.sort => KeyRole::Sort,
                _ => KeyRole::NotKey,
            };

            let piece = &item[end..scalar.start];
            let next = Continuation::Value {
                kind: scalar.kind,
                role,
            };
            let marks = IndexValue::of_piece(end..scalar.start, index_values);
            let Some(node) = self.child(parent, piece, next, marks) else {
                return;
            };

            (parent, end) = (node, scalar.end);
        }

        let marks = IndexValue::of_piece(end..item.len(), index_values);
        self.child(parent, &item[end..], Continuation::End, marks);
    }

    /// Returns the node of `piece` after `parent`; adds it if there is room.
    fn child(
        &mut self,
        parent: usize,
        piece: &[u8],
        next: Continuation,
        marks: IndexValue,
    ) -> Option<usize> {
        let (mut last, mut index) = (None, self.nodes[parent].child);
        while index != NO_NODE {
            let node = &self.nodes[index as usize];
            if self.pieces[node.start as usize..][..node.length as usize] == *piece {
                return Some(index as usize);
            }

            (last, index) = (Some(index as usize), node.sibling);
        }

        if self.nodes.len() == MAX_NODES || self.pieces.len() + piece.len() > MAX_PIECE_BYTES {
            return None;
        }

        let new = self.nodes.len();
        // Both limits are far below 2^32, so the conversion does not fail.
        let number = |count: usize| u32::try_from(count).unwrap_or(NO_NODE);
        let (start, length) = (number(self.pieces.len()), number(piece.len()));
        self.nodes.push(Node {
            start,
            length,
            next,
            marks,
            child: NO_NODE,
            sibling: NO_NODE,
        });

        self.pieces.extend_from_slice(piece);

        match last {
            Some(last) => self.nodes[last].sibling = number(new),
            None => self.nodes[parent].child = number(new),
        }

        Some(new)
    }
}

/// Bytes before the text of a scalar value: `{"S":"`.
const VALUE_PREFIX: usize = 6;

/// Bytes after the text of a scalar value: `"}`.
const VALUE_SUFFIX: usize = 2;

/// Offsets at which the texts of the key attributes start.
#[derive(Debug, Clone, Copy, Default)]
struct KeyStarts {
    partition: Option<usize>,
    sort: Option<usize>,
}

/// A value of a key attribute of indexes.
#[derive(Debug, Clone, Copy, Default)]
struct IndexValue {
    /// The indexes whose keys it violates by its type.
    violations: u64,
    /// The key attributes whose type it has, and which have a minimum and maximum length.
    measured: u64,
}

impl IndexValue {
    /// `None` if no value of this type violates a key.
    fn new(index_keys: &IndexKeys, name: &[u8], value: &[u8]) -> Option<Self> {
        let (violations, measured) = index_keys.violations_of(name, value);
        (violations | measured != 0).then_some(Self {
            violations,
            measured,
        })
    }

    /// The values that begin in a piece between two texts, at `offset..end`. The type of a value is in the piece in which it begins, and only
    /// the text at the end of the piece is measured.
    fn of_piece(piece: Range<usize>, values: &[(usize, Self)]) -> Self {
        let mut marks = Self::default();
        for (start, value) in values.iter().filter(|(start, _)| piece.contains(start)) {
            marks.violations |= value.violations;
            if start + VALUE_PREFIX == piece.end {
                marks.measured = value.measured;
            }
        }

        marks
    }
}

/// The key attribute whose text is `text[start..end]`. Its name is left empty: hashing a key does not need it.
#[inline]
fn unnamed_member(text: &[u8], start: usize, end: usize) -> Option<KeyMember<'_>> {
    Some(KeyMember {
        name: b"",
        value: text.get(start - VALUE_PREFIX..end + VALUE_SUFFIX)?,
    })
}

/// Returns the index of the closing quote of the value whose text starts at `start`; `None` if the text does not fit `kind`.
#[inline]
fn value_end(text: &[u8], start: usize, kind: ScalarKind) -> Option<usize> {
    let mut at = start + string_end(text.get(start..)?)?;
    if kind == ScalarKind::Text {
        while text[at] != b'"' {
            at = escape_end(text, at + 1)?;
            at += string_end(text.get(at..)?)?;
        }

        return Some(at);
    }

    let value = &text[start..at];
    let fits = text[at] == b'"'
        && if kind == ScalarKind::Number {
            is_number(value)
        } else {
            is_binary(value)
        };

    fits.then_some(at)
}

#[cfg(test)]
mod tests;
