//! Recognises items quickly by the shapes of the items before them.
//!
//! Most items of a table have the same attributes in the same order: only the texts of their values differ. The first item of a shape
//! is read by the reader in `usual`; the bytes between its values (names, type tags, brackets) are kept in a trie. An item that has
//! the same bytes there differs from a valid one in its values only, and those are checked. So names are not looked at one by one
//! again, and where the next value begins is known before the bytes up to it have been compared, which lets the processor work ahead.

use super::fast_validator::{
    Kind, Scalar, escape_end, is_binary, is_number, is_plain_text, usual_scalars,
};
use super::json::blocks::string_end;
use super::key::{KeyMembers, KeySchema};
use std::ops::Range;

/// Nodes of the trie. A table of more shapes than fit is recognised without it.
const NODES: usize = 2048;

/// Bytes of all pieces of text in the trie.
const PIECES: usize = 128 * 1024;

/// Items after which the trie is given up if fewer than half of them were found in it.
const TRIAL: u32 = 128;

/// No node.
const NONE: u32 = 0;

/// The value that a piece of text ends before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Value(Kind, Role),
    /// The item ends.
    End,
}

/// What a value is in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    None,
    Partition,
    Sort,
}

/// A piece of text between two values, and all that can follow. Its ancestors are the pieces before it, so that it determines the
/// names and brackets of an item up to there.
#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    length: u32,
    next: Next,
    /// The first of the nodes that follow.
    child: u32,
    /// Another node that can follow the same one.
    sibling: u32,
}

/// Recognises items; the more of one shape, the faster.
#[derive(Debug)]
pub struct Recognizer {
    key: Option<KeySchema>,
    nodes: Vec<Node>,
    pieces: Vec<u8>,
    scalars: Vec<Scalar>,
    known: u32,
    unknown: u32,
}

impl Default for Recognizer {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Recognizer {
    /// A recogniser that knows no item yet. With a key, the attributes of the key are found too.
    pub(crate) fn new(key: Option<KeySchema>) -> Self {
        let root = Node {
            start: 0,
            length: 0,
            next: Next::End,
            child: NONE,
            sibling: NONE,
        };

        Self {
            key,
            nodes: vec![root],
            pieces: Vec::new(),
            scalars: Vec::new(),
            known: 0,
            unknown: 0,
        }
    }

    /// The length of the well-formed item on one line that certainly is at the beginning of `text`; `None` says nothing. No two
    /// names in one map of it are equal.
    #[inline]
    pub fn item(&mut self, text: &[u8]) -> Option<usize> {
        self.item_with(text, &mut KeyMembers::default())
    }

    /// The same; `members` become the attributes of the key, as far as they have a type that a key can have.
    #[inline]
    pub(crate) fn item_with<'a>(
        &mut self,
        text: &'a [u8],
        members: &mut KeyMembers<'a>,
    ) -> Option<usize> {
        if self.unknown < TRIAL || self.known > self.unknown {
            if let Some(length) = self.known(text, members) {
                self.known += 1;
                return is_plain_text(&text[..length]).then_some(length);
            }

            self.unknown += 1;
        }

        self.learn(text, members)
    }

