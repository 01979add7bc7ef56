//! A validator for the part of JSON Schema that docs/report.schema.json uses. Any other keyword is an error.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value};

/// Keywords that do not restrict a value.
const ANNOTATIONS: [&str; 4] = ["$schema", "$defs", "title", "description"];

/// docs/report.schema.json.
pub(crate) fn report_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
        let text = fs::read_to_string(path).expect("docs/report.schema.json");
        serde_json::from_str(&text).expect("JSON")
    });

    &SCHEMA
}

/// Why a value does not match a schema, each with its place in the value; empty if it matches.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut validator = Validator {
        root: schema,
        found: Vec::new(),
    };
    validator.check(schema, value, "");

    validator.found
}

struct Validator<'a> {
    root: &'a Value,
    found: Vec<String>,
}

impl<'a> Validator<'a> {
    fn check(&mut self, schema: &'a Value, value: &Value, place: &str) {
        let keywords = schema.as_object().expect("a schema is an object");
        for (keyword, expected) in keywords {
            match keyword.as_str() {
                "$ref" => self.check(self.definition(expected), value, place),
                "type" if !has_type(expected, value) => {
                    self.found
                        .push(format!("{place}: {value} is not {expected}"));
                }
                "enum" if !list(expected).contains(value) => {
                    self.found
                        .push(format!("{place}: {value} is none of {expected}"));
                }
                "minimum" if value.as_f64() < expected.as_f64() && value.is_number() => {
                    self.found
                        .push(format!("{place}: {value} is less than {expected}"));
                }
                "anyOf" => self.check_any(list(expected), value, place),
                "required" => {
                    for name in list(expected) {
                        let name = name.as_str().expect("a name");
                        if value.is_object() && value.get(name).is_none() {
                            self.found.push(format!("{place}: {name} is missing"));
                        }
                    }
                }
                "properties" => self.check_properties(expected, keywords, value, place),
                "items" => {
                    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(expected, element, &format!("{place}/{index}"));
                    }
                }
                "type" | "enum" | "minimum" | "additionalProperties" => {}
                other => assert!(ANNOTATIONS.contains(&other), "keyword {other} is unknown"),
            }
        }
    }

    fn check_properties(
        &mut self,
        properties: &'a Value,
        keywords: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) {
        let allows_others = keywords.get("additionalProperties") != Some(&Value::Bool(false));
        for (name, field) in value.as_object().into_iter().flatten() {
            match properties.get(name) {
                Some(schema) => self.check(schema, field, &format!("{place}/{name}")),
                None if allows_others => {}
                None => self.found.push(format!("{place}: {name} is not expected")),
            }
        }
    }

    /// One of the alternatives must match; the violations of the closest one are listed.
    fn check_any(&mut self, alternatives: &'a [Value], value: &Value, place: &str) {
        let outcomes = alternatives.iter().map(|alternative| {
            let mut validator = Validator {
                root: self.root,
                found: Vec::new(),
            };
            validator.check(alternative, value, place);
            validator.found
        });
        let closest = outcomes.min_by_key(Vec::len);
        self.found.extend(closest.expect("an alternative"));
    }

    fn definition(&self, reference: &Value) -> &'a Value {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let found = pointer.and_then(|pointer| self.root.pointer(pointer));
        found.unwrap_or_else(|| panic!("{reference} does not exist"))
    }
}

fn has_type(expected: &Value, value: &Value) -> bool {
    if let Some(names) = expected.as_array() {
        return names.iter().any(|name| has_type(name, value));
    }
    match expected.as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("type {other} is unknown"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}
