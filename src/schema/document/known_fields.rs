//! The fields of a document that this version knows, read-only facts included. A field that is not among them is a setting of a
//! later API; a restore reports it.

use serde_json::value::RawValue;

use super::raw::{elements_of, fields_of, is_empty};

/// The known fields of one object, or of each object in an array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownFields {
    /// Fields whose contents are not examined.
    pub(crate) plain: &'static [&'static str],
    /// Fields that hold objects or arrays of objects, with the known fields of those.
    pub(crate) nested: &'static [(&'static str, &'static KnownFields)],
}

impl KnownFields {
    pub(crate) const NONE: Self = plain(&[]);
}

pub(crate) const fn plain(plain: &'static [&'static str]) -> KnownFields {
    KnownFields { plain, nested: &[] }
}

/// The unknown fields of `value` in document order, each as a path that begins with `path`:
/// `GlobalSecondaryIndexes.by-director.FutureField`. Fields with empty values are omitted.
pub(crate) fn unknown_fields(known: &[&KnownFields], value: &RawValue, path: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    collect_unknown(known, value, path, &mut unknown);
    unknown
}

/// Collects unknown fields. The depth of recursion is that of [`KnownFields`], not of the document.
fn collect_unknown(
    known: &[&KnownFields],
    value: &RawValue,
    path: &str,
    unknown: &mut Vec<String>,
) {
    if let Some(elements) = elements_of(value) {
        for (position, element) in elements.into_iter().enumerate() {
            // A name helps the reader more than a position does.
            let name = element_name(element).unwrap_or_else(|| position.to_string());
            collect_unknown(known, element, &format!("{path}{name}."), unknown);
        }

        return;
    }

    for (name, field) in fields_of(value).unwrap_or_default() {
        let mut nested = known.iter().flat_map(|known| known.nested);
        let is_plain = known
            .iter()
            .any(|known| known.plain.contains(&name.as_str()));

        if let Some((_, nested)) = nested.find(|(known, _)| *known == name) {
            collect_unknown(&[nested], field, &format!("{path}{name}."), unknown);
        } else if !is_plain && !is_empty(field) {
            unknown.push(format!("{path}{name}"));
        }
    }
}

/// The name of an array element: that of its index, attribute or region.
pub(crate) fn element_name(element: &RawValue) -> Option<String> {
    let fields = fields_of(element)?;
    let (_, name) = fields
        .iter()
        .find(|(name, _)| matches!(name.as_str(), "IndexName" | "AttributeName" | "RegionName"))?;
    serde_json::from_str(name.get()).ok()
}
