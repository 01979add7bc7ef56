//! Selection of the tables of a command.
//!
//! The form of a selection decides whether a command handles one table or a set: one plain name is one table; a list, a pattern,
//! all tables or tags are a set, even if only one table matches.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::pattern::TablePattern;
use crate::environment::{Environment, ValueSource, table_error};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::layout::counted;
use crate::ops::missing_table::no_tables_hint;
use crate::similar::did_you_mean;
use crate::store::Reader;

/// Maximum number of lookups in flight.
pub(super) const MAX_LOOKUPS: usize = 16;

/// Time of lookups that is reported before them.
const REPORTED_LOOKUP_TIME: Duration = Duration::from_secs(5);

/// Maximum number of names that an error shows as examples.
const MAX_EXAMPLES: usize = 3;

/// The tables that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One table; `None` if neither the request nor the environment names one.
    One(Option<String>),
    /// A set of tables.
    Many(TableSelection),
}

/// Options that select tables, in addition to the table setting of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectionOptions {
    /// Select all tables, whatever the table setting is.
    pub all: bool,
    /// Tables to leave out.
    pub exclude: Vec<TablePattern>,
    /// Keys and values of tags that a table must have, all of them.
    pub with_tags: Vec<(String, String)>,
}

/// A selection of tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSelection {
    /// Names and patterns of tables.
    pub include: Vec<TablePattern>,
    /// Tables to leave out.
    pub exclude: Vec<TablePattern>,
    /// Keys and values of tags that a table must have, all of them.
    pub with_tags: Vec<(String, String)>,
    /// Select all tables; `include` is empty.
    pub all: bool,
}

impl TableSelection {
    /// Text that is equal for equal selections.
    pub(super) fn identity(&self) -> String {
        let patterns = |patterns: &[TablePattern]| {
            let texts: Vec<&str> = patterns.iter().map(TablePattern::as_str).collect();
            texts.join(",")
        };
        let tags = self
            .with_tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"));

        format!(
            "{}\n{}\n{:?}\n{}",
            patterns(&self.include),
            patterns(&self.exclude),
            tags.collect::<Vec<_>>(),
            self.all
        )
    }
}

impl Scope {
    /// The scope that the table setting of the environment and the options describe.
    ///
    /// # Errors
    /// The setting is not valid, names a table twice, or names one table although the options select several.
    pub fn resolve(environment: &Environment, options: &SelectionOptions) -> Result<Self> {
        let selection = |include, all| {
            Self::Many(TableSelection {
                include,
                exclude: options.exclude.clone(),
                with_tags: options.with_tags.clone(),
                all,
            })
        };

        if options.all {
            return Ok(selection(Vec::new(), true));
        }

        let filters = if options.with_tags.is_empty() {
            (!options.exclude.is_empty()).then_some(Field::Exclude)
        } else {
            Some(Field::WithTags)
        };
        let setting = environment.table();
        match (setting, filters) {
            (Some(setting), _) if is_list(&setting.value) => {
                let include =
                    parse_list(&setting.value).map_err(|what| table_error(setting, &what))?;
                Ok(selection(include, false))
            }
            (_, None) => Ok(Self::One(
                environment.single_table()?.map(ToOwned::to_owned),
            )),
            // Tags select by themselves.
            (None, Some(Field::WithTags)) => Ok(selection(Vec::new(), true)),
            (None, Some(filter)) => Err(Error::usage(format!(
                "{filter} needs a selection of tables that it applies to"
            ))
            .with_hint(several_tables_hint())),
            (Some(setting), Some(filter)) => Err(table_error(
                setting,
                &format!("names one table, but {filter} applies to a selection of several"),
            )
            .with_hint(several_tables_hint())),
        }
    }
}

/// Whether a table setting is a list or a pattern.
fn is_list(setting: &str) -> bool {
    setting.contains([',', '*', '?'])
}

fn several_tables_hint() -> String {
    format!(
        "add {all}, or a list or a pattern as {table}",
        all = Field::AllTables,
        table = Field::Table
    )
}

/// The names and patterns in a list that is separated by commas. The error says what is wrong with the setting.
fn parse_list(list: &str) -> std::result::Result<Vec<TablePattern>, String> {
    let mut patterns: Vec<TablePattern> = Vec::new();
    for entry in list.split(',').map(str::trim) {
        if entry.is_empty() {
            return Err("is a list with an empty entry".to_owned());
        }

        let pattern: TablePattern = entry
            .parse()
            .map_err(|error: Error| format!("is a list that is not valid: {error}"))?;
        if patterns.contains(&pattern) {
            return Err(format!("names \"{entry}\" twice"));
        }

        patterns.push(pattern);
    }

    Ok(patterns)
}

