//! Filter and projection of a Scan, which DynamoDB applies on the server.
//!
//! Names and literals in an expression become placeholders, because DynamoDB reserves 573 words.
//! Conditions can therefore be written as they are read: `year > 1990 and genre = "Drama"`.
//! Existing placeholders are kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::json::json_string;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::item::KeySchema;

/// DynamoDB's operators in a condition. Words that are literals are handled separately.
const OPERATORS: [&str; 5] = ["AND", "OR", "NOT", "BETWEEN", "IN"];

const NAMES: Field = Field::ExpressionAttributeNames;
const VALUES: Field = Field::ExpressionAttributeValues;

/// Prefix of generated placeholders, after their sign.
const GENERATED_PREFIX: &str = "dd";

/// The expressions of a Scan as the user writes them, named as in the AWS API.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expressions<'a> {
    /// The condition that items must satisfy.
    pub filter_expression: Option<&'a str>,
    /// Attribute paths, separated by commas.
    pub projection_expression: Option<&'a str>,
    /// A JSON object: attribute names by placeholder (`#name`).
    pub expression_attribute_names: Option<&'a str>,
    /// A JSON object: values in DynamoDB JSON by placeholder (`:value`).
    pub expression_attribute_values: Option<&'a str>,
}

/// An attribute path of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProjectedPath {
    /// The path with placeholders in place of names.
    text: String,
    /// Name of the attribute that the path starts with, or is.
    attribute: String,
    /// Whether the path is the attribute itself, not something inside it.
    is_attribute: bool,
}

