//! Masks: replace sensitive values by rules, and check that no sensitive value remains.
//!
//! A mask depends only on the value and a key, so equal values have equal masks across items,
//! tables and runs. An item that a rule cannot mask is rejected, and so is an item that contains
//! the original value of a masked path elsewhere. The original values include those of the item as
//! read from the source, because earlier steps may have moved them.

mod dates;
mod fakes;
mod format;
mod leaks;
mod path;
mod rules;
mod scalar;
mod secret;
#[cfg(test)]
mod tests;
mod values;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jaq_json::{Map, Val};

use self::leaks::SensitiveValues;
use self::path::Edit;
pub use self::rules::MaskRules;
pub use self::secret::MaskKey;
use self::worker::MaskWorker;
use super::document::{self, string_value};
use super::item_step::{ItemStep, ItemWorker};
use crate::error::{Error, Result};
use crate::field::Field;

/// Placeholder for masked values in original items that are displayed.
const PLACEHOLDER: &str = "[masked]";

/// Mask rules and their key.
pub struct Masks {
    rules: MaskRules,
    key: Option<MaskKey>,
    /// Number of items that each rule has matched.
    matched: Vec<AtomicU64>,
}

impl Masks {
    /// Combines rules and key.
    ///
    /// # Errors
    /// [`Environment`](crate::error::ErrorKind::Environment): a rule needs a key and there is none.
    pub fn new(rules: MaskRules, key: Option<MaskKey>) -> Result<Self> {
        if let (true, None, Some(rule)) = (rules.need_key(), &key, rules.rules.first()) {
            return Err(Error::environment(format!(
                "{}: the rules need a key, and there is none",
                rule.position
            ))
            .with_hint(format!(
                "set DYNADUMP_MASK_KEY or {}; `openssl rand -hex 32` makes a key",
                Field::MaskKey
            )));
        }

        let matched = rules.rules.iter().map(|_| AtomicU64::new(0)).collect();

        Ok(Self {
            rules,
            key,
            matched,
        })
    }

    /// Describes, for plans, which masked values are not searched for in the rest of an item.
    pub(crate) const EXEMPTION: &str =
        "masked values of fewer than 4 characters, digits or bytes are not searched for elsewhere";

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &MaskRules {
        &self.rules
    }

    /// Whether `part`, a map of attributes in DynamoDB JSON, contains a value at a masked path of
    /// the item `original`. Conditions of rules count as true.
    pub(crate) fn hides(&self, original: &[u8], part: &[u8]) -> bool {
        let (Ok(Val::Obj(original)), Ok(Val::Obj(part))) =
            (document::parse(original), document::parse(part))
        else {
            // Nothing can be found out about it, so nothing is shown.
            return true;
        };

        self.sensitive_values(&original).find_leak(&part).is_some()
    }

    /// The item `original` for display: [`PLACEHOLDER`] replaces masked values and attributes that
    /// contain one. Conditions of rules count as true.
    pub(crate) fn displayable_item(&self, original: &[u8]) -> Bytes {
        let placeholder = || Bytes::from(format!("{PLACEHOLDER:?}"));
        let Ok(Val::Obj(original)) = document::parse(original) else {
            return placeholder();
        };

        let sensitive = self.sensitive_values(&original);
        let mut masked = (*original).clone();
        for rule in &self.rules.rules {
            let mut replace = |value: &mut Val| {
                *value = string_value(PLACEHOLDER);
                Ok(Edit::Keep)
            };
            // This edit never fails.
            let _ = rule.path.visit(&mut masked, &mut replace);
        }

        let replace_if = |is_sensitive: bool, value: Val| {
            if is_sensitive {
                string_value(PLACEHOLDER)
            } else {
                value
            }
        };

        // What remains may still contain a copy of a masked value.
        let shown: Map = masked
            .into_iter()
            .map(|(name, value)| {
                let (in_name, in_value) =
                    (sensitive.is_in_name(&name), sensitive.is_in_value(&value));

                (replace_if(in_name, name), replace_if(in_value, value))
            })
            .collect();

        document::write(&shown, &original).unwrap_or_else(|_| placeholder())
    }

    /// The values at all masked paths of an item.
    fn sensitive_values(&self, item: &Map) -> SensitiveValues {
        let mut values = SensitiveValues::default();
        for rule in &self.rules.rules {
            rule.path.collect(&mut values, item);
        }

        values
    }

    /// A hash that identifies the key without revealing it.
    pub(crate) fn key_fingerprint(&self) -> Option<String> {
        // The text is part of the identity of existing journals and must not change.
        self.key
            .as_ref()
            .map(|key| hex::encode(&key.hash(b"dynadump: which key is this")[..8]))
    }

    /// One warning per rule that has matched no item so far.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let rules = self.rules.rules.iter().zip(&self.matched);
        rules
            .filter(|(_, matched)| matched.load(Ordering::Relaxed) == 0)
            .map(|(rule, _)| {
                let when = if rule.when.is_some() {
                    " with its condition"
                } else {
                    ""
                };

                format!(
                    "{}: the rule for `{}`{when} matched no item",
                    rule.position, rule.path
                )
            })
    }
}

impl std::fmt::Debug for Masks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masks")
            .field("rules", &self.rules)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl ItemStep for Masks {
    fn worker(&self) -> Box<dyn ItemWorker + '_> {
        Box::new(MaskWorker::new(self))
    }
}
