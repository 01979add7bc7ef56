//! Which attributes of two items with the same key differ, as DynamoDB sees it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::AttributeDifference;
use crate::item::item_digest;

/// Attributes told of one item.
const TOLD: usize = 10;

/// Characters of a value.
const VALUE_CHARACTERS: usize = 80;

type Attributes<'a> = BTreeMap<String, &'a RawValue>;

/// The first attributes that differ, by name. Nothing where a text is no JSON object.
pub(crate) fn differing(source: &[u8], target: &[u8]) -> Vec<AttributeDifference> {
    let (Ok(source), Ok(target)) = (
        serde_json::from_slice::<Attributes<'_>>(source),
        serde_json::from_slice::<Attributes<'_>>(target),
    ) else {
        return Vec::new();
    };

    let mut names: Vec<&String> = source.keys().chain(target.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&String| match (source.get(*name), target.get(*name)) {
        (Some(source), Some(target)) => digest(source) != digest(target),
        _ => true,
    };
    let shown =
        |side: &Attributes<'_>, name: &str| side.get(name).map(|value| clipped(value.get()));
    let told = names.into_iter().filter(differs).take(TOLD);
    told.map(|name| AttributeDifference {
        name: name.clone(),
        source: shown(&source, name),
        target: shown(&target, name),
    })
    .collect()
}

/// The digest of an item with this attribute alone; `None` is equal to itself only where both values cannot be read.
fn digest(value: &RawValue) -> Option<u128> {
    item_digest(format!(r#"{{"a":{}}}"#, value.get()).as_bytes()).ok()
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_something_else_is_told() {
        let source = br#"{"id":{"S":"a"},"n":{"N":"1.0"},"set":{"SS":["x","y"]},"gone":{"S":"old"},"t":{"S":"A"}}"#;
        let target = br#"{"t":{"S":"B"},"new":{"BOOL":true},"set":{"SS":["y","x"]},"n":{"N":"1"},"id":{"S":"a"}}"#;
        let told: Vec<_> = differing(source, target)
            .into_iter()
            .map(|found| (found.name, found.source, found.target))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
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
        let found = differing(long.as_bytes(), b"{}");
        assert_eq!(
            found[0].source.as_ref().map(|text| text.chars().count()),
            Some(VALUE_CHARACTERS + 1)
        );
        assert!(differing(b"[", b"{}").is_empty());
    }
}
