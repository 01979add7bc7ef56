//! What a Scan is to leave out at the table: a filter, and the attributes that are wanted.
//!
//! Names and literals in an expression become placeholders, so that nobody stumbles over DynamoDB's 573 reserved words and a condition
//! can be written as it is read: `year > 1990 and genre = "Drama"`. What is a placeholder already stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::read::quoted;
use crate::error::{Error, Result};
use crate::item::KeySchema;

/// DynamoDB's own words in a condition; those that make values of themselves are below.
const WORDS: [&str; 5] = ["AND", "OR", "NOT", "BETWEEN", "IN"];

/// How the placeholders begin that are made here, behind their sign.
const OURS: &str = "dd";

/// What a Scan leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    filter: Option<String>,
    projection: Option<String>,
    /// What was asked for, as it was written.
    asked: (Option<String>, Option<String>),
    /// Each placeholder with its name.
    names: BTreeMap<String, String>,
    /// Each placeholder with its value, in DynamoDB JSON.
    values: BTreeMap<String, String>,
}

impl Selection {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filter.is_none() && self.projection.is_none()
    }

    /// The filter as it was written.
    #[must_use]
    pub fn filter(&self) -> Option<&str> {
        self.asked.0.as_deref()
    }

    /// The projection as it was written.
    #[must_use]
    pub fn projection(&self) -> Option<&str> {
        self.asked.1.as_deref()
    }

    /// What tells this selection from others: what was asked for and the user's own placeholders, filter and projection.
    #[must_use]
    pub fn identity(&self) -> (Option<String>, Option<String>) {
        let filter = self.asked.0.as_ref().map(|filter| {
            let own = |(name, text): (&String, &String)| {
                (!name[1..].starts_with(OURS)).then(|| format!(" {name}={text}"))
            };
            let own = self
                .names
                .iter()
                .filter_map(own)
                .chain(self.values.iter().filter_map(own));

            format!("{filter}{}", own.collect::<String>())
        });

        (filter, self.asked.1.clone())
    }

    /// The same with a filter; `names` and `values` are JSON objects of its placeholders.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): they are not, or a literal does not end.
    pub fn with_filter(
        mut self,
        filter: &str,
        names: Option<&str>,
        values: Option<&str>,
    ) -> Result<Self> {
        if let Some(names) = names {
            let names: BTreeMap<String, String> = serde_json::from_str(names)
                .map_err(|error| unusable("--names", r##"{"#y":"year"}"##, error))?;
            names
                .keys()
                .try_for_each(|name| own("--names", name, '#'))?;
            self.names.extend(names);
        }

        if let Some(values) = values {
            let values: BTreeMap<String, Box<RawValue>> = serde_json::from_str(values)
                .map_err(|error| unusable("--values", r#"{":y":{"N":"1990"}}"#, error))?;
            values
                .keys()
                .try_for_each(|name| own("--values", name, ':'))?;
            self.values.extend(
                values
                    .into_iter()
                    .map(|(name, value)| (name, value.get().to_owned())),
            );
        }

        self.filter = Some(self.with_placeholders(filter)?);
        self.asked.0 = Some(filter.to_owned());

        Ok(self)
    }

    /// The same with these attributes alone, paths with commas between them.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): one of them is empty.
    pub fn with_projection(mut self, paths: &str) -> Result<Self> {
        let paths_of: Vec<&str> = paths.split(',').map(str::trim).collect();
        if paths_of.iter().any(|path| {
            path.split('.')
                .any(|name| name.split('[').next().is_none_or(str::is_empty))
        }) {
            return Err(
                Error::usage(format!("--projection {paths}: a name is empty")).with_hint(
                    "write attributes with commas between them: --projection title,info.rating",
                ),
            );
        }

        let with = paths_of
            .iter()
            .map(|path| self.path(path))
            .collect::<Vec<_>>();
        self.projection = Some(with.join(", "));
        self.asked.1 = Some(paths.to_owned());

        Ok(self)
    }

    /// The same, whose projection has the key: without it an item could not be told from others.
    #[must_use]
    pub fn with_key(mut self, key: &KeySchema) -> Self {
        if let Some(mut projection) = self.projection.take() {
            let asked = self.asked.1.clone().unwrap_or_default();
            for name in key
                .names()
                .filter(|name| asked.split(',').all(|path| path.trim() != *name))
            {
                let placeholder = self.name(name);
                let _ = write!(projection, ", {placeholder}");
            }

            self.projection = Some(projection);
        }

        self
    }

    /// The members of the request, each with a comma before it.
    pub(crate) fn members(&self) -> String {
        let mut members = String::new();
        for (name, expression) in [
            ("FilterExpression", &self.filter),
            ("ProjectionExpression", &self.projection),
        ] {
            if let Some(expression) = expression {
                let _ = write!(members, r#","{name}":{}"#, quoted(expression));
            }
        }

        let object = |pairs: Vec<String>| format!("{{{}}}", pairs.join(","));
        if !self.names.is_empty() {
            let pairs = self
                .names
                .iter()
                .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)));
            let _ = write!(
                members,
                r#","ExpressionAttributeNames":{}"#,
                object(pairs.collect())
            );
        }

        if !self.values.is_empty() {
            let pairs = self
                .values
                .iter()
                .map(|(name, value)| format!("{}:{value}", quoted(name)));
            let _ = write!(
                members,
                r#","ExpressionAttributeValues":{}"#,
                object(pairs.collect())
            );
        }

        members
    }

    /// The placeholder of a name.
    fn name(&mut self, name: &str) -> String {
        if let Some((known, _)) = self.names.iter().find(|(_, known)| *known == name) {
            return known.clone();
        }

        let placeholder = format!("#{OURS}{}", self.names.len());
        self.names.insert(placeholder.clone(), name.to_owned());

        placeholder
    }

    /// The placeholder of a value in DynamoDB JSON.
    fn value(&mut self, value: String) -> String {
        let placeholder = format!(":{OURS}{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    /// A path whose names are placeholders.
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

    /// An expression whose names and literals are placeholders.
    fn with_placeholders(&mut self, text: &str) -> Result<String> {
        let mut made = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let is_value = first.is_ascii_digit() || first == '-' || first == '+';
            let length = match first {
                '"' | '\'' => {
                    1 + rest[1..]
                        .find(first)
                        .map(|at| at + 1)
                        .ok_or_else(|| unended(text, rest))?
                }
                '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
                '#' | ':' => 1 + word(&rest[1..]),
                _ if is_value => {
                    1 + rest[1..]
                        .find(|c: char| !is_of_number(c))
                        .unwrap_or(rest.len() - 1)
                }
                _ if is_of_word(first) => word(rest),
                other => other.len_utf8(),
            };

            let (token, behind) = rest.split_at(length);
            match first {
                '"' | '\'' => {
                    let value = format!(r#"{{"S":{}}}"#, quoted(&token[1..token.len() - 1]));
                    made.push_str(&self.value(value));
                }
                _ if is_value => {
                    made.push_str(&self.value(format!(r#"{{"N":{}}}"#, quoted(token))));
                }
                _ if is_of_word(first) => {
                    let is_function = behind.trim_start().starts_with('(');
                    let upper = token.to_ascii_uppercase();
                    match upper.as_str() {
                        _ if WORDS.contains(&upper.as_str()) || is_function => made.push_str(token),
                        "TRUE" | "FALSE" => {
                            let value = format!(r#"{{"BOOL":{}}}"#, upper.to_ascii_lowercase());
                            made.push_str(&self.value(value));
                        }
                        "NULL" => made.push_str(&self.value(r#"{"NULL":true}"#.to_owned())),
                        _ => made.push_str(&self.name(token)),
                    }
                }
                _ => made.push_str(token),
            }

            rest = behind;
        }

        Ok(made)
    }
}

/// Bytes of the word that a text begins with.
fn word(text: &str) -> usize {
    text.find(|c: char| !is_of_word(c) && !c.is_ascii_digit())
        .unwrap_or(text.len())
}

/// What DynamoDB takes in names outside placeholders, and the hyphen, which it does not and many names have.
fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

fn is_of_number(character: char) -> bool {
    character.is_ascii_digit() || matches!(character, '.' | 'e' | 'E' | '+' | '-')
}

/// Checks a placeholder of the user's own.
fn own(option: &str, name: &str, sign: char) -> Result<()> {
    match name.strip_prefix(sign) {
        Some(word) if !word.is_empty() && !word.starts_with(OURS) => Ok(()),
        Some(word) if word.starts_with(OURS) => Err(Error::usage(format!(
            "{option}: `{name}` is a placeholder that dynadump makes"
        ))
        .with_hint(format!("choose one that does not begin with {sign}{OURS}"))),
        _ => Err(
            Error::usage(format!("{option}: `{name}` is no placeholder"))
                .with_hint(format!("begin it with {sign}, as in {sign}a")),
        ),
    }
}

fn unended(text: &str, rest: &str) -> Error {
    let column = text.chars().count() - rest.chars().count() + 1;
    Error::usage(format!(
        "--filter, column {column}: the text that begins here has no end"
    ))
    .with_hint("close it with the sign that it begins with")
}

fn unusable(option: &str, example: &str, error: serde_json::Error) -> Error {
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
            selection.members(),
            concat!(
                r##","FilterExpression":"#dd0 >= :dd0 AND (#dd1.#dd2[0] = :dd1 or NOT begins_with(#dd3, :dd2)) and #dd4 = :dd3","##,
                r##""ExpressionAttributeNames":{"#dd0":"year","#dd1":"info","#dd2":"tags","#dd3":"title","#dd4":"live"},"##,
                r#""ExpressionAttributeValues":{":dd0":{"N":"1990"},":dd1":{"S":"a \"b\""},":dd2":{"S":"Th"},":dd3":{"BOOL":true}}"#
            )
        );

        assert!(filter("a = -1.5e3").members().contains(r#"{"N":"-1.5e3"}"#));
        assert!(
            filter("user-id = 1")
                .members()
                .contains(r##"{"#dd0":"user-id"}"##)
        );
    }

    #[test]
    fn placeholders_of_the_users_own_stay() {
        let selection = Selection::default()
            .with_filter(
                "#y > :from",
                Some(r##"{"#y":"year"}"##),
                Some(r#"{":from":{"N":"1990.0"}}"#),
            )
            .unwrap();

        assert_eq!(
            selection.members(),
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
            selection.members(),
            r##","ProjectionExpression":"#dd0, #dd1.#dd2[1], #dd3, #dd4","ExpressionAttributeNames":{"#dd0":"title","#dd1":"info","#dd2":"rating","#dd3":"id","#dd4":"at"}"##
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
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