    /// The length of the item if it has a known shape.
    #[inline]
    fn known<'a>(&self, text: &'a [u8], members: &mut KeyMembers<'a>) -> Option<usize> {
        let (mut at, mut index) = (0, self.nodes[0].child);
        loop {
            let node = loop {
                if index == NONE {
                    return None;
                }

                let node = &self.nodes[index as usize];
                let piece = &self.pieces[node.start as usize..][..node.length as usize];
                if text[at..].starts_with(piece) {
                    break node;
                }

                index = node.sibling;
            };

            at += node.length as usize;
            index = node.child;

            let Next::Value(kind, role) = node.next else {
                return Some(at);
            };

            let start = at;
            at = value_end(text, start, kind)?;

            // The names are needed for a key that is written out, and a hash is not.
            match role {
                Role::Partition => members.0 = Some((b"", text.get(start - HEAD..at + TAIL)?)),
                Role::Sort => members.1 = Some((b"", text.get(start - HEAD..at + TAIL)?)),
                Role::None => {}
            }
        }
    }

    /// Reads an item of a shape that is not known, and remembers it.
    #[cold]
    fn learn<'a>(&mut self, text: &'a [u8], members: &mut KeyMembers<'a>) -> Option<usize> {
        let mut scalars = std::mem::take(&mut self.scalars);
        scalars.clear();
        *members = KeyMembers::default();
        let mut roles: (Option<usize>, Option<usize>) = (None, None);
        let length = usual_scalars(text, &mut scalars, |name, value: Range<usize>| {
            let Some(key) = &self.key else { return };
            let begins = Some(value.start + HEAD);
            if name == key.partition.name.as_bytes() {
                (members.0, roles.0) = (Some((name, &text[value])), begins);
            } else if key
                .sort
                .as_ref()
                .is_some_and(|sort| name == sort.name.as_bytes())
            {
                (members.1, roles.1) = (Some((name, &text[value])), begins);
            }
        });

        if let Some(length) = length {
            self.remember(&text[..length], &scalars, roles);
        }

        self.scalars = scalars;

        length
    }

    /// Adds the shape of an item whose values are these.
    fn remember(&mut self, item: &[u8], scalars: &[Scalar], roles: (Option<usize>, Option<usize>)) {
        let (mut parent, mut end) = (0, 0);
        for scalar in scalars {
            // An element of a set begins at another place in the value of its attribute.
            let role = match Some(scalar.start) {
                start if start == roles.0 => Role::Partition,
                start if start == roles.1 => Role::Sort,
                _ => Role::None,
            };

            let piece = &item[end..scalar.start];
            let Some(node) = self.child(parent, piece, Next::Value(scalar.kind, role)) else {
                return;
            };

            (parent, end) = (node, scalar.end);
        }

        self.child(parent, &item[end..], Next::End);
    }

    /// The node of this piece after `parent`, which is added if there is room.
    fn child(&mut self, parent: usize, piece: &[u8], next: Next) -> Option<usize> {
        let (mut last, mut index) = (None, self.nodes[parent].child);
        while index != NONE {
            let node = &self.nodes[index as usize];
            if self.pieces[node.start as usize..][..node.length as usize] == *piece {
                return Some(index as usize);
            }

            (last, index) = (Some(index as usize), node.sibling);
        }

        if self.nodes.len() == NODES || self.pieces.len() + piece.len() > PIECES {
            return None;
        }

        let new = self.nodes.len();
        let number = |count: usize| u32::try_from(count).unwrap_or(NONE);
        let (start, length) = (number(self.pieces.len()), number(piece.len()));
        self.nodes.push(Node {
            start,
            length,
            next,
            child: NONE,
            sibling: NONE,
        });

        self.pieces.extend_from_slice(piece);

        match last {
            Some(last) => self.nodes[last].sibling = number(new),
            None => self.nodes[parent].child = number(new),
        }

        Some(new)
    }
}

/// Bytes before the text of a value: `{"S":"`.
const HEAD: usize = 6;

/// Bytes after it: `"}`.
const TAIL: usize = 2;

/// The index of the closing quote of the value that begins at `start`.
#[inline]
fn value_end(text: &[u8], start: usize, kind: Kind) -> Option<usize> {
    let mut at = start + string_end(text.get(start..)?)?;
    if kind == Kind::Text {
        while text[at] != b'"' {
            at = escape_end(text, at + 1)?;
            at += string_end(text.get(at..)?)?;
        }

        return Some(at);
    }

    let value = &text[start..at];
    let fits = text[at] == b'"'
        && if kind == Kind::Number {
            is_number(value)
        } else {
            is_binary(value)
        };

    fits.then_some(at)
}

#[cfg(test)]
mod tests {
    use super::super::fast_validator::usual_item;
    use super::super::testing::{Style, item, render};
    use super::*;
    use crate::item::{KeyAttribute, KeyType};
    use proptest::prelude::*;

