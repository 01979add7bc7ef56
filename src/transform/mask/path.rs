//! Paths of mask rules: names of attributes and map members, and `*` for the elements of a list.

use std::fmt;

use jaq_json::{Map, Rc, Val};

use super::super::document::{ErrorMessage, string_value};
use super::leaks::SensitiveValues;

/// Maximum number of segments. An item is nested at most 32 levels deep.
const MAX_SEGMENTS: usize = 64;

/// One segment of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathSegment {
    /// An attribute or a member of a map.
    Name(String),
    /// All elements of a list or set.
    Elements,
}

/// A path that selects any number of values in an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributePath {
    segments: Vec<PathSegment>,
    /// The path as written, for messages.
    text: String,
}

/// The action on a value after a visit.
pub(crate) enum Edit {
    Keep,
    /// Remove it from its map or list.
    Remove,
}

impl AttributePath {
    /// Parses a path. A backslash before a dot, a star or a backslash makes it part of a name.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let (mut name, mut is_escape, mut is_plain) = (String::new(), false, true);
        // A star is a wildcard only if no character of the segment is escaped.
        let mut finish_segment = |name: &mut String, is_plain: &mut bool| {
            let name = std::mem::take(name);
            segments.push(if name == "*" && *is_plain {
                PathSegment::Elements
            } else {
                PathSegment::Name(name)
            });

            *is_plain = true;
        };

        for character in path.chars() {
            match character {
                _ if std::mem::take(&mut is_escape) => {
                    if !matches!(character, '.' | '*' | '\\') {
                        return Err(format!(
                            "`\\{character}` in the path: a backslash escapes a dot, a star or a backslash"
                        ));
                    }

                    is_plain = false;
                    name.push(character);
                }
                '\\' => is_escape = true,
                '.' => finish_segment(&mut name, &mut is_plain),
                _ => name.push(character),
            }
        }

        if is_escape {
            return Err("the path ends with a backslash".to_owned());
        }

        finish_segment(&mut name, &mut is_plain);

        if segments
            .iter()
            .any(|segment| *segment == PathSegment::Name(String::new()))
        {
            return Err("the path has an empty name".to_owned());
        }

        if segments[0] == PathSegment::Elements {
            return Err("the path starts with `*`: name the attribute first".to_owned());
        }

        if segments.len() > MAX_SEGMENTS {
            return Err(format!("the path has more than {MAX_SEGMENTS} steps"));
        }

