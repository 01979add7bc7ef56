//! A JSON object one level deep: its fields in their order, the values as the text they came in.
//!
//! This is how text stays verbatim: `serde_json::Value` would reorder fields and rewrite numbers.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The fields of one object, in document order. `V` is `Box<RawValue>` (owned) or `&RawValue` (borrowed).
pub(super) struct Fields<V>(pub(super) Vec<(String, V)>);

/// The fields of `value`, or `None` when it is not an object.
pub(super) fn fields_of(value: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Fields<&RawValue>>(value.get()).ok().map(|fields| fields.0)
}

/// The elements of `value`, or `None` when it is not an array.
pub(super) fn elements_of(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Whether `value` says nothing: `null`, or an array or object without content.
pub(super) fn is_empty(value: &RawValue) -> bool {
    value.get() == "null"
        || fields_of(value).is_some_and(|fields| fields.is_empty())
        || elements_of(value).is_some_and(|elements| elements.is_empty())
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Fields<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for FieldsVisitor<V> {
    type Value = Fields<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
