//! A table name, or a pattern of table names.

use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;

use crate::environment::is_table_name;
use crate::error::{Error, Result};

/// Maximum length of a pattern, that of a table name.
const MAX_BYTES: usize = 255;

/// A table name, or a pattern: `*` stands for any number of characters, `?` for exactly one.
#[derive(Debug, Clone)]
pub struct TablePattern {
    text: String,
    /// Captures the text of each wildcard.
    regex: Regex,
}

impl TablePattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern matches this name, all of it.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }

    /// Whether this is one name, without wildcards.
    #[must_use]
    pub fn is_name(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    /// The texts that the wildcards stand for in this name, in order; `None` if the pattern does not match.
    pub(super) fn wildcard_texts<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let captures = self.regex.captures(name)?;
        let texts = captures.iter().skip(1).flatten();

        Some(texts.map(|text| text.as_str()).collect())
    }
}

impl FromStr for TablePattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let has_wildcard = text.contains(['*', '?']);
        let is_pattern = has_wildcard && text.len() <= MAX_BYTES && text.bytes().all(is_allowed);
        if !is_pattern && !is_table_name(text) {
            return Err(Error::usage(format!(
                "\"{text}\" is neither a table name nor a pattern"
            ))
            .with_hint(
                "table names have 3 to 255 letters, digits, `_`, `-` and `.`; a pattern may also contain `*` and `?`",
            ));
        }

        let mut regex = String::from("^");
        for character in text.chars() {
            match character {
                '*' => regex.push_str("(.*)"),
                '?' => regex.push_str("(.)"),
                '.' => regex.push_str(r"\."),
                other => regex.push(other),
            }
        }
        regex.push('$');

        let regex = Regex::new(&regex).map_err(|error| {
            Error::usage(format!("the pattern \"{text}\" is too complex")).with_source(error)
        })?;

        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for TablePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TablePattern {}

/// Whether a pattern may contain this byte.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-*?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn pattern(text: &str) -> TablePattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_star_matches_any_text_and_a_question_mark_one_character() {
        for (text, name, expected) in [
            ("films", "films", true),
            ("films", "films2", false),
            ("films", "my-films", false),
            ("prod-*", "prod-films", true),
            ("prod-*", "prod-", true),
            ("prod-*", "my-prod-films", false),
            ("*-films", "prod-films", true),
            ("*", "anything", true),
            ("prod-?", "prod-1", true),
            ("prod-?", "prod-12", false),
            ("prod-??", "prod-12", true),
            ("p*d-*s", "prod-films", true),
            // A dot and a hyphen are ordinary characters, and upper case is not lower case.
            ("a.b*", "axbc", false),
            ("a.b*", "a.bc", true),
            ("Prod-*", "prod-films", false),
        ] {
            assert_eq!(pattern(text).matches(name), expected, "{text} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_more_than_linear_time() {
        let pattern = pattern(&format!("{}b", "*a".repeat(60)));
        assert!(!pattern.matches(&"a".repeat(255)));
    }

    #[test]
    fn each_wildcard_has_the_text_that_it_stands_for() {
        assert_eq!(
            pattern("prod-*-v?").wildcard_texts("prod-big-films-v2"),
            Some(vec!["big-films", "2"])
        );
        assert_eq!(pattern("films").wildcard_texts("films"), Some(Vec::new()));
        assert_eq!(pattern("films").wildcard_texts("other"), None);
    }

    #[test]
    fn only_names_and_patterns_are_accepted() {
        for text in ["films", "*", "a*", "??", "a.b-c_D9"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert!(pattern("films").is_name());
        assert!(!pattern("film?").is_name());

        for text in [
            "",
            "ab",
            "a b*",
            "täble*",
            "a/b",
            "[ab]*",
            "{a,b}*",
            "a,b*",
            &"*".repeat(256),
            "arn:aws:dynamodb:::table/x",
        ] {
            let error = text.parse::<TablePattern>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
        }
    }
}
