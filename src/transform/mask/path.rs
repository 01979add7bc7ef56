//! Where a rule applies: names into maps, `*` for every element of a list.

use std::fmt;

use jaq_json::{Map, Rc, Val};

use super::super::document::{ErrorMessage, string_value};
use super::leaks::SensitiveValues;

/// Steps of a path; an item is nested 32 levels deep at most.
const MAX_SEGMENTS: usize = 64;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PathSegment {
    Name(String),
    Elements,
}

/// A path that leads to any number of places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttributePath {
    segments: Vec<PathSegment>,
    written: String,
}

/// What becomes of a place.
pub(crate) enum Edit {
    Keep,
    Remove,
}

impl AttributePath {
    /// Reads a path; a backslash takes the meaning from a dot or star behind it.
    pub(crate) fn parse(written: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let (mut name, mut escaped, mut plain) = (String::new(), false, true);
        let mut finish = |name: &mut String, plain: &mut bool| {
            let name = std::mem::take(name);
            segments.push(if name == "*" && std::mem::replace(plain, true) {
                PathSegment::Elements
            } else {
                PathSegment::Name(name)
            });

            *plain = true;
        };

        for character in written.chars() {
            match character {
                _ if std::mem::take(&mut escaped) => {
                    if !matches!(character, '.' | '*' | '\\') {
                        return Err(format!(
                            "`\\{character}` in the path: a backslash stands before a dot, a star or a backslash"
                        ));
                    }

                    plain = false;
                    name.push(character);
                }
                '\\' => escaped = true,
                '.' => finish(&mut name, &mut plain),
                _ => name.push(character),
            }
        }

        if escaped {
            return Err("the path ends with a backslash".to_owned());
        }

        finish(&mut name, &mut plain);

        if segments
            .iter()
            .any(|step| *step == PathSegment::Name(String::new()))
        {
            return Err("the path has an empty name".to_owned());
        }

        if segments[0] == PathSegment::Elements {
            return Err(
                "the path begins with `*`: an item is a map, and its attributes have names"
                    .to_owned(),
            );
        }

        if segments.len() > MAX_SEGMENTS {
            return Err(format!("the path has more than {MAX_SEGMENTS} steps"));
        }

        Ok(Self {
            segments,
            written: written.to_owned(),
        })
    }

    /// The attribute's name, if the path leads to an attribute of the item itself.
    pub(crate) fn attribute(&self) -> Option<&str> {
        match &self.segments[..] {
            [PathSegment::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// Calls `edit` for each place that the path leads to.
    pub(crate) fn visit<F>(&self, item: &mut Map, edit: &mut F) -> Result<(), ErrorMessage>
    where
        F: FnMut(&mut Val) -> Result<Edit, ErrorMessage>,
    {
        in_map(item, &self.segments, edit)
    }

    /// Whether there is a place that the path leads to.
    pub(crate) fn matches(&self, item: &Map) -> Result<bool, ErrorMessage> {
        let mut found = false;
        self.visit(&mut item.clone(), &mut |_| {
            found = true;
            Ok(Edit::Keep)
        })?;
        Ok(found)
    }

    /// Adds the values of all places that the path leads to.
    pub(crate) fn add_to(&self, originals: &mut SensitiveValues, item: &Map) {
        let mut add = |value: &mut Val| {
            originals.add(value);
            Ok(Edit::Keep)
        };
        // This edit never fails.
        let _ = self.visit(&mut item.clone(), &mut add);
    }

    /// The first place that the path leads to.
    pub(crate) fn first(&self, item: &Map) -> Option<Val> {
        let mut found = None;
        // A copy of one level, since the values are shared.
        let _ = self.visit(&mut item.clone(), &mut |value| {
            found.get_or_insert_with(|| value.clone());
            Ok(Edit::Keep)
        });
        found
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn in_map<F>(map: &mut Map, segments: &[PathSegment], edit: &mut F) -> Result<(), ErrorMessage>
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

    if let Edit::Remove = at(value, rest, edit)? {
        map.shift_remove(&name);
    }

    Ok(())
}

fn at<F>(value: &mut Val, segments: &[PathSegment], edit: &mut F) -> Result<Edit, ErrorMessage>
where
    F: FnMut(&mut Val) -> Result<Edit, ErrorMessage>,
{
    let Some((next, rest)) = segments.split_first() else {
        return edit(value);
    };

    let Val::Obj(typed) = value else {
        return Ok(Edit::Keep);
    };

    let is_set = typed.keys().any(|tag| {
        ["SS", "NS", "BS"]
            .iter()
            .any(|set| *tag == string_value(*set))
    });
    if *next == PathSegment::Elements && rest.is_empty() && is_set {
        return edit(value);
    }

    let wanted = string_value(if *next == PathSegment::Elements {
        "L"
    } else {
        "M"
    });
    match Rc::make_mut(typed).get_mut(&wanted) {
        Some(Val::Obj(map)) => in_map(Rc::make_mut(map), segments, edit)?,
        Some(Val::Arr(list)) => {
            let list = Rc::make_mut(list);
            let mut kept = Vec::with_capacity(list.len());
            for mut element in list.drain(..) {
                if let Edit::Keep = at(&mut element, rest, edit)? {
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

    fn places(path: &str, item: &str) -> Vec<String> {
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
        assert_eq!(places("a.b.*.c", item), [r#"{"S":"1"}"#, r#"{"S":"2"}"#]);
        assert_eq!(places("a.b.*", item).len(), 3);
        assert_eq!(places(r"a\.b", item), [r#"{"S":"dot"}"#]);
        assert_eq!(places(r"\*", item), [r#"{"S":"star"}"#]);
        assert_eq!(places("s.*", item), [r#"{"SS":["p","q"]}"#]);

        for nowhere in ["b", "a.c", "a.*", "a.b.c", "s.p", "a.b.*.c.d", r"s.\*"] {
            assert!(places(nowhere, item).is_empty(), "{nowhere}");
        }
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        for path in ["", ".", "a.", ".a", "a..b", "*", "*.a", "a\\", r"a\b"] {
            assert!(AttributePath::parse(path).is_err(), "{path}");
        }
    }
}