/// A filter and a projection with their placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    filter: Option<String>,
    projection: Vec<ProjectedPath>,
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
        self.filter.is_none() && self.projection.is_empty()
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

    /// The identity of the filter in journals: the original expression and the user's own
    /// placeholders.
    #[must_use]
    pub fn filter_identity(&self) -> Option<String> {
        let filter = self.original_filter.as_ref()?;
        let names = self.names.iter().filter_map(user_placeholder);
        let values = self.values.iter().filter_map(user_placeholder);
        let placeholders: String = names.chain(values).collect();

        Some(format!("{filter}{placeholders}"))
    }

    /// The identity of the projection in journals, like that of the filter.
    #[must_use]
    pub fn projection_identity(&self) -> Option<String> {
        let projection = self.original_projection.as_ref()?;
        let placeholders: String = self.names.iter().filter_map(user_placeholder).collect();

        Some(format!("{projection}{placeholders}"))
    }

    /// Parses expressions. Placeholders for names can be used in both of them, those for values in
    /// the filter.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) if placeholders are not JSON objects or have
    /// invalid names, if a literal is not terminated, or if a projected path contains an empty name.
    pub fn parse(expressions: &Expressions<'_>) -> Result<Self> {
        let mut selection = Self::default();

        if let Some(names) = expressions.expression_attribute_names {
            selection.names = parse_placeholders(NAMES, names, '#', r##"{"#y":"year"}"##)?;
        }

        if let Some(values) = expressions.expression_attribute_values {
            let values: BTreeMap<String, Box<RawValue>> =
                parse_placeholders(VALUES, values, ':', r#"{":y":{"N":"1990"}}"#)?;
            selection.values = values
                .into_iter()
                .map(|(placeholder, value)| (placeholder, value.get().to_owned()))
                .collect();
        }

        if let Some(filter) = expressions.filter_expression {
            selection.filter = Some(selection.with_placeholders(filter)?);
            selection.original_filter = Some(filter.to_owned());
        }

        if let Some(projection) = expressions.projection_expression {
            selection.set_projection(projection)?;
        }

        Ok(selection)
    }

    fn set_projection(&mut self, projection: &str) -> Result<()> {
        for path in projection.split(',').map(str::trim) {
            let has_empty_name = path.split('.').any(|part| attribute_name(part).is_empty());
            if has_empty_name {
                return Err(Error::usage(format!(
                    "{projection_expression} {projection}: a name is empty",
                    projection_expression = Field::ProjectionExpression
                ))
                .with_hint(format!(
                    "separate attributes by commas: {projection_expression} title,info.rating",
                    projection_expression = Field::ProjectionExpression
                )));
            }

            let projected = self.projected_path(path);
            self.projection.push(projected);
        }

        self.original_projection = Some(projection.to_owned());

        Ok(())
    }

    fn projected_path(&mut self, path: &str) -> ProjectedPath {
        let first = path.split('.').next().unwrap_or(path);
        let name = attribute_name(first);
        let attribute = self.names.get(name).map_or(name, String::as_str).to_owned();

        ProjectedPath {
            text: self.path(path),
            attribute,
            is_attribute: name == path,
        }
    }

    /// Adds the key to the projection, because items are identified by their key.
    #[must_use]
    pub fn with_key(mut self, key: &KeySchema) -> Self {
        if self.projection.is_empty() {
            return self;
        }

        for name in key.names() {
            let is_projected = |path: &ProjectedPath| path.is_attribute && path.attribute == name;
            if self.projection.iter().any(is_projected) {
                continue;
            }

            // DynamoDB rejects a projection of an attribute and of a path inside it. A key attribute is
            // a scalar, so such a path matches nothing.
            self.projection.retain(|path| path.attribute != name);
            let text = self.name(name);
            self.projection.push(ProjectedPath {
                text,
                attribute: name.to_owned(),
                is_attribute: true,
            });
        }

        self
    }

    /// The members of a request body, each with a comma before it.
    pub(crate) fn request_members(&self) -> String {
        let mut request_members = String::new();
        if let Some(filter) = &self.filter {
            let filter = json_string(filter);
            let _ = write!(request_members, r#","FilterExpression":{filter}"#);
        }

        if !self.projection.is_empty() {
            let paths: Vec<&str> = self
                .projection
                .iter()
                .map(|path| path.text.as_str())
                .collect();
            let projection = json_string(&paths.join(", "));
            let _ = write!(request_members, r#","ProjectionExpression":{projection}"#);
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

/// A placeholder that the user defined, as text; `None` for a generated one, which follows from its
/// expression.
fn user_placeholder((placeholder, text): (&String, &String)) -> Option<String> {
    let is_generated = placeholder[1..].starts_with(GENERATED_PREFIX);

    (!is_generated).then(|| format!(" {placeholder}={text}"))
}

/// The name in one part of a path, without list indexes.
fn attribute_name(part: &str) -> &str {
    part.split('[').next().unwrap_or(part)
}

/// Parses a JSON object of placeholders, each of which starts with `sign`.
fn parse_placeholders<T: DeserializeOwned>(
    field: Field,
    text: &str,
    sign: char,
    example: &str,
) -> Result<BTreeMap<String, T>> {
    let placeholders: BTreeMap<String, T> =
        serde_json::from_str(text).map_err(|error| invalid_placeholders(field, example, error))?;
    for placeholder in placeholders.keys() {
        check_placeholder(field, placeholder, sign)?;
    }

    Ok(placeholders)
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
fn check_placeholder(field: Field, placeholder: &str, sign: char) -> Result<()> {
    match placeholder.strip_prefix(sign) {
        Some(name) if name.starts_with(GENERATED_PREFIX) => Err(Error::usage(format!(
            "{field}: placeholders that start with {sign}{GENERATED_PREFIX} are reserved: `{placeholder}`"
        ))
        .with_hint("choose another name")),
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err(
            Error::usage(format!("{field}: `{placeholder}` is not a placeholder"))
                .with_hint(format!("placeholders start with {sign}, for example {sign}a")),
        ),
    }
}

fn unterminated_literal(text: &str, rest: &str) -> Error {
    let column = text.chars().count() - rest.chars().count() + 1;
    Error::usage(format!(
        "{filter_expression}, column {column}: unterminated string",
        filter_expression = Field::FilterExpression
    ))
    .with_hint("add the closing quote")
}

fn invalid_placeholders(field: Field, example: &str, error: serde_json::Error) -> Error {
    Error::usage(format!("{field} is not a JSON object of placeholders"))
        .with_hint(format!("for example {field} '{example}'"))
        .with_source(error)
}

#[cfg(test)]
mod tests;
