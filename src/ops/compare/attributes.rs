//! Attributes that differ between two items with the same key.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::AttributeDifference;
use crate::item::item_digest;

/// Maximum number of attributes listed for an item.
const MAX_ATTRIBUTES: usize = 10;

/// Maximum length of a listed value, in characters.
const MAX_VALUE_CHARACTERS: usize = 80;

/// The attributes of an item, with unparsed values.
type RawAttributes<'a> = BTreeMap<String, &'a RawValue>;

/// The first attributes that differ, sorted by name. Empty if an item is not a JSON object.
pub(crate) fn attribute_differences(source: &[u8], target: &[u8]) -> Vec<AttributeDifference> {
    let (Ok(source), Ok(target)) = (
        serde_json::from_slice::<RawAttributes<'_>>(source),
        serde_json::from_slice::<RawAttributes<'_>>(target),
    ) else {
        return Vec::new();
    };

    let mut names: Vec<&String> = source.keys().chain(target.keys()).collect();
    names.sort_unstable();
    names.dedup();

    // The text of a value does not decide: DynamoDB may return a set in another order, or a number in another notation.
    let differs = |name: &&String| match (source.get(*name), target.get(*name)) {
        (Some(source), Some(target)) => value_digest(source) != value_digest(target),
        _ => true,
    };
    let value = |attributes: &RawAttributes<'_>, name: &str| {
        attributes
            .get(name)
            .map(|value| truncate_value(value.get()))
    };

    names
        .into_iter()
        .filter(differs)
        .take(MAX_ATTRIBUTES)
        .map(|name| AttributeDifference {
            name: name.clone(),
            source: value(&source, name),
            target: value(&target, name),
        })
        .collect()
}

/// The digest of an item with this value as its only attribute. `None` if the value is invalid: two invalid values count as equal.
fn value_digest(value: &RawValue) -> Option<u128> {
    item_digest(format!(r#"{{"a":{}}}"#, value.get()).as_bytes()).ok()
}

fn truncate_value(text: &str) -> String {
    // A limit in bytes could cut a character in two, which panics.
    match text.char_indices().nth(MAX_VALUE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_with_another_meaning_are_listed() {
        let source = br#"{"id":{"S":"a"},"n":{"N":"1.0"},"set":{"SS":["x","y"]},"gone":{"S":"old"},"t":{"S":"A"}}"#;
        let target = br#"{"t":{"S":"B"},"new":{"BOOL":true},"set":{"SS":["y","x"]},"n":{"N":"1"},"id":{"S":"a"}}"#;
        let listed: Vec<_> = attribute_differences(source, target)
            .into_iter()
            .map(|found| (found.name, found.source, found.target))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            listed,
            [
                ("gone".to_owned(), some(r#"{"S":"old"}"#), None),
                ("new".to_owned(), None, some(r#"{"BOOL":true}"#)),
                ("t".to_owned(), some(r#"{"S":"A"}"#), some(r#"{"S":"B"}"#)),
            ]
        );
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = format!(r#"{{"a":{{"S":"{}"}}}}"#, "ü".repeat(200));
        let found = attribute_differences(long.as_bytes(), b"{}");
        assert_eq!(
            found[0].source.as_ref().map(|text| text.chars().count()),
            Some(MAX_VALUE_CHARACTERS + 1)
        );
        assert!(attribute_differences(b"[", b"{}").is_empty());
    }
}
