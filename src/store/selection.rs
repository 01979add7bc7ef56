//! Filter and projection of a Scan, which DynamoDB applies on the server.
//!
//! Names and literals in an expression become placeholders, because DynamoDB reserves 573 words.
//! Conditions can therefore be written as they are read: `year > 1990 and genre = "Drama"`.
//! Existing placeholders are kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::json::json_string;
use crate::error::{Error, Result};
use crate::item::KeySchema;

/// DynamoDB's operators in a condition. Words that are literals are handled separately.
const OPERATORS: [&str; 5] = ["AND", "OR", "NOT", "BETWEEN", "IN"];

/// Prefix of generated placeholders, after their sign.
const GENERATED_PREFIX: &str = "dd";

/// A filter and a projection with their placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    filter: Option<String>,
    projection: Option<String>,
    /// The expressions as the user wrote them.
    original_filter: Option<String>,
    original_projection: Option<String>,
    /// Attribute names by placeholder.
    names: BTreeMap<String, String>,
    /// Values in DynamoDB JSON by placeholder.
    values: BTreeMap<String, String>,
}

impl Selection {
    /// Whether there is neither a filter nor a projection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filter.is_none() && self.projection.is_none()
    }

    /// The filter as the user wrote it.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.original_filter.as_deref()
    }

    /// The projection as the user wrote it.
    #[must_use]
    pub fn projection(&self) -> Option<&str> {
        self.original_projection.as_deref()
    }

    /// The identity of the filter in checkpoints: the original expression and the user's own
    /// placeholders.
    #[must_use]
    pub fn filter_identity(&self) -> Option<String> {
        let filter = self.original_filter.as_ref()?;

        // Generated placeholders follow from the expression.
        let user_placeholder = |(name, text): (&String, &String)| {
            (!name[1..].starts_with(GENERATED_PREFIX)).then(|| format!(" {name}={text}"))
        };
        let names = self.names.iter().filter_map(user_placeholder);
        let values = self.values.iter().filter_map(user_placeholder);
        let placeholders: String = names.chain(values).collect();

        Some(format!("{filter}{placeholders}"))
    }

    /// Adds a filter. `names` and `values` are JSON objects with its placeholders.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) if they are not, or if a literal is not
    /// terminated.
    pub fn with_filter(
        mut self,
        filter: &str,
        names: Option<&str>,
        values: Option<&str>,
    ) -> Result<Self> {
        if let Some(names) = names {
            let names: BTreeMap<String, String> = serde_json::from_str(names)
                .map_err(|error| invalid_placeholders("--names", r##"{"#y":"year"}"##, error))?;
            names
                .keys()
                .try_for_each(|name| check_placeholder("--names", name, '#'))?;
            self.names.extend(names);
        }

        if let Some(values) = values {
            let values: BTreeMap<String, Box<RawValue>> =
                serde_json::from_str(values).map_err(|error| {
                    invalid_placeholders("--values", r#"{":y":{"N":"1990"}}"#, error)
                })?;
            values
                .keys()
                .try_for_each(|name| check_placeholder("--values", name, ':'))?;
            self.values.extend(
                values
                    .into_iter()
                    .map(|(name, value)| (name, value.get().to_owned())),
            );
        }

        self.filter = Some(self.with_placeholders(filter)?);
        self.original_filter = Some(filter.to_owned());

        Ok(self)
    }

    /// Adds a projection: attribute paths, separated by commas.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) if one of them is empty.
    pub fn with_projection(mut self, paths: &str) -> Result<Self> {
        let parts: Vec<&str> = paths.split(',').map(str::trim).collect();
        if parts.iter().any(|path| {
            path.split('.')
                .any(|name| name.split('[').next().is_none_or(str::is_empty))
        }) {
            return Err(
                Error::usage(format!("--projection {paths}: a name is empty")).with_hint(
                    "write attributes with commas between them: --projection title,info.rating",
                ),
            );
        }

        let with = parts.iter().map(|path| self.path(path)).collect::<Vec<_>>();
        self.projection = Some(with.join(", "));
        self.original_projection = Some(paths.to_owned());

        Ok(self)
    }

    /// Adds the key to the projection, because items are identified by their key.
    #[must_use]
    pub fn with_key(mut self, key: &KeySchema) -> Self {
        if let Some(mut projection) = self.projection.take() {
            let original = self.original_projection.clone().unwrap_or_default();
            for name in key
                .names()
                .filter(|name| original.split(',').all(|path| path.trim() != *name))
            {
                let placeholder = self.name(name);
                let _ = write!(projection, ", {placeholder}");
            }

            self.projection = Some(projection);
        }

        self
    }

    /// The members of a request body, each with a comma before it.
    pub(crate) fn request_members(&self) -> String {
        let mut request_members = String::new();
        for (name, expression) in [
            ("FilterExpression", &self.filter),
            ("ProjectionExpression", &self.projection),
        ] {
            if let Some(expression) = expression {
                let _ = write!(request_members, r#","{name}":{}"#, json_string(expression));
            }
        }

        let object = |pairs: Vec<String>| format!("{{{}}}", pairs.join(","));
        if !self.names.is_empty() {
            let pairs = self
                .names
                .iter()
                .map(|(name, value)| format!("{}:{}", json_string(name), json_string(value)));
            let _ = write!(
                request_members,
                r#","ExpressionAttributeNames":{}"#,
                object(pairs.collect())
            );
        }

        if !self.values.is_empty() {
            let pairs = self
                .values
                .iter()
                .map(|(name, value)| format!("{}:{value}", json_string(name)));
            let _ = write!(
                request_members,
                r#","ExpressionAttributeValues":{}"#,
                object(pairs.collect())
            );
        }

        request_members
    }

    /// Returns the placeholder of a name.
    fn name(&mut self, name: &str) -> String {
        // A repeated name shares one placeholder.
        if let Some((known, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return known.clone();
        }

        let placeholder = format!("#{GENERATED_PREFIX}{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());

        placeholder
    }

    /// Returns the placeholder of a value in DynamoDB JSON.
    fn value(&mut self, value: String) -> String {
        let placeholder = format!(":{GENERATED_PREFIX}{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// Replaces the names in a path by placeholders.
    fn path(&mut self, path: &str) -> String {
        let named = path.split('.').map(|part| {
            let (name, index) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.starts_with('#') {
                part.to_owned()
            } else {
                format!("{}{index}", self.name(name))
            }
        });

        named.collect::<Vec<_>>().join(".")
    }

    /// Replaces the names and literals in an expression by placeholders.
    fn with_placeholders(&mut self, text: &str) -> Result<String> {
        let mut expression = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_value = first.is_ascii_digit() || first == '-' || first == '+';
            let length = match first {
                '"' | '\'' => {
                    1 + rest[1..]
                        .find(first)
                        .map(|at| at + 1)
                        .ok_or_else(|| unterminated_literal(text, rest))?
                }
                // An index such as `[0]` is copied as it is.
                '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
                '#' | ':' => 1 + name_length(&rest[1..]),
                _ if is_value => {
                    1 + rest[1..]
                        .find(|c: char| !is_number_char(c))
                        .unwrap_or(rest.len() - 1)
                }
                _ if is_name_char(first) => name_length(rest),
                other => other.len_utf8(),
            };

            // `length` is at least one character, so each iteration makes progress.
            let (token, rest_after) = rest.split_at(length);
            match first {
                '"' | '\'' => {
                    let value = format!(r#"{{"S":{}}}"#, json_string(&token[1..token.len() - 1]));
                    expression.push_str(&self.value(value));
                }
                _ if is_value => {
                    expression.push_str(&self.value(format!(r#"{{"N":{}}}"#, json_string(token))));
                }
                _ if is_name_char(first) => {
                    // A function is a name before a parenthesis: `begins_with (a, b)`.
                    let is_function = rest_after.trim_start().starts_with('(');
                    let upper = token.to_ascii_uppercase();
                    match upper.as_str() {
                        _ if OPERATORS.contains(&upper.as_str()) || is_function => {
                            expression.push_str(token);
                        }
                        "TRUE" | "FALSE" => {
                            let value = format!(r#"{{"BOOL":{}}}"#, upper.to_ascii_lowercase());
                            expression.push_str(&self.value(value));
                        }
                        "NULL" => expression.push_str(&self.value(r#"{"NULL":true}"#.to_owned())),
                        _ => expression.push_str(&self.name(token)),
                    }
                }
                _ => expression.push_str(token),
            }

            rest = rest_after;
        }

        Ok(expression)
    }
}

/// Length in bytes of the name at the start of a text.
fn name_length(text: &str) -> usize {
    text.find(|c: char| !is_name_char(c) && !c.is_ascii_digit())
        .unwrap_or(text.len())
}

/// Whether a character may be part of a name: DynamoDB's own rule, and the hyphen, which many
/// attribute names contain.
fn is_name_char(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

fn is_number_char(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, '.' | 'e' | 'E' | '+' | '-')
}

/// Checks a placeholder that the user defined.
fn check_placeholder(option: &str, name: &str, sign: char) -> Result<()> {
    match name.strip_prefix(sign) {
        Some(name_length)
            if !name_length.is_empty() && !name_length.starts_with(GENERATED_PREFIX) =>
        {
            Ok(())
        }
        Some(name_length) if name_length.starts_with(GENERATED_PREFIX) => Err(Error::usage(
            format!("{option}: `{name}` is a placeholder that dynadump makes"),
        )
        .with_hint(format!(
            "choose one that does not begin with {sign}{GENERATED_PREFIX}"
        ))),
        _ => Err(
            Error::usage(format!("{option}: `{name}` is no placeholder"))
                .with_hint(format!("begin it with {sign}, as in {sign}a")),
        ),
    }
}

fn unterminated_literal(text: &str, rest: &str) -> Error {
    let column = text.chars().count() - rest.chars().count() + 1;
    Error::usage(format!(
        "--filter, column {column}: the text that begins here has no end"
    ))
    .with_hint("close it with the sign that it begins with")
}

fn invalid_placeholders(option: &str, example: &str, error: serde_json::Error) -> Error {
    Error::usage(format!(
        "{option} is no JSON object of placeholders: {error}"
    ))
    .with_hint(format!("write it as {option} '{example}'"))
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{KeyAttribute, KeyType};

    fn filter(text: &str) -> Selection {
        Selection::default().with_filter(text, None, None).unwrap()
    }

    #[test]
    fn names_and_literals_become_placeholders() {
        let selection = filter(
            r#"year >= 1990 AND (info.tags[0] = 'a "b"' or NOT begins_with(title, "Th")) and live = true"#,
        );
        assert_eq!(
            selection.request_members(),
            concat!(
                r##","FilterExpression":"#dd0 >= :dd0 AND (#dd1.#dd2[0] = :dd1 or NOT begins_with(#dd3, :dd2)) and #dd4 = :dd3","##,
                r##""ExpressionAttributeNames":{"#dd0":"year","#dd1":"info","#dd2":"tags","#dd3":"title","#dd4":"live"},"##,
                r#""ExpressionAttributeValues":{":dd0":{"N":"1990"},":dd1":{"S":"a \"b\""},":dd2":{"S":"Th"},":dd3":{"BOOL":true}}"#
            )
        );

        assert!(
            filter("a = -1.5e3")
                .request_members()
                .contains(r#"{"N":"-1.5e3"}"#)
        );
        assert!(
            filter("user-id = 1")
                .request_members()
                .contains(r##"{"#dd0":"user-id"}"##)
        );
    }

    #[test]
    fn user_placeholders_are_kept() {
        let selection = Selection::default()
            .with_filter(
                "#y > :from",
                Some(r##"{"#y":"year"}"##),
                Some(r#"{":from":{"N":"1990.0"}}"#),
            )
            .unwrap();

        assert_eq!(
            selection.request_members(),
            r##","FilterExpression":"#y > :from","ExpressionAttributeNames":{"#y":"year"},"ExpressionAttributeValues":{":from":{"N":"1990.0"}}"##
        );
    }

    #[test]
    fn a_projection_always_has_the_key() {
        let key = KeySchema {
            partition: KeyAttribute {
                name: "id".to_owned(),
                kind: KeyType::S,
            },
            sort: Some(KeyAttribute {
                name: "at".to_owned(),
                kind: KeyType::N,
            }),
        };

        let selection = Selection::default()
            .with_projection("title, info.rating[1], id")
            .unwrap()
            .with_key(&key);
        assert_eq!(
            selection.request_members(),
            r##","ProjectionExpression":"#dd0, #dd1.#dd2[1], #dd3, #dd4","ExpressionAttributeNames":{"#dd0":"title","#dd1":"info","#dd2":"rating","#dd3":"id","#dd4":"at"}"##
        );
    }

    #[test]
    fn invalid_expressions_are_rejected() {
        let with = |filter: &str, names: Option<&str>, values: Option<&str>| {
            Selection::default()
                .with_filter(filter, names, values)
                .unwrap_err()
                .to_string()
        };

        assert!(with("a = 'b", None, None).contains("column 5"));
        assert!(with("a = :b", None, Some("[1]")).contains("--values"));
        assert!(with("a = :b", Some(r##"{"#a":1}"##), None).contains("--names"));
        assert!(with("a = :b", Some(r#"{"a":"b"}"#), None).contains("`a` is no placeholder"));
        assert!(with("a = :b", None, Some(r#"{"":{"S":"b"}}"#)).contains("`` is no placeholder"));
        assert!(
            with("a = :b", None, Some(r#"{":dd0":{"S":"b"}}"#)).contains("that dynadump makes")
        );

        for paths in ["", "a,,b", "a..b", "[0]"] {
            assert!(
                Selection::default().with_projection(paths).is_err(),
                "{paths}"
            );
        }
    }
}
