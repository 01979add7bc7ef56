//! A JSON object one level deep: its fields in their order, the values as verbatim text.
//!
//! This is how text stays verbatim: `serde_json::Value` would reorder fields and rewrite numbers.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The fields of one object, in document order. `V` is `Box<RawValue>` (owned) or `&RawValue` (borrowed).
pub(crate) struct Fields<V>(pub(crate) Vec<(String, V)>);

impl Fields<Box<RawValue>> {
    /// A copy of `value`'s fields to edit; none when it is not an object. What is not edited stays verbatim.
    pub(crate) fn to_edit(value: &RawValue) -> Self {
        Self(
            fields_of(value)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        )
    }

    /// Replaces the value of the field `name`, or appends the field.
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) {
        let value = raw(value);
        match self.0.iter_mut().find(|(found, _)| found == name) {
            Some((_, current)) => *current = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The value of the field `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        let mut fields = self.0.iter();
        fields
            .find(|(found, _)| found == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(found, _)| found != name);
    }

    /// Edits each element of the array in the field `name`, if there is one.
    pub(crate) fn edit_elements(&mut self, name: &str, mut edit: impl FnMut(&mut Self)) {
        let Some((_, current)) = self.0.iter_mut().find(|(found, _)| found == name) else {
            return;
        };

        // A value that is not an array stays verbatim.
        let Some(elements) = elements_of(current) else {
            return;
        };

        let edited = elements.into_iter().map(|element| {
            let mut fields = Self::to_edit(element);
            edit(&mut fields);
            fields
        });

        *current = raw(&edited.collect::<Vec<_>>());
    }
}

/// The JSON text of `value`.
pub(crate) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value)
        .expect("only fields, lists, texts and whole numbers are given, which JSON has")
}

/// The fields of `value`, or `None` when it is not an object.
pub(crate) fn fields_of(value: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str::<Fields<&RawValue>>(value.get())
        .ok()
        .map(|fields| fields.0)
}

/// The elements of `value`, or `None` when it is not an array.
pub(crate) fn elements_of(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// Whether `value` is empty: `null`, or an array or object without content.
pub(crate) fn is_empty(value: &RawValue) -> bool {
    let text = value.get();
    let content = text
        .strip_prefix(['[', '{'])
        .and_then(|rest| rest.strip_suffix([']', '}']));

    text == "null" || content.is_some_and(|content| content.trim().is_empty())
}

impl<V: Serialize> Serialize for Fields<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
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
        // A list keeps the order and repeated names, which a map would lose.
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }

        Ok(Fields(fields))
    }
}
