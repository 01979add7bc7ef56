//! Mask rules: the paths, actions and conditions in a rule file.

use std::ops::Range;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::super::jq::Condition;
use super::fakes::FakeKind;
use super::path::AttributePath;
use crate::error::{Error, Result};
use crate::item::{KeyAttribute, KeySchema};

/// Maximum size of a rule file, in bytes.
const FILE_BYTES: usize = 1024 * 1024;

/// Action of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MaskAction {
    Redact,
    Null,
    Drop,
    Hash,
    Fake,
    KeepFormat,
    ShiftDate,
}

impl MaskAction {
    fn needs_key(self) -> bool {
        matches!(
            self,
            Self::Hash | Self::Fake | Self::KeepFormat | Self::ShiftDate
        )
    }
}

/// A rule file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    #[serde(default)]
    rule: Vec<Spanned<RuleEntry>>,
}

/// A rule as written. Spans are the positions of errors.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    path: Spanned<String>,
    action: Spanned<MaskAction>,
    when: Option<Spanned<String>>,
    kind: Option<Spanned<FakeKind>>,
    by: Option<Spanned<String>>,
}

/// One rule.
pub(crate) struct MaskRule {
    pub(crate) path: AttributePath,
    pub(crate) action: MaskAction,
    pub(crate) when: Option<Condition>,
    /// Kind of fake data; present if the action is [`MaskAction::Fake`].
    pub(crate) kind: Option<FakeKind>,
    /// Path of the value that determines the number of days; only for [`MaskAction::ShiftDate`].
    pub(crate) by: Option<AttributePath>,
    /// Position in the file, for messages.
    pub(crate) position: String,
}

/// The rules of a file, in order.
pub struct MaskRules {
    name: String,
    pub(crate) rules: Vec<MaskRule>,
    sha256: String,
}

/// Name and text of a rule file, for errors.
struct RuleSource<'a> {
    name: &'a str,
    text: &'a str,
}

impl RuleSource<'_> {
    /// File name, line and column of the start of `span`.
    fn position(&self, span: &Range<usize>) -> String {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;

        format!(
            "{} line {}, column {column}",
            self.name,
            before.matches('\n').count() + 1
        )
    }

    fn error(&self, span: &Range<usize>, what: &str) -> Error {
        Error::usage(format!("{}: {what}", self.position(span)))
            .with_hint("see docs/masking.md for an example")
    }
}

impl MaskRules {
    /// Parses the text of a rule file. Errors call the file `name`.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the file or one of its rules is invalid; the
    /// error has line and column.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        if text.len() > FILE_BYTES {
            return Err(Error::usage(format!(
                "{name} is longer than {FILE_BYTES} bytes"
            )));
        }

        let source = RuleSource { name, text };
        let file: RuleFile = toml::from_str(text).map_err(|error| {
            source.error(
                &error.span().unwrap_or(0..0),
                &error.message().replace('\n', ", "),
            )
        })?;

        if file.rule.is_empty() {
            return Err(Error::usage(format!("{name} contains no rules"))
                .with_hint("start each rule with [[rule]]; it needs a path and an action"));
        }

        let rules = file
            .rule
            .into_iter()
            .map(|rule| parse_rule(&source, rule))
            .collect::<Result<_>>()?;

        let sha256 = hex::encode(Sha256::digest(text));

        Ok(Self {
            name: name.to_owned(),
            rules,
            sha256,
        })
    }

    /// The name of the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the file, hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether a rule requires a [`MaskKey`](super::MaskKey).
    #[must_use]
    pub fn need_key(&self) -> bool {
        self.rules.iter().any(|rule| rule.action.needs_key())
    }

    /// Whether a rule has a condition (`when`).
    #[must_use]
    pub fn have_conditions(&self) -> bool {
        self.rules.iter().any(|rule| rule.when.is_some())
    }

    /// Checks that no rule removes a key. A key attribute of the table must keep a value of its
    /// type, and a key attribute of an index must not be null.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage), naming the rule and the attribute.
    pub fn check_keys(&self, table: &KeySchema, indexes: &[KeyAttribute]) -> Result<()> {
        for rule in &self.rules {
            // A deeper path cannot reach a key: keys are strings, numbers or binaries.
            let Some(attribute) = rule.path.attribute() else {
                continue;
            };

            let of_table = table.names().any(|name| name == attribute);
            let of_index = indexes.iter().any(|key| key.name == attribute);
            let what = match rule.action {
                MaskAction::Drop if of_table => "dropped",
                MaskAction::Null if of_table || of_index => "null",
                _ => continue,
            };

            let whose = if of_table { "the table" } else { "an index" };
            return Err(Error::usage(format!(
                "{}: `{attribute}` is a key of {whose} and cannot be {what}",
                rule.position
            ))
            .with_hint("use hash, which keeps keys distinct"));
        }

        Ok(())
    }

    /// Whether a rule masks a key attribute of the table, so that different keys could become
    /// equal.
    #[must_use]
    pub fn change_key(&self, table: &KeySchema) -> bool {
        self.rules
            .iter()
            .filter_map(|rule| rule.path.attribute())
            .any(|attribute| table.names().any(|n| n == attribute))
    }

    /// Whether all rules for key attributes of the table are hashes, so that different keys remain
    /// different.
    #[must_use]
    pub fn hash_key(&self, table: &KeySchema) -> bool {
        let of_key = |rule: &&MaskRule| {
            rule.path
                .attribute()
                .is_some_and(|found| table.names().any(|name| name == found))
        };

        self.rules
            .iter()
            .filter(of_key)
            .all(|rule| rule.action == MaskAction::Hash)
    }
}

impl std::fmt::Debug for MaskRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskRules")
            .field("name", &self.name)
            .field("rules", &self.rules.len())
            .field("sha256", &self.sha256)
            .finish()
    }
}

fn parse_rule(source: &RuleSource<'_>, rule: Spanned<RuleEntry>) -> Result<MaskRule> {
    let whole = rule.span();
    let position = source.position(&whole);
    let rule = rule.into_inner();
    let path = |text: &Spanned<String>| {
        AttributePath::parse(text.get_ref()).map_err(|what| source.error(&text.span(), &what))
    };
    let action = *rule.action.get_ref();
    match (&rule.kind, action) {
        (None, MaskAction::Fake) => {
            return Err(source.error(
                &rule.action.span(),
                "fake requires a kind: kind = \"name\", \"email\", \"phone\" or \"address\"",
            ));
        }
        (Some(kind), action) if action != MaskAction::Fake => {
            return Err(source.error(&kind.span(), "kind requires action = \"fake\""));
        }
        _ => {}
    }

    if let (Some(by), true) = (&rule.by, action != MaskAction::ShiftDate) {
        return Err(source.error(&by.span(), "by requires action = \"shift-date\""));
    }

    let when = rule.when.map(|when| {
        Condition::compile(
            &format!("{}: when", source.position(&when.span())),
            when.get_ref(),
        )
    });

    Ok(MaskRule {
        path: path(&rule.path)?,
        action,
        when: when.transpose()?,
        kind: rule.kind.map(Spanned::into_inner),
        by: rule.by.as_ref().map(path).transpose()?,
        position,
    })
}
