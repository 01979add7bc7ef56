//! Detection of masked values that remain in an item, such as an e-mail address that is also part
//! of a note.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jaq_json::{Map, Val};
use memchr::memmem;

use super::scalar::{ScalarValue, is_searchable, visit_scalars};
use crate::item::canonical_number;

/// Minimum length of a number that is searched for in text. Shorter numbers would match by
/// accident.
const MIN_DIGITS_IN_TEXT: usize = 6;

/// Original values at masked paths, which must not remain anywhere in the item.
#[derive(Default)]
pub(crate) struct SensitiveValues(Vec<SensitiveValue>);

struct SensitiveValue {
    /// Byte sequences that reveal the value: as is, escaped in JSON, in base64. Empty for a short
    /// number.
    needles: Vec<Vec<u8>>,
    /// The canonical number, for comparison with other numbers.
    number: Option<String>,
}

impl SensitiveValues {
    /// Adds the scalars in `value`, except those too short to be searched for.
    pub(crate) fn add(&mut self, value: &Val) {
        visit_scalars(
            value,
            &mut |scalar| self.0.extend(SensitiveValue::from_scalar(&scalar)),
            &mut |_| {},
        );
    }

    /// Describes the attribute that contains a sensitive value, also in a name. `rest` is the item
    /// without the values at masked paths.
    pub(crate) fn find_leak(&self, rest: &Map) -> Option<String> {
        rest.iter().find_map(|(name, value)| {
            if self.is_in_name(name) {
                return Some("the name of an attribute".to_owned());
            }

            self.is_in_value(value)
                .then(|| format!("attribute {:?}", name_of(name)))
        })
    }

    /// Describes the masked attribute that contains a sensitive value as a name in a map. Masks
    /// change values and keep names.
    pub(crate) fn find_leak_in_names(&self, masked: &Map) -> Option<String> {
        masked.iter().find_map(|(attribute, value)| {
            let mut found = false;
            visit_scalars(value, &mut |_| {}, &mut |name| {
                found = found || self.is_in_bytes(name.as_bytes());
            });
            found.then(|| format!("a name in attribute {:?}", name_of(attribute)))
        })
    }

    /// Whether a sensitive value is part of a value both before and after a mask that keeps parts
    /// of it.
    pub(crate) fn is_kept(&self, before: &Val, after: &Val) -> bool {
        self.0
            .iter()
            .any(|sensitive| sensitive.is_in_value(before) && sensitive.is_in_value(after))
    }

    pub(crate) fn is_in_name(&self, name: &Val) -> bool {
        self.is_in_bytes(name_of(name).as_bytes())
    }

    pub(crate) fn is_in_value(&self, value: &Val) -> bool {
        self.0.iter().any(|sensitive| sensitive.is_in_value(value))
    }

    fn is_in_bytes(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|sensitive| sensitive.is_in_bytes(bytes))
    }
}

impl SensitiveValue {
    fn from_scalar(scalar: &ScalarValue) -> Option<Self> {
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
                needles: if number.len() >= MIN_DIGITS_IN_TEXT {
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
            &mut |scalar| in_leaf = in_leaf || self.is_in_scalar(&scalar),
            &mut |name| {
                in_name = in_name || self.is_in_bytes(name.as_bytes());
            },
        );

        in_leaf || in_name
    }

    fn is_in_scalar(&self, scalar: &ScalarValue) -> bool {
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

/// The forms of a value that are searched for.
fn needles(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut needles = vec![bytes.to_vec(), STANDARD_NO_PAD.encode(bytes).into_bytes()];
    let in_json = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| serde_json::to_string(text).ok());
    // Only if escaping changes it.
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