impl TableSelection {
    /// The selection of a command that lists tables: all of them, unless the request names some or the environment names several.
    ///
    /// # Errors
    /// See [`Scope::resolve`].
    pub fn for_listing(environment: &Environment, options: &SelectionOptions) -> Result<Self> {
        let is_named = environment.table().is_some_and(|setting| {
            matches!(setting.source, ValueSource::Field(_)) || is_list(&setting.value)
        });
        let options = SelectionOptions {
            all: options.all || !is_named,
            ..options.clone()
        };

        Ok(match Scope::resolve(environment, &options)? {
            Scope::Many(selection) => selection,
            Scope::One(table) => Self {
                include: table
                    .iter()
                    .map(|name| name.parse())
                    .collect::<Result<_>>()?,
                ..Self::default()
            },
        })
    }

    /// A selection of all tables.
    #[must_use]
    pub fn all_tables() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether the names of the existing tables are needed.
    pub(crate) fn needs_listing(&self) -> bool {
        self.all || self.include.iter().any(|pattern| !pattern.is_name())
    }

    /// The tables that are selected by name. Without wildcards, a table need not exist.
    ///
    /// # Errors
    /// The first pattern that matches no table.
    fn by_name<'p>(
        &'p self,
        existing: &[String],
    ) -> std::result::Result<BTreeSet<String>, &'p TablePattern> {
        let mut selected = BTreeSet::new();
        if self.all {
            selected.extend(existing.iter().cloned());
        }

        for pattern in &self.include {
            if pattern.is_name() {
                selected.insert(pattern.as_str().to_owned());
                continue;
            }

            let before = existing.iter().filter(|name| pattern.matches(name));
            let matched: Vec<String> = before.cloned().collect();
            if matched.is_empty() {
                return Err(pattern);
            }

            selected.extend(matched);
        }

        selected.retain(|name| !self.exclude.iter().any(|pattern| pattern.matches(name)));

        Ok(selected)
    }
}

/// The names of the selected tables, sorted. Tables that are listed by name need not exist.
///
/// # Errors
/// [`NotFound`](crate::error::ErrorKind::NotFound): a pattern matches no table, or no table remains. The tables cannot be listed,
/// or the tags of one cannot be read.
pub async fn select(
    store: &Reader,
    environment: &Environment,
    selection: &TableSelection,
) -> Result<Vec<String>> {
    let existing = if selection.needs_listing() {
        store.table_names().await?
    } else {
        Vec::new()
    };
    let candidates = selection
        .by_name(&existing)
        .map_err(|pattern| unmatched(pattern, environment, &existing))?;

    let selected = if selection.with_tags.is_empty() {
        candidates.into_iter().collect()
    } else {
        with_tags(store, candidates, &selection.with_tags).await?
    };

    if selected.is_empty() {
        return Err(nothing_selected(selection, environment, &existing));
    }

    Ok(selected)
}

/// Those tables that have all of these tags. Tables that do not exist have none.
async fn with_tags(
    store: &Reader,
    candidates: BTreeSet<String>,
    wanted: &[(String, String)],
) -> Result<Vec<String>> {
    let time = store.lookup_time(candidates.len());
    if time >= REPORTED_LOOKUP_TIME {
        store.inform(format!(
            "Reading the tags of {} takes about {} s",
            counted(candidates.len() as u64, "table"),
            time.as_secs()
        ));
    }

    let lookups = candidates.into_iter().map(|table| async move {
        let tags = store.tags(&table).await?;
        store.forget(&table);
        let has_tag = |(key, value): &(String, String)| tags.get(key) == Some(value);

        Ok(wanted.iter().all(has_tag).then_some(table))
    });
    let mut lookups = stream::iter(lookups).buffered(MAX_LOOKUPS);

    let mut selected = Vec::new();
    while let Some(table) = lookups.next().await {
        selected.extend(table?);
    }

    Ok(selected)
}

fn unmatched(pattern: &TablePattern, environment: &Environment, existing: &[String]) -> Error {
    let error = Error::not_found(format!(
        "no table of environment {} matches \"{pattern}\"",
        environment.name()
    ));
    if existing.is_empty() {
        return error.with_hint(no_tables_hint(environment));
    }

    let wanted = pattern.as_str().replace(['*', '?'], "");
    let similar = did_you_mean(&wanted, existing.iter().map(String::as_str));
    error.with_hint(similar.unwrap_or_else(|| {
        let examples = &existing[..existing.len().min(MAX_EXAMPLES)];
        format!("its tables are named like {}", examples.join(", "))
    }))
}

