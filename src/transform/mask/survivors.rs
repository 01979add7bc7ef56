//! Looks for what was masked in the rest of an item: an e-mail address that also stands in a note is not hidden.

use std::cell::Cell;

use jaq_json::{Map, Val};
use memchr::memmem;

use super::values::{Leaf, is_telling, leaves};
use crate::item::canonical_number;

/// Digits of a number that is looked for in text, too: fewer are found by accident.
const DIGITS_IN_TEXT: usize = 6;

/// Originals of masked places.
#[derive(Default)]
pub(super) struct Originals(Vec<Original>);

struct Original {
    /// As bytes, to be found in others; `None` for a number that is too short for that.
    bytes: Option<Vec<u8>>,
    /// As a number, to be equal to others.
    number: Option<String>,
}

impl Originals {
    /// Remembers a value that was masked, unless it says too little.
    pub(super) fn add(&mut self, leaf: &Leaf) {
        if !is_telling(leaf) {
            return;
        }
        self.0.push(match leaf {
            Leaf::S(text) => Original { bytes: Some(text.clone().into_bytes()), number: None },
            Leaf::B(bytes) => Original { bytes: Some(bytes.clone()), number: None },
            Leaf::N(number) => Original {
                bytes: (number.len() >= DIGITS_IN_TEXT).then(|| number.clone().into_bytes()),
                number: canonical_number(number).ok(),
            },
        });
    }

    /// The attribute in which an original survives, names in maps included; `rest` is the item without its masked places.
    pub(super) fn survivor(&self, rest: &Map) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        rest.iter().find_map(|(name, value)| {
            let name = name_of(name);
            if self.is_in_bytes(name.as_bytes()) {
                return Some("the name of an attribute".to_owned());
            }
            let found = Cell::new(false);
            let mut leaf = |leaf: Leaf| found.set(found.get() || self.is_in(&leaf));
            let mut inner_name = |name: &str| found.set(found.get() || self.is_in_bytes(name.as_bytes()));
            leaves(value, &mut leaf, &mut inner_name);
            found.get().then(|| format!("attribute {name:?}"))
        })
    }

    /// The attribute among the `masked` in which an original survives as a name in a map: a mask changes values and keeps names.
    pub(super) fn survivor_in_names(&self, masked: &Map) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        masked.iter().find_map(|(attribute, value)| {
            let mut found = false;
            leaves(value, &mut |_| {}, &mut |name| found = found || self.is_in_bytes(name.as_bytes()));
            found.then(|| format!("a name in attribute {:?}", name_of(attribute)))
        })
    }

    fn is_in(&self, leaf: &Leaf) -> bool {
        match leaf {
            Leaf::S(text) => self.is_in_bytes(text.as_bytes()),
            Leaf::B(bytes) => self.is_in_bytes(bytes),
            Leaf::N(number) => {
                let canonical = canonical_number(number).ok();
                self.0.iter().any(|original| canonical.is_some() && original.number == canonical)
                    || self.is_in_bytes(number.as_bytes())
            }
        }
    }

    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|original| original.bytes.as_ref().is_some_and(|own| memmem::find(bytes, own).is_some()))
    }
}

fn name_of(name: &Val) -> String {
    match name {
        Val::TStr(name) => String::from_utf8_lossy(name).into_owned(),
        other => other.to_string(),
    }
}
