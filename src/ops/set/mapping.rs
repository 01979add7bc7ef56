//! Target names for several tables: rules such as `dev-*=prod-*`, and prefixes that are removed or added.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::pattern::TablePattern;
use crate::environment::is_table_name;
use crate::error::{Error, Result};
use crate::similar::did_you_mean;

/// A table and the name of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedTable {
    /// Name of the table that is read.
    pub source: String,
    /// Name of the table that is written.
    pub target: String,
}

/// The names of targets. The first rule that matches a table decides; prefixes apply to the tables that no rule matches. Without
/// either, each table keeps its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableMapping {
    /// Rules that must match at least one table.
    pub rules: Vec<MappingRule>,
    /// Rules of a file, which may be about other tables, too. They follow `rules`.
    pub file_rules: Vec<MappingRule>,
    /// Prefix to remove from the names that have it.
    pub strip_prefix: Option<String>,
    /// Prefix to add, after removing the other one.
    pub add_prefix: Option<String>,
}

/// A rule `A=B`: tables that match the pattern `A` get the name `B`, in which each `*` and `?` stands for the text of the
/// wildcard of the same kind and order in `A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingRule {
    pattern: TablePattern,
    target: String,
}

impl MappingRule {
    /// The name of the target; `None` if the rule does not match.
    fn target(&self, name: &str) -> Option<String> {
        let texts = self.pattern.wildcard_texts(name)?;
        let wildcards = self.pattern.as_str().matches(['*', '?']);
        let found: Vec<(&str, &str)> = wildcards.zip(texts).collect();
        let [mut stars, mut marks] =
            ["*", "?"].map(|kind| found.iter().filter(move |(found, _)| *found == kind));

        let mut target = String::new();
        for character in self.target.chars() {
            let text = match character {
                '*' => stars.next(),
                '?' => marks.next(),
                other => {
                    target.push(other);
                    continue;
                }
            };
            target.extend(text.map(|(_, text)| *text));
        }

        Some(target)
    }
}

impl FromStr for MappingRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (pattern, target) = text
            .split_once('=')
            .map(|(pattern, target)| (pattern.trim(), target.trim()))
            .filter(|(_, target)| !target.is_empty())
            .ok_or_else(|| {
                Error::usage(format!("\"{text}\" does not map one table name to another"))
                    .with_hint("write it as FROM=TO, for example 'dev-*=prod-*'")
            })?;

        let pattern: TablePattern = pattern.parse()?;
        for wildcard in ['*', '?'] {
            let count = |text: &str| text.matches(wildcard).count();
            if count(target) > count(pattern.as_str()) {
                return Err(Error::usage(format!(
                    "\"{text}\" has more `{wildcard}` on the right than on the left"
                ))
                .with_hint("each wildcard on the right is replaced by the text that it matches on the left"));
            }
        }

        Ok(Self {
            pattern,
            target: target.to_owned(),
        })
    }
}

impl fmt::Display for MappingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.target)
    }
}

impl TableMapping {
    /// Adds the rules of a file: one `A=B` per line. Empty lines and lines that start with `#` are ignored. `file` is its name for
    /// errors.
    ///
    /// # Errors
    /// A line is not a rule.
    pub fn add_file(&mut self, file: &str, text: &str) -> Result<()> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }

            let rule = line.parse().map_err(|error: Error| {
                let hint = error.hint().unwrap_or_default().to_owned();
                Error::usage(format!("`{file}` line {number}: {error}")).with_hint(hint)
            })?;
            self.file_rules.push(rule);
        }

        Ok(())
    }

    /// Whether each table keeps its name.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }

    /// The target of each table, in the same order.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::ErrorKind::NotFound): a rule or the prefix to remove matches none of the tables.
    /// [`Usage`](crate::error::ErrorKind::Usage): a target is not a valid table name, or two tables have the same target.
    pub fn targets(&self, names: &[String]) -> Result<Vec<MappedTable>> {
        self.check_matches(names)?;

        let tables: Vec<MappedTable> = names
            .iter()
            .map(|source| MappedTable {
                source: source.clone(),
                target: self.target(source),
            })
            .collect();

        check_names(&tables)?;
        check_collisions(&tables)?;

        Ok(tables)
    }

    /// The pattern of the targets of all tables that match `pattern`; `None` if the mapping tells these tables apart.
    #[must_use]
    pub fn target_pattern(&self, pattern: &TablePattern) -> Option<String> {
        let text = pattern.as_str();
        let mut rules = self.rules.iter().chain(&self.file_rules);
        let is_uniform = match (rules.next(), &self.strip_prefix) {
            _ if pattern.is_name() => true,
            (Some(rule), _) => rule.pattern == *pattern,
            (None, Some(prefix)) => text.starts_with(prefix) && !prefix.contains(['*', '?']),
            (None, None) => true,
        };

        is_uniform.then(|| self.target(text))
    }

    fn target(&self, name: &str) -> String {
        let mut rules = self.rules.iter().chain(&self.file_rules);
        if let Some(target) = rules.find_map(|rule| rule.target(name)) {
            return target;
        }

        let stripped = self
            .strip_prefix
            .as_deref()
            .and_then(|prefix| name.strip_prefix(prefix));

        self.add_prefix.clone().unwrap_or_default() + stripped.unwrap_or(name)
    }

    /// Fails if a rule or a prefix matches nothing: it is probably misspelled, and tables would be written under other names
    /// than intended.
    fn check_matches(&self, names: &[String]) -> Result<()> {
        let unmatched = self
            .rules
            .iter()
            .find(|rule| !names.iter().any(|name| rule.pattern.matches(name)));
        if let Some(rule) = unmatched {
            let pattern = rule.pattern.as_str();
            return Err(unmatched_error(
                format!("no table matches \"{pattern}\" of the mapping \"{rule}\""),
                pattern,
                names,
            ));
        }

        match &self.strip_prefix {
            Some(prefix) if !names.iter().any(|name| name.starts_with(prefix)) => {
                Err(unmatched_error(
                    format!("no table has the prefix \"{prefix}\" to remove"),
                    prefix,
                    names,
                ))
            }
            _ => Ok(()),
        }
    }
}

