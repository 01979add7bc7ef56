//! Looks for masked values in what comes out of a run: an e-mail address that is also part of a note is not hidden.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jaq_json::{Map, Val};
use memchr::memmem;

use super::values::{ScalarValue, is_searchable, visit_scalars};
use crate::item::canonical_number;

/// Least number of digits for which a number is searched for in text: shorter ones are found by accident.
const DIGITS_IN_TEXT: usize = 6;

/// Values of masked places.
#[derive(Default)]
pub(crate) struct SensitiveValues(Vec<SensitiveValue>);

struct SensitiveValue {
    /// Byte sequences that give it away: the value itself, as part of a JSON string, in base64. Empty for a short number.
    needles: Vec<Vec<u8>>,
    /// As a number, compared with other numbers.
    number: Option<String>,
}

impl SensitiveValues {
    /// Adds the values in `value`, except those too short to be searched for.
    pub(crate) fn add(&mut self, value: &Val) {
        visit_scalars(
            value,
            &mut |scalar| self.0.extend(SensitiveValue::of(&scalar)),
            &mut |_| {},
        );
    }

    /// The attribute in which an original survives, names in maps included; `rest` is the item without its masked places.
    pub(crate) fn survivor(&self, rest: &Map) -> Option<String> {
        rest.iter().find_map(|(name, value)| {
            if self.is_in_name(name) {
                return Some("the name of an attribute".to_owned());
            }

            self.is_in_value(value)
                .then(|| format!("attribute {:?}", name_of(name)))
        })
    }

    /// The attribute among the `masked` in which an original survives as a name in a map: a mask changes values and keeps names.
    pub(crate) fn survivor_in_names(&self, masked: &Map) -> Option<String> {
        masked.iter().find_map(|(attribute, value)| {
            let mut found = false;
            visit_scalars(value, &mut |_| {}, &mut |name| {
                found = found || self.is_in_bytes(name.as_bytes());
            });
            found.then(|| format!("a name in attribute {:?}", name_of(attribute)))
        })
    }

    /// Whether an original is part of a value both before and after a mask that keeps parts of it.
    pub(crate) fn survives(&self, before: &Val, after: &Val) -> bool {
        self.0
            .iter()
            .any(|original| original.is_in_value(before) && original.is_in_value(after))
    }

    pub(crate) fn is_in_name(&self, name: &Val) -> bool {
        self.is_in_bytes(name_of(name).as_bytes())
    }

    pub(crate) fn is_in_value(&self, value: &Val) -> bool {
        self.0.iter().any(|original| original.is_in_value(value))
    }

    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|original| original.is_in_bytes(bytes))
    }
}

impl SensitiveValue {
    fn of(scalar: &ScalarValue) -> Option<Self> {
        if !is_searchable(scalar) {
            return None;
        }

        Some(match scalar {
            ScalarValue::S(text) => Self {
                needles: needles(text.as_bytes()),
                number: None,
            },
            ScalarValue::B(bytes) => Self {
                needles: needles(bytes),
                number: None,
            },
            ScalarValue::N(number) => Self {
                needles: if number.len() >= DIGITS_IN_TEXT {
                    needles(number.as_bytes())
                } else {
                    Vec::new()
                },
                number: canonical_number(number).ok(),
            },
        })
    }

    fn is_in_value(&self, value: &Val) -> bool {
        let (mut in_leaf, mut in_name) = (false, false);
        visit_scalars(
            value,
            &mut |scalar| in_leaf = in_leaf || self.is_in(&scalar),
            &mut |name| {
                in_name = in_name || self.is_in_bytes(name.as_bytes());
            },
        );

        in_leaf || in_name
    }

    fn is_in(&self, scalar: &ScalarValue) -> bool {
        match scalar {
            ScalarValue::S(text) => self.is_in_bytes(text.as_bytes()),
            ScalarValue::B(bytes) => self.is_in_bytes(bytes),
            ScalarValue::N(number) => {
                let equal = self.number.is_some() && self.number == canonical_number(number).ok();
                equal || self.is_in_bytes(number.as_bytes())
            }
        }
    }

    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.needles
            .iter()
            .any(|needle| memmem::find(bytes, needle).is_some())
    }
}

/// The forms in which a value is searched for.
fn needles(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut needles = vec![bytes.to_vec(), STANDARD_NO_PAD.encode(bytes).into_bytes()];
    let in_json = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| serde_json::to_string(text).ok());
    needles.extend(
        in_json
            .map(|text| text.as_bytes()[1..text.len() - 1].to_vec())
            .filter(|text| text != bytes),
    );

    needles
}

fn name_of(name: &Val) -> String {
    match name {
        Val::TStr(name) => String::from_utf8_lossy(name).into_owned(),
        other => other.to_string(),
    }
}