    fn key() -> KeySchema {
        let attribute = |name: &str, kind| KeyAttribute {
            name: name.to_owned(),
            kind,
        };
        KeySchema {
            partition: attribute("pk", KeyType::S),
            sort: Some(attribute("a", KeyType::N)),
        }
    }

    #[test]
    fn an_item_of_a_known_shape_is_held_to_the_same_rules() {
        let mut recognizer = Recognizer::default();
        let item = |text: &str, number: &str, binary: &str, element: &str| {
            format!(
                r#"{{"pk":{{"S":"{text}"}},"n":{{"N":"{number}"}},"m":{{"M":{{"b":{{"B":"{binary}"}}}}}},"s":{{"NS":["1","{element}"]}},"o":{{"BOOL":true}}}}"#
            )
        };

        assert!(
            recognizer
                .item(item("a", "1", "AAAA", "2").as_bytes())
                .is_some()
        );

        let is_known = |recognizer: &mut Recognizer, text: String| {
            let (known, length) = (recognizer.known, recognizer.item(text.as_bytes()));
            assert_eq!(length, usual_item(text.as_bytes()), "{text}");
            (length.is_some(), recognizer.known > known)
        };

        for good in [
            item("", "-1.5", "", "1E5"),
            item(
                r#"\"\\\u00e9é "#,
                "99999999999999999999999999999999999999",
                "AA==",
                ".5",
            ),
            item(
                &"long text ".repeat(20),
                "0",
                "AAECAwQFBgcICQoLDA0ODw==",
                "5",
            ),
        ] {
            assert_eq!(
                is_known(&mut recognizer, good.clone()),
                (true, true),
                "{good}"
            );
        }

        for bad in [
            item("\u{1}", "1", "AAAA", "2"),
            item(r"\x", "1", "AAAA", "2"),
            item(r"\u00g0", "1", "AAAA", "2"),
            item("a", "", "AAAA", "2"),
            item("a", "1x", "AAAA", "2"),
            item("a", r"\u0031", "AAAA", "2"),
            item("a", "1", "AAA", "2"),
            item("a", "1", "AAAA", "two"),
        ] {
            assert!(!is_known(&mut recognizer, bad.clone()).0, "{bad}");
        }
    }

    #[test]
    fn so_many_shapes_that_they_do_not_fit_are_recognised_all_the_same() {
        let mut recognizer = Recognizer::default();
        for number in 0..2 * NODES {
            let text = format!(r#"{{"name {number}":{{"S":"a"}},"pk":{{"S":"b"}}}}"#);
            assert_eq!(recognizer.item(text.as_bytes()), Some(text.len()));
        }

        assert!(recognizer.nodes.len() <= NODES && recognizer.pieces.len() <= PIECES);
        assert_eq!(recognizer.unknown, TRIAL, "it is not tried in vain forever");
    }

    proptest! {
        #[test]
        fn says_the_same_as_the_reader_that_forgets(
            items in proptest::collection::vec(item(), 1..4), turns in proptest::collection::vec((any::<proptest::sample::Index>(),
            any::<proptest::sample::Index>(), 0usize..3, "[SNBMLUOtrue\"{}:,\\[\\]0-9a-f.eE+\\-=/\\\\ \u{1}é]{0,3}", any::<bool>()), 1..12)
        ) {
            let texts: Vec<_> = items.iter().map(|item| render(item, Style::Compact).into_bytes()).collect();
            let mut recognizer = Recognizer::new(Some(key()));
            for (which, at, cut, put, changes) in turns {
                let text = &texts[which.index(texts.len())];
                let at = at.index(text.len());
                let behind = (at + cut).min(text.len());
                let changed = [&text[..at], put.as_bytes(), &text[behind..]].concat();
                let text = if changes { &changed } else { text };
                let mut members = KeyMembers::default();
                let length = recognizer.item_with(text, &mut members);
                prop_assert_eq!(length, usual_item(text));
                if length.is_some() {
                    let hash = key().hash128(text);
                    if let Ok(found) = key().hash_of(members, &mut Vec::new()) {
                        prop_assert_eq!(Ok(found), hash);
                    } else {
                        prop_assert!(hash.is_err());
                    }
                }
            }
        }
    }
}