fn unmatched_error(message: String, wanted: &str, names: &[String]) -> Error {
    let wanted = wanted.replace(['*', '?'], "");
    let similar = did_you_mean(&wanted, names.iter().map(String::as_str));

    Error::not_found(message)
        .with_hint(similar.unwrap_or_else(|| "check the names of the tables".to_owned()))
}

fn check_names(tables: &[MappedTable]) -> Result<()> {
    let invalid: Vec<String> = tables
        .iter()
        .filter(|table| !is_table_name(&table.target))
        .map(|table| format!("{} → \"{}\"", table.source, table.target))
        .collect();
    if invalid.is_empty() {
        return Ok(());
    }

    Err(
        Error::usage("the mapping leads to names that DynamoDB would reject")
            .with_details(invalid)
            .with_hint("table names have 3 to 255 letters, digits, `_`, `-` and `.`"),
    )
}

fn check_collisions(tables: &[MappedTable]) -> Result<()> {
    let mut sources: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for table in tables {
        sources
            .entry(&table.target)
            .or_default()
            .push(&table.source);
    }

    let collisions: Vec<String> = sources
        .iter()
        .filter(|(_, sources)| sources.len() > 1)
        .map(|(target, sources)| format!("{} → {target}", sources.join(", ")))
        .collect();
    if collisions.is_empty() {
        return Ok(());
    }

    Err(Error::usage("several tables would have the same target")
        .with_details(collisions)
        .with_hint("change the mapping, or select fewer tables"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;

    fn mapping(rules: &[&str]) -> TableMapping {
        TableMapping {
            rules: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
            ..TableMapping::default()
        }
    }

    fn prefixes(strip: &str, add: &str) -> TableMapping {
        let prefix = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        TableMapping {
            strip_prefix: prefix(strip),
            add_prefix: prefix(add),
            ..TableMapping::default()
        }
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn targets(mapping: &TableMapping, names: &[&str]) -> Vec<String> {
        let tables = mapping.targets(&owned(names)).unwrap();
        tables.into_iter().map(|table| table.target).collect()
    }

    #[test]
    fn a_rule_keeps_the_text_of_its_wildcards() {
        for (rule, name, target) in [
            ("dev-*=prod-*", "dev-films", "prod-films"),
            ("films=movies", "films", "movies"),
            ("*-v?=v?-*", "films-v2", "v2-films"),
            ("*_*=*-*", "a_b_c", "a_b-c"),
            ("tmp-*=archive", "tmp-films", "archive"),
        ] {
            assert_eq!(targets(&mapping(&[rule]), &[name]), [target], "{rule}");
        }
    }

    #[test]
    fn the_first_matching_rule_decides_and_other_tables_keep_their_names() {
        let mapping = mapping(&["dev-films=cinema", "dev-*=prod-*"]);
        assert_eq!(
            targets(&mapping, &["dev-films", "dev-users", "other"]),
            ["cinema", "prod-users", "other"]
        );
    }

    #[test]
    fn prefixes_are_removed_and_added_where_no_rule_matches() {
        assert_eq!(
            targets(&prefixes("prod-", "dev-"), &["prod-films", "users"]),
            ["dev-films", "dev-users"]
        );

        let mapping = TableMapping {
            rules: vec!["prod-films=cinema".parse().unwrap()],
            ..prefixes("prod-", "")
        };
        assert_eq!(
            targets(&mapping, &["prod-films", "prod-users"]),
            ["cinema", "users"]
        );
    }

    #[test]
    fn a_pattern_of_targets_covers_the_targets_of_all_tables() {
        for (mapping, pattern, expected) in [
            (TableMapping::default(), "prod-*", Some("prod-*")),
            (mapping(&["prod-*=dev-*"]), "prod-*", Some("dev-*")),
            (mapping(&["prod-*=dev-*"]), "prod-films", Some("dev-films")),
            (mapping(&["prod-a*=x-*"]), "prod-*", None),
            (mapping(&["prod-a=x", "prod-*=dev-*"]), "prod-*", None),
            (prefixes("prod-", "dev-"), "prod-*", Some("dev-*")),
            (prefixes("prod-", "dev-"), "*", None),
            (prefixes("", "dev-"), "*", Some("dev-*")),
        ] {
            let pattern: TablePattern = pattern.parse().unwrap();
            let found = mapping.target_pattern(&pattern);
            assert_eq!(found.as_deref(), expected, "{mapping:?} {pattern}");
        }
    }

    #[test]
    fn a_file_has_a_rule_per_line_and_may_name_other_tables() {
        let mut mapping = mapping(&["films=cinema"]);
        let text = "# staging\n\n films = movies \nusers=people\r\nabsent=nowhere\n";
        mapping.add_file("map.txt", text).unwrap();
        assert_eq!(targets(&mapping, &["films", "users"]), ["cinema", "people"]);

        let error = mapping.add_file("map.txt", "films=a\nusers\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`map.txt` line 2: \"users\" does not map one table name to another"
        );
    }

    #[test]
    fn a_rule_or_prefix_without_a_match_is_an_error_that_suggests_names() {
        let names = owned(&["dev-films", "dev-users"]);
        for mapping in [mapping(&["dve-*=prod-*"]), prefixes("dve-", "")] {
            let error = mapping.targets(&names).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.hint().unwrap().contains("dev-films"), "{error:?}");
        }
    }

    #[test]
    fn two_tables_with_one_target_are_refused_and_named() {
        let mapping = mapping(&["dev-*=*"]);
        let error = mapping
            .targets(&owned(&["dev-films", "films", "users"]))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(error.details(), ["dev-films, films → films"]);
    }

    #[test]
    fn a_target_that_dynamodb_would_reject_is_refused_and_named() {
        let long = format!("films={}", "x".repeat(256));
        for rule in ["films=ab", "films=a/b", "films=täble", &long] {
            let error = mapping(&[rule]).targets(&owned(&["films"])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{rule}");
            assert!(error.details()[0].starts_with("films → "), "{rule}");
        }

        let error = prefixes("prod-", "")
            .targets(&owned(&["prod-a"]))
            .unwrap_err();
        assert_eq!(error.details(), ["prod-a → \"a\""]);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for rule in [
            "", "films", "=films", "films=", "films=*", "*=*-*", "a b=abc",
        ] {
            let error = rule.parse::<MappingRule>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn no_two_tables_ever_have_the_same_target(
            names in proptest::collection::btree_set("[abc]{3,6}", 1..12),
            rules in proptest::collection::vec(("[abc*?]{3,5}", "[abc*?]{3,5}"), 0..4),
            strip in "[abc]{0,2}",
            add in "[abc]{0,2}",
        ) {
            let mapping = TableMapping {
                // Of a file, so that a rule need not match.
                file_rules: rules.iter().filter_map(|(a, b)| format!("{a}={b}").parse().ok()).collect(),
                ..prefixes(&strip, &add)
            };
            let names: Vec<String> = names.into_iter().collect();
            match mapping.targets(&names) {
                Ok(tables) => {
                    let sources: Vec<&String> = tables.iter().map(|table| &table.source).collect();
                    let targets: BTreeSet<&String> = tables.iter().map(|table| &table.target).collect();
                    prop_assert_eq!(sources, names.iter().collect::<Vec<_>>());
                    prop_assert_eq!(targets.len(), names.len());
                    prop_assert!(targets.iter().all(|target| is_table_name(target)));
                }
                Err(error) => prop_assert!(matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound)),
            }
        }
    }
}