        Ok(Self {
            segments,
            text: path.to_owned(),
        })
    }

    /// The name of the attribute, if the path selects a top-level attribute.
    pub(crate) fn attribute(&self) -> Option<&str> {
        match &self.segments[..] {
            [PathSegment::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// Calls `edit` for each value that the path selects.
    pub(crate) fn visit<F>(&self, item: &mut Map, edit: &mut F) -> Result<(), ErrorMessage>
    where
        F: FnMut(&mut Val) -> Result<Edit, ErrorMessage>,
    {
        visit_map(item, &self.segments, edit)
    }

    /// Whether the path selects a value of the item.
    pub(crate) fn matches(&self, item: &Map) -> Result<bool, ErrorMessage> {
        let mut found = false;
        self.visit(&mut item.clone(), &mut |_| {
            found = true;
            Ok(Edit::Keep)
        })?;
        Ok(found)
    }

    /// Adds all values that the path selects to `values`.
    pub(crate) fn collect(&self, values: &mut SensitiveValues, item: &Map) {
        let mut add = |value: &mut Val| {
            values.add(value);
            Ok(Edit::Keep)
        };
        // This edit never fails.
        let _ = self.visit(&mut item.clone(), &mut add);
    }

    /// The first value that the path selects.
    pub(crate) fn first(&self, item: &Map) -> Option<Val> {
        let mut found = None;
        // Cloning a map copies one level: its values are reference-counted.
        let _ = self.visit(&mut item.clone(), &mut |value| {
            found.get_or_insert_with(|| value.clone());
            Ok(Edit::Keep)
        });
        found
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn visit_map<F>(map: &mut Map, segments: &[PathSegment], edit: &mut F) -> Result<(), ErrorMessage>
where
    F: FnMut(&mut Val) -> Result<Edit, ErrorMessage>,
{
    let Some((PathSegment::Name(name), rest)) = segments.split_first() else {
        return Ok(());
    };

    let name = string_value(name.as_str());
    let Some(value) = map.get_mut(&name) else {
        return Ok(());
    };

    if let Edit::Remove = visit_value(value, rest, edit)? {
        map.shift_remove(&name);
    }

    Ok(())
}

fn visit_value<F>(
    value: &mut Val,
    segments: &[PathSegment],
    edit: &mut F,
) -> Result<Edit, ErrorMessage>
where
    F: FnMut(&mut Val) -> Result<Edit, ErrorMessage>,
{
    let Some((segment, rest)) = segments.split_first() else {
        return edit(value);
    };

    let Val::Obj(typed) = value else {
        return Ok(Edit::Keep);
    };

    // A set is masked as a whole: its elements have no type of their own.
    let is_set = typed.keys().any(|tag| {
        ["SS", "NS", "BS"]
            .iter()
            .any(|set| *tag == string_value(*set))
    });
    if *segment == PathSegment::Elements && rest.is_empty() && is_set {
        return edit(value);
    }

    // The value may have another type than the path expects. Then nothing is selected.
    let wanted = string_value(if *segment == PathSegment::Elements {
        "L"
    } else {
        "M"
    });
    match Rc::make_mut(typed).get_mut(&wanted) {
        Some(Val::Obj(map)) => visit_map(Rc::make_mut(map), segments, edit)?,
        Some(Val::Arr(list)) => {
            let list = Rc::make_mut(list);
            let mut kept = Vec::with_capacity(list.len());
            for mut element in list.drain(..) {
                if let Edit::Keep = visit_value(&mut element, rest, edit)? {
                    kept.push(element);
                }
            }

            *list = kept;
        }
        _ => {}
    }

    Ok(Edit::Keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(path: &str, item: &str) -> Vec<String> {
        let Val::Obj(item) = jaq_json::read::parse_single(item.as_bytes()).unwrap() else {
            panic!("an object")
        };

        let mut found = Vec::new();
        let path = AttributePath::parse(path).unwrap();
        let mut visit = |value: &mut Val| {
            found.push(value.to_string());
            Ok(Edit::Keep)
        };
        path.visit(&mut (*item).clone(), &mut visit).unwrap();

        found
    }

    #[test]
    fn a_path_leads_into_maps_and_lists() {
        let item = r#"{"a":{"M":{"b":{"L":[{"M":{"c":{"S":"1"}}},{"S":"x"},{"M":{"c":{"S":"2"}}}]}}},
            "a.b":{"S":"dot"},"*":{"S":"star"},"s":{"SS":["p","q"]}}"#;
        assert_eq!(selected("a.b.*.c", item), [r#"{"S":"1"}"#, r#"{"S":"2"}"#]);
        assert_eq!(selected("a.b.*", item).len(), 3);
        assert_eq!(selected(r"a\.b", item), [r#"{"S":"dot"}"#]);
        assert_eq!(selected(r"\*", item), [r#"{"S":"star"}"#]);
        assert_eq!(selected("s.*", item), [r#"{"SS":["p","q"]}"#]);

        for nowhere in ["b", "a.c", "a.*", "a.b.c", "s.p", "a.b.*.c.d", r"s.\*"] {
            assert!(selected(nowhere, item).is_empty(), "{nowhere}");
        }
    }

    #[test]
    fn invalid_paths_are_refused() {
        for path in ["", ".", "a.", ".a", "a..b", "*", "*.a", "a\\", r"a\b"] {
            assert!(AttributePath::parse(path).is_err(), "{path}");
        }
    }
}