fn nothing_selected(
    selection: &TableSelection,
    environment: &Environment,
    existing: &[String],
) -> Error {
    let name = environment.name();
    if selection.needs_listing() && existing.is_empty() {
        return Error::not_found(format!("environment {name} has no tables"))
            .with_hint(no_tables_hint(environment));
    }

    if selection.with_tags.is_empty() {
        return Error::not_found(format!(
            "all selected tables of environment {name} are excluded"
        ))
        .with_hint(format!("change {}", Field::Exclude));
    }

    let tags: Vec<String> = selection
        .with_tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    Error::not_found(format!(
        "none of the selected tables of environment {name} has the tags {}",
        tags.join(" ")
    ))
    .with_hint("keys and values of tags are case-sensitive")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{EnvironmentRequest, ProcessEnvironment};
    use crate::error::ErrorKind;

    fn patterns(texts: &[&str]) -> Vec<TablePattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn selection(include: &[&str], exclude: &[&str]) -> TableSelection {
        TableSelection {
            include: patterns(include),
            exclude: patterns(exclude),
            ..TableSelection::default()
        }
    }

    fn by_name(selection: &TableSelection) -> std::result::Result<Vec<String>, String> {
        let existing = ["dev-films", "dev-users", "prod-films", "prod-users", "x"];
        let existing = existing.map(str::to_owned);
        let selected = selection.by_name(&existing).map_err(ToString::to_string)?;

        Ok(selected.into_iter().collect())
    }

    #[test]
    fn names_and_patterns_select_each_table_once() {
        for (include, exclude, expected) in [
            (&["prod-*"][..], &[][..], &["prod-films", "prod-users"][..]),
            (
                &["*-films", "prod-*"],
                &[],
                &["dev-films", "prod-films", "prod-users"],
            ),
            (
                &["prod-*", "prod-films"],
                &[],
                &["prod-films", "prod-users"],
            ),
            (&["*"], &["dev-*", "?"], &["prod-films", "prod-users"]),
            (&["prod-*"], &["prod-users"], &["prod-films"]),
            // A name need not exist: its absence is an error of that table only.
            (&["absent", "dev-films"], &[], &["absent", "dev-films"]),
            (&["prod-*"], &["*"], &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(
                by_name(&selection(include, exclude)),
                Ok(expected),
                "{include:?}"
            );
        }
    }

    #[test]
    fn a_pattern_without_a_match_is_named() {
        assert_eq!(
            by_name(&selection(&["prod-*", "staging-*"], &[])),
            Err("staging-*".to_owned())
        );
        // It matches, although its tables are excluded.
        assert_eq!(
            by_name(&selection(&["prod-*"], &["prod-*"])),
            Ok(Vec::new())
        );
    }

    #[test]
    fn all_tables_are_selected_without_naming_one() {
        let all = TableSelection {
            exclude: patterns(&["*-*"]),
            ..TableSelection::all_tables()
        };
        assert_eq!(by_name(&all), Ok(vec!["x".to_owned()]));
    }

    async fn scope(table: Option<&str>, options: &SelectionOptions) -> Result<Scope> {
        let request = EnvironmentRequest {
            no_env: true,
            endpoint_url: Some("http://127.0.0.1:1".to_owned()),
            working_dir: std::env::temp_dir(),
            table: table.map(ToOwned::to_owned),
            ..EnvironmentRequest::default()
        };
        let process = ProcessEnvironment::default();
        let environment = crate::store::resolve_environment(&request, &process).await?;

        Scope::resolve(&environment, options)
    }

    #[tokio::test]
    async fn the_form_of_the_table_setting_decides_between_one_table_and_a_set() {
        let none = SelectionOptions::default();
        let one = |name: &str| Scope::One(Some(name.to_owned()));
        assert_eq!(scope(Some("films"), &none).await.unwrap(), one("films"));
        assert_eq!(scope(None, &none).await.unwrap(), Scope::One(None));

        for (setting, include) in [
            ("films,users", &["films", "users"][..]),
            ("prod-*, users ", &["prod-*", "users"]),
            ("film?", &["film?"]),
        ] {
            let expected = Scope::Many(selection(include, &[]));
            assert_eq!(scope(Some(setting), &none).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn options_filter_a_selection_but_not_one_plain_name() {
        let exclude = SelectionOptions {
            exclude: patterns(&["*-tmp"]),
            ..SelectionOptions::default()
        };
        let tags = SelectionOptions {
            with_tags: vec![("team".to_owned(), "billing".to_owned())],
            ..SelectionOptions::default()
        };

        let excluded = Scope::Many(selection(&["prod-*"], &["*-tmp"]));
        assert_eq!(scope(Some("prod-*"), &exclude).await.unwrap(), excluded);

        // Tags alone select from all tables.
        let Scope::Many(tagged) = scope(None, &tags).await.unwrap() else {
            panic!("tags select a set");
        };
        assert!(tagged.all && tagged.with_tags == tags.with_tags);

        for (table, options) in [
            (Some("films"), &exclude),
            (Some("films"), &tags),
            (None, &exclude),
        ] {
            let error = scope(table, options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{table:?}");
        }
    }

    #[tokio::test]
    async fn a_list_with_an_empty_invalid_or_repeated_entry_is_refused() {
        for (setting, expected) in [
            ("films,", "empty entry"),
            ("films,,users", "empty entry"),
            ("films,a b", "not valid"),
            ("films,users,films", "names \"films\" twice"),
            ("prod-*,prod-*", "names \"prod-*\" twice"),
        ] {
            let error = scope(Some(setting), &SelectionOptions::default())
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{setting}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
